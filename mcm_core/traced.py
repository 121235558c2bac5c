"""Small networks on a CPU, without Python between their layers.

A quarter of a small network's time on a CPU passes in Python, from one operation to the next, and far more
where other threads want the interpreter, too, as a web page's do. A traced pass is the same operations on the
same weights, in one go. Whether its numbers are bitwise the same is looked at once for each kind of input;
where they are not, or where tracing fails, the network goes on as it was.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

LARGEST = 100_000_000
"""Parameters. In larger networks the layers themselves take the time."""
MOST_KINDS = 8
"""So many shapes of the input are traced, each of which costs a second, once."""

log = logging.getLogger(__name__)


def quicken(*networks: nn.Module | None) -> None:
    """Trace what these networks do outside of training, if they are small and on a CPU.

    Their weights may change afterwards, in place; their structure may not.
    """
    for network in networks:
        if network is None or isinstance(network.forward, Traced):
            continue
        weights = list(network.parameters())
        if sum(one.numel() for one in weights) <= LARGEST and all(
            one.device.type == "cpu" for one in weights
        ):
            network.forward = Traced(network)


class Traced:
    """In place of a network's `forward`: the same results, sooner."""

    def __init__(self, network: nn.Module) -> None:
        self._call = network.forward
        self._network = network
        self._known: dict[Any, Callable[..., Any] | None] = {}
        self._lock = threading.Lock()

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Tensors by position or by name, and constants, are traced; anything else goes the usual way."""
        if torch.is_grad_enabled() or self._network.training:
            return self._call(*args, **options)
        constants = {name: value for name, value in options.items() if not isinstance(value, Tensor)}
        named = {name: value for name, value in options.items() if isinstance(value, Tensor)}
        if not all(isinstance(one, Tensor) for one in args) or not all(map(_is_constant, constants.values())):
            return self._call(*args, **options)
        tensors = (*args, *named.values())
        kind = (*(_kind(one) for one in tensors), *named, *constants.items())
        traced = self._traced(kind, len(args), tuple(named), constants, tensors)
        return self._call(*args, **options) if traced is None else traced(*tensors)

    def _traced(
        self,
        kind: tuple[Any, ...],
        count: int,
        names: tuple[str, ...],
        constants: Mapping[str, Any],
        tensors: tuple[Tensor, ...],
    ) -> Callable[..., Any] | None:
        with self._lock:
            if kind not in self._known:
                if len(self._known) >= MOST_KINDS:
                    return None
                self._known[kind] = _trace(_Pass(self._network, self._call, count, names, constants), tensors)
            return self._known[kind]


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


def _kind(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.shape, tensor.stride(), tensor.dtype


def _is_constant(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
