"""The methods that are compared: how each is built, what it is trained on, and how it paints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mcm_core.base import Base
from mcm_core.drawing.conditions import LABELS, SKETCH, LabelClass
from mcm_core.training.batches import Batch
from mcm_core.training.frozen import Frozen
from mcm_core.training.objective import errors

from . import networks, untrained
from .drawing import Drawing, of_batch
from .networks import Build
from .painting import PLACEMENTS, Prediction, guided

Loss = Callable[[Any, Frozen, Batch], Tensor]


def noise_loss(network: Any, frozen: Frozen, batch: Batch) -> Tensor:
    """The loss that the modulator's trainer has, for any network of `networks`."""
    now, sample, noise, weights = frozen.noising(batch)
    drawing, texts = of_batch(batch, frozen.base.device), frozen.embedded(batch.texts)
    output = network(frozen.base, sample, now, texts, network.see(drawing))
    return (weights * errors(now.eps(output, sample), noise)).mean()


@dataclass(frozen=True)
class Asked:
    """Pictures to be painted together."""

    base: Base
    precision: str
    classes: Sequence[LabelClass]
    prompts: Sequence[str]
    drawing: Drawing
    seeds: Sequence[int]


@dataclass(frozen=True)
class Method:
    """One of those that are compared.

    Attributes:
        build: what is trained; None where nothing is.
        settings: choices for the painting, of which held-out scenes decide.
        begin: (network, asked, setting) -> what says each step's prediction.
        reads: the modalities that it takes.
        keeps_base: the base's weights stay, so that it is had back by leaving the method out.
    """

    title: str
    build: Build | None
    settings: tuple[Any, ...]
    begin: Callable[[Any, Asked, Any], Prediction]
    loss: Loss = noise_loss
    reads: tuple[str, ...] = (LABELS, SKETCH)
    keeps_base: bool = True


def _network(title: str, build: Build, keeps_base: bool = True) -> Method:
    def begin(network: Any, asked: Asked, setting: Any) -> Prediction:
        return guided(network, asked.base, asked.prompts, asked.drawing, setting, asked.precision)

    return Method(title, build, PLACEMENTS, begin, keeps_base=keeps_base)


def _gradients(network: Any, asked: Asked, setting: Any) -> Prediction:
    return untrained.by_gradients(network, asked.base, asked.prompts, asked.drawing, setting)


def _regions(network: Any, asked: Asked, setting: Any) -> Prediction:
    return untrained.by_regions(asked.base, asked.prompts, asked.drawing, asked.classes, asked.seeds)


def _alone(network: Any, asked: Asked, setting: Any) -> Prediction:
    return guided(networks.Plain(), asked.base, asked.prompts, asked.drawing, "both", asked.precision)


BASE, OURS = "base", "modulator"
METHODS: dict[str, Method] = {
    BASE: Method("base alone", None, (None,), _alone, reads=()),
    OURS: _network("modulator, mini (ours)", networks.modulated("mini")),
    "modulator-nano": _network("modulator, nano (ours)", networks.modulated("nano")),
    "modulator-paper": _network("modulator, paper (ours)", networks.modulated("paper")),
    "controlnet": _network("ControlNet", networks.controlnet),
    "controlnet-xs": _network("ControlNet-XS", networks.controlnet_xs),
    "t2i-adapter": _network("T2I-Adapter", networks.t2i_adapter),
    "fine-tuning": _network("fine-tuning, all weights", networks.fine_tuned, keeps_base=False),
    "lora": _network("LoRA and input channels", networks.lora),
    "scratch": _network("the same U-Net from scratch", networks.from_scratch, keeps_base=False),
    "gradients": Method(
        "gradients of a segmentation network",
        untrained.reader,
        untrained.SCALES,
        _gradients,
        untrained.reading_loss,
    ),
    "regions": Method("prompts by region (MultiDiffusion)", None, (None,), _regions, reads=(LABELS,)),
}
