"""The drawing component in a real browser: hands in, exact ids out to Python, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import gradio as gr
import numpy as np
import pytest
from PIL import Image

from demo.canvas import Canvas, dropped_file
from demo.component import READY
from demo.theme import PALETTE
from mcm_core.drawing.canvas_value import to_canvas
from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions, LabelClass
from tests.browser import IS_OPEN, Drawer, colors_of, served, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

pytest_plugins = ["tests.chromium"]
pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=console.error(1)>"
WORLD = """sky #8ec1ef, cloud #f2f4f7, sun #ffd43b, mountain #857a72, snow #dfe9f5, hill #6a9a4c,
    forest #1f5c34, grass #9bcb4d, sand #e4c98a, water #2b5fae, house #c23b32, boat #6b4423"""
CLASSES = tuple(LabelClass(*words.split()) for words in WORLD.split(","))
COLORS = [known.color for known in CLASSES]
OTHERS = (LabelClass("water", "#112233"), LabelClass(EVIL, "#445566"), LabelClass("sky", "#778899"))
SIZE = 256

Point = tuple[int, int]


class Harness:
    """A page with only the canvas, a text box and buttons, and all that reached Python."""

    def __init__(self) -> None:
        self.strokes: list[dict[str, Any]] = []
        self.generated: list[dict[str, Any] | None] = []
        self.dropped: list[bytes] = []
        self.update: Any = None
        with gr.Blocks() as self.app:
            with gr.Row():
                with gr.Column():
                    canvas = Canvas(CLASSES, elem_id="canvas")
                with gr.Column():
                    gr.Textbox(label="Prompt")
                    update = gr.Button("Update")
            gr.HTML('<div style="height: 1500px"></div>')
            quiet: dict[str, Any] = {"show_progress": "hidden"}
            canvas.stroke(self.strokes.append, canvas, None, trigger_mode="always_last", **quiet)
            canvas.generate(self.generated.append, canvas, None, **quiet)
            canvas.dropped(self._drop, None, None, **quiet)
            update.click(lambda: self.update, None, canvas, **quiet)
            self.app.load(None, js=READY)

    def _drop(self, event: gr.EventData) -> None:
        self.dropped.append(dropped_file(event).read_bytes())

    def forget(self) -> None:
        for kept in (self.strokes, self.generated, self.dropped):
            kept.clear()


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Harness, str]]:
    """Handlers are given what the browser sent, with its revision, once it has passed as a drawing."""
    harness, checked = Harness(), Canvas.preprocess
    with pytest.MonkeyPatch.context() as patch, served(harness.app, css=PALETTE) as url:
        patch.setattr(Canvas, "preprocess", lambda self, sent: sent if checked(self, sent) else None)
        yield harness, url


@pytest.fixture
def harness(running: tuple[Harness, str]) -> Harness:
    running[0].forget()
    return running[0]


@pytest.fixture
def url(running: tuple[Harness, str]) -> str:
    return running[1]


@pytest.fixture
def drawer(harness: Harness, url: str, open_page: Callable[..., Page]) -> Iterator[Drawer]:
    """All that it sends has been answered in the end: what came later would be counted for the next one."""
    drawer = Drawer(open_page(url))
    yield drawer
    wait_until(drawer.page, lambda: not drawer.page.evaluate(IS_OPEN))


def in_python(drawer: Drawer, harness: Harness) -> tuple[np.ndarray, np.ndarray]:
    """(labels, sketch), each (H, W), of the newest drawing, once it has reached Python."""
    revision = drawer.revision()
    assert revision, "nothing was drawn"
    wait_until(drawer.page, lambda: harness.strokes and harness.strokes[-1]["revision"] == revision)
    value = harness.strokes[-1]
    return decode(value["labels"]), decode(value["sketch"])


def decode(runs: str, shape: Point = (SIZE, SIZE)) -> np.ndarray:
    """(H, W) ids of run-length text."""
    if not runs:
        return np.zeros(shape, int)
    pairs = [run.split("x") for run in runs.split(",")]
    return np.concatenate([np.full(int(count), int(id_)) for id_, count in pairs]).reshape(shape)


def painted(ids: np.ndarray, id_: int, size: int, *points: Point) -> np.ndarray:
    """`ids` after a round brush went along the points; distances in floating point."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    ids = ids.copy()
    for (ax, ay), (bx, by) in zip(points, points[1:] or points, strict=False):
        length2 = (bx - ax) ** 2 + (by - ay) ** 2
        along = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / max(length2, 1), 0, 1)
        distance = np.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay))
        ids[distance < size / 2] = id_
    return ids


EMPTY = np.zeros((SIZE, SIZE), int)


# -- painting ----------------------------------------------------------------------------------------------


def test_two_painted_regions_reach_python_pixel_for_pixel(drawer: Drawer, harness: Harness) -> None:
    sky = [(20, 30), (200, 41), (230, 90)]
    forest = [(40, 200), (60, 120), (160, 211)]
    drawer.stroke(*sky)
    drawer.button("forest").click()
    drawer.size(31)
    drawer.stroke(*forest)
    labels, sketch = in_python(drawer, harness)
    expected = painted(painted(EMPTY, 1, 23, *sky), 7, 31, *forest)
    np.testing.assert_array_equal(labels, expected)
    assert set(np.unique(labels)) == {0, 1, 7}
    assert not sketch.any()
    np.testing.assert_array_equal(drawer.shown("labels"), colors_of(expected, COLORS))


def test_fill_undo_and_redo(drawer: Drawer, harness: Harness) -> None:
    wall = [(0, 100), (255, 130)]
    drawer.stroke(*wall)
    one = painted(EMPTY, 1, 23, *wall)
    drawer.keys("f", "4")
    drawer.stroke((128, 240))
    two = one.astype(np.uint8)
    cv2.floodFill(two, None, (128, 240), 4, flags=4)
    np.testing.assert_array_equal(in_python(drawer, harness)[0], two)
    drawer.keys("Control+z")
    np.testing.assert_array_equal(in_python(drawer, harness)[0], one)
    drawer.button("Undo").click()
    np.testing.assert_array_equal(in_python(drawer, harness)[0], EMPTY)
    assert drawer.button("Undo").is_disabled()
    drawer.keys("Control+Shift+Z")
    drawer.keys("Control+y")
    np.testing.assert_array_equal(in_python(drawer, harness)[0], two)
    assert drawer.heard() == "Redo"
    drawer.keys("Control+y")
    assert drawer.heard() == "Nothing to redo"


def test_a_line_and_a_rectangle_follow_the_pointer_until_it_is_released(
    drawer: Drawer, harness: Harness
) -> None:
    drawer.tool("Line")
    drawer.stroke((30, 200), (90, 10), (220, 60))
    drawer.tool("Rectangle")
    drawer.keys("Shift+Digit1")
    drawer.stroke((200, 240), (20, 30), (100, 180))
    expected = painted(EMPTY, 1, 23, (30, 200), (220, 60))
    expected[180:241, 100:201] = 11
    np.testing.assert_array_equal(in_python(drawer, harness)[0], expected)
    assert len(harness.strokes) == 2


def test_the_sketch_lies_over_the_paint_and_each_has_its_eraser(drawer: Drawer, harness: Harness) -> None:
    path = [(30, 30), (200, 180)]
    drawer.stroke(*path)
    drawer.keys("p")
    drawer.stroke(*path)
    paint, line = painted(EMPTY, 1, 23, *path), painted(EMPTY, 1, 3, *path)
    labels, sketch = in_python(drawer, harness)
    np.testing.assert_array_equal(labels, paint)
    np.testing.assert_array_equal(sketch, line)
    drawer.keys("e")
    assert drawer.heard() == "Sketch eraser"
    drawer.stroke((115, 105))
    drawer.keys("b", "e")
    assert drawer.heard() == "Eraser"
    drawer.stroke((30, 30))
    labels, sketch = in_python(drawer, harness)
    np.testing.assert_array_equal(labels, painted(paint, 0, 31, (30, 30)))
    np.testing.assert_array_equal(sketch, painted(line, 0, 15, (115, 105)))


def test_mirror_and_clear_are_steps_for_both_layers(drawer: Drawer, harness: Harness) -> None:
    drawer.stroke((40, 60), (90, 200))
    drawer.tool("Pen")
    drawer.stroke((10, 10), (60, 20))
    labels, sketch = in_python(drawer, harness)
    drawer.button("Mirror").click()
    mirrored = in_python(drawer, harness)
    np.testing.assert_array_equal(mirrored[0], np.fliplr(labels))
    np.testing.assert_array_equal(mirrored[1], np.fliplr(sketch))
    drawer.button("Clear all").click()
    assert not np.any(in_python(drawer, harness))
    assert harness.strokes[-1]["labels"] == harness.strokes[-1]["sketch"] == ""
    drawer.keys("Control+z", "Control+z")
    np.testing.assert_array_equal(in_python(drawer, harness)[0], labels)


def test_a_stroke_redraws_only_what_it_touches(drawer: Drawer) -> None:
    drawer.page.evaluate("""() => {
        window.redrawn = 0;
        const put = CanvasRenderingContext2D.prototype.putImageData;
        CanvasRenderingContext2D.prototype.putImageData = function (image, ...rest) {
            window.redrawn += image.width * image.height;
            return put.call(this, image, ...rest);
        };
    }""")
    drawer.stroke(*[(40 + i, 50) for i in range(20)])
    scale = drawer.page.locator("canvas.labels").evaluate("canvas => canvas.width") / SIZE
    assert 0 < drawer.page.evaluate("window.redrawn") < 20 * (32 * scale) ** 2


def test_layers_can_be_hidden_and_come_back_when_drawn_on(drawer: Drawer) -> None:
    paint = drawer.page.locator("canvas.labels")
    drawer.button("Show paint").click()
    assert paint.is_hidden()
    assert drawer.button("Show paint").get_attribute("aria-pressed") == "false"
    drawer.stroke((50, 50))
    assert paint.is_visible()
    opacity = drawer.page.get_by_label("Opacity of the paint")
    opacity.fill("40")
    assert paint.evaluate("c => getComputedStyle(c).opacity") == "0.4"


def test_a_stroke_may_come_in_from_beside_the_canvas_and_leave_it(drawer: Drawer, harness: Harness) -> None:
    width = drawer.width
    drawer.tool("Brush")
    drawer.stroke((-5, 40), (60, 40), (width + 5, 40))
    labels, _ = in_python(drawer, harness)
    assert labels[40].all(), "the horizon reaches both edges"
    drawer.keys("Control+z")
    drawer.stroke((-5, 40), (-5, 90))
    drawer.stroke((60, 60), (60, 60))
    labels, _ = in_python(drawer, harness)
    assert not labels[:, : width // 8].any(), "what stays beside the canvas draws nothing"


def test_a_press_on_a_button_beside_the_canvas_draws_nothing(drawer: Drawer) -> None:
    before = drawer.revision()
    box = drawer.button("Pen").bounding_box()
    assert box is not None
    drawer.page.mouse.move(box["x"] + 4, box["y"] + 4)
    drawer.page.mouse.down()
    drawer.page.mouse.move(*drawer.at((50, 50)))
    drawer.page.mouse.up()
    assert drawer.revision() == before


def test_the_hint_goes_with_the_first_stroke(drawer: Drawer) -> None:
    hint = drawer.page.locator(".hint")
    assert hint.inner_text() == "Draw here"
    assert drawer.page.locator(".mcm-canvas.drawn").count() == 0
    drawer.stroke((50, 50))
    assert drawer.page.locator(".mcm-canvas.drawn").count() == 1


def test_the_ring_shows_the_size_and_brackets_change_it(drawer: Drawer) -> None:
    drawer.page.mouse.move(*drawer.at((128, 128)))
    ring = drawer.page.locator(".ring")
    drawer.size(33)
    pixel = drawer.stage.bounding_box()["width"] / SIZE  # type: ignore[index]
    assert ring.bounding_box()["width"] == pytest.approx(33 * pixel, abs=1)  # type: ignore[index]
    drawer.keys("]")
    assert drawer.heard() == "Size 37"
    drawer.keys("[", "[")
    assert drawer.heard() == "Size 29"


# -- touch and pen -----------------------------------------------------------------------------------------


def touch(drawer: Drawer, session: CDPSession, kind: str, *points: tuple[int, Point]) -> None:
    """A raw touch event: `points` are (finger, (x, y))."""
    touches = []
    for finger, point in points:
        x, y = drawer.at(point)
        touches.append({"x": x, "y": y, "id": finger})
    session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})


@pytest.fixture
def phone(harness: Harness, url: str, open_page: Callable[..., Page]) -> Drawer:
    viewport = {"width": 390, "height": 844}
    return Drawer(open_page(url, viewport=viewport, has_touch=True, is_mobile=True, device_scale_factor=2))


def test_a_finger_draws_and_the_page_stays(phone: Drawer, harness: Harness) -> None:
    session = phone.page.context.new_cdp_session(phone.page)
    path = [(128, 220), (120, 120), (100, 20)]
    touch(phone, session, "touchStart", (0, path[0]))
    for point in path[1:]:
        touch(phone, session, "touchMove", (0, point))
    touch(phone, session, "touchEnd")
    np.testing.assert_array_equal(in_python(phone, harness)[0], painted(EMPTY, 1, 23, *path))
    assert phone.page.evaluate("window.scrollY") == 0
    assert phone.page.evaluate("document.documentElement.scrollHeight > innerHeight"), (
        "it could have scrolled"
    )


def test_a_pen_feels_pressure_and_the_palm_beside_it_does_not_draw(drawer: Drawer, harness: Harness) -> None:
    session = drawer.page.context.new_cdp_session(drawer.page)

    def pen(kind: str, point: Point, force: float) -> None:
        x, y = drawer.at(point)
        event = {"x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1, "force": force}
        session.send("Input.dispatchMouseEvent", {"type": kind, "pointerType": "pen", **event})

    drawer.tool("Pen")
    drawer.size(9)
    for x, force in ((50, 0.1), (150, 1.0)):
        pen("mousePressed", (x, 50), force)
        pen("mouseMoved", (x, 150), force)
        pen("mouseReleased", (x, 150), 0)
    sketch = in_python(drawer, harness)[1]
    assert [sketch[100, 40:60].sum(), sketch[100, 140:160].sum()] == [5, 15]

    def put_down(finger_after_ms: int) -> int:
        """Drawings after a finger has come so long after the pen."""
        drawer.page.evaluate("now => { window.now = now; }", finger_after_ms)
        touch(drawer, session, "touchStart", (0, (220, 220)))
        touch(drawer, session, "touchEnd")
        return drawer.revision()

    before = drawer.revision()
    drawer.page.evaluate(
        "Object.defineProperty(Event.prototype, 'timeStamp', { get: () => window.now }); window.now = 0"
    )
    pen("mouseMoved", (150, 150), 0)
    pen("mousePressed", (150, 150), 1.0)
    pen("mouseReleased", (150, 150), 0)
    assert put_down(499) == before, "a palm"
    assert put_down(501) == before + 1, "a finger"


# -- keys --------------------------------------------------------------------------------------------------


def test_everything_goes_by_keyboard_alone(drawer: Drawer, harness: Harness) -> None:
    drawer.keys("Tab")
    for _ in range(3):
        if drawer.stage.evaluate("stage => stage === document.activeElement"):
            break
        drawer.keys("Tab")
    assert drawer.stage.evaluate(
        "stage => stage === document.activeElement && stage.matches(':focus-visible')"
    )
    drawer.keys("8", "f", "Space", "3", "b", *["ArrowRight"] * 2, "Shift+ArrowUp", "Space")
    expected = painted(np.full((SIZE, SIZE), 8), 3, 23, (136, 96))
    np.testing.assert_array_equal(in_python(drawer, harness)[0], expected)
    drawer.keys("l", "0", "Space", "Shift+ArrowDown", "ArrowLeft")
    assert len(harness.strokes) == 2, "the line is not done yet"
    drawer.keys("Space")
    expected = painted(expected, 10, 23, (136, 96), (132, 128))
    np.testing.assert_array_equal(in_python(drawer, harness)[0], expected)
    drawer.keys("p", "Space", "Control+Enter")
    sketch = wait_until(drawer.page, lambda: harness.generated)[0]["sketch"]
    np.testing.assert_array_equal(decode(sketch), painted(EMPTY, 1, 3, (132, 128)))


def test_holding_space_draws_along_the_arrows_and_escape_takes_a_shape_back(
    drawer: Drawer, harness: Harness
) -> None:
    drawer.stage.focus()
    drawer.page.keyboard.down("Space")
    drawer.keys("ArrowDown", "ArrowDown", "ArrowRight")
    drawer.page.keyboard.up("Space")
    expected = painted(EMPTY, 1, 23, (128, 128), (128, 136), (132, 136))
    np.testing.assert_array_equal(in_python(drawer, harness)[0], expected)
    drawer.keys("r", "Space", "Shift+ArrowDown", "Shift+ArrowRight", "Escape")
    np.testing.assert_array_equal(drawer.shown("labels"), colors_of(expected, COLORS))
    assert len(harness.strokes) == 1


PRESS = """([key, code, control]) => document.body.dispatchEvent(
    new KeyboardEvent("keydown", { key, code, ctrlKey: control, bubbles: true, cancelable: true }))"""


@pytest.mark.parametrize(
    ("layout", "pressed"),
    [
        ("Cyrillic", [("а", "KeyF", "Fill"), ("з", "KeyP", "Pen"), ("у", "KeyE", "Sketch eraser")]),
        ("Greek", [("λ", "KeyL", "Line"), ("ρ", "KeyR", "Rectangle"), ("ε", "KeyE", "Eraser")]),
        ("an input method", [("Process", "KeyP", "Pen"), ("Process", "KeyB", "Brush")]),
        ("French", [("&", "Digit1", "sky selected"), ("è", "Digit7", "forest selected")]),
        ("Dvorak", [("p", "KeyR", "Pen"), (".", "KeyE", "Pen"), ("l", "KeyP", "Line")]),
    ],
)
def test_keys_of_other_layouts(drawer: Drawer, layout: str, pressed: list[tuple[str, str, str]]) -> None:
    for key, code, heard in pressed:
        drawer.page.evaluate(PRESS, [key, code, False])
        assert drawer.heard() == heard, layout
    drawer.page.evaluate(PRESS, ["я", "KeyZ", True])
    assert drawer.heard() == "Nothing to undo"


def test_keys_do_nothing_while_someone_writes(drawer: Drawer, harness: Harness) -> None:
    drawer.stroke((50, 50))
    in_python(drawer, harness)
    prompt = drawer.page.get_by_label("Prompt")
    prompt.focus()
    drawer.keys("f", "4", "e", "Space", "Control+z")
    assert drawer.button("Brush").get_attribute("aria-pressed") == "true"
    assert drawer.button("sky").get_attribute("aria-pressed") == "true"
    assert len(harness.strokes) == 1


def test_states_are_told_to_a_screen_reader(drawer: Drawer) -> None:
    toolbar = drawer.page.get_by_role("toolbar", name="Drawing tools")
    assert toolbar.get_by_role("button", name="Brush").get_attribute("aria-pressed") == "true"
    drawer.button("forest").click()
    assert drawer.heard() == "forest selected"
    pressed = drawer.page.locator(".legend [aria-pressed=true]")
    assert pressed.get_attribute("aria-label") == "forest"
    assert pressed.get_attribute("aria-keyshortcuts") == "7"
    drawer.tool("Pen")
    assert pressed.count() == 0
    drawer.keys("ArrowRight")
    assert drawer.page.evaluate("document.activeElement.ariaLabel") == "Sketch eraser"
    names = (
        drawer.page.locator(".mcm-canvas")
        .locator("button, input, summary, .stage")
        .evaluate_all("all => all.map(node => node.ariaLabel || node.textContent)")
    )
    assert all(names)


# -- Python and storage ------------------------------------------------------------------------------------


def test_a_drawing_outlives_a_reload_and_reaches_python_again(
    url: str, harness: Harness, open_page: Callable[..., Page]
) -> None:
    drawer = Drawer(open_page(url))
    drawer.stroke((40, 60), (90, 200))
    drawer.tool("Pen")
    in_python(drawer, harness)
    with drawer.answered():  # a reload in the middle of an event makes Gradio complain
        drawer.stroke((200, 40), (210, 90))
    labels, sketch = in_python(drawer, harness)
    harness.forget()
    drawer.page.reload()
    again = Drawer(drawer.page)
    np.testing.assert_array_equal(in_python(again, harness), (labels, sketch))
    np.testing.assert_array_equal(again.shown("labels"), colors_of(labels, COLORS))
    assert again.button("Undo").is_disabled()
    again.keys("Control+Enter")
    assert wait_until(again.page, lambda: harness.generated)[0] == harness.strokes[-1]


@pytest.mark.parametrize(
    "damaged",
    [
        "{",
        "null",
        "[]",
        json.dumps({"names": ["sky"], "value": {"version": 1, "width": 9}}),
        json.dumps({"names": [EVIL, None, 7], "value": None}),
    ],
)
def test_damaged_storage_is_an_empty_canvas(
    url: str, harness: Harness, open_page: Callable[..., Page], damaged: str
) -> None:
    put = f"localStorage.setItem('mcm-canvas:drawing', {json.dumps(damaged)})"
    drawer = Drawer(open_page(url, script=put))
    assert not drawer.shown("labels").any()
    drawer.stroke((50, 50))
    np.testing.assert_array_equal(in_python(drawer, harness)[0], painted(EMPTY, 1, 23, (50, 50)))


def test_a_full_storage_does_not_stop_drawing(
    url: str, harness: Harness, open_page: Callable[..., Page]
) -> None:
    full = "Storage.prototype.setItem = () => { throw new DOMException('', 'QuotaExceededError'); }"
    drawer = Drawer(open_page(url, script=full))
    drawer.stroke((50, 50))
    wait_until(drawer.page, lambda: harness.strokes)
    np.testing.assert_array_equal(decode(harness.strokes[0]["labels"]), painted(EMPTY, 1, 23, (50, 50)))


def blocks(rows: int = SIZE, columns: int = SIZE) -> Conditions:
    """All classes in a chequerboard and a sketched cross."""
    y, x = np.mgrid[:rows, :columns]
    sketch = np.where((x == columns // 3) | (y == rows // 4), 255, 0)
    return Conditions(
        {LABELS: ((y // 16 + x // 16 * 5) % 13).astype(np.uint8), SKETCH: sketch.astype(np.uint8)}
    )


def update(drawer: Drawer, harness: Harness, change: Any) -> None:
    harness.update = change
    drawer.page.get_by_role("button", name="Update").click()


def test_a_value_from_python_is_shown_exactly_and_is_one_step(drawer: Drawer, harness: Harness) -> None:
    drawer.stroke((50, 50), (70, 90))
    before = in_python(drawer, harness)[0]
    update(drawer, harness, to_canvas(blocks()))
    expected = colors_of(blocks().maps[LABELS], COLORS)
    wait_until(drawer.page, lambda: np.array_equal(drawer.shown("labels"), expected))
    np.testing.assert_array_equal(drawer.shown("sketch")[..., 3], blocks().maps[SKETCH])
    with drawer.answered():
        drawer.keys("Control+Enter")
    assert harness.generated == [to_canvas(blocks())]
    assert len(harness.strokes) == 1, "what Python sent is no news to it"
    drawer.keys("Control+z")
    labels, sketch = in_python(drawer, harness)
    np.testing.assert_array_equal(labels, before)
    assert not sketch.any()


def test_a_value_of_another_size_is_scaled_and_python_is_told(drawer: Drawer, harness: Harness) -> None:
    update(drawer, harness, blocks(128, 128))
    wait_until(drawer.page, lambda: drawer.shown("labels").any())
    labels, _ = in_python(drawer, harness)
    np.testing.assert_array_equal(labels, blocks(128, 128).maps[LABELS].repeat(2, 0).repeat(2, 1))


def test_none_from_python_empties_the_canvas(drawer: Drawer, harness: Harness) -> None:
    drawer.stroke((50, 50))
    in_python(drawer, harness)
    update(drawer, harness, None)
    wait_until(drawer.page, lambda: not drawer.shown("labels").any())
    drawer.keys("Control+z")
    wait_until(drawer.page, lambda: drawer.shown("labels").any())


def test_another_legend_keeps_the_drawing_by_name_and_shows_names_as_text(
    drawer: Drawer, harness: Harness
) -> None:
    drawer.stroke((50, 50))
    drawer.button("water").click()
    drawer.stroke((150, 50))
    drawer.button("boat").click()
    drawer.stroke((50, 150))
    in_python(drawer, harness)
    update(drawer, harness, gr.update(classes=OTHERS))
    wait_until(drawer.page, lambda: drawer.page.locator(".chip").count() == 3)
    assert drawer.page.locator(".chip .name").all_text_contents() == ["water", EVIL, "sky"]
    assert drawer.page.locator(".mcm-canvas img").count() == 0
    wait_until(drawer.page, lambda: drawer.revision() == 4)
    labels, _ = in_python(drawer, harness)
    expected = painted(painted(EMPTY, 3, 23, (50, 50)), 1, 23, (150, 50))
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(
        drawer.shown("labels"), colors_of(expected, [known.color for known in OTHERS])
    )
    drawer.keys("2", "Control+Enter")
    wait_until(drawer.page, lambda: harness.generated)


def test_among_many_classes_one_is_found_by_its_name(drawer: Drawer, harness: Harness) -> None:
    many = [LabelClass(f"thing {number}", "#123456") for number in range(149)]
    update(drawer, harness, gr.update(classes=[*many, LabelClass("Zebra crossing", "#ff0000")]))
    field = drawer.page.get_by_label("Find a class")
    field.press_sequentially("bra c")  # b and a are keys of tools, too
    visible = drawer.page.locator(".chip:visible")
    wait_until(drawer.page, lambda: visible.count() == 1)
    assert drawer.button("Brush").get_attribute("aria-pressed") == "true"
    field.press("Enter")
    assert drawer.button("Zebra crossing").get_attribute("aria-pressed") == "true"
    assert field.input_value() == ""
    assert visible.count() == 150
    drawer.stroke((50, 50))
    labels, _ = in_python(drawer, harness)
    assert np.unique(labels).tolist() == [0, 150]


def test_a_model_without_sketch_greys_its_tools(drawer: Drawer, harness: Harness) -> None:
    drawer.tool("Pen")
    update(drawer, harness, gr.update(layers=[LABELS]))
    wait_until(drawer.page, lambda: drawer.button("Pen").is_disabled())
    assert drawer.button("Pen").get_attribute("data-tip") == "This model takes no sketch"
    assert drawer.button("Brush").get_attribute("aria-pressed") == "true"
    drawer.keys("p")
    drawer.stroke((50, 50))
    labels, sketch = in_python(drawer, harness)
    assert labels.any()
    assert not sketch.any()


def test_a_model_for_sketches_alone_has_a_pen_and_no_legend(drawer: Drawer, harness: Harness) -> None:
    assert drawer.page.locator(".legend").is_visible()
    update(drawer, harness, gr.update(layers=[SKETCH], classes=()))
    wait_until(drawer.page, lambda: not drawer.page.locator(".legend").is_visible())
    assert drawer.button("Brush").get_attribute("data-tip") == "This model takes no painted classes"
    assert drawer.button("Pen").get_attribute("aria-pressed") == "true"
    drawer.stroke((50, 50), (150, 50))
    labels, sketch = in_python(drawer, harness)
    assert sketch.any()
    assert not labels.any()


def test_a_model_that_reads_nothing_drawn_says_what_it_wants_and_shows_no_tools(
    drawer: Drawer, harness: Harness
) -> None:
    update(drawer, harness, gr.update(layers=[], hint="Load a depth map"))
    page, stage = drawer.page, drawer.page.locator(".stage")
    wait_until(page, lambda: stage.get_attribute("aria-label") == "Load a depth map")
    assert page.locator(".hint").inner_text() == "Load a depth map"
    assert not any(page.locator(f".{part}").is_visible() for part in ("toolbar", "options", "legend"))
    before = drawer.revision()
    drawer.stroke((50, 50))
    assert drawer.revision() == before
    update(drawer, harness, gr.update(layers=[LABELS], hint="Draw here"))
    wait_until(page, lambda: (stage.get_attribute("aria-label") or "").startswith("Drawing"))
    assert drawer.button("Brush").is_visible()


# -- files -------------------------------------------------------------------------------------------------


GIVE = """([kind, selector, name, type, text]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([text], name, { type }));
    const options = { dataTransfer: transfer, clipboardData: transfer, bubbles: true, cancelable: true };
    const event = kind === "paste" ? new ClipboardEvent(kind, options) : new DragEvent(kind, options);
    document.querySelector(selector).dispatchEvent(event);
    return event.defaultPrevented;
}"""


@pytest.mark.parametrize("kind", ["drop", "paste"])
@pytest.mark.parametrize("where", [".stage", "body"])
@pytest.mark.parametrize("type_", ["image/png", ""])
def test_a_picture_dropped_or_pasted_anywhere_reaches_python(
    drawer: Drawer, harness: Harness, kind: str, where: str, type_: str
) -> None:
    assert drawer.page.evaluate(GIVE, [kind, where, "map.png", type_, "a picture"])
    assert wait_until(drawer.page, lambda: harness.dropped) == [b"a picture"]


def test_what_is_no_picture_is_refused_for_eyes_too(drawer: Drawer, harness: Harness) -> None:
    assert drawer.page.evaluate(GIVE, ["drop", ".stage", "notes.txt", "text/plain", "x"])
    assert drawer.heard().startswith("Only pictures can be loaded")
    box = drawer.page.locator(".mcm-canvas [role=status]").bounding_box()
    assert box is not None
    assert box["width"] > 100
    assert harness.dropped == []


def test_both_layers_can_be_downloaded(drawer: Drawer, tmp_path: Path) -> None:
    menu = drawer.page.locator("summary[aria-label='Download drawing']")
    menu.click()
    assert drawer.button("Paint as PNG").is_disabled()
    drawer.stroke((50, 50), (90, 90))
    assert drawer.button("Paint as PNG").is_hidden(), "the menu closes when one goes on drawing"
    drawer.tool("Pen")
    drawer.stroke((10, 200), (100, 210))

    def download(item: str) -> np.ndarray:
        menu.click()
        with drawer.page.expect_download() as waiting:
            drawer.button(item).click()
        return np.array(Image.open(BytesIO(waiting.value.path().read_bytes())))

    expected = colors_of(painted(EMPTY, 1, 23, (50, 50), (90, 90)), COLORS)
    np.testing.assert_array_equal(download("Paint as PNG"), expected)
    strokes = painted(EMPTY, 1, 3, (10, 200), (100, 210)) == 1
    sketch = download("Sketch as PNG")[..., :3]
    assert (sketch[~strokes] == 255).all()
    assert (sketch[strokes] < 64).all()


# -- looks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [320, 360, 390])
def test_it_fits_a_phone_and_a_thumb(
    url: str, harness: Harness, open_page: Callable[..., Page], width: int
) -> None:
    viewport = {"width": width, "height": 740}
    drawer = Drawer(open_page(url, viewport=viewport, has_touch=True, is_mobile=True))
    assert drawer.page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = drawer.page.locator(".mcm-canvas").locator("button:visible, summary:visible, .stage").all()
    for box in (node.bounding_box() for node in boxes):
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert min(box["width"], box["height"]) >= 40


def test_it_fits_half_a_desktop(drawer: Drawer) -> None:
    box = drawer.page.locator(".mcm-canvas").bounding_box()
    stage = drawer.stage.bounding_box()
    assert box is not None
    assert stage is not None
    assert box["height"] <= 640
    assert 400 <= stage["width"] <= 460
    assert stage["width"] == pytest.approx(stage["height"], abs=1)


def test_dark_mode_follows_gradio(url: str, harness: Harness, open_page: Callable[..., Page]) -> None:
    look = "getComputedStyle(document.querySelector('.mcm-canvas .name')).color"

    def brightness(address: str) -> float:
        page = open_page(address)
        Drawer(page)
        return float(np.mean([int(part) for part in page.evaluate(look)[4:-1].split(",")]))

    assert brightness(f"{url}?__theme=light") < 80
    assert brightness(f"{url}?__theme=dark") > 180
