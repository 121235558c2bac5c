"""A small network that reads pictures of the embedded world: each pixel's class, light, season and style.

It judges generated pictures. It was trained on renders alone (`segmenter_training`), never on what it judges,
and its score on renders it has not seen is the ceiling of every score it gives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

from mcm_core.drawing.conditions import LabelClass

CHUNK = 8  # pictures in one call of the network


@dataclass(frozen=True, eq=False)
class Seen:
    """What the network sees in B pictures, before any choice.

    `classes` (B, n, H, W) logits of the ids 1..n; `features` (B, F); `attributes` (B, words) logits by
    attribute; `areas` (B, n) logits of each class's share of the picture; `softness` (B,) logit.
    """

    classes: Tensor
    features: Tensor
    attributes: dict[str, Tensor]
    areas: Tensor
    softness: Tensor


@dataclass(frozen=True, eq=False)
class Reading:
    """What is read from B pictures: `labels` (B, H, W) uint8 ids 1..n, `features` (B, F) float32, and the
    index of the word by attribute, each (B,)."""

    labels: np.ndarray
    features: np.ndarray
    attributes: dict[str, np.ndarray]


class Network(ModelMixin, ConfigMixin):
    """A U-Net from (B, 3, H, W) in [-1, 1] to classes, with a second head on the means and spreads of its
    levels.

    The features before that head's logits know what is in a picture (areas), its light, season and style, and
    how soft it is: they serve for the Frechet distance and for diversity.

    Args:
        classes: `{"name", "color"}` each; ids count from 1 in this order.
        attributes: the words of each attribute.
        widths: channels from half the resolution downwards, each level half the one before.
        features: F.
    """

    @register_to_config
    def __init__(
        self,
        classes: Sequence[Mapping[str, str]],
        attributes: Mapping[str, Sequence[str]],
        widths: Sequence[int] = (16, 32, 64, 128),
        features: int = 32,
    ) -> None:
        super().__init__()
        self.stem = _convolution(12, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(before, after, stride=2), Residual(after))
            for before, after in pairwise(widths)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(after, before, 1) for before, after in pairwise(widths))
        self.up = nn.ModuleList(Residual(width) for width in widths[:-1])
        self.pixels = nn.Conv2d(widths[0], 4 * len(classes), 1)
        self.summary = nn.Linear(2 * sum(widths), features)
        self.words = nn.ModuleDict(
            {name: nn.Linear(features, len(words)) for name, words in attributes.items()}
        )
        self.areas = nn.Linear(features, len(classes))
        self.softness = nn.Linear(features, 1)

    def forward(self, pictures: Tensor) -> Seen:
        """pictures (B, 3, H, W) in [-1, 1], of any size: grown at the right and the bottom if need be."""
        height, width = pictures.shape[-2:]
        multiple = 2 ** (len(self.down) + 1)
        grown = functional.pad(pictures, (0, -width % multiple, 0, -height % multiple), mode="replicate")
        levels = [self.stem(functional.pixel_unshuffle(grown, 2))]
        for down in self.down:
            levels.append(down(levels[-1]))
        features = self.summary(torch.cat([_means_and_spreads(level) for level in levels], dim=1))
        hidden = levels[-1]
        for level, lateral, up in reversed([*zip(levels[:-1], self.lateral, self.up, strict=True)]):
            hidden = up(level + functional.interpolate(lateral(hidden), scale_factor=2.0))
        classes = functional.pixel_shuffle(self.pixels(hidden), 2)[..., :height, :width]
        known = functional.silu(features)
        words = {name: head(known) for name, head in self.words.items()}
        return Seen(classes, features, words, self.areas(known), self.softness(known)[:, 0])


class Residual(nn.Module):
    """Two convolutions of 3 x 3 around the identity; (B, channels, h, w) -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = _convolution(channels, channels), _convolution(channels, channels)

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + self.second(self.first(hidden))


class Segmenter:
    """A trained network as its users see it: pictures in, readings out. Threads may share it."""

    def __init__(self, network: Network) -> None:
        self.network = network.requires_grad_(False).to(memory_format=torch.channels_last).eval()

    @property
    def classes(self) -> tuple[LabelClass, ...]:
        return tuple(LabelClass(**each) for each in self.network.config.classes)

    @property
    def attributes(self) -> dict[str, tuple[str, ...]]:
        """The words of each attribute, in the order of their indices."""
        return {name: tuple(words) for name, words in self.network.config.attributes.items()}

    @cached_property
    def fingerprint(self) -> str:
        """12 hex digits that stand for the weights."""
        digest = hashlib.sha256()
        for name, value in sorted(self.network.state_dict().items()):
            digest.update(name.encode() + value.cpu().numpy().tobytes())
        return digest.hexdigest()[:12]

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """pictures (B, H, W, 3) uint8 -> the id of each pixel's class, (B, H, W) uint8, 1..n."""
        return self.read(pictures).labels

    def read(self, pictures: np.ndarray) -> Reading:
        """pictures (B, H, W, 3) uint8, B at least 1."""
        parts = [self._read(pictures[start : start + CHUNK]) for start in range(0, len(pictures), CHUNK)]
        return Reading(
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.features for part in parts]),
            {name: np.concatenate([part.attributes[name] for part in parts]) for name in self.attributes},
        )

    @torch.inference_mode()
    def _read(self, pictures: np.ndarray) -> Reading:
        seen = self.network(
            to_signed(torch.from_numpy(np.ascontiguousarray(pictures)).to(self.network.device))
        )
        return Reading(
            (seen.classes.argmax(1) + 1).to(torch.uint8).cpu().numpy(),
            seen.features.float().cpu().numpy(),
            {name: logits.argmax(1).cpu().numpy() for name, logits in seen.attributes.items()},
        )


def load(folder: str | Path, device: torch.device | str = "cpu") -> Segmenter:
    """The segmenter in a folder that `train-segmenter` wrote, in single precision.

    Raises:
        InputError: no such folder, no safetensors, damaged, unfitting or non-finite weights.
    """
    from mcm_core.weights import opening, require_complete, require_finite

    with opening(folder, "segmenter"):
        network, report = Network.from_pretrained(
            folder, use_safetensors=True, torch_dtype=torch.float32, output_loading_info=True
        )
    require_complete(report, folder)
    require_finite(network, folder)
    return Segmenter(network.to(device))


def to_signed(pictures: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 in [-1, 1], channels last in memory."""
    return pictures.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def _convolution(before: int, after: int, stride: int = 1) -> nn.Sequential:
    """On a CPU, batch norm and ReLU train 1.5 times as fast here as group norm and SiLU."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )


def _means_and_spreads(level: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, 2 C): of each channel."""
    spread, mean = torch.std_mean(level.float(), dim=(2, 3), correction=0)
    return torch.cat([mean, spread], dim=1).to(level.dtype)
