"""A modulator holding one drawing: what acts on a frozen base's output, in the pipeline and in `wrap`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mcm_core.drawing.conditions import Conditions, to_tensors
from mcm_core.modulation import boosted, contrast, correction
from mcm_core.modulator import Modulator, ModulatorOutput
from mcm_core.schedule import SMALLEST_ALPHA, Moment


class NotFiniteError(ArithmeticError):
    """NaN or infinity instead of a picture. The message says where it arose and what to try."""


@dataclass(frozen=True)
class Corrected:
    """A base's output after the modulation, and where it acted.

    `gamma_action` and `nu_action` are (B, h, w): strength * |gamma - 1| |eps| and strength * |nu|, means over
    the channels.
    """

    output: Tensor
    gamma_action: Tensor
    nu_action: Tensor


@dataclass(frozen=True)
class Control:
    """A modulator and the features (1, F, h, w) of one drawing.

    Attributes:
        strength: of the whole correction; the modalities' shares are in the features already.
        start, end: the part of the trajectory, in [0, 1], in which it acts.
        prompt_boost: see `modulation.boosted`.
        empty: the features of an empty drawing, on a base that guides itself: see `modulation.contrast`.
    """

    modulator: Modulator
    features: Tensor
    strength: float
    start: float
    end: float
    prompt_boost: float = 1.0
    empty: Tensor | None = None

    def acts_at(self, progress: float, now: Moment) -> bool:
        """Whether it acts after `progress` in [0, 1) of the trajectory: not outside of the windows of request
        and training, and not where the sample is nothing but noise.
        """
        in_window = self.start <= progress < self.end and self.modulator.acts_at(float(now.timestep))
        return in_window and float(now.alpha) >= SMALLEST_ALPHA

    @torch.no_grad()
    def correct(
        self, output: Tensor, sample: Tensor, now: Moment, negative: Tensor | None = None
    ) -> Corrected:
        """The base's raw `output` (B, C, h, w), modulated; `sample`, which is x_t, has as many rows, or one.

        Where `output` is the prompt's branch alone, `negative` is the one that guidance leads away from.

        Raises:
            NotFiniteError: the modulator gave NaN or infinity.
        """
        sample = sample.float().expand_as(output)
        eps = now.eps(output.float(), sample)
        change = self._change(self.features, sample, eps, now)
        delta = correction(eps, change.gamma, change.nu, self.strength)
        if self.empty is not None and negative is None:
            unchanged = self._change(self.empty, sample, eps, now)
            delta = contrast(delta, correction(eps, unchanged.gamma, unchanged.nu, self.strength))
        if not bool(torch.isfinite(delta).all()):
            raise NotFiniteError("The modulator gave numbers that are not finite: retrain it.")
        modulated = now.shifted(output, delta.to(output.dtype))
        if negative is not None:
            modulated = boosted(output, negative, modulated, self.prompt_boost, self.strength)
        return Corrected(
            modulated,
            self.strength * ((change.gamma - 1).abs() * eps.abs()).mean(dim=1),
            self.strength * change.nu.abs().mean(dim=1),
        )

    def _change(self, features: Tensor, sample: Tensor, eps: Tensor, now: Moment) -> ModulatorOutput:
        rows = features.expand(len(sample), -1, -1, -1)
        return self.modulator(sample, eps, now.timestep, now.alpha, rows)


@torch.no_grad()
def prepare(
    modulator: Modulator,
    conditions: Conditions,
    strength: Mapping[str, float],
    latent_size: tuple[int, int],
    start: float,
    end: float,
    prompt_boost: float = 1.0,
    guides_itself: bool = False,
) -> Control | None:
    """The control that a drawing exerts; None where there is none: nothing drawn, or all strengths 0.

    The strongest modality sets the strength of the whole correction, the others count in proportion to it, by
    their presence. A live modulator's correction is never weaker than 1, as guidance is part of it: there,
    strengths below 1 are presences, too. `guides_itself` is said of the base, see `modulation.contrast`; all
    other arguments are as in a `request.Resolved`.
    """
    given = {name: strength[name] for name in conditions.maps}
    overall = max(given.values(), default=0.0)
    if overall == 0 or start >= end:
        return None
    if modulator.live is not None:
        overall = max(overall, 1.0)
    height, width = (side * modulator.config.downscale for side in latent_size)
    maps = to_tensors(conditions, (height, width), modulator.device)
    presence = {name: value / overall for name, value in given.items()}
    features = modulator.encode(maps, presence, size=latent_size)
    multiplied = guides_itself and modulator.live is None
    empty = modulator.encode({}, size=latent_size) if multiplied else None
    return Control(modulator, features, overall, start, end, prompt_boost, empty)


@torch.no_grad()
def undrawn(modulator: Modulator, latent_size: tuple[int, int]) -> Control:
    """What a live modulator does where nothing is drawn: few steps of the base alone make no picture."""
    return Control(modulator, modulator.encode({}, size=latent_size), strength=1.0, start=0.0, end=1.0)
