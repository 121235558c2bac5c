"""`--reading`: what a reader finds wrong, how it learns to read, and that a modulator learns from it."""

import json
import re
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from mcm_core.drawing.conditions import LABELS, SKETCH, Modality
from mcm_core.modulator import Modulator
from mcm_core.training import modulator as command
from mcm_core.training import reading
from mcm_core.training.batches import EXACT, Batch, Batches
from mcm_core.training.conditioned import Conditioned, losses
from mcm_core.training.fit import Schedule, Training
from mcm_core.training.frozen import Frozen
from mcm_core.training.job import Job, plan_of
from mcm_core.training.optimiser import Optimiser
from mcm_core.training.options import parse
from mcm_core.training.reading import LatentReader, Reading, learned_reader, misread, misread_of, new_reader
from mcm_core.training.stopping import Stop
from tests import tiny
from tests.pairs import build_pairs

MODALITIES = (Modality(LABELS, "labels"), Modality(SKETCH, "image"), Modality("pose", "image", 3))
THERE = {name: torch.ones(2) for name in (LABELS, SKETCH, "pose")}
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_pairs(tmp_path_factory.mktemp("pairs"), 12)


def arguments(base: Path, data: Path, out: Path, *more: str) -> list[str]:
    quick = ["--preset", "nano", "--batch-size", "2", "--held-out", "0", "--sample-every", "0"]
    quick += ["--precision", "fp32", "--reading", "0.1", "--reader-steps", "4"]
    return ["--base", str(base), "--data", str(data), "--out", str(out), *quick, *more]


@pytest.fixture
def job(sd_folder: Path, data: Path, tmp_path: Path) -> Job:
    return command.begin(parse(arguments(sd_folder, data, tmp_path / "out")))


@pytest.fixture
def batch(job: Job) -> Batch:
    return Batches(job.pairs, plan_of(job))[0]


def drawn() -> dict[str, Tensor]:
    """Of two pictures: classes 0 to 3, strokes, and three planes, 64 x 64."""
    random = torch.Generator().manual_seed(0)
    planes = [torch.randint(0, 256, (2, c, 64, 64), generator=random, dtype=torch.uint8) for c in (1, 3)]
    blocks = torch.randint(0, 4, (2, 1, 32, 32), generator=random).float()
    labels = functional.interpolate(blocks, (64, 64))[:, 0].to(torch.uint8)
    return {LABELS: labels, SKETCH: planes[0], "pose": planes[1]}


def right(maps: dict[str, Tensor]) -> dict[str, Tensor]:
    """Sure logits of exactly those drawings, in cells of two pixels."""
    cells = maps[LABELS][:, ::2, ::2].long()
    told = {LABELS: 50 * functional.one_hot(cells, 4).permute(0, 3, 1, 2).float()}
    for name in (SKETCH, "pose"):
        told[name] = torch.special.logit(functional.max_pool2d(maps[name].float() / 255, 2), eps=1e-7)
    return told


# -- what it finds wrong -----------------------------------------------------------------------------------


def test_nothing_is_wrong_with_what_was_drawn() -> None:
    maps = drawn()
    maps[SKETCH], maps["pose"] = (255 * (maps[name] > 127).to(torch.uint8) for name in (SKETCH, "pose"))
    assert misread(right(maps), maps, THERE).max() < 1e-3


@pytest.mark.parametrize("name", [LABELS, SKETCH, "pose"])
def test_another_drawing_is_wrong_only_where_it_is_there(name: str) -> None:
    maps = drawn()
    own = right(maps)[name]
    there = {name: torch.tensor([1.0, 0.0])}
    best, wrong = (misread({name: read}, maps, there) for read in (own, own.roll(1, dims=0)))
    assert wrong[0] > 1.3 * best[0] + 0.1
    assert wrong[1] == best[1] == 0


def test_what_is_unpainted_may_be_anything() -> None:
    maps = drawn()
    read = {LABELS: torch.randn(2, 4, 32, 32)}
    changed = {LABELS: read[LABELS] + 9 * torch.randn(2, 4, 32, 32) * (maps[LABELS][:, None, ::2, ::2] == 0)}
    assert not torch.equal(read[LABELS], changed[LABELS])
    assert torch.equal(misread(read, maps, THERE), misread(changed, maps, THERE))
    empty = {LABELS: torch.zeros_like(maps[LABELS])}
    assert misread(read, empty, THERE).tolist() == [0, 0]


def test_a_stroke_of_one_pixel_fills_its_cell() -> None:
    sketch = torch.zeros(1, 1, 64, 64, dtype=torch.uint8)
    sketch[0, 0, 21, 40] = 255
    logits = torch.full((1, 1, 32, 32), -50.0)
    there = {SKETCH: torch.ones(1)}
    assert misread({SKETCH: logits}, {SKETCH: sketch}, there) == pytest.approx(50 / 32**2)
    logits[0, 0, 10, 20] = 50
    assert misread({SKETCH: logits}, {SKETCH: sketch}, there) == pytest.approx(0, abs=1e-6)


def test_the_picture_that_the_true_noise_stands_for_is_the_true_one(job: Job, batch: Batch) -> None:
    frozen = command.make_frozen(job)
    reader = new_reader(job).eval()
    now, sample, noise, _ = frozen.noising(batch)
    clean, _ = frozen.clean_and_noise(batch)
    expected = misread(reader(clean), batch.maps, batch.presence)
    found = misread_of(reader, noise, sample, now, batch, "fp32")
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3)


# -- the reader --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("detail", "side"), [(1, 8), (2, 16), (4, 32)])
def test_it_says_what_is_drawn_in_each_cell(detail: int, side: int) -> None:
    read = LatentReader(4, MODALITIES, classes=5, detail=detail)(torch.randn(2, 4, 8, 8))
    shapes = {name: tuple(one.shape) for name, one in read.items()}
    assert shapes == {
        LABELS: (2, 6, side, side),
        SKETCH: (2, 1, side, side),
        "pose": (2, 3, side, side),
    }


@pytest.mark.parametrize(
    ("size", "downscale", "detail"),
    [((256, 256), 8, 2), ((512, 512), 8, 1), ((1024, 1024), 8, 1), ((64, 64), 2, 2), ((32, 32), 1, 1)],
)
def test_it_reads_as_fine_as_memory_allows(job: Job, size: Any, downscale: int, detail: int) -> None:
    base: Any = SimpleNamespace(latent_channels=4, downscale=downscale)
    assert new_reader(replace(job, base=base, layout=replace(job.layout, size=size))).detail == detail


def test_it_learns_to_read(job: Job) -> None:
    longer = replace(job, options=replace(job.options, reader_steps=150, batch_size=4))
    frozen = command.make_frozen(longer)
    fresh, learned = new_reader(longer).eval(), learned_reader(longer, frozen, Stop())
    assert learned is not None
    exact = Batches(longer.pairs, replace(plan_of(longer), batch_size=12, rates=EXACT))[0]
    before, after = (wrong_of(one, frozen, exact) for one in (fresh, learned))
    assert after < 0.7 * before
    assert not learned.training
    assert not any(one.requires_grad for one in learned.parameters())


def test_it_learns_on_whole_drawings_and_the_bases_own_estimates(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen, seen = command.make_frozen(job), []

    def noted(reader: LatentReader, eps: Tensor, *rest: Any) -> Tensor:
        seen.append((eps, *rest))
        return misread_of(reader, eps, *rest)

    monkeypatch.setattr(reading, "misread_of", noted)
    assert learned_reader(job, frozen, Stop()) is not None
    assert len(seen) == job.options.reader_steps
    for eps, sample, now, batch, _ in seen:
        assert torch.equal(eps, frozen.eps(sample, now, batch.texts)[0])
        assert all(given.all() for given in batch.presence.values())
        assert (batch.maps[LABELS] > 0).all()


@torch.no_grad()
def wrong_of(reader: LatentReader, frozen: Frozen, batch: Batch) -> float:
    clean, _ = frozen.clean_and_noise(batch)
    return misread(reader(clean), batch.maps, batch.presence).mean().item()


# -- the objective -----------------------------------------------------------------------------------------


def objective(job: Job, modulator: Modulator, reader: LatentReader, weight: float, step: int = 0) -> Reading:
    """Of a training of 10 steps after so many of them."""
    training = Training(modulator, Optimiser(modulator, 1e-3, matrices=False), Schedule(10))
    training.progress.step = step
    return Reading(reader, weight, training)


@pytest.mark.parametrize(("weight", "step"), [(0.0, 0), (5.0, 10)], ids=["no weight", "in the end"])
def test_it_is_the_noise_loss_with(job: Job, batch: Batch, weight: float, step: int) -> None:
    modulator, frozen = tiny.build_modulator(job.base), command.make_frozen(job)
    reading = objective(job, modulator, new_reader(job).eval(), weight, step)
    told = reading(Conditioned(modulator), frozen, batch, "fp32")
    expected = losses(Conditioned(modulator), frozen, batch, "fp32")
    assert told.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(told[name], value)


def test_it_adds_what_is_misread_less_and_less(job: Job, batch: Batch) -> None:
    modulator, frozen = tiny.build_modulator(job.base), command.make_frozen(job)
    reader = new_reader(job).eval().requires_grad_(False)

    def told(weight: float, step: int = 0) -> dict[str, Tensor]:
        reading = objective(job, modulator, reader, weight, step)
        return dict(reading(Conditioned(modulator), frozen, batch, "fp32"))

    none, some, more, later = told(0.0), told(1.0), told(3.0), told(1.0, step=4)
    for name in none:
        assert some[name] > none[name]
        torch.testing.assert_close(more[name] - none[name], 3 * (some[name] - none[name]))
        torch.testing.assert_close(later[name] - none[name], 0.6 * (some[name] - none[name]))


def test_its_gradient_reaches_the_modulator_and_nothing_else(job: Job, batch: Batch) -> None:
    modulator = tiny.build_modulator(job.base).requires_grad_(True)
    reader, gradients = new_reader(job).eval().requires_grad_(False), []
    for weight in (0.0, 1.0):
        modulator.zero_grad()
        reading = objective(job, modulator, reader, weight)
        reading(Conditioned(modulator), command.make_frozen(job), batch, "fp32")["loss"].backward()
        given = [one.grad.flatten() for one in modulator.parameters() if one.grad is not None]
        gradients.append(torch.cat(given))
    assert not torch.allclose(gradients[0], gradients[1])
    for network in (*job.base.networks(), reader):
        assert all(one.grad is None for one in network.parameters())


# -- the command -------------------------------------------------------------------------------------------


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / WEIGHTS)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("after", "read"), [(1, [3, 4]), (5, [])], ids=["while it learns to read", "while it trains"]
)
def test_a_stopped_run_goes_on_bit_for_bit(
    tmp_path: Path,
    sd_folder: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    after: int,
    read: list[int],
) -> None:
    """And learns to read in no step again."""
    through, stopped = tmp_path / "through", tmp_path / "stopped"
    more = ["--steps", "4", "--log-every", "1"]
    assert command.main(arguments(sd_folder, data, through, *more)) == 0
    with monkeypatch.context() as patch:
        steps = iter(range(100))

        def asked(stop: Stop) -> bool:
            stop.signal = signal.SIGTERM if next(steps) >= after else 0
            return stop.signal != 0

        patch.setattr(Stop, "asked", asked)
        assert command.main(arguments(sd_folder, data, stopped, *more)) == 128 + signal.SIGTERM
    assert not (stopped / WEIGHTS).exists()
    capsys.readouterr()
    assert command.main(arguments(sd_folder, data, stopped, *more)) == 0
    assert [int(step) for step in re.findall(r"step (\d+)/4  misread", capsys.readouterr().out)] == read
    assert same(weights(through), weights(stopped))


@pytest.mark.parametrize("kind", ["sdxl", "ldm", "ddpm"])
def test_other_bases_learn_with_it(
    tmp_path: Path, data: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    base = request.getfixturevalue(f"{kind}_folder")
    assert command.main(arguments(base, data, tmp_path, "--steps", "2", "--aspect-buckets")) == 0
    assert all(torch.isfinite(one).all() for one in weights(tmp_path).values())


def test_it_is_written_down_and_must_stay(
    tmp_path: Path, sd_folder: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(arguments(sd_folder, data, tmp_path, "--steps", "1")) == 0
    assert json.loads((tmp_path / "training.json").read_text())["options"]["reading"] == 0.1
    argv = arguments(sd_folder, data, tmp_path, "--steps", "2", "--reading", "0.2")
    assert command.main(argv) == 2
    assert "holds a run with reading = 0.1, not 0.2" in capsys.readouterr().err


def test_a_reader_is_learned_once(
    tmp_path: Path, sd_folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command.main(arguments(sd_folder, data, tmp_path, "--steps", "1")) == 0

    def learn(*args: Any) -> None:
        raise AssertionError("it was learned again")

    monkeypatch.setattr(reading, "_learn", learn)
    assert command.main(arguments(sd_folder, data, tmp_path, "--steps", "2")) == 0
