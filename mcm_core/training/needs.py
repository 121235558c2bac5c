"""What a training takes, counted before it begins: one step in which tensors have sizes and no numbers.

torch's fake tensors go through the base and the modulator as real ones would, forwards and backwards, and the
bytes that live at once and the arithmetic are added up. That takes seconds and next to no memory at any size.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from mcm_core.base import Base
from mcm_core.base.low_memory import has_own_memory
from mcm_core.drawing.conditions import Size
from mcm_core.modulator import Modulator
from mcm_core.training.batches import LAG
from mcm_core.training.cache import ENCODE_AT_ONCE, at_once
from mcm_core.training.conditioned import Conditioned
from mcm_core.training.frozen import Seen
from mcm_core.training.objective import errors
from mcm_core.training.precision import DTYPES, autocast
from mcm_core.training.reading import LatentReader, misread

GIB, MIB = 2**30, 2**20
TEXT_TOKENS = 77
CUDA_ITSELF = GIB // 2
"""Bytes that its libraries take."""
COPIES = 5
"""Of the modulator in float32: weights, gradients, average, and two of the optimiser."""


@dataclass(frozen=True)
class Needs:
    """Of a step: `fixed` bytes whatever the batch, and `picture` more for each picture of it. For each, too,
    the additions and multiplications: `flops` in all, of which `base_flops` are the frozen U-Net's.
    `encoding`: the bytes while the pictures are encoded, before the first step."""

    fixed: int
    picture: int
    flops: float
    base_flops: float
    encoding: int = 0

    def step(self, batch: int) -> int:
        """Bytes at the peak of a step, without what the device itself takes (`CUDA_ITSELF`)."""
        return self.fixed + batch * self.picture

    def largest_batch(self, free: int) -> int:
        """The most pictures whose training fits into `free` bytes; 0 where none does."""
        return max(0, (free - self.fixed) // self.picture) if self.encoding <= free else 0


def needs(
    base: Base,
    modulator: Modulator,
    size: Size,
    precision: str,
    make_reader: Callable[[], LatentReader] | None = None,
    echo: int = 1,
) -> Needs:
    """What a step of training this modulator on this base takes; `size` (H, W) of the pictures in pixels,
    `precision` a key of `DTYPES`; with what reads the drawing again, if anything does, and with answers of
    the base that serve in `echo` steps (`batches`), where `base_flops` are still those of one picture."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        step = _Step.of(base, modulator, size, precision, make_reader)
        one, two = (step.peak(batch) for batch in (1, 2))
        flops, base_flops = step.flops()
        encoding = _encoding(base, size, precision)
        waiting = LAG * (echo - 1) / echo * step.answer_bytes()
    fixed = base.parameter_count * DTYPES[precision].itemsize + COPIES * 4 * _count(modulator)
    fixed += 4 * _count(step.reader) if step.reader is not None else 0
    spared = base_flops * (1 - 1 / echo)
    fixed += max(0, 2 * one - two)
    return Needs(fixed, two - one + round(waiting), flops - spared, base_flops, encoding)


def _encoding(base: Base, size: Size, precision: str) -> int:
    """Bytes while an autoencoder in float32 encodes as many pictures as at once; its U-Net may rest."""
    if base.vae is None:
        return 0
    present = base.parameter_count - (_count(base.unet) if has_own_memory(base.device) else 0)
    autoencoder = type(base.vae).from_config(base.vae.config).requires_grad_(False).eval()
    pictures = torch.zeros(min(ENCODE_AT_ONCE, at_once(*size)), 3, *size)
    with LiveBytes() as live, torch.no_grad():
        autoencoder.encode(pictures)
    anew = 0 if precision == "fp32" else 4 * _count(autoencoder)
    return present * DTYPES[precision].itemsize + anew + pictures.nbytes + live.peak


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


class LiveBytes(TorchDispatchMode):
    """While it is on: how many bytes of the tensors that were made meanwhile live, and lived at most."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        known = [one.untyped_storage() for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage(), known)
        return made

    def _count(self, storage: Any, known: Sequence[Any]) -> None:
        """Once for each storage, and not for those of before: views and results in place have those."""
        if any(storage is one for one in known) or storage in self._known:
            return
        self._known.add(storage)
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._freed, size)

    def _freed(self, size: int) -> None:
        self.now -= size


@dataclass(frozen=True)
class _Step:
    """Fake copies of the networks, and the shapes of what goes through them."""

    unet: nn.Module
    student: Conditioned
    reader: LatentReader | None
    base: Base
    size: Size
    precision: str

    @classmethod
    def of(
        cls,
        base: Base,
        modulator: Modulator,
        size: Size,
        precision: str,
        make_reader: Callable[[], LatentReader] | None,
    ) -> _Step:
        unet = type(base.unet).from_config(base.unet.config).requires_grad_(False)
        for parameter in unet.parameters():  # fake ones cannot be moved by `to`
            parameter.data = parameter.data.to(DTYPES[precision])
        student = Conditioned(Modulator.from_config(modulator.config).train())
        reader = make_reader().eval().requires_grad_(False) if make_reader else None
        return cls(unet.eval(), student, reader, base, size, precision)

    def peak(self, batch: int) -> int:
        """Bytes at the peak, beside the weights and their gradients."""
        for parameter in self.student.parameters():
            parameter.grad = torch.zeros_like(parameter)
        inputs = self._inputs(batch)
        with LiveBytes() as live:
            self._run(*inputs)
        return live.peak

    def answer_bytes(self) -> int:
        """Of what the base says of one picture."""
        sample, *_ = self._inputs(1)
        return sample.nbytes

    def flops(self) -> tuple[float, float]:
        """Of a step with one picture: in all, and of the U-Net."""
        inputs, counter = self._inputs(1), FlopCounterMode(display=False)
        with sdpa_kernel(SDPBackend.MATH), counter:
            self._predict(*inputs[:2])
            alone = counter.get_total_flops()
            self._run(*inputs)
        return float(counter.get_total_flops() - alone), float(alone)

    def _inputs(self, batch: int) -> tuple[Tensor, dict[str, Any], dict[str, Tensor]]:
        height, width = self.size
        sample = torch.randn(
            batch, self.base.latent_channels, height // self.base.downscale, width // self.base.downscale
        )
        maps = {
            kind.name: torch.zeros(
                (batch, height, width) if kind.kind == "labels" else (batch, kind.channels, height, width),
                dtype=torch.uint8,
            )
            for kind in self.student.modulator.modalities
        }
        return sample, self._told(batch), maps

    def _told(self, batch: int) -> dict[str, Any]:
        """What the U-Net takes beside x and t."""
        config, dtype = self.base.unet.config, DTYPES[self.precision]
        told: dict[str, Any] = {}
        if self.base.accepts_text:
            told["encoder_hidden_states"] = torch.randn(
                batch, TEXT_TOKENS, config.cross_attention_dim, dtype=dtype
            )
        if self.base.family == "sdxl":
            ids = 6 * config.addition_time_embed_dim
            pooled = config.projection_class_embeddings_input_dim - ids
            told["added_cond_kwargs"] = {
                "text_embeds": torch.randn(batch, pooled, dtype=dtype),
                "time_ids": torch.randn(batch, 6, dtype=dtype),
            }
        if self.base.embeds_guidance:
            told["timestep_cond"] = torch.randn(batch, config.time_cond_proj_dim, dtype=dtype)
        return told

    def _run(self, sample: Tensor, told: dict[str, Any], maps: dict[str, Tensor]) -> None:
        ones = torch.ones(len(sample))
        seen = Seen(sample, self._predict(sample, told), 500 * ones, ones / 2)
        with autocast(sample.device, self.precision):
            gamma, nu = self.student(seen, maps, dict.fromkeys(maps, ones))
        modulated = gamma.float() * seen.eps + nu.float()
        loss = errors(modulated, sample)
        if self.reader is not None:
            with autocast(sample.device, self.precision):
                read = self.reader(sample - modulated)
            loss = loss + misread(read, maps, dict.fromkeys(maps, ones))
        loss.mean().backward()

    @torch.no_grad()
    def _predict(self, sample: Tensor, told: dict[str, Any]) -> Tensor:
        timesteps = torch.full((len(sample),), 500)
        output = self.unet(sample.to(DTYPES[self.precision]), timesteps, **told, return_dict=False)[0]
        return output.float()


def described(
    counted: Needs, steps: int, batch: int, accumulate: int, seconds: float, memory: int | None
) -> str:
    """For people; `seconds` for one picture, see `seconds_of_a_picture`, `memory` as `memory_of` gives it."""
    fits = "" if memory is None else f"; at most {counted.largest_batch(memory)} at once fit into its memory"
    hours = steps * batch * accumulate * seconds / 3600
    first = f", {counted.encoding / GIB:.1f} GiB to encode the pictures first" if counted.encoding else ""
    return (
        f"{counted.fixed / GIB:.1f} GiB and {counted.picture / MIB:.0f} MiB for each picture of a batch, "
        f"{counted.step(batch) / GIB:.1f} GiB for {batch}{first}{fits}; "
        f"{steps:,} steps about {hours:,.1f} hours here"
    )


def memory_of(device: torch.device) -> int | None:
    """Bytes that a GPU has for a training; None where the main memory is what there is."""
    if device.type != "cuda":
        return None
    return int(torch.cuda.get_device_properties(device).total_memory) - CUDA_ITSELF


def seconds_of_a_picture(base: Base, counted: Needs, size: Size) -> float:
    """How long one picture of a step takes here, by the time of the base alone, on its own device."""
    latents = (1, base.latent_channels, size[0] // base.downscale, size[1] // base.downscale)
    sample, embeddings = torch.randn(latents).to(base.device), base.encode_prompt([""])

    def timed() -> float:
        begun = time.perf_counter()
        float(base.predict(sample, torch.tensor(500), embeddings).sum())  # waits for the device
        return time.perf_counter() - begun

    timed()
    return min(timed(), timed()) * counted.flops / counted.base_flops
