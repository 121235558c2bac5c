"""In which precision networks are trained: the weights stay float32, the arithmetic is autocast."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from mcm_core.devices import multiplies_bfloat16

AUTO = "auto"
Step = TypeVar("Step", bound=Callable[..., object])
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
PRECISIONS = (AUTO, *DTYPES)
BF16_FROM = (8, 0)
"""The compute capability (Ampere) before which bf16 is emulated, many times slower than fp16."""
FP16_LOSS_SCALE = 2.0**12


def choose_precision(name: str, device: torch.device) -> str:
    """A key of `DTYPES`: for `auto` bf16 where the device multiplies matrices in it, else fp16 on CUDA, whose
    older cards do that, and fp32 elsewhere."""
    if name != AUTO:
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= BF16_FROM else "fp16"
    return "bf16" if device.type == "cpu" and multiplies_bfloat16() else "fp32"


def first_loss_scale(precision: str) -> float:
    """What the loss is multiplied by at first, so that no gradient is lost in small numbers."""
    return FP16_LOSS_SCALE if precision == "fp16" else 1.0


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context; `precision` is one of `PRECISIONS`."""
    chosen = choose_precision(precision, device)
    return torch.autocast(device.type, DTYPES[chosen], enabled=chosen != "fp32")


def compiled(step: Step, device: torch.device) -> Step:
    """The same, fused by torch's compiler where that pays: on a GPU, whose memory is what small networks wait
    for."""
    return torch.compile(step) if device.type == "cuda" else step  # type: ignore[return-value]
