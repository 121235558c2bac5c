"""Hands and eyes for tests in a real browser, whose fixtures are in `tests/chromium.py`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

PATIENCE_S = 30.0
LATE = "this did not become true in time"
AGAIN_WHEN_LATE = pytest.mark.flaky(reruns=1, only_rerun=LATE)
"""A busy machine can drop an event of the browser. Whatever else goes wrong is never tried again."""

Point = tuple[int, int]


@contextmanager
def served(app: gr.Blocks, **options: Any) -> Iterator[str]:
    """The address at which `app` runs on loopback."""
    _, url, _ = app.launch(
        server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, inbrowser=False, **options
    )
    try:
        yield url
    finally:
        app.close(verbose=False)


def wait_until(page: Page, condition: Callable[[], Any]) -> Any:
    """What `condition` gives as soon as that is true. The page goes on meanwhile."""
    end = time.monotonic() + PATIENCE_S
    while not (answer := condition()):
        assert time.monotonic() < end, LATE
        page.wait_for_timeout(20)
    return answer


@dataclass
class Drawer:
    """A hand at the drawing component of a page. Points are (x, y) in pixels of the drawing."""

    page: Page
    width: int = 256
    height: int = 256

    def __post_init__(self) -> None:
        self.stage = self.page.locator(".mcm-canvas .stage")
        self.stage.wait_for()
        self.page.locator(".mcm-canvas .chip").first.wait_for()
        wait_until(self.page, self._is_settled)

    def _is_settled(self) -> bool:
        """Whether the page has stopped laying itself out: a hand would aim beside what still moves."""
        before = self.stage.bounding_box()
        self.page.wait_for_timeout(150)
        return self.stage.bounding_box() == before

    def at(self, point: Point) -> tuple[float, float]:
        """The middle of a pixel, in the page's coordinates."""
        box = self.stage.bounding_box()
        assert box is not None
        x, y = point
        return (
            box["x"] + (x + 0.5) * box["width"] / self.width,
            box["y"] + (y + 0.5) * box["height"] / self.height,
        )

    def stroke(self, *points: Point) -> None:
        self.page.mouse.move(*self.at(points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.at(point))
        self.page.mouse.up()

    def tool(self, name: str) -> None:
        self.button(name).click()

    def button(self, name: str) -> Any:
        return self.page.locator(".mcm-canvas").get_by_role("button", name=name, exact=True)

    def size(self, size: int) -> None:
        self.page.locator(".mcm-canvas input.size").evaluate(
            "(input, size) => { input.value = size; input.dispatchEvent(new Event('input')); }", size
        )

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def heard(self) -> str:
        """What a screen reader was told last."""
        return self.page.locator(".mcm-canvas [role=status]").inner_text()

    def revision(self) -> int | None:
        """The number of the newest drawing, as the browser keeps it for a reload."""
        return self.page.evaluate("JSON.parse(localStorage.getItem('mcm-canvas:drawing'))?.value.revision")

    def shown(self, layer: str) -> np.ndarray:
        """(H, W, 4) uint8 RGBA of a layer ("labels" or "sketch") as the browser shows it."""
        pixels = self.page.locator(f".mcm-canvas canvas.{layer}").evaluate("""canvas => {
            const { width, height } = canvas;
            const copy = Object.assign(document.createElement("canvas"), { width, height });
            const context = copy.getContext("2d", { willReadFrequently: true });
            context.drawImage(canvas, 0, 0);
            return Array.from(context.getImageData(0, 0, width, height).data);
        }""")
        return np.array(pixels, np.uint8).reshape(self.height, self.width, 4)


def colors_of(ids: np.ndarray, colors: Sequence[str]) -> np.ndarray:
    """(H, W, 4) uint8 RGBA of an (H, W) array of ids: 0 is transparent, i is colors[i - 1] "#rrggbb"."""
    table = [(0, 0, 0, 0), *((*bytes.fromhex(color[1:]), 255) for color in colors)]
    return np.array(table, np.uint8)[ids]
