"""Where the picture appears: its forming, the comparison, where the modulator acted, how it was followed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..component import Component


class Viewer(Component):
    """The value is a view as `demo.views` makes it; the browser never sends it back.

    Event: `compare`, when a person asks for the plain pictures and there are none yet.
    """

    folder = Path(__file__).parent

    def __init__(self, width: int = 256, height: int = 256, **kwargs: Any) -> None:
        super().__init__(props={"width": width, "height": height}, **kwargs)
