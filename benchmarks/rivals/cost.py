"""What a method costs beside the base alone: memory of its training, and time of a picture."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mcm_core.training.batches import Batch
from mcm_core.training.fit import Schedule, Training, take_step
from mcm_core.training.optimiser import Optimiser
from mcm_core.training.precision import autocast

from ..overhead import peak_resident
from .judging import BOTH, INPUTS, Painter, Studio
from .learning import Candidate, Course, batches, new_network
from .methods import BASE, METHODS

RESET = Path("/proc/self/clear_refs")
"""Of Linux: from then on the peak is counted anew. Elsewhere it is that of the process's whole life."""
STEPS = 3
ROUNDS = 4
USUAL = Candidate(matrices=False, lr=1e-5)


def cost(course: Course, studio: Studio) -> dict[str, Any]:
    """Trained parameters; MiB of a training beyond what the base itself needs for the same batch; how many
    times as long a picture takes as the base's, and its seconds. Is right in a process that did nothing else.
    """
    method, told = course.method, {"parameters": 0, "mib": 0.0}
    network = None
    if method.build is not None:
        batch = next(batches(course, range(1)))
        alone = peak(lambda: course.frozen.noised(batch[0]), course.job.base.device)
        network = new_network(course)
        whole = peak(lambda: _train(course, network, batch), course.job.base.device)
        own = 0 if method.keeps_base else sum(p.nbytes for p in course.job.base.unet.parameters())
        told = {
            "parameters": sum(p.numel() for p in network.parameters() if p.requires_grad),
            "mib": (whole - alone - own) / 2**20,
        }
    return told | timed(studio, Painter(studio, method, network, method.settings[0]))


def timed(studio: Studio, painter: Painter) -> dict[str, float]:
    """The two take turns, so that a drift of the machine's speed meets both."""
    alone, (scene,) = Painter(studio, METHODS[BASE], None, None), studio.held_out(1)
    times: dict[Painter, list[float]] = {alone: [], painter: []}
    for _ in range(ROUNDS):
        for each, seconds in times.items():
            begun = time.perf_counter()
            each.paint([scene], INPUTS[BOTH])
            seconds.append(time.perf_counter() - begun)
    pairs = zip(times[painter][1:], times[alone][1:], strict=True)  # the first warms up
    return {
        "ratio": statistics.median(own / base for own, base in pairs),
        "seconds": statistics.median(times[painter][1:]),
    }


def peak(work: Callable[[], object], device: torch.device) -> int:
    """Bytes that the process holds at most while it works; on a GPU those on the device."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        work()
        return torch.cuda.max_memory_allocated(device)
    if RESET.is_file():
        RESET.write_text("5")
    work()
    return peak_resident()


def _train(course: Course, network: nn.Module, batch: list[Batch]) -> None:
    training = Training(network, Optimiser(network, USUAL.lr, matrices=USUAL.matrices), Schedule(STEPS))

    def losses(part: Batch) -> dict[str, torch.Tensor]:
        with autocast(course.job.base.device, course.job.precision):
            return {"loss": course.method.loss(network, course.frozen, part)}

    for _ in range(STEPS):
        take_step(training, batch, losses)
