"""The drawing's model (raster.js, drawing.js) in a browser, against numpy, OpenCV and Python's codec."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from demo import canvas as component
from mcm_core.drawing.canvas_value import decode_runs, encode_runs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

pytest_plugins = ["tests.chromium"]
pytestmark = pytest.mark.browser

FOLDER = Path(component.__file__).parent
ADDRESS = "http://modules.test/"
HEIGHT, WIDTH = 40, 56

Run = Callable[..., Any]


def serve(route: Route) -> None:
    """The modules as they lie in the folder, and an empty page to import them."""
    name = route.request.url.removeprefix(ADDRESS)
    if name:
        route.fulfill(path=FOLDER / name, content_type="text/javascript")
    else:
        route.fulfill(body="", content_type="text/html")


@pytest.fixture(scope="module")
def run(chromium: Browser) -> Iterator[Run]:
    """run("(model, argument) => ...", argument) -> what that gives, as JSON."""
    page = chromium.new_page()
    page.route(f"{ADDRESS}**", serve)
    page.goto(ADDRESS)
    page.evaluate("""async () => {
        window.model = { ...await import("./raster.js"), ...await import("./drawing.js") };
    }""")
    yield lambda script, argument=None: page.evaluate(
        f"argument => ({script})(window.model, argument)", argument
    )
    page.close()


def draw(run: Run, call: str, ids: np.ndarray | None = None) -> tuple[np.ndarray, dict[str, int] | None]:
    """The grid after a call such as "drawBox(grid, ...)", and the rectangle that the call gave."""
    start = np.zeros((HEIGHT, WIDTH), np.uint8) if ids is None else ids
    after, rect = run(
        f"""(model, [data, width, height]) => {{
            const {{ drawSegment, drawBox, floodFill, mirrorRows }} = model;
            const grid = {{ width, height, data: Uint8Array.from(data) }};
            const rect = {call};
            return [Array.from(grid.data), rect];
        }}""",
        [start.ravel().tolist(), WIDTH, HEIGHT],
    )
    return np.array(after, np.uint8).reshape(HEIGHT, WIDTH), rect


def near_segment(start: tuple[int, int], end: tuple[int, int], size: int) -> np.ndarray:
    """(H, W) bool: less than size / 2 from the segment, by |p|^2 |d|^2 - (p.d)^2 in exact integers."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.int64)
    (ax, ay), (bx, by) = start, end
    dx, dy = bx - ax, by - ay
    along = (x - ax) * dx + (y - ay) * dy
    from_a, from_b = (x - ax) ** 2 + (y - ay) ** 2, (x - bx) ** 2 + (y - by) ** 2
    length2 = dx * dx + dy * dy
    beside = (along > 0) & (along < length2) & (4 * (from_a * length2 - along**2) < size**2 * length2)
    return beside | (4 * np.minimum(from_a, from_b) < size**2)


def blobs(seed: int, classes: int = 4) -> np.ndarray:
    """(H, W) random ids in a few large regions."""
    noise = np.random.default_rng(seed).random((HEIGHT, WIDTH))
    return (cv2.GaussianBlur(noise, (0, 0), 2) * 40 % classes).astype(np.uint8)


@pytest.mark.parametrize("seed", range(12))
def test_a_stroke_is_every_pixel_near_its_segment(run: Run, seed: int) -> None:
    random = np.random.default_rng(seed)
    ax, bx = random.integers(-10, WIDTH + 10, 2).tolist()
    ay, by = random.integers(-10, HEIGHT + 10, 2).tolist()
    size = int(random.choice([1, 3, 5, 11, 23]))
    ids, rect = draw(run, f"drawSegment(grid, {{x: {ax}, y: {ay}}}, {{x: {bx}, y: {by}}}, {size}, 7)")
    expected = near_segment((ax, ay), (bx, by), size)
    np.testing.assert_array_equal(ids, np.where(expected, 7, 0))
    if expected.any():
        rows, columns = np.nonzero(expected)
        assert rect["x0"] <= columns.min()
        assert rect["y0"] <= rows.min()
        assert rect["x1"] > columns.max()
        assert rect["y1"] > rows.max()


@pytest.mark.parametrize("size", [1, 3, 5, 9])
def test_a_dot_is_a_disc_and_a_thin_line_has_no_gap(run: Run, size: int) -> None:
    dot, _ = draw(run, f"drawSegment(grid, {{x: 20, y: 20}}, {{x: 20, y: 20}}, {size}, 1)")
    assert dot[20, 20 - size // 2 : 20 + size // 2 + 1].all()
    assert dot[20].sum() == dot[:, 20].sum() == size
    line, _ = draw(run, "drawSegment(grid, {x: 3, y: 5}, {x: 50, y: 31}, 1, 1)")
    assert cv2.connectedComponents(line, connectivity=8)[0] == 2


def test_a_box_holds_both_corners_in_any_order(run: Run) -> None:
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[4:31, 10:21] = 3
    for start, end in [((10, 4), (20, 30)), ((20, 30), (10, 4)), ((10, 30), (20, 4))]:
        call = f"drawBox(grid, {{x: {start[0]}, y: {start[1]}}}, {{x: {end[0]}, y: {end[1]}}}, 3)"
        np.testing.assert_array_equal(draw(run, call)[0], expected)
    assert draw(run, "drawBox(grid, {x: -9, y: -9}, {x: -1, y: -1}, 3)")[1] is None


@pytest.mark.parametrize("seed", range(6))
def test_a_fill_is_the_4_connected_region(run: Run, seed: int) -> None:
    before = blobs(seed)
    x, y = 7 * seed, 5 * seed
    ids, rect = draw(run, f"floodFill(grid, {{x: {x}, y: {y}}}, 9)", before)
    expected = before.copy()
    _, _, _, (left, top, wide, high) = cv2.floodFill(expected, None, (x, y), 9, flags=4)
    np.testing.assert_array_equal(ids, expected)
    assert rect == {"x0": left, "y0": top, "x1": left + wide, "y1": top + high}


def test_a_fill_does_not_slip_through_a_diagonal_and_knows_when_it_has_nothing_to_do(run: Run) -> None:
    diagonal = np.eye(HEIGHT, WIDTH, dtype=np.uint8)
    ids, _ = draw(run, "floodFill(grid, {x: 30, y: 0}, 2)", diagonal)
    np.testing.assert_array_equal(ids == 2, np.triu(np.ones_like(diagonal), 1) == 1)
    assert draw(run, "floodFill(grid, {x: 0, y: 0}, 1)", diagonal)[1] is None
    assert draw(run, "floodFill(grid, {x: -1, y: 0}, 1)", diagonal)[1] is None


def test_mirroring_flips_every_row(run: Run) -> None:
    np.testing.assert_array_equal(draw(run, "mirrorRows(grid)", blobs(1))[0], np.fliplr(blobs(1)))


@pytest.mark.parametrize("seed", range(4))
def test_runs_are_the_ones_that_python_writes_and_reads(run: Run, seed: int) -> None:
    ids = blobs(seed, classes=seed + 1)
    text = run("(model, data) => model.encodeRuns(Uint8Array.from(data))", ids.ravel().tolist())
    assert text == encode_runs(ids)
    np.testing.assert_array_equal(decode_runs(text, (HEIGHT, WIDTH), 4), ids)
    back = run("(model, [text, n]) => Array.from(model.decodeRuns(text, n, 9))", [text, ids.size])
    assert back == ids.ravel().tolist()


@pytest.mark.parametrize("text", ["1x5", "1x65", "1x0,0x64", "ax64", "1x64,", "1x-64", "1x1e1", None, 7])
def test_damaged_runs_are_refused(run: Run, text: object) -> None:
    assert run("(model, text) => model.decodeRuns(text, 64, 9)", text) is None


def test_an_unknown_id_becomes_unpainted(run: Run) -> None:
    assert run("(model) => Array.from(model.decodeRuns('3x1,2x1,255x1', 3, 2))") == [0, 2, 0]


@pytest.mark.parametrize(
    "damage", [{"version": 2}, {"width": 0}, {"width": 1e9}, {"height": "8"}, {"sketch": 5}]
)
def test_damaged_values_are_refused(run: Run, damage: dict[str, Any]) -> None:
    value = {"version": 1, "width": 8, "height": 8, "labels": "1x64", "sketch": "", "revision": 1}
    read = "(model, value) => model.fromValue(value, 2) !== null"
    assert run(read, value)
    assert not run(read, {**value, **damage})


@pytest.mark.parametrize(("width", "height"), [(28, 20), (112, 80), (56, 40), (33, 47)])
def test_resampling_takes_the_nearest_id_and_loses_no_line(run: Run, width: int, height: int) -> None:
    resample = """(model, [data, w, h, width, height, keep]) => Array.from(
        model.resample({ width: w, height: h, data: Uint8Array.from(data) }, width, height, keep).data)"""
    ids = blobs(3)
    got = run(resample, [ids.ravel().tolist(), WIDTH, HEIGHT, width, height, False])
    rows = (2 * np.arange(height) + 1) * HEIGHT // (2 * height)
    columns = (2 * np.arange(width) + 1) * WIDTH // (2 * width)
    np.testing.assert_array_equal(np.array(got).reshape(height, width), ids[np.ix_(rows, columns)])
    line = np.zeros((HEIGHT, WIDTH), np.uint8)
    line[:, 13] = 1
    got = run(resample, [line.ravel().tolist(), WIDTH, HEIGHT, width, height, True])
    assert np.array(got).reshape(height, width).any(axis=1).all()


def test_undo_and_redo_walk_through_every_state(run: Run) -> None:
    ok = run("""({ Drawing, drawSegment, drawBox, mirrorRows }) => {
        const drawing = new Drawing(48, 32);
        const layers = ["labels", "sketch"];
        const state = () => layers.map((layer) => drawing.grids[layer].data.join()).join("|");
        const states = [state()];
        for (let i = 1; i < 40; i++) {
            drawing.open();
            const at = { x: (i * 17) % 48, y: (i * 7) % 32 };
            const id = i % 2 ? 1 : i % 6;
            drawing.edit(layers[i % 2], (grid) => drawSegment(grid, at, { x: 20, y: i % 32 }, 5, id));
            if (i % 5 === 0) {
                drawing.rollback();
                drawing.edit("labels", (grid) => drawBox(grid, at, { x: 3, y: 3 }, 4));
            }
            if (i % 7 === 0) for (const layer of layers) drawing.edit(layer, mirrorRows);
            if (drawing.close()) states.push(state());
        }
        const back = states.slice(0, -1).reverse().every((one) => drawing.undo() && state() === one);
        const ends = !drawing.canUndo && drawing.undo() === null;
        const forth = states.slice(1).every((one) => drawing.redo() && state() === one);
        return { back, ends, forth, over: !drawing.canRedo, steps: states.length > 30 };
    }""")
    assert ok == {"back": True, "ends": True, "forth": True, "over": True, "steps": True}


def test_a_step_that_changes_nothing_is_none_and_a_new_step_forgets_what_was_undone(run: Run) -> None:
    answers = run("""({ Drawing, drawSegment }) => {
        const d = new Drawing(16, 16);
        const at = { x: 5, y: 5 };
        const dot = (id) => {
            d.open();
            d.edit("labels", (grid) => drawSegment(grid, at, at, 3, id));
            return d.close();
        };
        const answers = [dot(0), dot(1), dot(1), dot(2)];
        d.undo();
        return [...answers, d.canRedo, dot(3), d.canRedo];
    }""")
    assert answers == [False, True, False, True, True, True, False]


def test_history_is_bounded(run: Run) -> None:
    steps, limit = run("""({ Drawing, drawSegment, MAX_STEPS }) => {
        const d = new Drawing(16, 16);
        for (let i = 0; i < MAX_STEPS + 50; i++) {
            d.open();
            d.edit("labels", (g) => drawSegment(g, { x: i % 16, y: 3 }, { x: i % 16, y: 3 }, 3, 1 + (i % 9)));
            d.close();
        }
        let steps = 0;
        while (d.undo()) steps++;
        return [steps, MAX_STEPS];
    }""")
    assert steps == limit == 200
    kept = run("""({ Drawing, drawBox }) => {
        const d = new Drawing(2048, 2048);
        for (let i = 1; i < 15; i++) {
            d.open();
            d.edit("labels", (g) => drawBox(g, { x: 0, y: 0 }, { x: 2047, y: 2047 }, i));
            d.close();
        }
        return d.done.length;
    }""")
    assert kept == 8, "eight pictures of 4 MiB are 32 MiB"
