"""The modulator: a small network that reads a drawing and corrects the frozen base's noise prediction.

    gamma, nu = modulator(x_t, eps_t, t, features(drawing))         eps' = gamma * eps + nu

Ham et al., "Modulating Pretrained Diffusion Models for Multimodal Image Synthesis", SIGGRAPH 2023. The trunk
is a stock diffusers `UNet2DModel`. Its last layer starts at zero, so that a new modulator is exactly the
identity. Each modality has a branch of its own, which sees the drawing at full resolution.

Where there is much noise, alpha is small, eps_t is nearly x_t, and the base's idea of the picture (palette,
light) hides in their small difference. So the trunk is shown x_t and v_t = (eps_t - sigma * x_t) / alpha, the
same pair of facts at unit scale, and speaks at that scale, too:

    g, n = trunk(x_t, v_t, t, features)     gamma = 1 + alpha * g     nu = alpha * n     v' = v + g * eps + n
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from mcm_core.drawing.conditions import InputError, LabelClass, Modality
from mcm_core.live import Live

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"block_out_channels": (32, 32, 64, 128), "layers_per_block": 2, "attention_levels": (2,)},
    "mini": {"block_out_channels": (48, 64, 128), "layers_per_block": 1, "attention_levels": (1,)},
    "nano": {
        "block_out_channels": (16, 32, 48),
        "layers_per_block": 1,
        "attention_levels": (1,),
        "condition_channels": 8,
    },
}
"""Sizes. With 12 classes and a sketch on 4 latent channels: 4.0M, 2.9M and 0.5M parameters."""

PLANES_AT_ONCE = 32
"""Classes of a label map whose planes are in memory together."""

SMALLEST_SCALE = 0.05
"""Below this alpha 1 / alpha would show the base's errors alone; Stable Diffusion ends at 0.068."""


@dataclass(frozen=True)
class ModulatorOutput:
    """gamma and nu, each (B, C, h, w): the scale and the shift of the noise prediction."""

    gamma: Tensor
    nu: Tensor


class Modulator(ModelMixin, ConfigMixin):
    """The multimodal conditioning module.

    Args:
        latent_channels: C, channels of the base's latents.
        downscale: pixels per latent along each side (8 for Stable Diffusion, 1 in pixel space).
        modalities: `{"name", "kind", "channels"}` each, see `conditions.Modality`.
        classes: `{"name", "color"}` each; ids count from 1 in this order, 0 is void.
        block_out_channels, layers_per_block, attention_levels, norm_num_groups: the trunk; levels count from
            the full latent resolution, and only those listed attend.
        condition_channels: channels of each modality's features.
        base: `{"id", "fingerprint"}` of the base that it was trained for.
        latent_scaling, latent_shift, num_train_timesteps: of that base, see `base.Base`.
        training_window: [first, last) timesteps that it was trained on; None stands for all. Outside of the
            window it does not act.
        prompt_boost: how much more the prompt is guided while it acts, see `request.Request`.
        live: the fields of a `Live` for a modulator that was distilled to few unguided steps, else None.
    """

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 4,
        downscale: int = 8,
        modalities: Sequence[Mapping[str, Any]] = (),
        classes: Sequence[Mapping[str, str]] = (),
        block_out_channels: Sequence[int] = (32, 32, 64, 128),
        layers_per_block: int = 2,
        attention_levels: Sequence[int] = (2,),
        norm_num_groups: int = 16,
        condition_channels: int = 16,
        base: Mapping[str, str] | None = None,
        latent_scaling: float = 1.0,
        latent_shift: float = 0.0,
        num_train_timesteps: int = 1000,
        training_window: Sequence[int] | None = None,
        prompt_boost: float = 1.0,
        live: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._modalities = tuple(Modality(**modality) for modality in modalities)
        self._classes = tuple(LabelClass(**label) for label in classes)
        _check_identity(self._modalities, self._classes, training_window, num_train_timesteps)
        if live is not None:
            Live.of(live, num_train_timesteps)
        self.branches = nn.ModuleDict(
            {
                kind.name: Branch(kind.kind, self._planes(kind), condition_channels, downscale)
                for kind in self._modalities
            }
        )
        self.absent = nn.ParameterDict(
            {kind.name: nn.Parameter(torch.zeros(condition_channels, 1, 1)) for kind in self._modalities}
        )
        levels = range(len(block_out_channels))
        down = tuple("AttnDownBlock2D" if level in attention_levels else "DownBlock2D" for level in levels)
        self.trunk = UNet2DModel(
            in_channels=2 * latent_channels + condition_channels * len(self._modalities),
            out_channels=2 * latent_channels,
            block_out_channels=tuple(block_out_channels),
            layers_per_block=layers_per_block,
            down_block_types=down,
            up_block_types=tuple(name.replace("Down", "Up") for name in reversed(down)),
            norm_num_groups=norm_num_groups,
        )
        nn.init.zeros_(self.trunk.conv_out.weight)
        nn.init.zeros_(self.trunk.conv_out.bias)

    @classmethod
    def preset(cls, name: str, **identity: Any) -> Modulator:
        """A new modulator of a size named in `PRESETS`; `identity` are the class's remaining arguments."""
        if name not in PRESETS:
            raise InputError(f"There is no modulator size {name!r}: choose from {', '.join(PRESETS)}.")
        return cls(**(PRESETS[name] | identity))

    @classmethod
    def from_pretrained(cls, source: str | Path, **options: Any) -> Modulator:
        """A trained modulator from a folder or a hub id, in evaluation mode; see diffusers for the options.

        Raises:
            InputError: no such folder, no safetensors, damaged, unfitting or non-finite weights.
        """
        from mcm_core.weights import opening, require_complete, require_finite

        with opening(source, "modulator"):
            model, report = super().from_pretrained(
                source, **options, use_safetensors=True, output_loading_info=True
            )
        require_complete(report, source)
        require_finite(model, source)
        return model

    @property
    def classes(self) -> tuple[LabelClass, ...]:
        """The classes of the label map; the id of each is its position plus one."""
        return self._classes

    @property
    def modalities(self) -> tuple[Modality, ...]:
        return self._modalities

    @property
    def live(self) -> Live | None:
        """How it is sampled in few unguided steps, if it was distilled to that."""
        live = self.config.live
        return None if live is None else Live.of(live, self.config.num_train_timesteps)

    def acts_at(self, timestep: float) -> bool:
        """Whether `timestep` lies in the window that the modulator was trained on."""
        first, last = self.config.training_window or (0, self.config.num_train_timesteps)
        return first <= timestep < last

    def encode(
        self,
        maps: Mapping[str, Tensor],
        presence: Mapping[str, Tensor | float] | None = None,
        *,
        size: tuple[int, int],
        batch: int | None = None,
    ) -> Tensor:
        """Features of a drawing, (B, F, h, w). They do not depend on t: once per picture is enough.

        Args:
            maps: by modality, uint8, ids or planes of 0 to 255: (B, H, W), or (B, C, H, W) where there are
                several planes; each of batch 1 or B and of `size` times the downscale.
            presence: how far each modality counts, in [0, 1], a number or (B,): 0 is the learned "absent",
                1 the drawing, between them a mixture. Those not listed count 1 where there is a map.
            size: (h, w) of the latents.
            batch: B; by default that of the maps.
        """
        batch = batch or max((len(drawn) for drawn in maps.values()), default=1)
        features = [
            self._feature(
                modality, maps.get(modality.name), (presence or {}).get(modality.name, 1.0), size, batch
            )
            for modality in self._modalities
        ]
        empty = torch.zeros(batch, 0, *size, device=self.device, dtype=self.dtype)
        return torch.cat([empty, *features], dim=1)

    def forward(
        self,
        sample: Tensor,
        noise_pred: Tensor,
        timestep: Tensor | float,
        alpha: Tensor | float,
        features: Tensor,
    ) -> ModulatorOutput:
        """gamma and nu, each (B, C, h, w), in float32 whatever the network's precision.

        Args:
            sample: x_t, variance preserving (what `scheduler.scale_model_input` returns), (B, C, h, w).
            noise_pred: the base's noise prediction eps_t for it, (B, C, h, w). Both in float32: less would
                lose their difference.
            timestep: t in [0, num_train_timesteps), a number or (B,).
            alpha: sqrt(alphas_cumprod[t]) in (0, 1], a number or (B,).
            features: from `encode`, (B, F, h, w).
        """
        height, width = sample.shape[-2:]
        alpha = torch.as_tensor(alpha, dtype=torch.float32, device=sample.device).reshape(-1, 1, 1, 1)
        scale = alpha.clamp(min=SMALLEST_SCALE)
        velocity = (noise_pred - (1 - alpha**2).sqrt() * sample) / scale
        seen = torch.cat([part.to(features.dtype) for part in (sample, velocity, features)], dim=1)
        timestep = torch.as_tensor(timestep, device=sample.device)  # the trunk would round a float
        padded = _pad(seen, 2 ** (len(self.trunk.down_blocks) - 1))
        change = self.trunk(padded, timestep, return_dict=False)[0][..., :height, :width]
        gamma, nu = (scale * change.float()).chunk(2, dim=1)
        return ModulatorOutput(1 + gamma, nu)

    def _feature(
        self,
        modality: Modality,
        drawn: Tensor | None,
        presence: Tensor | float,
        size: tuple[int, int],
        batch: int,
    ) -> Tensor:
        absent = self.absent[modality.name].expand(batch, -1, *size)
        if drawn is None:
            return absent
        weight = torch.as_tensor(presence, device=absent.device, dtype=absent.dtype).reshape(-1, 1, 1, 1)
        planes = drawn if drawn.ndim == 4 else drawn[:, None]
        return absent + weight * (self.branches[modality.name](planes) - absent)

    def _planes(self, modality: Modality) -> int:
        """Input channels of a modality's branch, before the pixels are folded into channels."""
        return len(self._classes) + 1 if modality.kind == "labels" else modality.channels


class Branch(nn.Module):
    """(B, C, H, W) uint8 at full resolution, ids or planes -> (B, channels, H / downscale, W / downscale).

    The pixels of a cell become channels (T2I-Adapter), so that strokes thinner than a latent survive. Ids
    are seen as a plane for each class.
    """

    def __init__(self, kind: str, planes: int, channels: int, downscale: int) -> None:
        super().__init__()
        self.reads_ids, self.planes, self.downscale = kind == "labels", planes, downscale
        self.fold = nn.Conv2d(planes * downscale**2, 2 * channels, 1)
        groups = 8 if channels % 8 == 0 else 1
        self.blocks = nn.Sequential(
            *(ResnetBlock2D(in_channels=2 * channels, temb_channels=None, groups=groups) for _ in range(2))
        )
        self.out = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, drawn: Tensor) -> Tensor:
        folded = functional.pixel_unshuffle(drawn, self.downscale)
        hidden = self._of_ids(folded) if self.reads_ids else self.fold(unit(folded, self.fold.weight.dtype))
        for block in self.blocks:
            hidden = block(hidden, None)
        return self.out(hidden)

    def _of_ids(self, folded: Tensor) -> Tensor:
        """A part of the classes at a time, whose planes are made anew for the gradients: at 512 pixels those
        of 150 would take 150 MiB a picture several times over."""
        hidden = self._of_classes(folded, 0)
        for first in range(PLANES_AT_ONCE, self.planes, PLANES_AT_ONCE):
            hidden = hidden + checkpoint(self._of_classes, folded, first, use_reentrant=False)
        return hidden

    def _of_classes(self, folded: Tensor, first: int) -> Tensor:
        """The convolution's share that sees the planes of `PLANES_AT_ONCE` classes, (B, 2 * channels, h, w).

        The planes are rows of the unit matrix, looked up with the channels last: on a CPU that is four times
        as quick as comparing ids with classes, forward and backward.
        """
        seen = slice(first, first + PLANES_AT_ONCE)
        weight = self.fold.weight.unflatten(1, (self.planes, -1))[:, seen]
        classes = torch.eye(self.planes, dtype=_arithmetic(weight), device=weight.device)[:, seen]
        planes = functional.embedding(folded.permute(0, 2, 3, 1).int(), classes)
        return functional.conv2d(
            planes.flatten(3).permute(0, 3, 1, 2),
            weight.transpose(1, 2).flatten(1, 2),
            self.fold.bias if first == 0 else None,
        )


def _arithmetic(weight: Tensor) -> torch.dtype:
    """What a convolution with this weight computes in."""
    kind = weight.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


def unit(planes: Tensor, dtype: torch.dtype) -> Tensor:
    """uint8 planes -> [0, 1].

    Raises:
        TypeError: planes of another type, which would come out too dark.
    """
    if planes.dtype != torch.uint8:
        raise TypeError(f"a drawn map must be uint8, not {planes.dtype}")
    return planes.to(dtype) / 255


def _pad(tensor: Tensor, multiple: int) -> Tensor:
    """Grown at the right and the bottom until the trunk can halve both sides often enough."""
    height, width = tensor.shape[-2:]
    right, bottom = -width % multiple, -height % multiple
    return functional.pad(tensor, (0, right, 0, bottom), mode="replicate") if right or bottom else tensor


def _check_identity(
    modalities: tuple[Modality, ...],
    classes: tuple[LabelClass, ...],
    window: Sequence[int] | None,
    num_train_timesteps: int,
) -> None:
    names = [modality.name for modality in modalities]
    if not names or len(set(names)) < len(names):
        raise InputError("A modulator needs at least one modality, each with a name of its own.")
    if not all(re.fullmatch("[a-z][a-z0-9_]{0,31}", name) for name in names):
        raise InputError("A modality's name must be of lower-case letters, digits and underscores.")
    if not all(re.fullmatch("#[0-9a-fA-F]{6}", c.color) and 0 < len(c.name) <= 60 for c in classes):
        raise InputError("A class needs a name of 1 to 60 characters and a colour of the form #rrggbb.")
    if any(m.kind not in ("labels", "image") for m in modalities):
        raise InputError("A modality's kind must be 'labels' or 'image'.")
    if any(m.kind == "labels" for m in modalities) and not 1 <= len(classes) <= 255:
        raise InputError("A modulator that reads a label map needs between 1 and 255 classes.")
    if window is not None and not 0 <= window[0] < window[1] <= num_train_timesteps:
        raise InputError(f"training_window must be [first, last) within 0 and {num_train_timesteps}.")
