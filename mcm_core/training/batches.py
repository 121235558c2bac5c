"""What each training step sees, as a function of the seed, the step and a pair's place in the step alone.

Nothing random is left to the loop or to worker processes, so a run that is resumed at step N goes on bit for
bit as if it had never stopped, without a state of any sampler to restore.

What the base looks at (a picture, its words, noise) does not depend on what is drawn, and no gradient runs
through its answer. So an answer may serve in several steps, with other drawings each time: a plan's `echo`
(data echoing, Choi et al. 2019). Of each step's pairs one in `echo` is new, the others were so one, two, ...
times `LAG` steps ago, so that a step is made of many calls of the base.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mcm_core.drawing.conditions import LABELS, SKETCH, Modality, Size
from mcm_core.drawing.freehand import repaint, scrawl, unpaint
from mcm_core.training.cache import Pairs
from mcm_core.training.dropout import Rates, kept_modalities
from mcm_core.training.objective import stratified
from mcm_core.training.stopping import Stop

VARIED = Rates()
EXACT = Rates(keep_all=1.0, drop_all=0.0, text=0.0, void=0.0, freehand=0.0, flip=0.0)
"""Pairs as they are: for held-out losses."""
LAG = 32
"""Steps until an answer of the base serves again: the pairs of these came between."""
DRAWING = 1
"""Sets the random numbers of a drawing apart from those of what the base looks at."""


@dataclass(frozen=True)
class Batch:
    """B pairs of one step.

    `pictures` are latents (B, C, h, w) where `encoded`, otherwise pictures (B, 3, H, W) in [-1, 1]; `maps`
    uint8 ids (B, H, W) or planes (B, C, H, W); `presence` (B,) float 0 or 1 by modality; `texts` "" where
    dropped. `moments` (B,) in [0, 1) place the timesteps (`objective.draw_timesteps`), evenly spread over the
    whole step; `noise_seeds` seed each pair's noise, and no two looks of a training have the same. Where
    `echo` is N, pairs i, i + N, i + 2N, ... were new in one and the same step, those of i = 0 in this one.
    """

    pictures: Tensor
    encoded: bool
    maps: dict[str, Tensor]
    presence: dict[str, Tensor]
    texts: tuple[str, ...]
    moments: Tensor
    noise_seeds: tuple[int, ...]
    echo: int = 1


@dataclass(frozen=True)
class Look:
    """A pair as the base sees it, but for the noise level: see `Batch`."""

    index: int
    is_mirrored: bool
    text: str
    noise_seed: int


@dataclass(frozen=True)
class Plan:
    """Which pairs make up a batch (`indices`), how many for each process, what is varied.

    `sizes` (H, W) of all pairs by their index, () where all are of `size`: a batch is of one size.
    `batch_size` is a multiple of `echo`.
    """

    indices: tuple[int, ...]
    batch_size: int
    modalities: tuple[Modality, ...]
    size: Size
    seed: int = 0
    rank: int = 0
    processes: int = 1
    accumulate: int = 1
    rates: Rates = VARIED
    sizes: tuple[Size, ...] = ()
    echo: int = 1

    @property
    def pairs_per_step(self) -> int:
        return self.batch_size * self.processes * self.accumulate

    def places(self, part: int) -> range:
        """Those of this process's pairs among all of a step, in one of its parts."""
        first = (part * self.processes + self.rank) * self.batch_size
        return range(first, first + self.batch_size)


class Batches(Dataset[Batch]):
    """Batches in their order, of which `plan.accumulate` make a step; a `DataLoader` shares them out."""

    def __init__(self, pairs: Pairs, plan: Plan) -> None:
        self.pairs, self.plan, self.by_size = pairs, plan, plans_by_size(plan)

    def __getitem__(self, number: int) -> Batch:
        plan = self.plan
        step, part = divmod(number, plan.accumulate)
        bucket, steps_before = turn(self.by_size, step)
        places = plan.places(part)
        looks = [self._look(bucket, *origin(bucket, steps_before, place)) for place in places]
        randoms = [np.random.default_rng([plan.seed, step, place, DRAWING]) for place in places]
        samples = [self._sample(look, random) for look, random in zip(looks, randoms, strict=True)]
        pictures, maps = zip(*samples, strict=True)
        return Batch(
            pictures=torch.from_numpy(np.stack(pictures)),
            encoded=self.pairs.encoded,
            maps={one.name: _stacked(maps, one, bucket.size) for one in plan.modalities},
            presence={one.name: _present(maps, one.name) for one in plan.modalities},
            texts=tuple(look.text for look in looks),
            moments=_moments(bucket, steps_before)[places.start : places.stop],
            noise_seeds=tuple(look.noise_seed for look in looks),
            echo=plan.echo,
        )

    def _look(self, bucket: Plan, step: int, place: int) -> Look:
        """The one that is new in that step, at that place."""
        index, rates = pair_at(bucket, step, place), bucket.rates
        random = np.random.default_rng([bucket.seed, step, place, *bucket.size])
        return Look(
            index,
            bool(random.random() < rates.flip),
            self._caption(index, random),
            int(random.integers(2**63 - 1)),
        )

    def _sample(self, look: Look, random: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Picture or latents, and the maps that are present."""
        rates, names = self.plan.rates, [one.name for one in self.plan.modalities]
        picture, maps = self.pairs.get(look.index, look.is_mirrored)
        kept = kept_modalities(np.array([name in maps for name in names]), rates, random)
        maps = {name: maps[name] for name, keep in zip(names, kept, strict=True) if keep}
        if LABELS in maps and random.random() < rates.freehand:
            maps[LABELS] = repaint(maps[LABELS], random)
        if LABELS in maps and random.random() < rates.void:
            maps[LABELS] = unpaint(maps[LABELS], random)
        if SKETCH in maps and random.random() < rates.freehand:
            maps[SKETCH] = scrawl(maps[SKETCH], random)
        return picture, {name: one for name, one in maps.items() if name not in (LABELS, SKETCH) or one.any()}

    def _caption(self, index: int, random: np.random.Generator) -> str:
        """One of the pair's captions, or "" where there is none or it is dropped."""
        is_dropped, captions = random.random() < self.plan.rates.text, self.pairs.captions[index]
        if is_dropped or not captions:
            return ""
        return captions[0] if len(captions) == 1 else captions[int(random.integers(len(captions)))]


def loaded(data: Batches, steps: range, workers: int) -> Iterator[list[Batch]]:
    """The batches of each of the steps, made by so many processes, 0 for this one."""
    parts = data.plan.accumulate
    numbers = range(steps.start * parts, steps.stop * parts)
    loader = DataLoader(data, None, sampler=numbers, num_workers=workers, worker_init_fn=Stop.ignore)
    rest = iter(loader)
    return (list(islice(rest, parts)) for _ in steps)


def origin(plan: Plan, step: int, place: int) -> tuple[int, int]:
    """The step and the place in which what the base looks at there was new; steps count from the first one
    that is still of use in step 0."""
    age = place % plan.echo
    return step + (plan.echo - 1 - age) * LAG, place - age


def pair_at(plan: Plan, step: int, place: int) -> int:
    """The pair that is new there. Each epoch is a new permutation; steps run on across epochs."""
    count = len(plan.indices)
    epoch, rest = divmod((step * plan.pairs_per_step + place) // plan.echo, count)
    return plan.indices[_permutation(plan.seed, epoch, count)[rest]]


def batch_indices(plan: Plan, number: int) -> list[int]:
    """The pairs of a batch for one rank."""
    step, part = divmod(number, plan.accumulate)
    return [pair_at(plan, *origin(plan, step, place)) for place in plan.places(part)]


def plans_by_size(plan: Plan) -> tuple[Plan, ...]:
    """A plan for the pairs of each size."""
    if not plan.sizes:
        return (plan,)
    indices: dict[Size, list[int]] = {}
    for index in plan.indices:
        indices.setdefault(plan.sizes[index], []).append(index)
    return tuple(
        replace(plan, indices=tuple(some), size=size, sizes=()) for size, some in sorted(indices.items())
    )


def turn(plans: Sequence[Plan], step: int) -> tuple[Plan, int]:
    """The plan whose turn a step is, and how many steps it had before.

    In each epoch every plan has as many steps as its pairs fill, at least one, in an order of the seed's.
    """
    if len(plans) == 1:
        return plans[0], step
    shares = [max(1, round(len(plan.indices) / plan.pairs_per_step)) for plan in plans]
    epoch, place = divmod(step, sum(shares))
    order = np.repeat(np.arange(len(plans)), shares)[_permutation(plans[0].seed, epoch, sum(shares))]
    chosen = int(order[place])
    return plans[chosen], epoch * shares[chosen] + int((order[:place] == chosen).sum())


def split(count: int, held_out: int, seed: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Indices to train on and indices held out, at most a tenth of all."""
    order = np.random.default_rng([seed, count]).permutation(count).tolist()
    held_out = min(held_out, count // 10)
    return tuple(order[held_out:]), tuple(order[:held_out])


@lru_cache(maxsize=32)
def _permutation(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(count)


def _moments(plan: Plan, step: int) -> Tensor:
    """Of all pairs of a step; those that were new in one step are evenly spread."""
    steps = [origin(plan, step, age)[0] for age in range(plan.echo)]
    firsts = [np.random.default_rng([plan.seed, step, *plan.size]).random() for step in steps]
    return torch.stack([stratified(first, plan.pairs_per_step // plan.echo) for first in firsts], 1).flatten()


def _present(maps: tuple[dict[str, np.ndarray], ...], name: str) -> Tensor:
    return torch.tensor([float(name in drawn) for drawn in maps])


def _stacked(maps: tuple[dict[str, np.ndarray], ...], one: Modality, size: Size) -> Tensor:
    """(B, H, W) ids or (B, C, H, W) planes, uint8; zeros where the map is absent."""
    shape = size if one.channels == 1 else (*size, one.channels)
    stacked = np.zeros((len(maps), *shape), np.uint8)
    for place, drawn in enumerate(maps):
        if one.name in drawn:
            stacked[place] = drawn[one.name]
    tensor = torch.from_numpy(stacked)
    if one.kind == "labels":
        return tensor
    return tensor[:, None] if one.channels == 1 else tensor.permute(0, 3, 1, 2)
