"""`python -m benchmarks.rivals`: methods say what they are said to say, and learn and are judged alike."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.rivals import __main__ as command
from benchmarks.rivals import cost, judging, learning, networks, untrained
from benchmarks.rivals.drawing import Drawing, of_batch, of_conditions, planes_of
from benchmarks.rivals.learning import Candidate, Course
from benchmarks.rivals.methods import BASE, METHODS, OURS, Asked
from benchmarks.rivals.painting import guided, paint
from benchmarks.rivals.report import curves, minutes_to
from mcm_core.__main__ import main as commands
from mcm_core.base import Base, Embeddings
from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions, InputError, LabelClass
from mcm_core.modulation import guide
from mcm_core.pipeline import MCMPipeline
from mcm_core.request import Request
from mcm_core.schedule import Moment
from mcm_core.training import TrainingError
from mcm_core.training.job import Job, prepare
from mcm_core.training.modulator import make_accelerator, make_frozen
from mcm_core.training.options import Options
from mcm_core.training.stopping import Stop
from tests import tiny
from tests.pairs import build_pairs

CLASSES = tuple(LabelClass(*each) for each in tiny.CLASSES)
TRAINED = [name for name, method in METHODS.items() if method.build]
NETWORKS = [name for name in TRAINED if name != "gradients"]
KEPT = ["modulator", "controlnet", "controlnet-xs", "lora", "fine-tuning"]
"""Those that start as the base alone."""


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """An eighth of eight channels has no room for attention."""
    monkeypatch.setattr(networks, "XS_RATIO", 1.0)


@pytest.fixture(scope="module")
def job(sd_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("rivals")
    data = build_pairs(folder / "data", 12)
    options = Options(
        str(sd_folder), str(data), str(folder / "out"), batch_size=2, precision="fp32", held_out=2, warmup=1
    )
    return prepare(options, make_accelerator(options))


@pytest.fixture
def drawing() -> Drawing:
    """Of three pictures: both maps, a map alone, nothing."""
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (3, 64, 64), generator=random, dtype=torch.uint8)
    sketch = torch.randint(0, 256, (3, 1, 64, 64), generator=random, dtype=torch.uint8)
    return Drawing(labels, sketch, torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]))


@pytest.fixture
def seen(base: Base) -> tuple[Tensor, Moment, Embeddings]:
    """Three samples at one moment, and their words."""
    sample = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    return sample, base.moment(500.0), base.encode_prompt(["a pond", "dusk", ""])


def built(name: str, job: Job) -> Any:
    torch.manual_seed(0)
    build = METHODS[name].build
    assert build is not None
    return build(job).eval()


def stirred(network: Any) -> Any:
    """With noise on what is trained, so that what starts at zero acts."""
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn_like(parameter)
    return network


# -- drawings ----------------------------------------------------------------------------------------------


def test_a_drawing_is_a_plane_for_each_class_the_strokes_and_what_is_there(drawing: Drawing) -> None:
    planes = drawing.planes(3)
    assert planes.shape == (3, planes_of(3), 64, 64)
    for label in (1, 2, 3):
        assert torch.equal(planes[1, label - 1], (drawing.labels[1] == label).float())
    torch.testing.assert_close(planes[0, 3], drawing.sketch[0, 0] / 255)
    assert planes[1, 3].max() == 0
    assert planes[2].abs().max() == 0
    assert planes[:, 4:, 0, 0].tolist() == [[1, 1], [1, 0], [0, 0]]


def test_a_drawing_of_conditions_is_that_of_the_same_training_pair() -> None:
    labels, sketch = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
    labels[10:], sketch[5] = 2, 255
    maps = {LABELS: torch.from_numpy(labels)[None], SKETCH: torch.from_numpy(sketch)[None, None]}
    batch: Any = SimpleNamespace(maps=maps, presence={LABELS: torch.ones(1), SKETCH: torch.ones(1)})
    given = of_conditions([Conditions({LABELS: labels, SKETCH: sketch})], (64, 64), torch.device("cpu"))
    assert torch.equal(given.planes(3), of_batch(batch, torch.device("cpu")).planes(3))
    nothing = of_conditions([Conditions({})], (64, 64), torch.device("cpu"))
    assert torch.equal(nothing.planes(3), given.without().planes(3))


# -- networks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KEPT)
@torch.no_grad()
def test_before_its_training_it_says_what_the_base_says(
    base: Base, job: Job, drawing: Drawing, seen: tuple, name: str
) -> None:
    network = built(name, job)
    sample, now, texts = seen
    expected = base.predict(sample, torch.tensor(500), texts)
    got = network(base, sample, now, texts, network.see(drawing))
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_sees_each_drawing_and_trains_only_itself(
    base: Base, job: Job, drawing: Drawing, seen: tuple, name: str
) -> None:
    network = stirred(built(name, job))
    sample, now, texts = seen
    before = {key: value.clone() for key, value in base.unet.state_dict().items()}
    got = network(base, sample, now, texts, network.see(drawing))
    other = network(base, sample, now, texts, network.see(drawing.without()))
    assert [bool((one != two).any()) for one, two in zip(got[:2], other[:2], strict=True)] == [True, True]
    got.square().mean().backward()
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)
    assert not any(p.requires_grad or p.grad is not None for p in base.unet.parameters())
    assert all(torch.equal(value, before[key]) for key, value in base.unet.state_dict().items())


@torch.no_grad()
def test_ours_is_the_base_bit_for_bit_where_nothing_is_drawn(
    base: Base, job: Job, drawing: Drawing, seen: tuple
) -> None:
    network = stirred(built(OURS, job))
    sample, now, texts = seen
    got = network(base, sample, now, texts, network.see(drawing))
    assert torch.equal(got[2], base.predict(sample, torch.tensor(500), texts)[2])


@pytest.mark.parametrize("layers", [1, 2])
@torch.no_grad()
def test_controlnet_xs_says_what_its_base_says_whose_blocks_have_so_many_layers(
    seen: tuple, layers: int
) -> None:
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=layers,
        cross_attention_dim=tiny.TEXT_WIDTH,
        attention_head_dim=2,
        norm_num_groups=4,
        norm_eps=1e-6,  # what diffusers' ControlNet-XS has instead of the U-Net's own
    ).eval()
    network = networks.WithControlNetXS(unet, 3).eval()
    sample, now, texts = seen
    expected = unet(sample, 500, texts.hidden, return_dict=False)[0]
    planes = torch.rand(3, planes_of(3), 64, 64)
    got = network(None, sample, now, texts, planes)  # type: ignore[arg-type]
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4)


# -- painting ----------------------------------------------------------------------------------------------


def asked(base: Base, drawn: Conditions, prompt: str = "a pond") -> Asked:
    drawing = of_conditions([drawn], base.default_size, base.device)
    return Asked(base, "fp32", CLASSES, [prompt], drawing, [7])


def everywhere(label: int) -> Conditions:
    return Conditions({LABELS: np.full((64, 64), label, np.uint8)})


def test_ours_paints_what_the_pipeline_paints(base: Base, job: Job, modulator: Any) -> None:
    """With the modulation where the pipeline puts it, and nothing boosted."""
    drawn = Conditions({LABELS: np.random.default_rng(0).integers(0, 4, (64, 64)).astype(np.uint8)})
    begin = METHODS[OURS].begin(networks.Modulated(modulator), asked(base, drawn), "prompt")
    expected = MCMPipeline(base, modulator)(Request("a pond", conditions=drawn, seeds=(7,), steps=4))
    got = paint(base, begin, [7], 4).astype(int)
    assert np.abs(got - expected.images).max() <= 1


def test_the_base_alone_paints_what_the_pipeline_paints(base: Base) -> None:
    begin = METHODS[BASE].begin(None, asked(base, everywhere(1)), None)
    expected = MCMPipeline(base)(Request("a pond", seeds=(7,), steps=4)).images
    assert np.abs(paint(base, begin, [7], 4).astype(int) - expected).max() <= 1


def test_gradients_lead_to_what_the_reader_takes_for_the_drawing(base: Base, job: Job) -> None:
    reader = built("gradients", job).requires_grad_(False)
    request, sample = asked(base, everywhere(2)), torch.randn(1, 4, 8, 8)
    now = base.moment(500.0)

    def wrong(scale: float) -> float:
        predict = untrained.by_gradients(reader, base, request.prompts, request.drawing, scale)
        return untrained.reading_errors(reader, now.x0(predict(sample, now), sample), request.drawing).item()

    assert wrong(0.05) < wrong(0.0) < wrong(-0.05)
    alone = METHODS[BASE].begin(None, request, None)(sample, now)
    still = untrained.by_gradients(reader, base, request.prompts, request.drawing, 0.0)(sample, now)
    torch.testing.assert_close(still, alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_region_is_painted_by_the_prompt_of_its_class(base: Base) -> None:
    sample, now = torch.randn(1, 4, 8, 8), base.moment(500.0)

    def said(drawn: Conditions) -> Tensor:
        return METHODS["regions"].begin(None, asked(base, drawn), None)(sample, now)

    def prompted(prompt: str) -> Tensor:
        empty = asked(base, Conditions({}), prompt)
        return guided(networks.Plain(), base, empty.prompts, empty.drawing, "both", "fp32")(sample, now)

    torch.testing.assert_close(said(Conditions({})), prompted("a pond"), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(said(everywhere(2)), prompted("hill, a pond"), rtol=1e-4, atol=1e-5)
    halves = np.full((64, 64), 2, np.uint8)
    halves[32:] = 3
    both = said(Conditions({LABELS: halves}))
    torch.testing.assert_close(both[:, :, :4], prompted("hill, a pond")[:, :, :4], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(both[:, :, 4:], prompted("water, a pond")[:, :, 4:], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_at_first_a_region_lies_on_a_ground_of_its_own(base: Base) -> None:
    halves = np.full((64, 64), 2, np.uint8)
    halves[32:] = 3
    early, late = base.moment(900.0), base.moment(500.0)
    sample = torch.randn(1, 4, 8, 8)
    other = sample.clone()
    other[:, :, 4:] += 1  # of the other region
    predict = METHODS["regions"].begin(None, asked(base, Conditions({LABELS: halves})), None)
    assert torch.equal(predict(sample, early)[:, :, :4], predict(other, early)[:, :, :4])
    assert not torch.equal(predict(sample, late)[:, :, :4], predict(other, late)[:, :, :4])


def test_guidance_is_that_of_the_base(base: Base, job: Job, seen: tuple) -> None:
    network, drawn = stirred(built("controlnet", job)), asked(base, everywhere(2))
    sample, now = seen[0][:1], seen[1]
    empty, words = base.encode_prompts(["", "a pond"])
    with torch.no_grad():
        planes = network.see(drawn.drawing)
        positive = network(base, sample, now, words, planes)
        for placement, of_negative in (("both", planes), ("prompt", network.see(drawn.drawing.without()))):
            negative = network(base, sample, now, empty, of_negative)
            expected = guide(negative, positive, base.default_guidance_scale)
            got = METHODS["controlnet"].begin(network, drawn, placement)(sample, now)
            torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4)


# -- learning ----------------------------------------------------------------------------------------------


def course(job: Job, name: str, folder: Path, seconds: float = 0.5) -> Course:
    return Course(METHODS[name], job, make_frozen(job), folder, seconds)


@pytest.mark.parametrize("name", ["controlnet-xs", "lora", "gradients"])
def test_it_learns_by_the_clock_and_what_was_learned_is_kept(job: Job, tmp_path: Path, name: str) -> None:
    taken = course(job, name, tmp_path)
    learned = learning.learned(taken, Candidate(False, 1e-3), tmp_path, Stop(), learning.MARKS)
    assert [learning.mark_file(tmp_path, mark).is_file() for mark in learning.MARKS] == [True] * 5
    kept, seconds, steps = learning.at_mark(taken, tmp_path, 1.0)
    assert steps > 0
    assert seconds >= 0.5
    assert all(torch.equal(a, b) for a, b in zip(learned.parameters(), kept.parameters(), strict=True))
    fresh = learning.new_network(taken)
    pairs = [*zip(fresh.parameters(), kept.parameters(), strict=True)]
    assert any(not torch.equal(a, b) for a, b in pairs if a.requires_grad)
    assert all(torch.equal(a, b) for a, b in pairs if not a.requires_grad)


def test_the_clock_goes_on_where_it_was_stopped(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, seen = Stop(), []
    stop.signal = 15
    taken, fit = course(job, "t2i-adapter", tmp_path, seconds=1.0), learning.fit

    def noted(training: Any, *arguments: Any, **options: Any) -> None:
        seen.append(training.progress.step)
        fit(training, *arguments, **options)
        seen.append(training.progress.step)

    monkeypatch.setattr(learning, "fit", noted)
    learning.learned(taken, Candidate(False, 1e-3), tmp_path, stop, learning.MARKS)
    assert not learning.mark_file(tmp_path, 1.0).is_file()
    learning.learned(taken, Candidate(False, 1e-3), tmp_path, Stop(), learning.MARKS)
    learning.learned(taken, Candidate(False, 1e-3), tmp_path, Stop(), learning.MARKS)  # it is over
    assert seen[:3] == [0, 1, 1]
    assert len(seen) == 4
    assert learning.at_mark(taken, tmp_path, 1.0)[2] == seen[3]


def test_the_search_is_for_the_lowest_held_out_loss_and_is_remembered(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([0.5, 0.3, 0.1, float("nan"), float("inf")])
    monkeypatch.setattr(learning, "held_out_loss", lambda course, network: next(losses))
    monkeypatch.setattr(learning, "learned", lambda *_: None)
    taken = course(job, OURS, tmp_path)
    assert learning.searched(taken, Stop()) == learning.CANDIDATES[2]
    assert learning.searched(taken, Stop()) == learning.CANDIDATES[2]  # there is no sixth loss to ask for
    assert len(json.loads((tmp_path / "search.json").read_text())) == 5


def test_a_candidate_that_runs_away_loses(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_away(*_: Any) -> None:
        raise TrainingError("not finite")

    monkeypatch.setattr(learning, "learned", run_away)
    learning.searched(course(job, OURS, tmp_path), Stop())
    assert set(json.loads((tmp_path / "search.json").read_text()).values()) == {float("inf")}


def test_too_few_pairs_are_refused(tmp_path: Path) -> None:
    data = build_pairs(tmp_path / "data", 9)
    with pytest.raises(InputError, match="at least ten pairs"):
        command.main(["--data", str(data), "--out", str(tmp_path / "out")])


def test_few_pairs_are_the_first_of_all(job: Job, tmp_path: Path) -> None:
    few = replace(course(job, OURS, tmp_path), pairs=3)
    assert few.trained == job.trained[:3]
    assert replace(few, pairs=None).trained == job.trained


@pytest.mark.skipif(not cost.RESET.is_file(), reason="only Linux counts the peak anew")
def test_peak_memory_is_that_of_the_work() -> None:
    mib = 2**20
    small = cost.peak(lambda: bytearray(8 * mib), torch.device("cpu"))
    large = cost.peak(lambda: bytearray(108 * mib), torch.device("cpu"))
    assert 90 * mib < large - small < 110 * mib


# -- what is told ------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0.1, 50), st.floats(0, 1)), min_size=1, max_size=6), st.floats(0.01, 1))
def test_minutes_are_read_off_the_curve(points: list[tuple[float, float]], wanted: float) -> None:
    curve = sorted(points)
    reached = minutes_to(curve, wanted)
    if reached is None:
        assert all(value < wanted for _, value in curve)
    else:
        assert reached <= next(minutes for minutes, value in curve if value >= wanted)


def test_minutes_between_two_points_are_on_the_line() -> None:
    assert minutes_to([(1.0, 0.2), (3.0, 0.6)], 0.4) == pytest.approx(2.0)
    assert minutes_to([(1.0, 0.2)], 0.1) == 1.0
    assert minutes_to([], 0.1) is None


def test_the_command_tells_all_and_what_is_known_is_not_done_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the shipped base, whose classes the judge knows."""
    assert commands(["render", "--count", "12", "--out", str(tmp_path / "data")]) == 0
    argv = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--methods", OURS]
    argv += ["--minutes", "0.002", "--batch-size", "2", "--count", "2", "--steps", "1", "--few"]
    small = {"CURVE_SCENES": 1, "SHEET_SCENES": 2, "MARKS": (0.5, 1.0), "FEW": (4, 8), "FEW_METHODS": (OURS,)}
    for name, value in small.items():
        monkeypatch.setattr(command, name, value)
    monkeypatch.setattr(judging, "VALIDATION_COUNT", 1)
    monkeypatch.setattr(judging, "VARIANTS", 2)
    monkeypatch.setattr(learning, "CANDIDATES", learning.CANDIDATES[2:4])
    assert command.main(argv) == 0
    told = capsys.readouterr().out
    out = tmp_path / "out"
    files = {"table.md", "table.json", "curves.png", "sheet.jpg", "few-pairs.png", "few-pairs.json"}
    assert files <= {file.name for file in out.iterdir()}
    table = json.loads((out / "table.json").read_text())
    assert table[OURS]["cost"]["parameters"] == 2_944_696
    assert [*table[OURS]["rows"]] == ["map", "sketch", "map and sketch", "words"]
    assert [minutes for minutes, _ in table[OURS]["curve"]] == sorted(m for m, _ in table[OURS]["curve"])
    (line,) = json.loads((out / "few-pairs.json").read_text()).values()
    assert [pairs for pairs, _ in line] == [4, 8]
    monkeypatch.setattr(learning, "fit", None)
    monkeypatch.setattr(command.subprocess, "run", None)
    assert command.main(argv) == 0
    assert capsys.readouterr().out.splitlines()[-5:] == told.splitlines()[-5:]
    with pytest.raises(InputError, match="asked for otherwise"):
        command.main([*argv, "--minutes", "1"])


def test_curves_are_drawn_one_in_each_colour() -> None:
    picture = curves({"one": [(1e-4, 0.1), (2, 0.5)], "two": [(1, 0.2), (2, 0.3)]}, "minutes", "mIoU")
    colours = {colour for _, colour in picture.getcolors(10**6)}  # type: ignore[union-attr]
    assert {(0xD6, 0x27, 0x28), (0xFF, 0x98, 0x96)} <= colours
