"""A drawing as all methods but the modulator take it: planes of the picture's own size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions, Size, to_tensors
from mcm_core.training.batches import Batch

MODALITIES = (LABELS, SKETCH)


@dataclass(frozen=True)
class Drawing:
    """Of B pictures: `labels` ids (B, H, W) and `sketch` (B, 1, H, W), uint8, `presence` (B, 2) 0 or 1."""

    labels: Tensor
    sketch: Tensor
    presence: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def maps(self) -> dict[str, Tensor]:
        return {LABELS: self.labels, SKETCH: self.sketch}

    @property
    def present(self) -> dict[str, Tensor]:
        """(B,) by modality."""
        return dict(zip(MODALITIES, self.presence.unbind(1), strict=True))

    @property
    def is_drawn(self) -> Tensor:
        """(B, 1, 1, 1) bool."""
        return self.presence.amax(dim=1).bool().view(-1, 1, 1, 1)

    def planes(self, classes: int) -> Tensor:
        """(B, `planes_of(classes)`, H, W) in [0, 1]: classes, the sketch, and which of the two is there."""
        labels, sketch = (present.view(-1, 1, 1, 1) for present in self.presence.unbind(1))
        painted = functional.one_hot(self.labels.long(), classes + 1)[..., 1:].permute(0, 3, 1, 2)
        told = self.presence[:, :, None, None].expand(-1, -1, *self.labels.shape[1:])
        return torch.cat([painted * labels, self.sketch / 255 * sketch, told], dim=1)

    def without(self) -> Drawing:
        """As many, of which nothing is drawn."""
        return Drawing(
            torch.zeros_like(self.labels), torch.zeros_like(self.sketch), torch.zeros_like(self.presence)
        )


def planes_of(classes: int) -> int:
    """How many planes a drawing has."""
    return classes + 1 + len(MODALITIES)


def of_batch(batch: Batch, device: torch.device) -> Drawing:
    """What a training step sees."""
    presence = torch.stack([batch.presence[name] for name in MODALITIES], dim=1)
    return Drawing(batch.maps[LABELS].to(device), batch.maps[SKETCH].to(device), presence.to(device))


def of_conditions(drawn: Sequence[Conditions], size: Size, device: torch.device) -> Drawing:
    """What B pictures are painted from, at `size` (H, W) pixels."""
    maps = [to_tensors(each, size, device) for each in drawn]
    empty = torch.zeros(1, *size, dtype=torch.uint8, device=device)
    presence = [[float(name in each) for name in MODALITIES] for each in maps]
    return Drawing(
        torch.cat([each.get(LABELS, empty).view(1, *size) for each in maps]),
        torch.cat([each.get(SKETCH, empty).view(1, 1, *size) for each in maps]),
        torch.tensor(presence, device=device),
    )


def joined(first: Drawing, second: Drawing) -> Drawing:
    """The rows of both."""
    return Drawing(
        torch.cat([first.labels, second.labels]),
        torch.cat([first.sketch, second.sketch]),
        torch.cat([first.presence, second.presence]),
    )
