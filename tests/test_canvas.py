"""The drawing component in Python: what it lets in and out, and what it sends to the browser."""

from __future__ import annotations

import json
from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from demo.canvas import Canvas, dropped_file
from mcm_core.drawing.canvas_value import from_canvas, to_canvas
from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions, LabelClass

CLASSES = (LabelClass("sky", "#8ec1ef"), LabelClass("hill", "#6a9a4c"))


def drawing(**changes: object) -> dict[str, object]:
    value = {"version": 1, "width": 8, "height": 8, "labels": "1x32,2x32", "sketch": "", "revision": 3}
    return {**value, **changes}


def test_a_drawing_of_the_browser_arrives_as_conditions_and_a_canvas_value_leaves_as_it_is() -> None:
    canvas = Canvas(CLASSES)
    assert canvas.preprocess(drawing()) == from_canvas(drawing())
    assert canvas.postprocess(drawing()) == drawing()


@pytest.mark.parametrize("nothing", [None, "", {}])
def test_nothing_drawn_is_an_empty_drawing(nothing: object) -> None:
    canvas = Canvas(CLASSES)
    assert canvas.preprocess(nothing) == Conditions()
    assert canvas.postprocess(nothing) is None


@pytest.mark.parametrize(
    "bad",
    [
        drawing(labels="3x64"),
        drawing(labels="1x63"),
        drawing(version=2),
        drawing(width=10**9),
        drawing(extra=1),
        "text",
        [1],
        7,
    ],
)
def test_a_bad_drawing_is_an_error_that_people_can_read(bad: object) -> None:
    with pytest.raises(gr.Error, match=r"[Dd]raw"):
        Canvas(CLASSES).preprocess(bad)


def test_conditions_become_a_canvas_value() -> None:
    maps = {LABELS: np.full((8, 8), 2, np.uint8), SKETCH: np.eye(8, dtype=np.uint8) * 255}
    value = Canvas(CLASSES).postprocess(Conditions(maps))
    assert value == to_canvas(Conditions(maps))
    assert from_canvas(value, CLASSES) == Conditions(maps)


def test_classes_may_be_mappings() -> None:
    mappings = [{"name": known.name, "color": known.color} for known in CLASSES]
    assert Canvas(mappings).classes == Canvas(CLASSES).classes == mappings


def test_the_example_is_a_drawing_that_the_schema_describes() -> None:
    canvas = Canvas(CLASSES, width=64, height=32)
    example = canvas.example_payload()
    assert canvas.preprocess(example) == Conditions()
    assert (example["width"], example["height"]) == (64, 32)
    assert set(example) == set(canvas.api_info()["properties"]) == set(canvas.api_info()["required"])


def test_the_configuration_is_plain_json() -> None:
    config = Canvas(CLASSES, drawing(), width=8, height=8, layers=[LABELS]).get_config()
    assert json.loads(json.dumps(config))["props"]["layers"] == [LABELS]


@pytest.mark.parametrize("event", ["stroke", "generate", "dropped"])
def test_listeners_can_be_put_on_its_own_events(event: str) -> None:
    with gr.Blocks() as app:
        getattr(Canvas(CLASSES), event)(lambda: None)
    assert [target[1] for target in app.fns[0].targets] == [event]


def test_a_dropped_file_must_have_been_uploaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = tmp_path / "uploads"
    (uploads / "abc").mkdir(parents=True)
    (uploads / "abc" / "picture.png").write_bytes(b"1")
    (tmp_path / "secret").write_bytes(b"2")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(uploads))

    def event(path: object) -> gr.EventData:
        return gr.EventData(None, {"path": path})

    good = uploads / "abc" / "picture.png"
    assert dropped_file(event(str(good))) == good.resolve()
    outside = (tmp_path / "secret", uploads / ".." / "secret", uploads, "/etc/passwd", "", None)
    for bad in map(str, outside):
        with pytest.raises(gr.Error, match="Drop it again"):
            dropped_file(event(bad))
    for nothing in (None, 7, "x", [1]):
        with pytest.raises(gr.Error, match="Drop it again"):
            dropped_file(gr.EventData(None, nothing))
