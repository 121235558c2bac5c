"""Pairs as they are read, checked, varied and dealt out to steps; the loss's equations."""

import json
import os
import pickle
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mcm_core.base import Base
from mcm_core.drawing.conditions import InputError, LabelClass, Modality
from mcm_core.drawing.freehand import repaint, scrawl, unpaint
from mcm_core.schedule import moments
from mcm_core.training import objective
from mcm_core.training.batches import EXACT, Batches, Plan, batch_indices, split
from mcm_core.training.cache import encode, file_pairs, fingerprint, mirrored, stored_pairs, to_signed
from mcm_core.training.data import checked_pairs, read_pair
from mcm_core.training.dropout import Rates, kept_modalities
from mcm_core.training.rows import Layout, check_captions, default_modalities, open_classes, open_rows
from tests.pairs import CLASSES, COLORS, build_pairs, draw, read_lines, write_lines

LABELS, SKETCH = Modality("labels", "labels"), Modality("sketch", "image")
LAYOUT = Layout((64, 64), (LABELS, SKETCH), tuple(LabelClass(one["name"], one["color"]) for one in CLASSES))
ABAR = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012).alphas_cumprod
SEEDS = st.integers(0, 2**32 - 1)


def silent(what: str, done: int, total: int) -> None: ...


# -- the objective -----------------------------------------------------------------------------------------


def test_noise_is_added_as_the_scheduler_adds_it() -> None:
    x_0, noise, t = torch.randn(4, 4, 8, 8), torch.randn(4, 4, 8, 8), torch.tensor([0, 10, 500, 999])
    scheduler = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    expected = scheduler.add_noise(x_0, noise, t)
    torch.testing.assert_close(moments(ABAR, t, "epsilon").noised(x_0, noise), expected)


def test_the_v_weighting_is_the_error_in_v() -> None:
    t = torch.tensor([3, 400, 950])
    noise, error = torch.randn(2, 3, 4, 8, 8, dtype=torch.float64)
    now = moments(ABAR, t, "v_prediction")
    in_v = [now.shifted(torch.zeros_like(eps), eps) for eps in (noise + error, noise)]
    weighted = objective.WEIGHTINGS["v"](ABAR[t]) * objective.errors(noise + error, noise)
    torch.testing.assert_close(weighted, objective.errors(*in_v), rtol=1e-4, atol=0)


def test_the_x0_weighting_is_the_error_in_x0_up_to_its_cap() -> None:
    t = torch.tensor([3, 400, 600])
    sample, noise, error = torch.randn(3, 3, 4, 8, 8, dtype=torch.float64)
    now = moments(ABAR, t, "epsilon")
    in_x0 = [now.x0(eps, sample) for eps in (noise + error, noise)]
    weighted = objective.WEIGHTINGS["x0"](ABAR[t]) * objective.errors(noise + error, noise)
    torch.testing.assert_close(weighted, objective.errors(*in_x0), rtol=1e-4, atol=0)
    assert objective.WEIGHTINGS["x0"](ABAR).max() == objective.X0_CAP


def test_min_snr_agrees_with_diffusers() -> None:
    scheduler = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    snr = compute_snr(scheduler, torch.arange(1000))
    expected = torch.minimum(snr, torch.tensor(5.0)) / snr
    torch.testing.assert_close(objective.WEIGHTINGS["min-snr"](ABAR), expected)


@pytest.mark.parametrize("weighting", objective.WEIGHTINGS)
@pytest.mark.parametrize("density", objective.DENSITIES)
def test_weights_have_mean_one_where_timesteps_fall(weighting: str, density: str) -> None:
    table = objective.weights(weighting, ABAR, density, 0, 1000)
    u = torch.rand(200_000, generator=torch.Generator().manual_seed(0))
    drawn = objective.draw_timesteps(u, density, 0, 1000)
    assert table[drawn].mean().item() == pytest.approx(1, abs=0.03)


@given(
    st.lists(st.floats(0, 1, exclude_max=True, width=32), min_size=1), st.sampled_from([*objective.DENSITIES])
)
def test_timesteps_stay_in_their_window(numbers: list[float], density: str) -> None:
    first, last = objective.allowed_timesteps(ABAR, (0.25, 0.5))
    assert (first, last) == (500, 750)
    drawn = objective.draw_timesteps(torch.tensor(numbers), density, first, last)
    assert ((drawn >= first) & (drawn < last)).all()


def test_timesteps_without_signal_are_never_drawn() -> None:
    abar = torch.linspace(1, 0, 1000).square()
    first, last = objective.allowed_timesteps(abar)
    assert first == 0
    assert abar[last - 1] >= objective.SMALLEST_ALPHA**2 > abar[last]


# -- freehand ----------------------------------------------------------------------------------------------


@given(SEEDS)
def test_unpainting_takes_away_and_never_repaints(seed: int) -> None:
    labels = draw(1, 64)[1]
    before = labels.copy()
    unpainted = unpaint(labels, np.random.default_rng(seed))
    assert ((unpainted == 0) | (unpainted == labels)).all()
    assert np.array_equal(labels, before)


@given(SEEDS)
def test_a_repainted_map_has_no_other_classes_and_keeps_most_of_each_region(seed: int) -> None:
    labels = draw(1, 64)[1]
    before = labels.copy()
    repainted = repaint(labels, np.random.default_rng(seed))
    assert set(np.unique(repainted)) <= {0, *np.unique(labels)}
    assert (repainted == labels).mean() > 0.5
    assert np.array_equal(labels, before)


@given(SEEDS)
def test_a_scrawled_sketch_is_strokes_and_paper(seed: int) -> None:
    sketch = 255 - draw(2, 64)[2]
    before = sketch.copy()
    scrawled = scrawl(sketch, np.random.default_rng(seed))
    assert set(np.unique(scrawled)) <= {0, 255}
    assert scrawled.shape == sketch.shape
    assert scrawled.dtype == np.uint8
    assert np.array_equal(sketch, before)


def test_variations_do_vary() -> None:
    _, labels, sketch = draw(3, 64)
    sketch = 255 - sketch
    made = [np.random.default_rng(seed) for seed in range(40)]
    assert sum(not np.array_equal(unpaint(labels, one), labels) for one in made) >= 30
    assert sum(not np.array_equal(scrawl(sketch, one), sketch) for one in made) >= 30
    assert sum(not np.array_equal(repaint(labels, one), labels) for one in made) >= 30


def test_modalities_are_dropped_at_the_stated_rates() -> None:
    random, rates = np.random.default_rng(0), Rates(keep_all=0.1, drop_all=0.1, drop_each=0.5)
    kept = np.array([kept_modalities(np.array([True, True]), rates, random) for _ in range(20_000)])
    # in the remaining 0.8: (both, first, second) with 1/4 each, and 1/4 in which the one that stays is drawn
    assert (~kept).all(axis=1).mean() == pytest.approx(0.1, abs=0.01)
    assert kept.all(axis=1).mean() == pytest.approx(0.1 + 0.8 / 4, abs=0.01)
    assert kept.mean(axis=0) == pytest.approx([0.6, 0.6], abs=0.01)


@given(st.lists(st.booleans(), min_size=1, max_size=4), SEEDS)
def test_a_map_that_is_not_there_is_never_kept(available: list[bool], seed: int) -> None:
    there = np.array(available)
    kept = kept_modalities(there, Rates(drop_all=0), np.random.default_rng(seed))
    assert not (kept & ~there).any()
    assert kept.any() == there.any()


# -- reading and checking ----------------------------------------------------------------------------------


def test_a_pair_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = open_rows(str(build_pairs(tmp_path, 2)), LAYOUT)
    pair = read_pair(rows[1], LAYOUT)
    picture, labels, sketch = draw(1, 64)
    assert np.array_equal(pair.picture, picture)
    assert np.array_equal(pair.maps["labels"], labels)
    assert np.array_equal(pair.maps["sketch"], 255 - sketch)
    assert pair.captions == ("a pond, dusk",)


def test_palette_ids_are_read_and_missing_maps_are_absent(tmp_path: Path) -> None:
    build_pairs(tmp_path, 1, sketch=None)
    labels = Image.fromarray(draw(0, 64)[1]).convert("P")
    labels.putpalette(COLORS.tobytes())
    labels.putdata(draw(0, 64)[1].ravel().tolist())
    labels.save(tmp_path / "labels" / "0.png")
    assert Image.open(tmp_path / "labels" / "0.png").mode == "P"
    pair = read_pair(open_rows(str(tmp_path), LAYOUT)[0], LAYOUT)
    assert set(pair.maps) == {"labels"}
    assert np.array_equal(pair.maps["labels"], draw(0, 64)[1])


def test_larger_pictures_are_cut_to_their_middle(tmp_path: Path) -> None:
    build_pairs(tmp_path, 1)
    wide = np.concatenate(
        [np.full((64, 32, 3), 9, np.uint8), draw(0, 64)[0], np.full((64, 32, 3), 9, np.uint8)], 1
    )
    Image.fromarray(wide).save(tmp_path / "images" / "0.png")
    rows = open_rows(str(tmp_path), Layout((64, 64), ()))
    assert np.array_equal(read_pair(rows[0], Layout((64, 64), ())).picture, draw(0, 64)[0])


def spoil(folder: Path, problem: str) -> None:
    """Make line 2 of the data bad in one way."""
    lines = read_lines(folder)
    if problem == "missing picture":
        (folder / "images" / "1.png").unlink()
    elif problem == "missing map":
        (folder / "labels" / "1.png").unlink()
    elif problem == "another shape":
        Image.fromarray(draw(1, 64)[1][:32]).save(folder / "labels" / "1.png")
    elif problem == "unknown id":
        Image.fromarray(np.full((64, 64), 9, np.uint8)).save(folder / "labels" / "1.png")
    elif problem == "colours of no class":
        Image.fromarray(draw(1, 64)[0][..., ::-1].copy()).save(folder / "labels" / "1.png")
    elif problem == "ids in a JPEG":
        Image.fromarray(draw(1, 64)[1]).save(folder / "labels" / "1.png", format="JPEG")
    elif problem == "truncated picture":
        path = folder / "images" / "1.png"
        path.write_bytes(path.read_bytes()[:100])
    elif problem == "empty caption":
        lines[1]["text"] = "  "
    write_lines(folder, lines)


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        ("missing picture", r"the picture is missing: metadata\.jsonl line 2 .*images/1\.png"),
        ("missing map", r"the labels map is missing: metadata\.jsonl line 2 .*labels/1\.png"),
        ("another shape", r"another shape than its picture: metadata\.jsonl line 2 .64 x 32 beside 64 x 64"),
        ("unknown id", r"values from 9 to 9, but ids go from 0.*to 3.*: metadata\.jsonl line 2"),
        ("colours of no class", r"colours of no class.*: metadata\.jsonl line 2"),
        ("ids in a JPEG", r"saved with losses.*: metadata\.jsonl line 2"),
        ("truncated picture", r"cannot be used: .*: metadata\.jsonl line 2 .*images/1\.png"),
        ("empty caption", r"the caption is empty: metadata\.jsonl line 2"),
    ],
)
def test_each_problem_names_its_line(tmp_path: Path, problem: str, told: str) -> None:
    spoil(build_pairs(tmp_path, 3), problem)
    pairs = checked_pairs(open_rows(str(tmp_path), LAYOUT), LAYOUT, needs_text=True)
    with pytest.raises(InputError, match=told):
        list(pairs)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    build_pairs(tmp_path, 3)
    for name in ("0", "2"):
        (tmp_path / "images" / f"{name}.png").unlink()
    with pytest.raises(
        InputError, match=r"the picture is missing: metadata.jsonl line 1 .*, metadata.jsonl line 3 "
    ):
        list(checked_pairs(open_rows(str(tmp_path), LAYOUT), LAYOUT, needs_text=True))


@pytest.mark.parametrize("line", ["{", "[]", '{"text": "no picture"}'])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    build_pairs(tmp_path, 1)
    with (tmp_path / "metadata.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(InputError, match=r"metadata\.jsonl line 2"):
        open_rows(str(tmp_path), LAYOUT)


def test_bad_sources_and_classes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_text("\n")
    with pytest.raises(InputError, match="no rows"):
        open_rows(str(tmp_path), LAYOUT)
    with pytest.raises(InputError, match="is a file"):
        open_rows(str(tmp_path / "metadata.jsonl"), LAYOUT)
    with pytest.raises(InputError, match="Cannot open"):
        open_rows(str(tmp_path / "nothing" / "here"), LAYOUT)
    (tmp_path / "classes.json").write_text('{"sky": 1}')
    with pytest.raises(InputError, match=r"classes\.json must read"):
        open_classes(str(tmp_path))


def test_a_dataset_of_the_hub_layout_gives_the_same_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = build_pairs(tmp_path / "pairs", 2)
    lines = read_lines(folder)
    columns = {
        "image": [str(folder / line["file_name"]) for line in lines],
        "text": [line["text"] for line in lines],
        "segmentation": [str(folder / line["labels"]) for line in lines],
        "sketch": [None, str(folder / lines[1]["sketch"])],
    }
    table = datasets.Dataset.from_dict(columns)
    for name in ("image", "segmentation", "sketch"):
        table = table.cast_column(name, datasets.Image())
    (tmp_path / "hub").mkdir()
    table.to_parquet(tmp_path / "hub" / "train-00000-of-00001.parquet")
    layout = Layout(LAYOUT.size, LAYOUT.modalities, LAYOUT.classes, {"labels": "segmentation"})
    rows = open_rows(str(tmp_path / "hub"), layout)
    mine = read_pair(open_rows(str(folder), LAYOUT)[1], LAYOUT)
    its = read_pair(rows[1], layout)
    assert np.array_equal(mine.picture, its.picture)
    assert its.maps.keys() == mine.maps.keys()
    assert all(np.array_equal(mine.maps[name], its.maps[name]) for name in mine.maps)
    assert set(read_pair(rows[0], layout).maps) == {"labels"}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('"a pond"', ("a pond",)),
        ('"a\u2028pond"', ("a\u2028pond",)),
        ('["a pond", "a lake at noon", " "]', ("a pond", "a lake at noon")),
        *[(nothing, ()) for nothing in ("null", "NaN", '""', '"  "', "[]")],
    ],
)
def test_captions_in_any_form(tmp_path: Path, written: str, read: tuple[str, ...]) -> None:
    line = f'{{"file_name": "images/0.png", "text": {written}}}\n'
    (tmp_path / "metadata.jsonl").write_text(line, encoding="utf-8")
    assert open_rows(str(tmp_path), LAYOUT)[0].captions == read


def test_a_byte_order_mark_and_a_table_of_commas(tmp_path: Path) -> None:
    folder = build_pairs(tmp_path, 2)
    lines = read_lines(folder)
    text = (folder / "metadata.jsonl").read_text()
    (folder / "metadata.jsonl").write_text(text, encoding="utf-8-sig")
    rows = open_rows(str(folder), LAYOUT)
    (folder / "metadata.jsonl").unlink()
    names = list(lines[0])
    table = [",".join(names), *[",".join(f'"{line[name]}"' for name in names) for line in lines]]
    (folder / "metadata.csv").write_text("\n".join(table), encoding="utf-8-sig")
    again = open_rows(str(folder), LAYOUT)
    assert [(row.captions, row.maps) for row in again] == [(row.captions, row.maps) for row in rows]


def test_all_rows_decide_what_there_is(tmp_path: Path) -> None:
    folder = build_pairs(tmp_path, 3)
    lines = read_lines(folder)
    del lines[0]["sketch"]
    write_lines(folder, lines)
    assert [kind.name for kind in default_modalities(str(folder), {})] == ["labels", "sketch"]
    assert default_modalities(str(folder), {"labels": "map"}) == (SKETCH,)


def test_captions_in_another_column_are_looked_for(tmp_path: Path) -> None:
    folder = build_pairs(tmp_path, 2, text=None, additional_feature="a pond")
    rows = open_rows(str(folder), LAYOUT)
    with pytest.raises(InputError, match="--columns text=additional_feature"):
        check_captions(sum(bool(row.captions) for row in rows), str(folder), LAYOUT)


def test_maps_are_read_as_uploads_are(tmp_path: Path) -> None:
    """White on black, ids in colour, an ignored value, a palette in another order."""
    folder = build_pairs(tmp_path, 4)
    _, labels, sketch = draw(0, 64)
    Image.fromarray(255 - sketch).save(folder / "sketches" / "0.png")
    Image.fromarray(labels).convert("RGB").save(folder / "labels" / "0.png")
    _, ignored, _ = draw(1, 64)
    Image.fromarray(np.where(ignored == 2, 255, ignored).astype(np.uint8)).save(folder / "labels" / "1.png")
    indexed = Image.fromarray((3 - draw(2, 64)[1]).astype(np.uint8), "P")
    indexed.putpalette(COLORS[3:0:-1].tobytes())
    indexed.save(folder / "labels" / "2.png")
    pairs = [read_pair(row, LAYOUT) for row in open_rows(str(folder), LAYOUT)]
    assert np.array_equal(pairs[0].maps["sketch"], 255 - sketch)
    assert np.array_equal(pairs[0].maps["labels"], labels)
    assert np.array_equal(pairs[1].maps["labels"], np.where(ignored == 2, 0, ignored))
    assert np.array_equal(pairs[2].maps["labels"], draw(2, 64)[1])


# -- the cache ---------------------------------------------------------------------------------------------


def test_stored_latents_are_those_of_the_picture_and_of_its_mirror_image(
    tmp_path: Path, sd_folder: Path
) -> None:
    base = Base.from_pretrained(sd_folder)
    rows = open_rows(str(build_pairs(tmp_path / "pairs", 3)), LAYOUT)
    pairs = stored_pairs(tmp_path / "cache", rows, LAYOUT, lambda: base, True, silent)
    picture, labels, _ = draw(2, 64)
    for flip in (False, True):
        seen = picture[:, ::-1] if flip else picture
        latents, maps = pairs.get(2, flip)
        expected = encode(base, to_signed(seen)[None])[0].numpy()
        np.testing.assert_allclose(latents, expected, rtol=2e-3, atol=2e-3)
        assert np.array_equal(maps["labels"], labels[:, ::-1] if flip else labels)
    assert not np.allclose(pairs.get(2, True)[0], pairs.get(2, False)[0], atol=0.05)


def test_processes_that_prepare_batches_open_what_is_stored_for_themselves(
    tmp_path: Path, sd_folder: Path
) -> None:
    base = Base.from_pretrained(sd_folder)
    rows = open_rows(str(build_pairs(tmp_path / "pairs", 8)), LAYOUT)
    pairs = stored_pairs(tmp_path / "cache", rows, LAYOUT, lambda: base, True, silent)
    sent = pickle.dumps(pairs)
    assert len(sent) < 1000
    there, here = pickle.loads(sent).get(5, True), pairs.get(5, True)
    assert np.array_equal(there[0], here[0])
    assert all(np.array_equal(there[1][name], drawn) for name, drawn in here[1].items())
    assert isinstance(pickle.loads(sent).latents, np.memmap)


@pytest.mark.parametrize(("side", "calls"), [(64, [20]), (256, [8, 8, 4]), (512, [2] * 10), (1024, [1] * 20)])
def test_large_pictures_are_encoded_a_few_at_a_time(side: int, calls: list[int]) -> None:
    seen: list[int] = []
    base: Any = SimpleNamespace(encode=lambda chunk: seen.append(len(chunk)) or chunk[..., ::64, ::64])
    pictures = torch.arange(20.0).view(-1, 1, 1, 1).expand(-1, 3, side, side)
    assert torch.equal(encode(base, pictures), pictures[..., ::64, ::64])
    assert seen == calls


def test_normals_that_are_mirrored_point_to_the_other_side() -> None:
    normals = np.array([[[200, 10, 90], [0, 0, 0]]], np.uint8)  # one to the right, and nothing known
    assert mirrored(normals, True, "normal").tolist() == [[[0, 0, 0], [55, 10, 90]]]
    assert mirrored(normals, True, "depth").tolist() == [[[0, 0, 0], [200, 10, 90]]]
    assert mirrored(normals, False, "normal") is normals


def test_a_filled_cache_is_used_as_it_is(tmp_path: Path, sd_folder: Path) -> None:
    base = Base.from_pretrained(sd_folder)
    rows = open_rows(str(build_pairs(tmp_path / "pairs", 2)), LAYOUT)
    stored_pairs(tmp_path / "cache", rows, LAYOUT, lambda: base, True, silent)

    def never() -> Base:
        raise AssertionError("encoded again")

    again = stored_pairs(tmp_path / "cache", rows, LAYOUT, never, True, silent)
    assert list(again.captions) == [["a pond, noon"], ["a pond, dusk"]]


def test_the_cache_is_known_by_contents_wherever_they_lie(tmp_path: Path, base: Base) -> None:
    folder = build_pairs(tmp_path / "pairs", 2)
    known = tmp_path / "known.json"
    before = fingerprint(open_rows(str(folder), LAYOUT), LAYOUT, base, known)
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)  # with other times of change
    assert fingerprint(open_rows(str(tmp_path / "copy"), LAYOUT), LAYOUT, base) == before
    assert fingerprint(open_rows(str(folder), LAYOUT), LAYOUT, base, known) == before
    Image.fromarray(draw(5, 64)[0]).save(folder / "images" / "1.png")
    assert fingerprint(open_rows(str(folder), LAYOUT), LAYOUT, base, known) != before


def test_interrupted_encoding_goes_on_where_it_was(tmp_path: Path, base: Base) -> None:
    rows = open_rows(str(build_pairs(tmp_path / "pairs", 20)), LAYOUT)
    seen: list[int] = []

    def interrupt(what: str, done: int, total: int) -> None:
        if what.startswith("encoding"):
            seen.append(done)
            if done == 8:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stored_pairs(tmp_path / "cache", rows, LAYOUT, lambda: base, True, interrupt)
    assert not (tmp_path / "cache").exists()
    resumed = stored_pairs(tmp_path / "cache", rows, LAYOUT, lambda: base, True, interrupt)
    assert seen == [8, 16, 20]
    whole = stored_pairs(tmp_path / "whole", rows, LAYOUT, lambda: base, True, silent)
    assert np.array_equal(resumed.latents, whole.latents)
    assert np.array_equal(resumed.maps["labels"], whole.maps["labels"])


@pytest.mark.skipif(shutil.which("mount") is None or os.geteuid() != 0, reason="only root can mount a tmpfs")
def test_a_full_disk_is_an_error_and_nothing_worse(tmp_path: Path, base: Base) -> None:
    rows = open_rows(str(build_pairs(tmp_path / "pairs", 60)), LAYOUT)
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        with pytest.raises(OSError, match=r"needs .* MiB more"):
            stored_pairs(small / "cache", rows, LAYOUT, lambda: base, True, silent)
        assert not (small / "cache").exists()
    finally:
        subprocess.run(["umount", str(small)], check=True)


# -- batches -----------------------------------------------------------------------------------------------


def plan(**changes: object) -> Plan:
    settings = {
        "indices": tuple(range(10)),
        "batch_size": 4,
        "modalities": LAYOUT.modalities,
        "size": (64, 64),
    }
    return Plan(**(settings | changes))  # type: ignore[arg-type]


def test_one_of_several_captions_is_drawn_each_time(tmp_path: Path) -> None:
    rows = open_rows(str(build_pairs(tmp_path, 2, text=["a pond", "a lake at noon"])), LAYOUT)
    batches = Batches(file_pairs(rows, LAYOUT, True, silent), plan(indices=(0, 1), rates=EXACT))
    drawn = [text for step in range(20) for text in batches[step].texts]
    assert set(drawn) == {"a pond", "a lake at noon"}
    assert 20 < drawn.count("a pond") < 60


def test_an_epoch_over_two_ranks_sees_each_pair_once() -> None:
    plans = [plan(indices=tuple(range(100, 116)), rank=rank, processes=2) for rank in range(2)]
    for epoch in range(3):
        steps = (2 * epoch, 2 * epoch + 1)
        seen = [index for step in steps for one in plans for index in batch_indices(one, step)]
        assert sorted(seen) == list(range(100, 116))


def test_a_batch_depends_on_seed_step_and_rank_alone(tmp_path: Path) -> None:
    pairs = file_pairs(open_rows(str(build_pairs(tmp_path, 10)), LAYOUT), LAYOUT, True, silent)
    batches = Batches(pairs, plan())
    first = batches[5]
    batches[4]
    again = Batches(pairs, plan())[5]
    others = [Batches(pairs, plan(seed=1))[5], batches[6], Batches(pairs, plan(rank=1, processes=2))[5]]
    assert torch.equal(first.pictures, again.pictures)
    assert all(torch.equal(first.maps[name], again.maps[name]) for name in first.maps)
    assert (first.texts, first.noise_seeds) == (again.texts, again.noise_seeds)
    assert torch.equal(first.moments, again.moments)
    assert all(not set(first.noise_seeds) & set(other.noise_seeds) for other in others)


def test_exact_batches_hold_the_pairs_as_they_are(tmp_path: Path) -> None:
    pairs = file_pairs(open_rows(str(build_pairs(tmp_path, 10)), LAYOUT), LAYOUT, True, silent)
    batch = Batches(pairs, plan(rates=EXACT))[0]
    for place, index in enumerate(batch_indices(plan(), 0)):
        picture, labels, sketch = draw(index, 64)
        assert np.array_equal(batch.pictures[place].numpy(), to_signed(picture))
        assert np.array_equal(batch.maps["labels"][place].numpy(), labels)
        assert np.array_equal(batch.maps["sketch"][place, 0].numpy(), 255 - sketch)
    assert all((there == 1).all() for there in batch.presence.values())
    assert all(batch.texts)


def test_held_out_pairs_are_never_trained_on() -> None:
    trained, held_out = split(100, 64, seed=0)
    assert len(held_out) == 10
    assert sorted(trained + held_out) == list(range(100))
    assert split(5, 64, seed=0)[1] == ()


def test_what_is_published_is_plain_json(tmp_path: Path) -> None:
    from mcm_core.training.options import parse

    build_pairs(tmp_path / "pairs", 1)
    options = parse(["--base", "someone/base", "--data", str(tmp_path / "pairs"), "--out", str(tmp_path)])
    text = json.dumps(options.public())
    assert str(tmp_path.parent) not in text
    assert json.loads(text)["base"] == "someone/base"
