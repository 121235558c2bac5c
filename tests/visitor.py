"""A person at the page in a real browser, for tests whose fixtures are in `tests/visits.py`."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions, Size
from mcm_core.record import read_png
from mcm_core.request import Request
from tests.browser import Drawer, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Locator


class Visitor(Drawer):
    """A person at the page: what Drawer can do, and the rest."""

    def generate(self) -> bytes:
        """Presses the button; the file of the finished picture."""
        before = self.run()
        self.page.locator("#go").click()
        return self.finished(before)

    def finished(self, before: int = 0) -> bytes:
        """The file of the picture, once a later run than `before` has ended well."""
        wait_until(self.page, lambda: self.run() > before and self.state() == "done")
        return self.file(self.shown_picture() or "")

    def run(self) -> int:
        """The number of the run that the viewer shows, which grows from run to run."""
        return int(self.in_viewer(".stage").get_attribute("data-run") or 0)

    def turn(self) -> int:
        """The number of the request that was answered last."""
        return int(self.page.locator("body").get_attribute("data-turn") or 0)

    def state(self) -> str | None:
        return self.in_viewer(".stage").get_attribute("data-state")

    def shown_picture(self) -> str | None:
        shown = self.page.locator(".mcm-viewer .stage img.whole")
        return shown.first.get_attribute("src") if shown.count() else None

    def file(self, address: str) -> bytes:
        """By a connection of its own: one that was kept is closed by the server after a while, and a request
        that meets this is lost, where a browser would ask again."""
        return self.page.request.get(address, headers={"Connection": "close"}).body()

    def leave(self) -> None:
        """Before its server goes, for which the page would look again and again."""
        self.page.goto("about:blank")

    def tab(self, name: str) -> None:
        self.page.locator(".mcm-viewer").get_by_role("tab", name=name).click()

    def in_viewer(self, selector: str) -> Locator:
        return self.page.locator(f".mcm-viewer {selector}")

    def stored(self) -> Conditions:
        """The drawing as the browser keeps it, decoded here."""
        value = self.page.evaluate("JSON.parse(localStorage.getItem('mcm-canvas:drawing')).value")
        size = value["height"], value["width"]
        scales = {LABELS: 1, SKETCH: 255}
        maps = {name: decoded(value[name], size) * scale for name, scale in scales.items() if value[name]}
        return Conditions({name: drawn.astype(np.uint8) for name, drawn in maps.items()})

    def shape(self, size: Size) -> None:
        """Chooses another shape of the picture (H, W), and waits until the canvas has it."""
        height, width = size
        self.open_settings()
        self.page.locator("#shape input").click()
        self.page.get_by_role("option", name=f"{width} × {height}", exact=True).click()
        wait_until(self.page, lambda: self.shown_size() == size)
        self.width, self.height = width, height

    def shown_size(self) -> Size:
        """(H, W) of the drawing."""
        width, height = (self.page.locator(".mcm-canvas").get_attribute("data-size") or "0x0").split("x")
        return int(height), int(width)

    def open_settings(self) -> None:
        opener = self.page.locator("#settings > button")
        if "open" not in (opener.get_attribute("class") or ""):
            opener.click()

    def setting(self, label: str, value: str) -> None:
        """Types a number into a folded-away field."""
        self.open_settings()
        field = self.page.get_by_label(f"number input for {label}")
        slider = self.page.get_by_label(f"range slider for {label}")

        def taken() -> bool:
            """A field that is being mounted takes its old value once more: typed again, as a person would."""
            if field.input_value() == slider.input_value() == value:
                return True
            field.fill(value)
            field.press("Tab")
            return False

        wait_until(self.page, taken)


def decoded(runs: str, size: Size) -> np.ndarray:
    """(H, W) of run-length text, written here once more so that it is a check."""
    pairs = [run.split("x") for run in runs.split(",")]
    return np.concatenate([np.full(int(count), int(id_)) for id_, count in pairs]).reshape(size)


def paint_sky_and_water(visitor: Visitor) -> None:
    """Sky by a stroke and a fill, water by a rectangle; Python has heard of it."""
    with visitor.answered(events=3):
        visitor.keys("1")
        visitor.size(9)
        visitor.stroke((0, 20), (63, 20))
        visitor.tool("Fill")
        visitor.stroke((30, 5), (30, 5))
        visitor.keys("3")
        visitor.tool("Rectangle")
        visitor.stroke((0, 32), (63, 63))


def pixels(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(file)))


def request_of(file: bytes, tmp_path: Path) -> Request:
    (tmp_path / "one.png").write_bytes(file)
    return read_png(tmp_path / "one.png")
