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
        const names = ["raster", "drawing", "fill", "smoothing", "view"];
        const parts = names.map((name) => import(`./${name}.js`));
        window.model = Object.assign({}, ...(await Promise.all(parts)));
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
            const {{ drawSegment, drawBox, drawEllipse, drawPolygon, mirrorRows }} = model;
            const grid = {{ width, height, data: Uint8Array.from(data) }};
            const rect = {call};
            return [Array.from(grid.data), rect];
        }}""",
        [start.ravel().tolist(), WIDTH, HEIGHT],
    )
    return np.array(after, np.uint8).reshape(HEIGHT, WIDTH), rect


RESIZED = """(model, [data, width, height, sizes, draws]) => {
    const drawing = new model.Drawing(width, height);
    drawing.open();
    drawing.edit("labels", (grid) => (grid.data.set(data), model.whole(grid)));
    drawing.close();
    const seen = [];
    for (const [toWidth, toHeight] of sizes) {
        drawing.resize(toWidth, toHeight);
        if (draws && !seen.length) {
            drawing.open();
            drawing.edit("labels", (grid) => model.drawBox(grid, { x: 0, y: 0 }, { x: 1, y: 1 }, 5));
            drawing.close();
        }
        seen.push([drawing.width, drawing.height, Array.from(drawing.grids.labels.data)]);
    }
    return seen;
}"""


def test_at_another_size_and_back_nothing_is_lost(run: Run) -> None:
    ids = np.random.default_rng(0).integers(0, 4, (HEIGHT, WIDTH), np.uint8)
    sizes = [[20, 70], [9, 9], [WIDTH, HEIGHT]]
    seen = run(RESIZED, [ids.ravel().tolist(), WIDTH, HEIGHT, sizes, False])
    assert [[width, height] for width, height, _ in seen] == sizes
    assert seen[-1][2] == ids.ravel().tolist()


def test_what_is_drawn_at_another_size_counts(run: Run) -> None:
    ids = np.random.default_rng(0).integers(1, 4, (HEIGHT, WIDTH), np.uint8)
    seen = run(RESIZED, [ids.ravel().tolist(), WIDTH, HEIGHT, [[20, 20], [WIDTH, HEIGHT]], True])
    assert 5 in seen[-1][2]
    assert seen[-1][2] != ids.ravel().tolist()


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
def test_an_ellipse_fills_its_box_and_a_lasso_what_it_goes_around(run: Run, seed: int) -> None:
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    left, right = sorted(random.integers(-8, WIDTH + 8, 2).tolist())
    top, bottom = sorted(random.integers(-8, HEIGHT + 8, 2).tolist())
    ids, _ = draw(run, f"drawEllipse(grid, {{x: {right}, y: {top}}}, {{x: {left}, y: {bottom}}}, 4)")
    across, down = right - left + 1, bottom - top + 1
    inside = (down * (2 * x - left - right)) ** 2 + (across * (2 * y - top - bottom)) ** 2
    np.testing.assert_array_equal(ids == 4, inside <= (across * down) ** 2)
    angles = np.sort(random.uniform(0, 2 * np.pi, 9))
    reach = random.uniform(6, 30, 9)
    path = np.rint([28, 20] + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)).astype(int)
    points = ", ".join(f"{{x: {px}, y: {py}}}" for px, py in path.tolist())
    ids, rect = draw(run, f"drawPolygon(grid, [{points}], 2)")
    expected = cv2.fillPoly(np.zeros((HEIGHT, WIDTH), np.uint8), [path], 2)
    rim = cv2.polylines(np.zeros_like(expected), [path], True, 1, 3)
    np.testing.assert_array_equal(ids[rim == 0], expected[rim == 0])
    rows, columns = np.nonzero(ids)
    assert (rect["x0"], rect["y0"]) == (columns.min(), rows.min())
    assert (rect["x1"], rect["y1"]) == (columns.max() + 1, rows.max() + 1)


# -- filling -----------------------------------------------------------------------------------------------


def fill(
    run: Run, at: tuple[int, int], ids: np.ndarray, sketch: np.ndarray | None = None
) -> tuple[np.ndarray, dict[str, int] | None]:
    """The grid after a fill with 9 from a point, and the rectangle that it gave."""
    strokes = np.zeros_like(ids) if sketch is None else sketch
    after, rect = run(
        """(model, [data, strokes, width, height, x, y]) => {
            const grid = { width, height, data: Uint8Array.from(data) };
            const sketch = { width, height, data: Uint8Array.from(strokes) };
            const rect = model.fillRegion(grid, { x, y }, 9, sketch);
            return [Array.from(grid.data), rect];
        }""",
        [ids.ravel().tolist(), strokes.ravel().tolist(), ids.shape[1], ids.shape[0], *at],
    )
    return np.array(after, np.uint8).reshape(ids.shape), rect


@pytest.mark.parametrize("seed", range(6))
def test_without_gaps_a_fill_is_the_4_connected_region(run: Run, seed: int) -> None:
    random = np.random.default_rng(seed)
    before = np.full((HEIGHT, WIDTH), 1, np.uint8)
    disc = (int(random.integers(0, WIDTH)), int(random.integers(14, HEIGHT - 14)))
    cv2.circle(before, disc, 8, 2, -1)
    for at in ((0, 0), (WIDTH - 1, HEIGHT - 1), disc):
        ids, rect = fill(run, at, before)
        expected = before.copy()
        _, _, _, (left, top, wide, high) = cv2.floodFill(expected, None, at, 9, flags=4)
        np.testing.assert_array_equal(ids, expected)
        assert rect == {"x0": left, "y0": top, "x1": left + wide, "y1": top + high}


def outline(gap: int, angle: float, thickness: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """(strokes, inside), (H, W) uint8: a ring of radius 12, open for `gap` pixels, and the disc in it."""
    strokes, inside = np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
    half = np.degrees(gap / 2 / 12)
    cv2.ellipse(strokes, (28, 20), (12, 12), angle, half, 360 - half, 1, thickness)
    cv2.circle(inside, (28, 20), 10, 1, -1)
    return strokes, inside


@pytest.mark.parametrize("gap", range(5))
@pytest.mark.parametrize("angle", [0, 20, 45, 90, 130])
@pytest.mark.parametrize("layer", ["sketch", "labels"])
def test_a_gap_of_four_pixels_in_an_outline_is_closed(run: Run, gap: int, angle: float, layer: str) -> None:
    strokes, inside = outline(gap, angle)
    empty = np.zeros_like(strokes)
    ids, _ = fill(run, (28, 20), *((empty, strokes) if layer == "sketch" else (strokes, empty)))
    assert (ids[inside == 1] == 9).all()
    far = cv2.dilate(inside, np.ones((11, 11), np.uint8)) == 0
    assert not (ids[far] == 9).any()
    ids, _ = fill(run, (1, 1), *((empty, strokes) if layer == "sketch" else (strokes, empty)))
    assert (ids[far] == 9).all()
    assert not (ids[cv2.erode(inside, np.ones((5, 5), np.uint8)) == 1] == 9).any()


def test_a_wide_gap_stays_open(run: Run) -> None:
    strokes, _ = outline(9, 0)
    ids, _ = fill(run, (28, 20), np.zeros_like(strokes), strokes)
    assert ids[1, 1] == 9


def test_a_fill_goes_on_beneath_the_strokes_that_bound_it(run: Run) -> None:
    strokes, _ = outline(0, 0, thickness=3)
    empty = np.zeros_like(strokes)
    inner, _ = fill(run, (28, 20), empty, strokes)
    both = np.where(inner == 9, 8, 0).astype(np.uint8)
    outer, _ = fill(run, (1, 1), both, strokes)
    assert (outer > 0).all(), "no seam is left between what is filled on both sides"
    on_the_line, _ = fill(run, (28, 32), empty, strokes)
    assert (on_the_line == 9).any(), "a press on the line fills beside it"


def test_a_narrow_strip_is_filled_and_what_is_filled_already_is_not(run: Run) -> None:
    walls = np.zeros((HEIGHT, WIDTH), np.uint8)
    walls[10, :40] = walls[13, :40] = 1
    ids, _ = fill(run, (5, 11), walls)
    assert (ids[11:13, :36] == 9).all()
    assert not (ids[20:] == 9).any()
    diagonal = np.eye(HEIGHT, WIDTH, dtype=np.uint8)
    ids, _ = fill(run, (30, 0), diagonal)
    np.testing.assert_array_equal(ids == 9, np.triu(np.ones_like(diagonal), 1) == 1)
    assert fill(run, (0, 0), np.full((HEIGHT, WIDTH), 9, np.uint8))[1] is None
    assert fill(run, (-1, 0), diagonal)[1] is None


# -- showing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_enlarged_every_pixel_has_its_own_id_in_its_middle(run: Run, seed: int, scale: int) -> None:
    ids = np.where(np.random.default_rng(seed).random((HEIGHT, WIDTH)) < 0.1, 3, blobs(seed))
    shown = run(
        """(model, [data, width, height, scale]) => {
            const grid = { width, height, data: Uint8Array.from(data) };
            const numbers = Uint32Array.from({ length: 256 }, (_, id) => id);
            return Array.from(model.enlarge(grid, model.whole(grid), scale, numbers));
        }""",
        [ids.ravel().tolist(), WIDTH, HEIGHT, scale],
    )
    large = np.array(shown).reshape(HEIGHT * scale, WIDTH * scale)
    np.testing.assert_array_equal(large[scale // 2 :: scale, scale // 2 :: scale], ids)


def test_enlarged_a_disc_is_rounder_than_its_pixels(run: Run) -> None:
    ids, _ = draw(run, "drawSegment(grid, {x: 28, y: 20}, {x: 28, y: 20}, 31, 1)")
    shown = run(
        """(model, [data, width, height]) => {
            const grid = { width, height, data: Uint8Array.from(data) };
            return Array.from(model.enlarge(grid, model.whole(grid), 4, Uint32Array.of(0, 1)));
        }""",
        [ids.ravel().tolist(), WIDTH, HEIGHT],
    )
    large = np.array(shown, np.uint8).reshape(4 * HEIGHT, 4 * WIDTH)
    y, x = np.mgrid[: 4 * HEIGHT, : 4 * WIDTH]
    round_ = (np.hypot(x - 4 * 28 - 1.5, y - 4 * 20 - 1.5) < 62).astype(np.uint8)
    steps = ids.repeat(4, 0).repeat(4, 1)
    assert (large != round_).sum() < 0.6 * (steps != round_).sum()


def test_a_view_zooms_at_a_place_and_never_leaves_the_drawing(run: Run) -> None:
    views = run("""({ View }) => {
        const seen = [];
        const view = new View(({ zoom, x, y }) => seen.push([zoom, x, y]));
        view.zoomBy(2, { x: 0.25, y: 1 });
        view.panBy(0.1, 5);
        view.panBy(-9, -9);
        view.zoomBy(1e9);
        view.reset();
        return seen;
    }""")
    assert views[:3] == [[2, -0.25, -1], [2, pytest.approx(-0.15), 0], [2, -1, -1]]
    assert views[3][0] == 16
    assert views[4] == [1, 0, 0]


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


def test_what_was_drawn_comes_back_from_another_size_and_can_be_undone(run: Run) -> None:
    """There and back, and also where a drawing of the other size was put over it and taken back."""
    there_and_back, replaced, undone = run("""({ Drawing, drawSegment, toValue }) => {
        const d = new Drawing(16, 16);
        const dot = (x) => {
            d.open();
            d.edit("labels", (grid) => drawSegment(grid, { x, y: 5 }, { x, y: 5 }, 3, 1));
            d.close();
        };
        dot(3);
        const first = toValue(d, 0).labels;
        dot(9);
        const both = toValue(d, 0).labels;
        d.resize(24, 8);
        d.resize(12, 20);
        d.resize(16, 16);
        const same = toValue(d, 0).labels === both;
        d.resize(24, 8);
        dot(1);
        d.undo();
        d.resize(16, 16);
        const again = toValue(d, 0).labels === both;
        d.undo();
        return [same, again, toValue(d, 0).labels === first];
    }""")
    assert there_and_back
    assert replaced
    assert undone


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
