"""Hands on the canvas in a real browser: two fingers, wheel, pen, mouse, shapes, and how fast it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
import pytest

from demo.canvas import Canvas
from demo.component import READY
from demo.theme import PALETTE
from tests.browser import Drawer, served, wait_until
from tests.test_canvas_browser import CLASSES, EMPTY, SIZE, painted

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

pytest_plugins = ["tests.chromium"]
pytestmark = pytest.mark.browser

Point = tuple[float, float]
FRAME_MS = 16
FRAMES = 60
CIRCLES = """async (stage, frames) => {
    const box = stage.getBoundingClientRect();
    const send = (kind, share) => stage.dispatchEvent(new PointerEvent(kind, {
        pointerId: 1, bubbles: true, cancelable: true, button: 0, buttons: 1,
        clientX: box.x + (0.5 + 0.4 * Math.cos(9 * share)) * box.width,
        clientY: box.y + (0.5 + 0.4 * Math.sin(11 * share)) * box.height,
    }));
    send("pointerdown", 0);
    for (let frame = 1; frame <= frames; frame++) {
        send("pointermove", frame / frames);
        await new Promise(requestAnimationFrame);
    }
    send("pointerup", 1);
}"""
POINTER = """(stage, [kind, x, y, options]) => {
    const event = { pointerId: 1, bubbles: true, cancelable: true, isPrimary: true, clientX: x, clientY: y };
    stage.dispatchEvent(new PointerEvent(kind, { ...event, ...options }));
}"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with gr.Blocks() as app:
        Canvas(CLASSES, elem_id="canvas")
        app.load(None, js=READY)
    with served(app, css=PALETTE) as address:
        yield address


@pytest.fixture
def drawer(url: str, open_page: Callable[..., Page]) -> Drawer:
    return Drawer(open_page(url))


@pytest.fixture
def tablet(url: str, open_page: Callable[..., Page]) -> Drawer:
    """Its events all happen at window.now (ms), which only a test moves on."""
    clock = (
        "Object.defineProperty(Event.prototype, 'timeStamp', { get: () => window.now }); window.now = 1000"
    )
    viewport = {"width": 820, "height": 1180}
    return Drawer(open_page(url, script=clock, viewport=viewport, has_touch=True, is_mobile=True))


def drawn(drawer: Drawer) -> tuple[np.ndarray, np.ndarray]:
    """(labels, sketch), each (H, W), as the browser keeps them; empty where nothing was ever drawn."""
    value = drawer.page.evaluate("JSON.parse(localStorage.getItem('mcm-canvas:drawing'))?.value ?? null")

    def decoded(runs: str) -> np.ndarray:
        pairs = [run.split("x") for run in runs.split(",")] if runs else [["0", str(SIZE**2)]]
        return np.concatenate([np.full(int(count), int(id_)) for id_, count in pairs]).reshape(SIZE, SIZE)

    return (decoded(value["labels"]), decoded(value["sketch"])) if value else (EMPTY, EMPTY)


def view(drawer: Drawer) -> tuple[float, float, float]:
    """(zoom, left, top) of the drawing, the last two in widths of the stage."""
    sheet, stage = drawer.page.locator(".sheet").bounding_box(), drawer.stage.bounding_box()
    assert sheet is not None
    assert stage is not None
    wide = stage["width"]
    return sheet["width"] / wide, (sheet["x"] - stage["x"]) / wide, (sheet["y"] - stage["y"]) / wide


def pixel_at(drawer: Drawer, point: Point) -> Point:
    """Which pixel of the drawing is seen where, without zoom, `point` would be."""
    zoom, left, top = view(drawer)
    return ((point[0] / SIZE - left) / zoom * SIZE, (point[1] / SIZE - top) / zoom * SIZE)


def touch(session: CDPSession, drawer: Drawer, kind: str, *points: Point) -> None:
    places = [drawer.at(point) for point in points]  # type: ignore[arg-type]
    touches = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(places)]
    session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})


def pointer(drawer: Drawer, kind: str, point: Point, **options: Any) -> None:
    drawer.stage.evaluate(POINTER, [kind, *drawer.at(point), options])  # type: ignore[arg-type]


# -- the view ----------------------------------------------------------------------------------------------


def test_two_fingers_zoom_and_move_the_view_and_paint_nothing(tablet: Drawer) -> None:
    session = tablet.page.context.new_cdp_session(tablet.page)
    touch(session, tablet, "touchStart", (100, 128))
    touch(session, tablet, "touchMove", (90, 128))
    touch(session, tablet, "touchStart", (90, 128), (160, 128))
    touch(session, tablet, "touchMove", (60, 128), (200, 128))
    touch(session, tablet, "touchEnd")
    zoom, left, top = view(tablet)
    assert zoom == pytest.approx(2, rel=0.02)
    assert pixel_at(tablet, (130, 128)) == pytest.approx((125, 128), abs=2)
    assert not any(layer.any() for layer in drawn(tablet)), "the first finger's stroke is taken back"
    assert not tablet.shown("labels").any()
    touch(session, tablet, "touchStart", (100, 100), (150, 100))
    touch(session, tablet, "touchMove", (130, 120), (180, 120))
    touch(session, tablet, "touchEnd")
    assert view(tablet)[1:] == pytest.approx((left + 30 / SIZE, top + 20 / SIZE), abs=0.01)
    expected = np.floor(pixel_at(tablet, (128.5, 128.5))).astype(int)
    touch(session, tablet, "touchStart", (128, 128))
    touch(session, tablet, "touchEnd")
    wait_until(tablet.page, tablet.revision)
    np.testing.assert_array_equal(drawn(tablet)[0], painted(EMPTY, 1, 23, tuple(expected.tolist())))


def test_a_finger_that_comes_later_does_nothing(tablet: Drawer) -> None:
    session = tablet.page.context.new_cdp_session(tablet.page)
    touch(session, tablet, "touchStart", (60, 60))
    tablet.page.evaluate("window.now += 301")
    touch(session, tablet, "touchStart", (60, 60), (200, 200))
    touch(session, tablet, "touchMove", (90, 60), (200, 100))
    touch(session, tablet, "touchEnd")
    wait_until(tablet.page, tablet.revision)
    assert view(tablet)[0] == 1
    np.testing.assert_array_equal(drawn(tablet)[0], painted(EMPTY, 1, 23, (60, 60), (90, 60)))


def test_a_fill_waits_until_it_is_no_pinch(tablet: Drawer) -> None:
    session = tablet.page.context.new_cdp_session(tablet.page)
    tablet.tool("Fill")
    touch(session, tablet, "touchStart", (100, 100))
    touch(session, tablet, "touchStart", (100, 100), (150, 100))
    touch(session, tablet, "touchEnd")
    assert not drawn(tablet)[0].any()
    touch(session, tablet, "touchStart", (100, 100))
    touch(session, tablet, "touchEnd")
    wait_until(tablet.page, tablet.revision)
    assert (drawn(tablet)[0] == 1).all()


def test_the_wheel_zooms_where_the_pointer_is_and_the_reset_leads_back(drawer: Drawer) -> None:
    reset = drawer.button("Zoom to 100%")
    assert reset.is_hidden()
    drawer.page.mouse.move(*drawer.at((64, 192)))
    drawer.page.keyboard.down("Control")
    for _ in range(4):
        drawer.page.mouse.wheel(0, -100)
    drawer.page.keyboard.up("Control")
    wait_until(drawer.page, lambda: view(drawer)[0] == pytest.approx(np.e, rel=0.01))
    assert pixel_at(drawer, (64.5, 192.5)) == pytest.approx((64.5, 192.5), abs=0.5)
    drawer.page.mouse.move(*drawer.at((66, 192)))
    ring, stage = drawer.page.locator(".ring").bounding_box(), drawer.stage.bounding_box()
    assert ring is not None
    assert stage is not None
    assert ring["width"] == pytest.approx(23 * np.e * stage["width"] / SIZE, abs=2)
    _, left, _ = view(drawer)
    drawer.page.mouse.wheel(40, 0)
    wait_until(drawer.page, lambda: view(drawer)[1] < left)
    assert drawer.page.evaluate("scrollY") == 0
    reset.click()
    assert view(drawer) == (1, 0, 0)
    assert reset.is_hidden()
    assert drawer.revision() == 0


def test_keys_zoom_and_space_or_the_middle_button_move_the_view(drawer: Drawer) -> None:
    drawer.keys("+", "+")
    zoom, left, top = view(drawer)
    assert zoom == pytest.approx(1.25**2, rel=0.01)
    drawer.page.mouse.move(*drawer.at((100, 100)))
    drawer.page.keyboard.down("Space")
    drawer.page.mouse.down()
    drawer.page.mouse.move(*drawer.at((120, 90)))
    drawer.page.mouse.up()
    drawer.page.keyboard.up("Space")
    assert view(drawer)[1:] == pytest.approx((left + 20 / SIZE, top - 10 / SIZE), abs=0.01)
    drawer.page.mouse.down(button="middle")
    drawer.page.mouse.move(*drawer.at((100, 100)))
    drawer.page.mouse.up(button="middle")
    assert view(drawer)[1:] == pytest.approx((left, top), abs=0.01)
    assert drawer.revision() == 0, "none of that paints"
    drawer.keys("-")
    assert view(drawer)[0] == pytest.approx(1.25, rel=0.01)
    drawer.keys("z")
    assert view(drawer)[0] == 1
    drawer.stroke((50, 50))
    np.testing.assert_array_equal(drawn(drawer)[0], painted(EMPTY, 1, 23, (50, 50)))


# -- pen and mouse -----------------------------------------------------------------------------------------


def test_the_other_end_of_a_pen_erases_on_the_layer_at_hand(drawer: Drawer) -> None:
    turned = {"pointerType": "pen", "button": 5, "buttons": 32, "pressure": 0.5}
    path = ((40, 40), (200, 40))
    for tool, layer, rubber in (("Brush", 0, 31), ("Pen", 1, 15)):
        drawer.tool(tool)
        drawer.stroke(*path)
        before = drawn(drawer)[layer]
        pointer(drawer, "pointerdown", (120, 40), **turned)
        pointer(drawer, "pointermove", (130, 40), **turned)
        pointer(drawer, "pointerup", (130, 40), pointerType="pen", button=5)
        np.testing.assert_array_equal(drawn(drawer)[layer], painted(before, 0, rubber, (120, 40), (130, 40)))
        assert drawer.button(tool).get_attribute("aria-pressed") == "true"


def test_the_right_button_neither_paints_nor_opens_a_menu(drawer: Drawer) -> None:
    drawer.page.evaluate(
        "addEventListener('contextmenu', (event) => { window.wasStopped = event.defaultPrevented; })"
    )
    drawer.page.mouse.move(*drawer.at((100, 100)))
    drawer.page.mouse.down(button="right")
    drawer.page.mouse.move(*drawer.at((150, 100)))
    drawer.page.mouse.up(button="right")
    assert drawer.page.evaluate("window.wasStopped")
    assert drawer.revision() == 0


@pytest.mark.parametrize("tool", ["Brush", "Ellipse", "Lasso", "Pen"])
def test_a_cancelled_stroke_leaves_nothing(drawer: Drawer, tool: str) -> None:
    drawer.tool(tool)
    pen = {"pointerType": "pen", "pressure": 0.5}
    pointer(drawer, "pointerdown", (50, 50), button=0, buttons=1, **pen)
    pointer(drawer, "pointermove", (150, 90), buttons=1, **pen)
    layer = "sketch" if tool == "Pen" else "labels"
    assert drawer.shown(layer).any()
    pointer(drawer, "pointercancel", (150, 90), **pen)
    assert not drawer.shown(layer).any()
    assert drawer.button("Undo").is_disabled()
    assert drawer.revision() == 0


# -- shapes, and taking up a class -------------------------------------------------------------------------


def test_an_ellipse_and_a_lasso_follow_the_pointer(drawer: Drawer) -> None:
    drawer.keys("o")
    drawer.stroke((20, 30), (200, 200), (99, 70))
    y, x = np.mgrid[:SIZE, :SIZE]
    ellipse = ((2 * x - 119) / 80) ** 2 + ((2 * y - 100) / 41) ** 2 <= 1
    np.testing.assert_array_equal(drawn(drawer)[0] == 1, ellipse)
    drawer.keys("a", "3")
    drawer.stroke((150, 150), (220, 150), (220, 220))
    inside = (x >= y) & (x <= 220) & (y >= 150)
    np.testing.assert_array_equal(drawn(drawer)[0] == 3, inside)
    drawer.keys("Control+z", "Control+z")
    assert not drawn(drawer)[0].any(), "each is one step"


def test_a_class_is_picked_from_the_canvas(drawer: Drawer) -> None:
    drawer.keys("r", "4")
    drawer.stroke((10, 10), (60, 60))
    drawer.keys("o", "7", "i")
    assert drawer.button("Pick class").get_attribute("aria-pressed") == "true"
    drawer.stroke((200, 200))
    assert drawer.heard() == "Nothing is painted there"
    drawer.stroke((30, 30))
    assert drawer.heard() == "mountain selected"
    assert drawer.button("Ellipse").get_attribute("aria-pressed") == "true", "the tool from before is back"
    drawer.keys("7")
    drawer.page.keyboard.down("Alt")
    drawer.stroke((30, 30))
    drawer.page.keyboard.up("Alt")
    assert drawer.heard() == "mountain selected"
    assert drawer.revision() == 1, "nothing was painted by that"


def test_an_outline_by_the_pen_with_a_small_gap_holds_a_fill(drawer: Drawer) -> None:
    drawer.tool("Pen")
    drawer.stroke((60, 60), (180, 60), (180, 180), (60, 180), (60, 66))
    drawer.keys("f", "3")
    drawer.stroke((120, 120))
    labels, sketch = drawn(drawer)
    assert (labels[63:178, 63:178] == 3).all()
    assert not labels[:50].any()
    assert not labels[:, :50].any()
    assert not (labels[sketch == 0][labels[sketch == 0] > 0] != 3).any()


# -- for eyes and ears -------------------------------------------------------------------------------------


def test_the_keys_are_listed(drawer: Drawer) -> None:
    drawer.keys("?")
    listed = drawer.page.locator(".keys")
    assert listed.is_visible()
    rows = dict(zip(*(listed.locator(tag).all_inner_texts() for tag in ("dt", "dd")), strict=True))
    assert {"B", "O", "A", "I", "Z", "Ctrl+Z", "1 to Shift+2", "Space+drag"} <= set(rows)
    assert rows["F"] == "Fill"
    drawer.keys("Escape")
    assert listed.is_hidden()


def test_forced_colours_show_swatches_and_what_is_chosen(url: str, open_page: Callable[..., Page]) -> None:
    drawer = Drawer(open_page(url, forced_colors="active"))
    color = "node => getComputedStyle(node).backgroundColor"
    swatches = [node.evaluate(color) for node in drawer.page.locator(".swatch").all()]
    assert len(set(swatches)) == len(CLASSES)
    chosen, other = (drawer.button(name).evaluate(color) for name in ("Brush", "Fill"))
    assert chosen != other
    outline = drawer.button("sky").evaluate("node => getComputedStyle(node).outlineStyle")
    assert outline == "solid"


@pytest.mark.parametrize("tool", ["Brush", "Ellipse", "Lasso", "Pen"])
def test_a_stroke_takes_less_than_a_frame_of_script(drawer: Drawer, tool: str) -> None:
    """On a drawing with edges everywhere; in time of its thread: other programs want the processor, too."""
    drawer.tool("Rectangle")
    for row, column in np.ndindex(4, 4):
        drawer.keys(str(1 + (row + column) % 9))
        drawer.stroke((64 * column, 64 * row), (64 * column + 63, 64 * row + 63))
    drawer.tool(tool)
    session = drawer.page.context.new_cdp_session(drawer.page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def script_s() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return next(metric["value"] for metric in metrics if metric["name"] == "ScriptDuration")

    before = script_s()
    drawer.stage.evaluate(CIRCLES, FRAMES)
    took_ms = 1000 * (script_s() - before) / FRAMES
    print(f"{tool}: {took_ms:.1f} ms")
    assert took_ms < FRAME_MS
