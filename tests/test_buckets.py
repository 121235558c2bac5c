"""Aspect buckets: pictures of several shapes are trained at the nearest of a few, a batch at one of them."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mcm_core.__main__ import main
from mcm_core.base import Base
from mcm_core.drawing.conditions import LABELS, SKETCH, LabelClass, Modality, Size
from mcm_core.drawing.sizes import MOST_OBLONG, buckets, nearest
from mcm_core.training import modulator as command
from mcm_core.training.batches import EXACT, Batches, Plan, batch_indices, plans_by_size, turn
from mcm_core.training.buckets import FEWEST, sizes_of
from mcm_core.training.job import make_modulator, prepare, summary
from mcm_core.training.modulator import make_accelerator
from mcm_core.training.options import Options, parse
from mcm_core.training.rows import Layout, open_rows
from mcm_core.training.sheet import GAP
from mcm_core.training.stopping import Stop
from tests import tiny
from tests.pairs import CLASSES, build_pairs, read_lines
from tests.test_training import QUICK, same, state, weights

LAYOUT = Layout(
    (128, 128),
    (Modality(LABELS, "labels"), Modality(SKETCH, "image")),
    tuple(LabelClass(one["name"], one["color"]) for one in CLASSES),
)
WIDE, TALL = (96, 160), (160, 96)


SD = buckets((512, 512), 8, 64)


@pytest.fixture(scope="module", autouse=True)
def few_steps() -> Iterator[None]:
    """Of every picture that is shown, and every loss that is told."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mcm_core.base.frozen.STEPS", 2)
        patch.setattr("mcm_core.training.watching.HELD_OUT_SAMPLES", 4)
        yield


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion in small, for pictures of 128 x 128."""
    return tiny.build_stable_diffusion(tmp_path_factory.mktemp("base"), sample_size=16)


@pytest.fixture(scope="module")
def base(base_folder: Path) -> Base:
    return Base.from_pretrained(base_folder)


# -- sizes -------------------------------------------------------------------------------------------------


@given(st.integers(4, 40), st.integers(4, 40), st.sampled_from([1, 8, 16, 64]), st.integers(0, 9))
def test_buckets_have_at_most_the_area_and_are_the_same_lying_down(
    height: int, width: int, multiple: int, least: int
) -> None:
    size = height * multiple, width * multiple
    found = buckets(size, multiple, least)
    assert size in found
    for bucket in set(found) - {size}:
        assert bucket[0] * bucket[1] <= size[0] * size[1]
        assert bucket[0] % multiple == bucket[1] % multiple == 0
        assert least <= min(bucket) <= max(bucket) <= MOST_OBLONG * min(bucket)
        assert bucket[::-1] in found


def test_the_buckets_of_stable_diffusion() -> None:
    assert SD == ((384, 640), (448, 576), (512, 512), (576, 448), (640, 384))


@given(st.sampled_from(SD), st.floats(0.5, 4))
def test_a_picture_of_a_bucket_s_shape_comes_there_however_large_it_is(size: Size, scale: float) -> None:
    assert nearest((round(size[0] * scale), round(size[1] * scale)), SD) == size


def photos(folder: Path, *shapes: tuple[int, Size]) -> Path:
    """Pairs in flat colours, so many of each shape (H, W)."""
    build_pairs(folder, sum(count for count, _ in shapes))
    index = 0
    for count, (height, width) in shapes:
        for _ in range(count):
            for name in ("images", "labels", "sketches"):
                path = folder / name / f"{index}.png"
                Image.open(path).resize((width, height), Image.Resampling.NEAREST).save(path)
            index += 1
    return folder


def test_a_shape_that_few_have_is_left_to_its_neighbours(tmp_path: Path, base: Base) -> None:
    folder = photos(tmp_path, (FEWEST, WIDE), (FEWEST - 1, (64, 64)), (1, (200, 100)))
    assert Counter(sizes_of(open_rows(str(folder), LAYOUT), LAYOUT, base)) == {WIDE: 2 * FEWEST}


def test_a_photo_that_lies_on_its_side_in_the_file_stands(tmp_path: Path, base: Base) -> None:
    folder = build_pairs(tmp_path, 1)
    turned = Image.Exif()
    turned[274] = 6
    Image.new("RGB", (160, 96), "gray").save(folder / "images/0.png", exif=turned)
    assert sizes_of(open_rows(str(folder), LAYOUT), LAYOUT, base) == (TALL,)


# -- batches -----------------------------------------------------------------------------------------------


def plan(sizes: tuple[Size, ...], **changes: object) -> Plan:
    whole = Plan(tuple(range(len(sizes))), 4, LAYOUT.modalities, LAYOUT.size, sizes=sizes)
    return replace(whole, **changes)  # type: ignore[arg-type]


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 3), st.integers(0, 5))
def test_a_step_is_of_one_size_and_sizes_have_the_share_of_their_pairs(
    wide: int, tall: int, processes: int, seed: int
) -> None:
    sizes = (WIDE,) * wide + (TALL,) * tall + (LAYOUT.size,) * 16
    whole = plan(sizes, processes=processes, seed=seed)
    plans = plans_by_size(whole)
    for part in plans:
        assert {sizes[index] for index in part.indices} == {part.size}
    assert sorted(index for part in plans for index in part.indices) == list(whole.indices)
    shares = [max(1, round(len(part.indices) / whole.pairs_per_step)) for part in plans]
    for epoch in range(2):
        first = epoch * sum(shares)
        turns = [turn(plans, step) for step in range(first, first + sum(shares))]
        for part, share in zip(plans, shares, strict=True):
            own = [before for chosen, before in turns if chosen == part]
            assert own == list(range(epoch * share, (epoch + 1) * share))


def test_what_the_base_says_serves_again_within_a_shape(
    tmp_path: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcm_core.training.batches.LAG", 1)
    job = prepare(*prepared(tmp_path, base_folder))
    batches, frozen = Batches(job.pairs, plan(job.sizes, echo=2)), command.make_frozen(job)
    predict, asked = job.base.predict, list[int]()
    monkeypatch.setattr(job.base, "predict", lambda *rest: asked.append(len(rest[0])) or predict(*rest))
    for step in range(12):
        batch = batches[step]
        now, sample, _, _ = frozen.noising(batch)
        (expected,) = frozen.eps(sample, now, batch.texts)  # about all four at once
        torch.testing.assert_close(frozen.noised(batch).eps, expected, rtol=1e-4, atol=1e-5)
    assert len(batches.by_size) > 1
    assert asked.count(2) == 12 + len(batches.by_size)  # each shape begins with two sets of looks


def test_all_pairs_come_and_each_batch_has_its_size(tmp_path: Path, base_folder: Path) -> None:
    job = prepare(*prepared(tmp_path, base_folder))
    batches = Batches(job.pairs, plan(job.sizes, rates=EXACT))
    seen: set[int] = set()
    for step in range(16):
        part, before = turn(batches.by_size, step)
        indices = batch_indices(part, before)
        height, width = part.size
        batch = batches[step]
        assert batch.maps[LABELS].shape == (4, height, width)
        assert batch.pictures.shape[-2:] == (height // 8, width // 8)
        for place, index in enumerate(indices):
            assert np.array_equal(batch.maps[LABELS][place].numpy(), job.read(index).maps[LABELS])
        seen |= set(indices)
    assert seen == set(range(2 * FEWEST))


def test_one_size_is_as_no_buckets(tmp_path: Path, base_folder: Path) -> None:
    data = build_pairs(tmp_path / "pairs", 4)
    for name, more in (("one", []), ("other", ["--aspect-buckets"])):
        argv = ["--base", str(base_folder), "--data", str(data), "--out", str(tmp_path / name), *QUICK, *more]
        assert command.main([*argv, "--steps", "2"]) == 0
    assert same(weights(tmp_path / "one"), weights(tmp_path / "other"))


# -- training ----------------------------------------------------------------------------------------------


def arguments(tmp_path: Path, base: Path, out: str, *more: str) -> list[str]:
    data = tmp_path / "pairs"
    if not data.exists():
        photos(data, (FEWEST, WIDE), (FEWEST, TALL))
    argv = ["--base", str(base), "--data", str(data), "--out", str(tmp_path / out), *QUICK]
    return [*argv, "--aspect-buckets", "--steps", "4", *more]


def prepared(tmp_path: Path, base: Path, *more: str) -> tuple[Options, Accelerator]:
    options = parse(arguments(tmp_path, base, "out", *more))
    return options, make_accelerator(options)


def test_a_stopped_run_goes_on_bit_for_bit(
    tmp_path: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command.main(arguments(tmp_path, base_folder, "through")) == 0
    with monkeypatch.context() as patch:
        calls = iter(range(100))
        patch.setattr(Stop, "signal", signal.SIGTERM)
        patch.setattr(Stop, "asked", lambda self: next(calls) == 1)
        assert command.main(arguments(tmp_path, base_folder, "stopped")) == 128 + signal.SIGTERM
    assert command.main(arguments(tmp_path, base_folder, "stopped")) == 0
    assert same(weights(tmp_path / "through"), weights(tmp_path / "stopped"))


def test_without_the_cache_the_same_is_learned(tmp_path: Path, base_folder: Path) -> None:
    """The cache rounds latents to half precision, and nothing else."""
    first = []
    for way in ("--cache-latents", "--no-cache-latents"):
        assert command.main(arguments(tmp_path, base_folder, way, way)) == 0
        newest = sorted((tmp_path / way / "checkpoints").iterdir())[-1]
        first.append(state(newest)["progress"]["losses"]["loss"])
    assert first[0] == pytest.approx(first[1], rel=3e-3)


def test_sheets_show_each_picture_in_its_shape(tmp_path: Path, base_folder: Path) -> None:
    more = ["--samples", "8", "--held-out", "3", "--sample-every", "4"]
    assert command.main(arguments(tmp_path, base_folder, "out", *more)) == 0
    job = prepare(*prepared(tmp_path, base_folder, *more))
    spread = [round(place) for place in np.linspace(0, 2 * FEWEST - 1, 8)]
    for name, indices, columns in (
        ("understood.png", spread, 3),
        ("samples/step-00000004.png", (job.held_out + job.trained)[:8], 5),
    ):
        height = sum(job.sizes[index][0] for index in indices) + 7 * GAP
        width = columns * max(job.sizes[index][1] for index in indices) + (columns - 1) * GAP
        assert Image.open(tmp_path / "out" / name).size == (width, height)


def test_the_sizes_are_said_before_the_training(tmp_path: Path, base_folder: Path) -> None:
    job = prepare(*prepared(tmp_path, base_folder))
    told = summary(job, make_modulator(job, None))
    assert f"160 x 96: {FEWEST}\n" in told
    assert f"96 x 160: {FEWEST}\n" in told


# -- making pairs ------------------------------------------------------------------------------------------


def test_photos_keep_their_shape(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name, (height, width) in {"wide": (192, 320), "tall": (160, 96), "square": (100, 100)}.items():
        Image.fromarray(random.integers(0, 255, (height, width, 3), np.uint8)).save(folder / f"{name}.png")
    asked = ["prepare", "--images", str(folder), "--out", str(tmp_path / "out"), "--size", "128", "128"]
    assert main([*asked, "--aspect-buckets", "--caption", "noise"]) == 0
    shapes = {row["file_name"]: shape(tmp_path / "out", row) for row in read_lines(tmp_path / "out")}
    assert shapes == {
        "images/square.png.png": {(128, 128)},
        "images/tall.png.png": {TALL},
        "images/wide.png.png": {WIDE},
    }
    assert (tmp_path / "out/understood.png").is_file()


def shape(folder: Path, row: dict[str, str]) -> set[Size]:
    return {Image.open(folder / row[name]).size[::-1] for name in ("file_name", "sketch")}


def test_dreams_are_of_the_base_s_shape(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    asked = ["make", "--base", "b", "--classes", "landscape", "--segmenter", "s", "--out", str(tmp_path)]
    assert main([*asked, "--aspect-buckets"]) == 2
    assert "--aspect-buckets is for photos" in capfd.readouterr().err


def test_one_command_makes_all_of_photos_in_their_shapes(
    tmp_path: Path, base_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    random = np.random.default_rng(0)
    for index in range(2 * FEWEST):
        height, width = (WIDE, TALL)[index % 2]
        photo = random.integers(0, 255, (height, width, 3), np.uint8)
        Image.fromarray(photo).save(tmp_path / f"photos/{index}.png")
    (tmp_path / "classes.json").write_text(json.dumps([{"name": "tree", "color": "#2e6b3a"}]))
    given = {
        "base": base_folder,
        "images": tmp_path / "photos",
        "caption": "noise",
        "segmenter": tiny.build_segformer(tmp_path / "segformer", ("sky", "tree"), "tree"),
        "classes": tmp_path / "classes.json",
        "out": tmp_path / "out",
        "held-out": 2,
        "steps": 2,
        "live-steps": 0,
        "batch-size": 2,
        "preset": "nano",
    }
    asked = [text for name, value in given.items() for text in (f"--{name}", str(value))]
    assert main(["make", *asked, "--aspect-buckets", "--cpu"]) == 0
    assert f"160 x 96: {FEWEST}" in capfd.readouterr().out
    assert json.loads((tmp_path / "out/report.json").read_text())["modulator"]["labels"]["drawn"] == 1
