"""Where the picture appears: its forming, the comparison, where the modulator acted, how it was followed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..component import Component


class Viewer(Component):
    """The value is a view as `demo.views` makes it; the browser never sends it back.

    Events: `compare` (with the pictures without a `part` of their drawing, which are not painted yet), `row`
    (pictures that vary `over` one thing are wanted), `choose` (the one at `index` of that row), `reuse` (the
    picture at `index` as a drawing of a `kind`) and `enlarge` (the same so many `times` larger, as a file).
    """

    folder = Path(__file__).parent

    def __init__(self, width: int = 256, height: int = 256, **kwargs: Any) -> None:
        super().__init__(props={"width": width, "height": height}, **kwargs)
