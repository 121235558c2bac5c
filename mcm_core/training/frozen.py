"""What the frozen base says about a batch: noised latents and its own noise prediction, without gradients."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mcm_core.base import Base, Embeddings
from mcm_core.schedule import moments
from mcm_core.training.batches import Batch
from mcm_core.training.cache import encode
from mcm_core.training.objective import allowed_timesteps, draw_timesteps, weights


def noise_of(seeds: Sequence[int], shape: Sequence[int]) -> Tensor:
    """(B, *shape) standard normal, each row from a seed of its own, so that it is the same in any batch."""
    return torch.stack([torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


TEXT_CACHE_BYTES = 2 * 2**30
"""Embeddings beyond this are made anew each time instead of being kept."""


@dataclass(frozen=True)
class Noised:
    """x_t, the true noise and the base's prediction, each (B, C, h, w) float32; t, alpha and w(t) (B,)."""

    sample: Tensor
    noise: Tensor
    eps: Tensor
    timesteps: Tensor
    alpha: Tensor
    weights: Tensor


class Frozen:
    """A base as the training sees it: a batch in, `Noised` out. Keeps the embeddings of captions."""

    def __init__(self, base: Base, weighting: str, density: str, window: tuple[float, float]) -> None:
        self.base, self.density = base, density
        self.abar = base.alphas_cumprod
        self.first, self.last = allowed_timesteps(self.abar, window)
        self.weights = weights(weighting, self.abar, density, self.first, self.last)
        self._embeddings: dict[str, Embeddings] = {}
        self._bytes = 0

    @torch.no_grad()
    def noised(self, batch: Batch) -> Noised:
        """The batch at its noise levels. All randomness comes from the batch's seed, on the CPU."""
        device = self.base.device
        clean = batch.pictures.to(device) if batch.encoded else encode(self.base, batch.pictures)
        noise = noise_of(batch.noise_seeds, clean.shape[1:]).to(device)
        drawn = draw_timesteps(batch.moments, self.density, self.first, self.last)
        timesteps, weights = drawn.to(device), self.weights[drawn].to(device)
        now = moments(self.abar.to(device), timesteps, self.base.prediction_type)
        sample = now.noised(clean, noise)
        eps = now.eps(self.base.predict(sample, timesteps, self._embedded(batch.texts)), sample).clone()
        return Noised(sample, noise, eps, timesteps, torch.as_tensor(now.alpha).flatten(), weights)

    def _embedded(self, texts: tuple[str, ...]) -> Embeddings:
        return Embeddings.cat([self._embedding(text) for text in texts])

    def _embedding(self, text: str) -> Embeddings:
        """Of one caption; an empty one is the other branch of guidance."""
        if text not in self._embeddings:
            made = self.base.encode_prompt([text], negative=not text)
            tensors = [one for one in (made.hidden, made.pooled) if one is not None]
            self._bytes += sum(one.nbytes for one in tensors)
            if self._bytes > TEXT_CACHE_BYTES:
                return made
            self._embeddings[text] = made
        return self._embeddings[text]
