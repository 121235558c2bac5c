"""On which device, in which precision and layout models run: by name, or what suits this machine."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

from mcm_core.drawing.conditions import InputError

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16", "float16")


def choose_device(name: torch.device | str | None) -> torch.device:
    """A device by its name; None for the quickest that is here, see `_quickest`.

    Raises:
        InputError: there is no such device on this machine.
    """
    import torch

    try:
        device = torch.device(name or _quickest())
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"There is no device {str(name)!r:.40} here. Leave it out, or take cpu.") from error
    return device


def _quickest() -> str:
    """CUDA, or else mps where there is one, otherwise the CPU. Of several GPUs each process that `torchrun`
    started gets one of its own."""
    import torch

    if torch.cuda.is_available():
        number = os.environ.get("LOCAL_RANK")
        return "cuda" if number is None else f"cuda:{int(number) % torch.cuda.device_count()}"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def is_here(name: str) -> bool:
    """Whether this machine has a device of that name."""
    try:
        return bool(choose_device(name))
    except InputError:
        return False


def choose_dtype(name: torch.dtype | str | None, device: torch.device) -> torch.dtype:
    """A precision by its name, one of `DTYPES`; None for what is quick on the device and safe.

    That is float16 on CUDA, float32 on mps, and on a CPU bfloat16 where it can multiply matrices of them,
    float32 elsewhere.

    Raises:
        InputError: another name.
    """
    import torch

    if isinstance(name, torch.dtype):
        return name
    if name is None:
        quick = {"cuda": "float16", "cpu": "bfloat16" if multiplies_bfloat16() else "float32"}
        name = quick.get(device.type, "float32")
    if name not in DTYPES:
        raise InputError(f"dtype must be one of {', '.join(DTYPES)}.")
    return getattr(torch, name)


def choose_layout(device: torch.device) -> torch.memory_format:
    """How networks lie in memory: with channels last convolutions are quicker; on mps it was never tried."""
    import torch

    return torch.contiguous_format if device.type == "mps" else torch.channels_last


def multiplies_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself: by AMX, AVX512-BF16 or ARM's BFMMLA.

    Elsewhere torch emulates it, many times slower than float32. What torch says of the processor has no
    public name, so that a version which does not say it means no.
    """
    import torch

    if platform.machine().lower() in ("arm64", "aarch64"):
        answers = [getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)]
    else:
        names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
        answers = [getattr(torch.cpu, name, None) for name in names]
    return any(answer is not None and bool(answer()) for answer in answers)
