"""Where the picture appears: its forming, the comparison, where the modulator acted, how it was followed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..component import Component


class Viewer(Component):
    """The value is a view as `demo.views` makes it; the browser never sends it back.

    Events: `compare` (of the pictures without a `part` of their drawing, where they are not painted yet), `row`
    (of pictures that vary `over` one thing), `choose` (the picture of the row at `index`), `reuse` (the picture
    at `index` as a drawing of a `kind`) and `enlarge` (it is wanted so many `times` larger).
    """

    folder = Path(__file__).parent

    def __init__(self, width: int = 256, height: int = 256, **kwargs: Any) -> None:
        super().__init__(props={"width": width, "height": height}, **kwargs)
