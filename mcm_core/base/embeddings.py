"""What a base is told of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Embeddings:
    """What a base needs to know of B prompts, opaque outside of `mcm_core.base`.

    A text-less base has neither tensor, SD has `hidden` (B, L, D), and SDXL has also `pooled` (B, P). Prompts
    beyond the text encoder's context are several times as long; `padding` (1, L, D) is then that of an empty
    prompt, with which others are filled up to their length.
    """

    hidden: Tensor | None = None
    pooled: Tensor | None = None
    padding: Tensor | None = None

    @staticmethod
    def cat(parts: Sequence[Embeddings]) -> Embeddings:
        hidden = [part.hidden for part in parts if part.hidden is not None]
        pooled = [part.pooled for part in parts if part.pooled is not None]
        padding = next((part.padding for part in parts if part.padding is not None), None)
        if padding is not None:
            longest = max(tensor.shape[1] for tensor in hidden)
            hidden = [filled(tensor, padding, longest) for tensor in hidden]
        return Embeddings(
            torch.cat(hidden) if hidden else None, torch.cat(pooled) if pooled else None, padding
        )

    def to(self, device: torch.device) -> Embeddings:
        moved = (one if one is None else one.to(device) for one in (self.hidden, self.pooled, self.padding))
        return Embeddings(*moved)

    def rows(self, count: int) -> list[Embeddings]:
        """Of each of the `count` prompts: the inverse of `cat`."""
        hidden = [None] * count if self.hidden is None else self.hidden.split(1)
        pooled = [None] * count if self.pooled is None else self.pooled.split(1)
        return [Embeddings(*pair, self.padding) for pair in zip(hidden, pooled, strict=True)]


def filled(hidden: Tensor, padding: Tensor, length: int) -> Tensor:
    """(B, l, D) -> (B, length, D), filled up with `padding` (1, L, D), or with zeros where all are zeros: so
    SDXL says that there is no prompt."""
    missing = length - hidden.shape[1]
    if not missing:
        return hidden
    more = padding.repeat(len(hidden), missing // padding.shape[1], 1)
    return torch.cat([hidden, more * hidden.any()], dim=1)
