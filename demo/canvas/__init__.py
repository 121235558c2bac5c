"""The drawing component: a label map with a sketch over it, painted in the browser with exact class ids.

The browser's value is that of `mcm_core.drawing.canvas_value`; handlers are given `Conditions`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from mcm_core.drawing.canvas_value import LAYERS, from_canvas, to_canvas
from mcm_core.drawing.conditions import Conditions, InputError, LabelClass

from ..component import Component


class Canvas(Component):
    """A canvas to paint classes and draw a sketch.

    Events: `stroke` (the person has changed the drawing; also after a reload has brought it back, see
    `returned`), `moving` (the brush is under way; with `sends_moves` alone), `generate` (Ctrl+Enter) and
    `dropped` (a picture file was dropped: see `dropped_file`).
    Give `stroke` listeners a `trigger_mode` that drops no last one: "always_last" or "multiple".

    Args:
        classes: what can be painted. After `gr.update(classes=...)` the drawing keeps its classes by name.
        value: a canvas value or `Conditions` (scaled to `width` x `height` by the browser), or None.
        width, height: size of the drawing in pixels, 8 to 2048.
        layers: which of "labels" and "sketch" the model takes; the tools of the other are greyed, and none
            are shown where it takes neither.
        hint: what is read on the canvas while nothing is drawn.
        sends_moves: whether the drawing is sent while the brush moves, too: a next time once the page's
            body says with another `data-turn` that the last was answered.
        storage_key: under which name the browser keeps the drawing across reloads, each tab its own, a new
            tab with a copy of the newest; None keeps nothing.
    """

    folder = Path(__file__).parent

    def __init__(
        self,
        classes: Sequence[LabelClass | Mapping[str, str]] = (),
        value: Mapping[str, Any] | Conditions | Callable | None = None,
        *,
        width: int = 256,
        height: int = 256,
        layers: Sequence[str] = LAYERS,
        hint: str = "Draw here",
        sends_moves: bool = False,
        storage_key: str | None = "drawing",
        label: str = "Drawing",
        **kwargs: Any,
    ) -> None:
        props = {
            "classes": [asdict(known) for known in _label_classes(classes)],
            "width": width,
            "height": height,
            "layers": list(layers),
            "hint": hint,
            "sends_moves": sends_moves,
            "storage_key": storage_key,
        }
        super().__init__(value, label=label, props=props, **kwargs)

    def preprocess(self, payload: Any) -> Conditions:  # type: ignore[override]
        """The drawing that the browser sent, empty where nothing was ever drawn.

        Raises:
            gr.Error: whatever `from_canvas` refuses.
        """
        try:
            return from_canvas(payload, _label_classes(self.classes)) if payload else Conditions()
        except InputError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def postprocess(self, value: Any) -> Any:
        """The canvas value of a drawing. A canvas value stays as it is, if it can be read."""
        if isinstance(value, Conditions):
            return to_canvas(value, (self.height, self.width))
        self.preprocess(value)
        return dict(value) if value else None

    def api_info(self) -> dict[str, Any]:
        runs = {"type": "string", "description": 'row-major runs "IDxCOUNT,..."; "" where nothing is drawn'}
        numbers = {key: {"type": "integer"} for key in ("version", "width", "height", "revision")}
        return {
            "title": "Canvas value",
            "type": "object",
            "properties": {**numbers, "labels": runs, "sketch": runs},
            "required": ["version", "width", "height", "labels", "sketch", "revision"],
        }

    def example_payload(self) -> dict[str, Any]:
        return to_canvas(Conditions(), (self.height, self.width))

    def example_value(self) -> dict[str, Any]:
        return self.example_payload()


def dropped_file(event: gr.EventData) -> Path:
    """The file of a `dropped` event.

    Raises:
        gr.Error: the browser names a file that was not uploaded; it could name any on the server.
    """
    uploads = Path(get_upload_folder()).resolve()
    told = event._data if isinstance(event._data, dict) else {}
    file = Path(str(told.get("path", ""))).resolve()
    if uploads not in file.parents or not file.is_file():
        raise gr.Error("That picture did not arrive. Drop it again.", print_exception=False)
    return file


def revision(event: gr.EventData) -> int:
    """Which change of the page a `stroke`, `moving` or `changed` event tells of; 0 for other events."""
    number = event._data.get("revision", 0) if isinstance(event._data, dict) else 0
    return number if isinstance(number, int) else 0


def returned(event: gr.EventData) -> bool:
    """Whether a `stroke` event tells of no change, but of a drawing that a reload has brought back."""
    return isinstance(event._data, dict) and event._data.get("returned") is True


def _label_classes(classes: Sequence[LabelClass | Mapping[str, str]]) -> tuple[LabelClass, ...]:
    return tuple(
        entry if isinstance(entry, LabelClass) else LabelClass(entry["name"], entry["color"])
        for entry in classes
    )
