"""Hands and eyes for tests in a real browser, whose fixtures are in `tests/chromium.py`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE_S = 60.0
"""Until a state that never comes is a failure: no test is right or wrong by how long something took."""
COUNT_EVENTS = """
    performance.setResourceTimingBufferSize(1e5);
    window.asked = 0;
    const send = window.fetch;
    window.fetch = (...request) => {
        if (String(request[0].url ?? request[0]).includes("/queue/join")) asked += 1;
        return send(...request);
    };
"""
"""Runs before the page: it counts the events that are sent to Python."""
IS_OPEN = """() => {
    const ends = (path) => performance.getEntriesByType("resource")
        .filter(({ name }) => name.includes(path)).map(({ responseEnd }) => responseEnd);
    const [sent, answered] = ["/queue/join", "/queue/data"].map(ends);
    return sent.length < asked || Math.max(0, ...sent) > Math.max(0, ...answered);
}"""
"""Whether an event has not got its last answer yet, with which Gradio ends the stream of answers."""

LIGHT = "/robots.txt"
"""What any Gradio server answers at once."""

FORGET = """async () => {
    localStorage.clear();
    sessionStorage.clear();
    for (const { name } of await indexedDB.databases()) {
        await new Promise((done, failed) => {
            const asked = indexedDB.deleteDatabase(name);
            asked.onsuccess = done;
            asked.onerror = failed;
        });
    }
}"""

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
        assert time.monotonic() < end, "this never became true"
        page.wait_for_timeout(20)
    return answer


class Tab:
    """A page of a browser context of its own, and what it said to the console in the running test."""

    def __init__(self, chromium: Browser, script: str = "", **options: Any) -> None:
        self.said: list[str] = []
        self.forgiven: tuple[str, ...] = ()
        self.context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        self.page = self.context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE_S)
        self.page.on("console", lambda message: self._hear(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self._hear(f"error: {error}"))
        for text in filter(None, (COUNT_EVENTS, script)):
            self.page.add_init_script(text)

    def _hear(self, text: str) -> None:
        if not any(known in text for known in self.forgiven):
            self.said.append(text)

    def empty(self, server: str) -> None:
        """Nothing is left of an earlier visit to the server but what the browser cached of its files."""
        self.page.goto(server + LIGHT)
        self.page.evaluate(FORGET)

    def leave(self) -> None:
        """From now on it is nobody's. What it still asked for is given up, and what it says to that counts
        for nobody."""
        for page in self.context.pages:
            if page is not self.page:
                page.close()
        self.page.mouse.up()
        self.page.goto("about:blank")


@dataclass
class Drawer:
    """A hand at the drawing component of a page. Points are (x, y) in pixels of the drawing."""

    page: Page
    width: int = 256
    height: int = 256

    def __post_init__(self) -> None:
        self.stage = self.page.locator(".mcm-canvas[data-state=ready] .stage")
        self.page.locator("body[data-state=ready]").wait_for(state="attached")
        self.stage.hover(trial=True)  # waits until it stands still

    @contextmanager
    def answered(self, events: int = 1) -> Iterator[None]:
        """Around what sends so many events: until Python has answered them, and nothing else is under way."""
        wait_until(self.page, lambda: not self.page.evaluate(IS_OPEN))
        goal = self.page.evaluate("asked") + events
        yield
        wait_until(self.page, lambda: self.page.evaluate("asked") >= goal and not self.page.evaluate(IS_OPEN))

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

    def revision(self) -> int:
        """The number of the drawing that is shown; 0 where nothing was ever drawn."""
        return int(self.page.locator(".mcm-canvas").get_attribute("data-revision") or 0)

    def shown(self, layer: str) -> np.ndarray:
        """(H, W, 4) uint8 RGBA of a layer ("labels" or "sketch") as the browser shows it in the middle of
        each pixel of the drawing."""
        pixels = self.page.locator(f".mcm-canvas canvas.{layer}").evaluate(
            """(canvas, [width, height]) => {
                const size = { width: canvas.width, height: canvas.height };
                const copy = Object.assign(document.createElement("canvas"), size);
                const context = copy.getContext("2d", { willReadFrequently: true });
                context.drawImage(canvas, 0, 0);
                const shown = context.getImageData(0, 0, canvas.width, canvas.height).data;
                const scale = canvas.width / width;
                const middle = (at) => Math.floor((at + 0.5) * scale);
                const found = [];
                for (let y = 0; y < height; y++) {
                    for (let x = 0; x < width; x++) {
                        const at = 4 * (middle(y) * canvas.width + middle(x));
                        found.push(...shown.slice(at, at + 4));
                    }
                }
                return found;
            }""",
            [self.width, self.height],
        )
        return np.array(pixels, np.uint8).reshape(self.height, self.width, 4)


def colors_of(ids: np.ndarray, colors: Sequence[str]) -> np.ndarray:
    """(H, W, 4) uint8 RGBA of an (H, W) array of ids: 0 is transparent, i is colors[i - 1] "#rrggbb"."""
    table = [(0, 0, 0, 0), *((*bytes.fromhex(color[1:]), 255) for color in colors)]
    return np.array(table, np.uint8)[ids]
