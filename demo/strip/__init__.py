"""A row of thumbnails that can be pressed: the examples, the pictures of this visit, further maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from mcm_core.drawing.conditions import InputError

from ..component import Component


class Strip(Component):
    """The value is a list of {"images": data URLs shown side by side, "text": caption}. Event: `choose`."""

    folder = Path(__file__).parent

    def __init__(self, value: list[dict[str, Any]] | None = None, *, label: str, **kwargs: Any) -> None:
        super().__init__(value or [], label=label, **kwargs)

    def api_info(self) -> dict[str, Any]:
        return {"type": "array"}


def chosen(event: gr.EventData, count: int) -> int:
    """Which of `count` thumbnails was pressed. InputError for an index that the page cannot have sent."""
    index = event._data.get("index") if isinstance(event._data, dict) else None
    if type(index) is not int or not 0 <= index < count:
        raise InputError("That picture is not there any more. Load the page again.")
    return index
