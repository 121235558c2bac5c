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


def choose_precision(name: str, device: torch.device) -> str:
    """A key of `DTYPES`: for `auto` bf16 where the device multiplies matrices in it, else fp32."""
    if name != AUTO:
        return name
    quick = device.type == "cuda" or (device.type == "cpu" and multiplies_bfloat16())
    return "bf16" if quick else "fp32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context; `precision` is one of `PRECISIONS`."""
    chosen = choose_precision(precision, device)
    return torch.autocast(device.type, DTYPES[chosen], enabled=chosen != "fp32")


def compiled(step: Step, device: torch.device) -> Step:
    """The same, fused by torch's compiler where that pays: on a GPU, whose memory is what small networks wait
    for."""
    return torch.compile(step) if device.type == "cuda" else step  # type: ignore[return-value]
