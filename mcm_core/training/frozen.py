"""What the frozen base says about a batch: noised latents and its own noise prediction, without gradients."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mcm_core.base import Base, Embeddings
from mcm_core.schedule import Moment, moments
from mcm_core.training.batches import Batch
from mcm_core.training.cache import encode
from mcm_core.training.objective import allowed_timesteps, draw_timesteps, weights


def noise_of(seeds: Sequence[int], shape: Sequence[int]) -> Tensor:
    """(B, *shape) standard normal, each row from a seed of its own, so that it is the same in any batch."""
    return torch.stack([torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


TEXT_CACHE_BYTES = 2 * 2**30
"""Embeddings beyond this are made anew each time instead of being kept."""
MAIN_MEMORY = torch.device("cpu")
"""Where they are kept: a batch of them is small, and a GPU has better uses for its memory."""


@dataclass(frozen=True)
class Seen:
    """x_t and the base's prediction of its noise, each (B, C, h, w) float32; t and alpha (B,)."""

    sample: Tensor
    eps: Tensor
    timesteps: Tensor
    alpha: Tensor


@dataclass(frozen=True)
class Noised(Seen):
    """With the true noise (B, C, h, w) and w(t) (B,)."""

    noise: Tensor
    weights: Tensor


class Frozen:
    """A base as the training sees it: a batch in, `Noised` out. Keeps the embeddings of captions, and answers
    that are to serve again."""

    def __init__(self, base: Base, weighting: str, density: str, window: tuple[float, float]) -> None:
        self.base, self.density = base, density
        self.abar = base.alphas_cumprod
        self.first, self.last = allowed_timesteps(self.abar, window)
        self.weights = weights(weighting, self.abar, density, self.first, self.last)
        self._embeddings: dict[str, Embeddings] = {}
        self._bytes = 0
        self._answers: dict[tuple[int, ...], Tensor] = {}

    @torch.no_grad()
    def noised(self, batch: Batch) -> Noised:
        """The batch at its noise levels. All randomness comes from the batch's seed, on the CPU."""
        now, sample, noise, weights = self.noising(batch)
        seen = self.seen(sample, now, self.answer(batch, sample, now))
        return Noised(**vars(seen), noise=noise, weights=weights)

    def noising(self, batch: Batch) -> tuple[Moment, Tensor, Tensor, Tensor]:
        """Its moments, x_t and noise (B, C, h, w) and w(t) (B,), before the base has looked at it."""
        drawn = draw_timesteps(batch.moments, self.density, self.first, self.last)
        now = self.moments(drawn)
        clean, noise = self.clean_and_noise(batch)
        return now, now.noised(clean, noise), noise, self.weights[drawn].to(self.base.device)

    def moments(self, timesteps: Tensor) -> Moment:
        """The moments at `timesteps` (B,) of the CPU, on the base's device."""
        return moments(self.abar, timesteps, self.base.prediction_type).to(self.base.device)

    def clean_and_noise(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """x_0 and the noise of a batch, each (B, C, h, w) on the base's device."""
        device = self.base.device
        clean = batch.pictures.to(device) if batch.encoded else encode(self.base, batch.pictures)
        return clean, noise_of(batch.noise_seeds, clean.shape[1:]).to(device)

    def answer(self, batch: Batch, sample: Tensor, now: Moment) -> Tensor:
        """The base's prediction of the noise in x_t (B, C, h, w) of a batch under its texts. Each look is
        asked about once, however often it serves (`Batch.echo`)."""
        answers = [self._answer(batch, age, sample, now) for age in range(batch.echo)]
        return torch.stack(answers, dim=1).flatten(0, 1)

    def _answer(self, batch: Batch, age: int, sample: Tensor, now: Moment) -> Tensor:
        """About the pairs that were new in one step: in one call, as they were then, so that a run which goes
        on, and has to ask again, gets the same answer to the bit."""
        rows = slice(age, None, batch.echo)
        seeds = batch.noise_seeds[rows]
        eps = self._answers.pop(seeds, None)
        if eps is None:
            (eps,) = self.eps(sample[rows], now.part(rows), batch.texts[rows])
        if age < batch.echo - 1:
            self._answers[seeds] = eps
        return eps

    def forget(self) -> None:
        """The answers that would have served again."""
        self._answers.clear()

    @torch.no_grad()
    def eps(self, sample: Tensor, now: Moment, *texts: tuple[str, ...]) -> list[Tensor]:
        """The base's prediction of the noise in `sample` under each of `texts`, B each, in one call."""
        count = len(texts)
        timesteps = torch.cat([torch.as_tensor(now.timestep)] * count)
        embeddings = self.embedded([text for captions in texts for text in captions])
        output = self.base.predict(torch.cat([sample] * count), timesteps, embeddings)
        return [now.eps(part, sample).clone() for part in output.chunk(count)]

    @staticmethod
    def seen(sample: Tensor, now: Moment, eps: Tensor) -> Seen:
        return Seen(sample, eps, torch.as_tensor(now.timestep), torch.as_tensor(now.alpha).flatten())

    def embedded(self, texts: Sequence[str]) -> Embeddings:
        """Of captions, of which those that are new are encoded together; on a CPU that would save nothing."""
        known = {text: self._embeddings[text] for text in texts if text in self._embeddings}
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if self.base.device.type == "cpu":
            groups = [[text] for text in new]
        else:  # an empty one is the other branch of guidance
            groups = [[text for text in new if text], [text for text in new if not text]]
        for group in filter(None, groups):
            made = self.base.encode_prompts(group, negative=not group[0], together=True)
            for text, embedding in zip(group, made, strict=True):
                known[text] = embedding.to(MAIN_MEMORY)
                self._keep(text, known[text])
        return Embeddings.cat([known[text] for text in texts]).to(self.base.device)

    def _keep(self, text: str, embedding: Embeddings) -> None:
        self._bytes += sum(one.nbytes for one in (embedding.hidden, embedding.pooled) if one is not None)
        if self._bytes <= TEXT_CACHE_BYTES:
            self._embeddings[text] = embedding
