"""Small networks on a CPU, without Python between their layers.

A good part of a small network's time on a CPU passes in Python, from one operation to the next, and more
where other threads want the interpreter, too, as a web page's do. A traced pass is the same operations on the
same weights, in one go. Tracing takes seconds, so that it has a moment of its own, before anybody waits.
Whether the numbers are bitwise the same is looked at for each kind of input; where they are not, or where
tracing fails, and for every other kind of input the network goes on as it was.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

LARGEST = 100_000_000
"""Parameters. In larger networks the layers themselves take the time."""

log = logging.getLogger(__name__)


def quicken(run: Callable[[], object], *networks: nn.Module | None) -> None:
    """Trace what these networks do in `run`, and do it so from then on, if they are small and on a CPU.

    Their weights may change afterwards, in place; their structure may not.
    """
    traced = [_traced(network) for network in networks if network is not None and _gains(network)]
    try:
        for one in traced:
            one.is_learning = True
        if traced:
            run()
    finally:
        for one in traced:
            one.is_learning = False


class Traced:
    """In place of a network's `forward`: the same results, sooner for the kinds of input that it knows."""

    def __init__(self, network: nn.Module) -> None:
        self._network, self._call = network, network.forward
        self._known: dict[Any, Callable[..., Any] | None] = {}
        self.is_learning = False

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Tensors by position or by name, and constants, can be traced; anything else goes the usual way."""
        if torch.is_grad_enabled() or self._network.training:
            return self._call(*args, **options)
        named = {name: value for name, value in options.items() if isinstance(value, Tensor)}
        constants = {name: value for name, value in options.items() if name not in named}
        if not all(isinstance(one, Tensor) for one in args) or not all(map(_is_constant, constants.values())):
            return self._call(*args, **options)
        tensors = (*args, *named.values())
        kind = (*(_kind(one) for one in tensors), *named, *constants.items())
        if self.is_learning and kind not in self._known:
            one = _Pass(self._network, self._call, len(args), tuple(named), constants)
            self._known[kind] = _trace(one, tensors)
        traced = self._known.get(kind)
        return self._call(*args, **options) if traced is None else traced(*tensors)


class _Pass(nn.Module):
    """A call with tensors alone, of which the first `count` go by position and the others by name."""

    def __init__(
        self,
        network: nn.Module,
        call: Callable[..., Any],
        count: int,
        names: tuple[str, ...],
        constants: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.network = network
        self._call, self._count, self._names, self._constants = call, count, names, dict(constants)
        self.eval()

    def forward(self, *tensors: Tensor) -> Any:
        named = dict(zip(self._names, tensors[self._count :], strict=True))
        return self._call(*tensors[: self._count], **named, **self._constants)


def _trace(one: _Pass, tensors: tuple[Tensor, ...]) -> Callable[..., Any] | None:
    """The traced pass, or None where it cannot be traced, or gives other numbers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of branches on shapes, which belong to the kind of input
            traced = torch.jit.trace(one, tensors, check_trace=False)
        for _ in range(2):  # what it is made into after the first pass counts
            got = traced(*tensors)
        if _same(got, one(*tensors)):
            return traced
        log.info("A traced %s gives other numbers: it is left as it is.", type(one.network).__name__)
    except Exception as error:
        log.info("%s cannot be traced: %.200s", type(one.network).__name__, error)
    return None


def _traced(network: nn.Module) -> Traced:
    if not isinstance(network.forward, Traced):
        network.forward = Traced(network)
    assert isinstance(network.forward, Traced)
    return network.forward


def _gains(network: nn.Module) -> bool:
    weights = list(network.parameters())
    is_small = sum(one.numel() for one in weights) <= LARGEST
    return is_small and all(one.device.type == "cpu" for one in weights)


def _kind(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.shape, tensor.stride(), tensor.dtype


def _is_constant(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
