"""The page without a browser: its parts in Python, and the endpoint /generate over loopback."""

from __future__ import annotations

import ast
import asyncio
import base64
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from gradio.state_holder import SessionState
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from demo import form, pictures, views
from demo.app import parse
from demo.examples import Example, read_examples
from demo.models import Job, Model, Models, _judge, open_models
from demo.page import lay_out
from demo.painting import Painting
from demo.parts import ALL
from demo.restoring import lost
from demo.runs import Run, Runs
from demo.ui import Blocks, build_ui
from demo.visit import KEPT, Shown, Visit
from mcm_core import Base, MCMPipeline
from mcm_core.drawing.canvas_value import LAYERS
from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions, InputError, LabelClass
from mcm_core.drawing.palette import palette_picture
from mcm_core.drawing.sketches import sketch_picture
from mcm_core.engine import Cancelled
from mcm_core.landscapes.easel import CLASSES as LANDSCAPE
from mcm_core.models import SEGMENTER, shipped, sources
from mcm_core.record import read_png, read_record, to_json
from mcm_core.request import MAX_SEED, Request
from tests import pages, tiny
from tests.pages import PATIENCE_S, canvas_value, halves

ROOT = Path(__file__).parents[1]
CLASSES = tuple(LabelClass(*one) for one in tiny.CLASSES)


@pytest.fixture(scope="module")
def models(sd_folder: Path) -> Models:
    return Models([pages.tiny_model(sd_folder)])


@pytest.fixture(scope="module")
def client(models: Models) -> Iterator[Client]:
    with pages.page(models) as url:
        yield pages.connected(url)


def generate(client: Client, **values: Any) -> Any:
    return client.predict(**{"seed": 7, "steps": 3, **values}, api_name="/generate")


def alone(models: Models, **values: Any) -> np.ndarray:
    """(H, W, 3): what the pipeline makes of a request without any page."""
    base = models.default.base
    pipeline = MCMPipeline(base, models.default.pipeline.modulator)
    return pipeline(Request(**{"steps": 3, "seeds": (7,), **values})).images[0]


def job(model: Model, request: Request) -> Job:
    return Job(model.name, model.resolved(request))


def pixels(path: str) -> np.ndarray:
    return np.asarray(Image.open(path))


# -- the endpoint ------------------------------------------------------------------------------------------


def test_the_endpoint_gives_the_picture_and_its_request(client: Client, models: Models) -> None:
    picture, plain, details = generate(client, prompt="a lake", drawing=canvas_value())
    np.testing.assert_array_equal(pixels(picture), alone(models, prompt="a lake", conditions=halves()))
    assert plain is None
    request = read_png(picture)
    assert (request.prompt, request.seeds, request.steps) == ("a lake", (7,), 3)
    assert request.conditions == halves()
    record = replace(read_record(picture), pixels=None)
    assert json.loads(to_json(record)) == {name: details[name] for name in json.loads(to_json(record))}
    assert details["seconds"] > 0
    assert details["notes"] == []


def test_files_say_the_same_as_a_canvas_value(client: Client, tmp_path: Path) -> None:
    drawn = halves()
    Image.fromarray(palette_picture(drawn.maps[LABELS], CLASSES)).save(tmp_path / "labels.png")
    Image.fromarray(drawn.maps[LABELS], "L").save(tmp_path / "ids.png")
    Image.fromarray(sketch_picture(drawn.maps[SKETCH])).save(tmp_path / "sketch.png")
    sketch = handle_file(tmp_path / "sketch.png")
    expected = Path(generate(client, drawing=canvas_value())[0]).read_bytes()
    for name in ("labels.png", "ids.png"):
        picture = generate(client, label_map=handle_file(tmp_path / name), sketch=sketch)[0]
        assert Path(picture).read_bytes() == expected


def test_a_file_replaces_only_its_own_kind_of_the_canvas_value(client: Client, tmp_path: Path) -> None:
    Image.fromarray(np.full((64, 64), 2, np.uint8), "L").save(tmp_path / "hill.png")
    labels = handle_file(tmp_path / "hill.png")
    picture = generate(client, drawing=canvas_value(), label_map=labels)[0]
    conditions = read_png(picture).conditions
    assert (conditions.maps[LABELS] == 2).all()
    np.testing.assert_array_equal(conditions.maps[SKETCH], halves().maps[SKETCH])


def test_files_are_fitted_to_the_size_that_is_asked_for(client: Client, tmp_path: Path) -> None:
    drawn = np.repeat(np.arange(1, 3, dtype=np.uint8), 64)[None].repeat(64, 0)
    Image.fromarray(drawn, "L").save(tmp_path / "wide.png")
    picture = generate(client, label_map=handle_file(tmp_path / "wide.png"), width=128, height=64)[0]
    np.testing.assert_array_equal(read_png(picture).conditions.maps[LABELS], drawn)


def test_the_plain_picture_is_what_the_base_makes_alone(client: Client, models: Models) -> None:
    picture, plain, _ = generate(client, prompt="a lake", drawing=canvas_value(), compare=True)
    bare = MCMPipeline(models.default.base)(Request(prompt="a lake", steps=3, seeds=(7,))).images[0]
    np.testing.assert_array_equal(pixels(plain), bare)
    assert (pixels(picture) != pixels(plain)).any()
    assert set(read_png(plain).strength.values()) == {0.0}


def test_every_parameter_reaches_the_request(client: Client) -> None:
    given = {
        "prompt": "hills", "negative_prompt": "fog", "steps": 4, "guidance_scale": 2.5, "seed": 11,
        "scheduler": "euler", "strength": {"labels": 0.5}, "start": 0.25, "end": 0.75,
        "placement": "conditional", "width": 128, "height": 64, "model": "tiny", "prompt_boost": 2.5,
    }  # fmt: skip
    request = generate(client, drawing=canvas_value(), **given)[2]["request"]
    expected = {name: value for name, value in given.items() if name not in ("seed", "model")}
    assert {name: request[name] for name in expected} == {
        **expected,
        "strength": {"labels": 0.5, "sketch": 1},
    }
    assert request["seeds"] == [11]


def test_progress_is_told_at_each_step(client: Client) -> None:
    job = client.submit(seed=7, steps=4, api_name="/generate")
    job.result(timeout=PATIENCE_S)
    told = [details for _, _, details in job.outputs()]
    assert [one for one in told if "step" in one] == [{"step": i, "steps": 4} for i in range(1, 5)]
    assert "request" in told[-1]


def test_without_a_drawing_the_prompt_alone_decides_and_the_answer_says_so(
    client: Client, models: Models
) -> None:
    picture, _, details = generate(client, prompt="a lake", drawing=canvas_value(Conditions()))
    np.testing.assert_array_equal(pixels(picture), alone(models, prompt="a lake"))
    assert details["notes"] == ["Nothing is drawn: the prompt alone makes the picture."]


def test_a_random_seed_is_told_and_makes_the_same_picture_again(client: Client) -> None:
    first, _, details = generate(client, seed=-1)
    again, _, _ = generate(client, seed=details["request"]["seeds"][0])
    assert Path(first).read_bytes() == Path(again).read_bytes()


def test_only_the_endpoint_for_programs_is_public_and_its_names_are_documented(client: Client) -> None:
    described = client.view_api(return_format="dict")
    assert list(described["named_endpoints"]) == ["/generate"]
    assert described["unnamed_endpoints"] == {}
    endpoint = described["named_endpoints"]["/generate"]
    names = [one["parameter_name"] for one in endpoint["parameters"]]
    assert names[:4] == ["prompt", "label_map", "sketch", "drawing"]
    assert all(one["parameter_has_default"] for one in endpoint["parameters"])
    assert [one["label"] for one in endpoint["returns"]] == ["picture", "plain_picture", "details"]
    assert "client.predict(" in endpoint["description"]


# -- models ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shelf(sd_folder: Path, ldm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders: two bases in one folder, and a modulator for the first of them."""
    bases = tmp_path_factory.mktemp("bases")
    for name, folder in (("a-sd", sd_folder), ("b-ldm", ldm_folder)):
        (bases / name).symlink_to(folder)
    modulator = tmp_path_factory.mktemp("modulators") / "mine"
    tiny.build_modulator(Base.from_pretrained(sd_folder)).save_pretrained(modulator)
    return {"bases": str(bases), "ldm": str(ldm_folder), "modulator": str(modulator)}


def test_each_base_comes_with_the_modulators_that_fit_it_or_alone(shelf: dict[str, str]) -> None:
    opened = open_models([shelf["bases"]], [str(Path(shelf["modulator"]).parent)])
    assert [bool(model.pipeline.modulator) for model in opened] == [True, False]
    assert opened[0].name.endswith(" + mine")
    assert opened[0].layers == (LABELS, SKETCH)
    assert opened[1].layers == ()
    assert not opened[1].base.accepts_text


def test_a_modulator_that_fits_no_base_is_an_error(shelf: dict[str, str]) -> None:
    with pytest.raises(InputError, match="does not fit the base"):
        open_models([shelf["ldm"]], [shelf["modulator"]])


def test_one_line_serves_all_models(sd_folder: Path) -> None:
    one, other = pages.tiny_model(sd_folder), pages.tiny_model(sd_folder)
    models = Models([one, pages.model(other.base, other.pipeline.modulator, "other")])
    running = models.generate(job(models["tiny"], Request(steps=3)), threading.Event())
    next(running)
    waiting = models.generate(job(models["other"], Request(steps=1)), threading.Event())
    assert next(waiting).place == 1  # type: ignore[union-attr]
    running.close()  # type: ignore[attr-defined]
    assert [*waiting][-1].request.steps == 1  # type: ignore[union-attr]


def test_on_zero_gpu_only_what_can_be_pickled_crosses_the_border(
    sd_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = []

    def gpu(duration: Callable[[Any], int]) -> Callable[..., Any]:
        def wrap(generate: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any) -> Iterator[Any]:
                seconds.append(duration(*arguments))
                for event in generate(*pickle.loads(pickle.dumps(arguments))):
                    yield pickle.loads(pickle.dumps(event))

            return call

        return wrap

    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=gpu))
    models = Models([pages.tiny_model(sd_folder)])
    asked = job(models.default, Request(conditions=halves(), steps=3, seeds=(7,)))
    *steps, result = models.generate(asked, threading.Event())
    np.testing.assert_array_equal(result.images[0], alone(models, conditions=halves()))  # type: ignore[union-attr]
    assert len(steps) == 3
    assert 15 < seconds[0] <= 120
    cancel = threading.Event()
    events = models.generate(asked, cancel)
    next(events)
    cancel.set()
    with pytest.raises(Cancelled):
        next(events)


def test_a_judge_of_other_classes_judges_nothing(sd_folder: Path) -> None:
    """As for a modulator of one's own on the shipped base."""
    model = pages.tiny_model(sd_folder)
    assert _judge(model, None) is None
    with pytest.raises(InputError, match="reads other classes than tiny knows"):
        _judge(model, str(shipped(SEGMENTER)))
    base = model.base
    landscape = tiny.build_modulator(base, classes=[{"name": c.name, "color": c.color} for c in LANDSCAPE])
    judge = _judge(pages.model(base, landscape), None)
    assert judge is not None
    assert judge.classes == LANDSCAPE


def test_on_zero_gpu_nothing_is_drafted_while_the_brush_moves(
    sd_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU would be lent for each draft, and its visitors' time be used up in seconds."""
    base = Base.from_pretrained(sd_folder)
    live = {"steps": [1, 2], "guidance_scale": 3.0, "grid": 32}
    tiny.build_modulator(base).save_pretrained(tmp_path / "slow")
    tiny.build_modulator(base, live=live).save_pretrained(tmp_path / "live")
    for lends in (False, True):
        if lends:
            monkeypatch.setenv("SPACES_ZERO_GPU", "true")
        (opened,) = open_models(
            [str(sd_folder)], [str(tmp_path / "slow")], live_modulator=str(tmp_path / "live")
        )
        assert (opened.drafts is None) is lends


def test_a_file_of_a_kind_that_the_model_does_not_take_is_refused_before_it_is_opened(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demo.models.Model.layers", (LABELS,))
    monkeypatch.setattr("demo.api.open_picture", lambda path: pytest.fail("it was opened"))
    Image.new("L", (64, 64)).save(tmp_path / "sketch.png")
    with pytest.raises(AppError, match="takes no sketch"):
        generate(client, sketch=handle_file(tmp_path / "sketch.png"))


def test_an_unknown_model_is_refused(models: Models) -> None:
    for name in ("other", None, 3, ["tiny"]):
        with pytest.raises(InputError, match="choose from tiny"):
            models[name]


# -- the form ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "chips", "expected"),
    [
        ("a lake", [], "a lake"),
        ("a lake", ["Watercolour"], "watercolor of a lake"),
        ("a lake", ["Watercolour", "Night"], "watercolor of a lake at night"),
        ("", ["Winter"], "a scene in winter"),
        ("{} {0} %s", ["Mist"], "{} {0} %s in the mist"),
    ],
)
def test_chips_put_their_words_around_the_prompt(prompt: str, chips: list[str], expected: str) -> None:
    assert form.styled(prompt, chips) == expected


def test_variations_take_seeds_in_a_row() -> None:
    assert form.seeds(5, 3) == (5, 6, 7)
    assert form.seeds(MAX_SEED, 2) == (MAX_SEED, 0)
    assert len({form.seeds(-1, 1) for _ in range(20)}) > 1


@pytest.mark.parametrize("bad", ["5", True, 1.5, float("nan"), float("inf"), 10**40, -2, [1]])
def test_a_seed_or_a_number_of_variations_that_is_none_is_refused(bad: Any) -> None:
    with pytest.raises(InputError, match=r"^seed must be"):
        form.seeds(bad, 1)
    with pytest.raises(InputError, match=r"^variations must be"):
        form.seeds(1, bad)


def test_no_seed_is_a_random_one_but_no_number_of_variations_is_refused() -> None:
    assert len({form.seeds(None, 1) for _ in range(20)}) > 1
    with pytest.raises(InputError, match=r"^variations must be"):
        form.seeds(1, None)


@pytest.fixture(scope="module")
def fields(models: Models) -> form.Form:
    with gr.Blocks():
        return lay_out(models, []).form


def test_a_link_brings_back_what_it_names(fields: form.Form, models: Models) -> None:
    query = {"prompt": "a lake & <b>hills</b>", "styles": "Night,Oil", "steps": "12", "locked": "false",
             "seed": "99", "scheduler": "euler", "strength.sketch": "0.5", "utm": "x"}  # fmt: skip
    names = {field: name for name, field in fields.by_name().items()}
    updates = form.from_link(fields, query, models.default)
    assert {names[field]: value for field, value in updates.items()} == {
        "prompt": "a lake & <b>hills</b>", "styles": ["Night", "Oil"], "steps": 12, "locked": False,
        "seed": 99, "scheduler": "euler", "strength.sketch": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("steps", "1e9"),
        ("steps", "nan"),
        ("steps", "x"),
        ("seed", "-5"),
        ("scheduler", "rm -rf"),
        ("shape", "8000x8000"),
        ("end", "2"),
    ],
)
def test_what_is_wrong_in_a_link_is_passed_over(
    fields: form.Form, models: Models, name: str, bad: str
) -> None:
    assert form.from_link(fields, {name: bad}, models.default) == {}


def test_a_request_comes_back_from_the_fields_that_it_filled(fields: form.Form, models: Models) -> None:
    request = models.default.resolved(
        Request(prompt="x", negative_prompt="y", conditions=halves(), steps=9, guidance_scale=3.0,
                seeds=(4, 5), scheduler="euler", strength={"labels": 0.3}, start=0.1, end=0.9)
    )  # fmt: skip
    values = fields.restored(request)
    assert models.default.resolved(fields.request(values, halves(), models.default)) == request


def test_a_live_request_has_few_steps_one_picture_and_the_same_seed(
    fields: form.Form, models: Models
) -> None:
    values = fields.restored(models.default.resolved(Request(steps=30, seeds=(4, 5))))
    request = fields.request(values, Conditions(), models.default, live=True)
    assert (request.steps, request.seeds) == (form.LIVE_STEPS, (4,))
    assert fields.request(values, Conditions(), models.default).seeds == (4, 5)


def test_an_empty_seed_is_a_random_one(fields: form.Form, models: Models) -> None:
    values = {**fields.restored(models.default.resolved(Request(seeds=(4,)))), fields.seed: None}
    drawn = {fields.request(values, Conditions(), models.default).seeds for _ in range(8)}
    assert len(drawn) > 1
    assert all(0 <= first <= MAX_SEED for (first,) in drawn)


def test_a_modulator_of_few_steps_is_asked_for_what_it_can_do(fields: form.Form, models: Models) -> None:
    """The nearest of its steps, and nothing of what the fields of another model said."""
    base = models.default.base
    few = tiny.build_modulator(base, live={"steps": [1, 2, 4], "guidance_scale": 3.0, "grid": 32})
    model = Model("few", MCMPipeline(base, few), models.default.origin)
    values = fields.restored(
        models.default.resolved(Request(steps=30, guidance_scale=5.0, scheduler="euler"))
    )
    asked = model.resolved(fields.request(values, Conditions(), model))
    assert (asked.steps, asked.guidance_scale, asked.scheduler) == (4, 1.0, "lcm")
    adapted = fields.adapted(model, model.size)
    assert adapted[fields.scheduler]["choices"] == ["lcm"]
    assert adapted[fields.guidance_scale]["interactive"] is False


def test_what_the_page_has_no_field_for_is_told(models: Models) -> None:
    checked = models.default.resolved(Request())
    assert lost(checked, models.default) == []
    other = models.default.resolved(Request(width=128, placement="guided"))
    assert [note.split()[-1] for note in lost(other, models.default)] == ["pixels", "'guided'"]
    boosted = models.default.resolved(Request(prompt_boost=2.5))
    assert lost(boosted, models.default) == ["its prompt was guided 2.5 times as much"]


# -- what is shown -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("busy_s", "shown"), [(0, [0, 1, 2, 3, 4, 5, 6, 7]), (2, [0, 4])])
def test_previews_are_passed_over_while_the_page_is_busy(
    monkeypatch: pytest.MonkeyPatch, busy_s: int, shown: list[int]
) -> None:
    """Steps of a second; after a preview that took the page two, none follows for four."""
    clock = SimpleNamespace(now=0)

    def steps(*_: Any) -> Iterator[Any]:
        for index in range(8):
            clock.now += 1
            yield SimpleNamespace(index=index)

    monkeypatch.setattr("demo.painting.time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(views, "running", lambda run, step, started: step.index)
    painting: Any = Painting(None, SimpleNamespace(generate=steps), None)  # type: ignore[arg-type]
    seen = []
    for _, view in painting.events(None, Run()):
        seen.append(view)
        clock.now += busy_s
    assert seen == shown


def test_heat_maps_keep_the_proportions_of_the_actions() -> None:
    generator = np.random.default_rng(0)
    gamma, nu = (generator.random((5, 2, 8, 8)).astype(np.float32) for _ in range(2))
    sent = pictures.heat(gamma, nu)
    top = (gamma + nu).max()
    for name, actions in (("gamma", gamma), ("nu", nu)):
        for index in range(2):
            levels = np.frombuffer(base64.b64decode(sent[name][index]), np.uint8).reshape(5, 8, 8)
            np.testing.assert_allclose(levels, actions[:, index] * 255 / top, atol=0.5)


def test_large_heat_maps_are_shrunk_and_no_action_is_no_division_by_zero() -> None:
    sent = pictures.heat(np.zeros((2, 1, 128, 64), np.float32), np.zeros((2, 1, 128, 64), np.float32))
    assert (sent["height"], sent["width"]) == (48, 24)
    assert not any(base64.b64decode(sent["nu"][0]))


def test_the_agreement_counts_painted_pixels_only() -> None:
    painted, read = np.zeros((4, 4), np.uint8), np.full((4, 4), 3, np.uint8)
    painted[0], painted[1, :2] = 3, 1
    told = pictures.agreement(painted, read, CLASSES)
    assert told["share"] == pytest.approx(4 / 6)
    assert [(one["name"], one["share"]) for one in told["classes"]] == [("sky", 0.0), ("water", 1.0)]


def test_the_agreement_is_shown_where_pictures_can_be_read_again(sd_folder: Path) -> None:
    def segment(images: np.ndarray) -> np.ndarray:
        return np.ones(images.shape[:3], np.uint8)

    model = pages.tiny_model(sd_folder, segment)
    result = model.pipeline(Request(conditions=halves(), steps=2, seeds=(1, 2)))
    view = views.done(Run(), model, result)
    assert [one["share"] for one in view["followed"]] == [0.5, 0.5]
    plain = model.pipeline(Request(steps=2, seeds=(1, 2), conditions=halves()))
    with_plain = views.with_twin(view, Run(), model, plain, ALL, halves())
    assert [one["plain"] for one in with_plain["followed"]] == [0.5, 0.5]
    nothing = views.done(Run(), model, model.pipeline(Request(steps=2)))
    assert nothing["followed"] is None
    assert "No classes were painted" in nothing["not_followed"]


def test_without_a_segmentation_model_the_page_says_so(models: Models) -> None:
    view = views.done(Run(), models.default, models.default.pipeline(Request(conditions=halves(), steps=2)))
    assert view["followed"] is None
    assert "no segmentation model" in view["not_followed"]


def test_the_gallery_keeps_single_pictures_newest_first_and_not_without_end(models: Models) -> None:
    model, visit = models.default, Visit()
    for seed in range(0, 2 * KEPT, 2):
        result = model.pipeline(Request(conditions=halves(), steps=1, seeds=(seed, seed + 1)))
        shown = Shown(model.name, result.request, views.done(Run(), model, result))
        visit = visit.keeping(shown, result.images, model.classes, live=False)
    assert len(visit.kept) == KEPT
    assert visit.kept[0].request.seeds == (2 * KEPT - 2,)
    assert visit.kept[1].view["pictures"][0]["seed"] == 2 * KEPT - 1
    assert len(visit.kept[1].view["action"]["gamma"]) == 1


def test_of_live_pictures_the_gallery_keeps_the_last(models: Models) -> None:
    model, visit = models.default, Visit()
    for seed, live in ((1, False), (2, True), (3, True), (4, False), (5, True)):
        result = model.pipeline(Request(steps=1, seeds=(seed,)))
        shown = Shown(model.name, result.request, views.done(Run(), model, result))
        visit = visit.keeping(shown, result.images, model.classes, live)
    assert [one.request.seeds[0] for one in visit.kept] == [5, 4, 3, 1]


# -- runs --------------------------------------------------------------------------------------------------


def test_a_newer_run_stops_the_older_one_of_the_same_session_only() -> None:
    runs, first, second, other = Runs(), Run(), Run(), Run()
    for session, run in (("a", first), ("b", other), ("a", second)):
        runs.begin(session, run)
    assert first.cancel.is_set()
    assert not second.cancel.is_set()
    assert not other.cancel.is_set()
    assert first.number < second.number
    runs.end("a", first)  # that the old one has ended does not end the new one
    assert runs.stop("a") is second
    assert runs.stop("a") is None


def test_a_run_that_begins_late_does_not_stop_what_was_asked_for_after_it() -> None:
    """As after a stroke with Generate at once: the page would wait for ever, as it shows no older views."""
    runs, stroke, asked = Runs(), Run(live=True), Run()
    runs.begin("a", asked)
    runs.begin("a", stroke)
    assert stroke.cancel.is_set()
    assert not asked.cancel.is_set()
    assert runs.stop("a") is asked


def test_drafts_that_follow_the_brush_do_not_stop_each_other() -> None:
    runs, first, second, stroke = Runs(), Run(moves=True), Run(moves=True), Run(live=True)
    runs.begin("a", first)
    runs.begin("a", second)
    assert not first.cancel.is_set()
    runs.begin("a", stroke)
    assert second.cancel.is_set()
    runs.begin("a", Run(moves=True))
    assert stroke.cancel.is_set()


def test_switching_live_off_stops_live_runs_only() -> None:
    runs, asked, live = Runs(), Run(), Run(live=True)
    runs.begin("a", asked)
    assert runs.stop("a", live_only=True) is None
    runs.begin("a", live)
    assert runs.stop("a", live_only=True) is live
    assert live.cancel.is_set()


# -- examples ----------------------------------------------------------------------------------------------


def test_an_example_serves_every_model_that_has_its_classes() -> None:
    backwards = tuple(reversed(LANDSCAPE))
    for example in read_examples():
        there, back = (adapted(example, classes) for classes in (LANDSCAPE, backwards))
        assert there.conditions == example.conditions
        if LABELS in example.conditions.maps:
            assert there.conditions != back.conditions
            assert example.adapted(CLASSES, LAYERS) is None
        assert back.thumbnail(backwards) == there.thumbnail(LANDSCAPE)


def test_an_example_shows_no_more_than_is_read() -> None:
    for example in read_examples():
        drawn = example.conditions.maps
        for layer in LAYERS:
            alone = example.adapted(LANDSCAPE, [layer])
            assert (alone is None) == (layer not in drawn)
            assert alone is None or alone.conditions == example.conditions.only([layer])
        assert example.adapted(LANDSCAPE, []) is None
        if SKETCH in drawn:
            assert example.adapted(CLASSES, [SKETCH]) is not None


def adapted(example: Example, classes: Sequence[LabelClass]) -> Example:
    found = example.adapted(classes, LAYERS)
    assert found is not None
    return found


# -- the program -------------------------------------------------------------------------------------------


def test_importing_the_program_does_nothing() -> None:
    code = "import app, demo.app, sys; print(sorted({'gradio', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_page_never_imports_torch_itself() -> None:
    replicas = ROOT / "demo" / "workers.py"  # which run elsewhere
    for file in sorted({*(ROOT / "demo").rglob("*.py")} - {replicas}):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] in ("torch", "diffusers") for name in names), file


def test_the_mini_model_is_the_default_and_other_models_come_without_its_modulator() -> None:
    default = parse([])
    (base,), (modulator,) = sources(default.base, default.modulator)
    assert (Path(base).name, Path(modulator).name) == ("mini", "mini-modulator")
    other = parse(["--base", "some/base"])
    assert sources(other.base, other.modulator) == (["some/base"], [])


def test_building_the_page_launches_nothing(models: Models) -> None:
    assert not build_ui(models).is_running


# -- files -------------------------------------------------------------------------------------------------


def test_a_file_that_may_be_on_its_way_is_not_written_again(tmp_path: Path) -> None:
    """Two visitors whose pictures are the same share a file, and neither gets half of it."""
    data = np.random.default_rng(0).bytes(2_000_000)
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(8) as visitors:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
        seen = visitors.map(lambda _: Path(pictures.kept(data, "same.png")).read_bytes(), range(32))
        assert all(one == data for one in seen)
        path = Path(pictures.kept(data, "same.png"))
        os.utime(path, (0, 0))
        before = path.stat()
        pictures.kept(data, "same.png")
    assert path.stat().st_ino == before.st_ino
    assert path.stat().st_mtime > before.st_mtime
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]


# -- what Gradio does with it ------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [(0,), (1, 3), (2,), (0, 1, 2, 3)])
def test_outputs_that_an_event_leaves_as_they_are_cost_nothing(told: tuple[int, ...]) -> None:
    """The answer is Gradio's own; components that are not in it are not made anew."""
    with Blocks() as blocks:
        fields = [gr.Textbox("x"), gr.Number(1), gr.State(5), gr.Textbox("y")]
        gr.Button().click(lambda: None, None, fields)
    (function,) = blocks.fns.values()
    ours, theirs = SessionState(blocks), SessionState(blocks)

    def answer() -> dict[Any, Any]:  # anew, since Gradio takes values out of updates
        values = ["new", gr.update(minimum=2), 6, gr.update(value="z")]
        return {fields[index]: values[index] for index in told}

    expected = asyncio.run(gr.Blocks.postprocess_data(blocks, function, answer(), theirs))
    assert asyncio.run(blocks.postprocess_data(function, answer(), ours)) == expected
    assert ours[fields[2]._id] == theirs[fields[2]._id]
    for index in {0, 1, 3} - {*told}:
        assert ours[fields[index]._id] is fields[index]


def test_a_component_that_is_no_output_is_an_error() -> None:
    with Blocks() as blocks:
        field, other = gr.Textbox("x"), gr.Textbox("y")
        gr.Button().click(lambda: None, None, field)
    (function,) = blocks.fns.values()
    with pytest.raises(ValueError, match="not specified as output"):
        asyncio.run(blocks.postprocess_data(function, {field: "a", other: "b"}, None))
