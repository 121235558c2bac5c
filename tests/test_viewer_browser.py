"""What the viewer tells of a finished picture, in a real browser: what a stroke did, rows, copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from demo import pictures
from demo.models import Models
from demo.ui import build_ui, launch_options
from mcm_core import MCMPipeline
from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions
from mcm_core.drawing.sketches import edges
from mcm_core.request import Resolved
from tests import pages
from tests.browser import Tab, served, wait_until
from tests.pages import SIZE, Paced
from tests.visitor import Visitor, paint_sky_and_water, pixels, request_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytest_plugins = ["tests.chromium", "tests.visits"]
pytestmark = pytest.mark.browser

TABS = ("Result", "Compare", "What it did", "How it followed", "Row")
COPIED = """async () => {
    const [item] = await navigator.clipboard.read();
    const bitmap = await createImageBitmap(await item.getType("image/png"));
    const { width, height } = bitmap;
    const context = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
    context.drawImage(bitmap, 0, 0);
    return Array.from(context.getImageData(0, 0, width, height).data);
}"""


@pytest.fixture(scope="module")
def models(sd_folder: Path) -> Models:
    return Models([pages.tiny_model(sd_folder, pages.sky_over_water)])


Painted = tuple[Visitor, Resolved]


@pytest.fixture
def painted(visit: Callable[..., Visitor], tmp_path: Path) -> Painted:
    """A visitor who has painted sky and water, and what the shown picture was asked for."""
    visitor = visit()
    paint_sky_and_water(visitor)
    return visitor, request_of(visitor.generate(), tmp_path)


@pytest.fixture(scope="module")
def finished(chromium: Browser, url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Painted]:
    """As `painted`, for all tests that change neither the drawing nor the picture."""
    tab = Tab(chromium)
    tab.page.goto(url)
    visitor = Visitor(tab.page, SIZE, SIZE)
    paint_sky_and_water(visitor)
    yield visitor, request_of(visitor.generate(), tmp_path_factory.mktemp("finished"))
    tab.context.close()
    assert not tab.said, tab.said


def bare(models: Models, request: Any) -> np.ndarray:
    """(H, W, 3) uint8: what the pipeline makes of a request without any page."""
    model = models.default
    return MCMPipeline(model.base, model.pipeline.modulator)(replace(request, previews=False)).images[0]


def named(visitor: Visitor, name: str) -> Locator:
    return visitor.page.locator(".mcm-viewer").get_by_role("button", name=name, exact=True)


def chip(visitor: Visitor, key: str) -> Locator:
    return visitor.in_viewer(f".chip[data-key='{key}']")


def compared(visitor: Visitor, before: int) -> np.ndarray:
    """The picture without the part, once it is painted."""
    wait_until(visitor.page, lambda: visitor.turn() > before and visitor.state() == "done")
    return pixels(visitor.file(visitor.in_viewer("img.plain").get_attribute("src") or ""))


def opened(visitor: Visitor, tab: str) -> None:
    """Opens a tab; under Compare the picture without the drawing is painted at once."""
    visitor.tab(tab)
    if tab == "Compare":
        visitor.in_viewer(".figures").wait_for()
    wait_until(visitor.page, lambda: visitor.state() == "done")


# -- what did this stroke do -------------------------------------------------------------------------------


def test_a_class_that_is_pressed_is_taken_away_and_the_same_noise_painted_again(
    finished: Painted, models: Models
) -> None:
    visitor, request = finished
    visitor.tab("How it followed")
    before = visitor.turn()
    visitor.in_viewer(".shares button").filter(has_text="water").click()
    without = compared(visitor, before)
    labels = np.where(request.conditions.maps[LABELS] == 3, np.uint8(0), request.conditions.maps[LABELS])
    expected = bare(models, replace(request, conditions=Conditions({LABELS: labels})))
    np.testing.assert_array_equal(without, expected)
    whole = bare(models, request)
    told = pictures.difference(whole, expected, request.conditions.maps[LABELS] == 3)
    figures = visitor.in_viewer(".figures").inner_text()
    assert f"{round(100 * told['inside'])} % of its own place" in figures
    assert f"{round(100 * told['outside'])} % of the rest" in figures
    tags = [tag.inner_text() for tag in visitor.in_viewer(".compare .tag").all()]
    assert tags == ["Without the water", "With the water"]


def test_the_difference_is_hot_where_the_pictures_differ(painted: Painted, models: Models) -> None:
    visitor, _ = painted
    visitor.tab("What it did")
    before = visitor.turn()
    chip(visitor, "labels:3").click()
    compared(visitor, before)
    named(visitor, "Difference").click()
    heat = visitor.in_viewer(".compare canvas.heat").evaluate("""canvas => Array.from(
        canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
    ).filter((_, index) => index % 4 === 3)""")
    view = [
        pixels(visitor.file(visitor.in_viewer(f"img{kind}").first.get_attribute("src") or ""))
        for kind in (".dimmed", ".plain")
    ]
    distance = np.abs(view[0].astype(int) - view[1]).sum(axis=2)
    soft = cv2.GaussianBlur(distance.astype(np.float32), (0, 0), 1)
    hot = cv2.resize(np.array(heat, np.float32).reshape(SIZE, SIZE), distance.shape[::-1])
    assert np.corrcoef(soft.ravel(), hot.ravel())[0, 1] > 0.7
    assert visitor.in_viewer(".heat-key").is_visible()


def test_the_last_change_is_taken_away(painted: Painted, models: Models, tmp_path: Path) -> None:
    visitor, first = painted
    visitor.keys("2")
    visitor.tool("Rectangle")
    with visitor.answered():
        visitor.stroke((20, 20), (40, 40))
    second = request_of(visitor.generate(), tmp_path)
    opened(visitor, "Compare")
    before = visitor.turn()
    chip(visitor, "change").click()
    expected = bare(models, replace(second, conditions=first.conditions))
    np.testing.assert_array_equal(compared(visitor, before), expected)


def test_a_visit_that_the_server_has_forgotten_is_told_so_and_the_picture_stays(
    models: Models, open_page: Callable[..., Page]
) -> None:
    blocks = build_ui(models)
    with served(blocks, **launch_options()) as address:
        visitor = Visitor(open_page(address), SIZE, SIZE)
        paint_sky_and_water(visitor)
        visitor.generate()
        shown = visitor.shown_picture()
        blocks.state_holder.session_data.clear()
        visitor.tab("Compare")
        wait_until(visitor.page, lambda: "forgotten this picture" in said(visitor))
        visitor.tab("Result")
        assert visitor.shown_picture() == shown
        visitor.generate()
        assert (shown := visitor.shown_picture())
        blocks.state_holder.session_data.clear()
        visitor.tab("Row")
        named(visitor, "Paint the row").click()
        wait_until(visitor.page, lambda: "forgotten this picture" in said(visitor))
        visitor.tab("Result")
        assert visitor.shown_picture() == shown
        visitor.leave()


def said(visitor: Visitor) -> str:
    return visitor.page.locator(".mcm-viewer").inner_text()


def test_it_stops_as_any_run_and_the_picture_stays(painted: Painted, pipeline: Paced) -> None:
    visitor, _ = painted
    shown = visitor.shown_picture()
    pipeline.hold()
    visitor.tab("Compare")
    pipeline.let_go(1)
    visitor.in_viewer("img.plain").wait_for()
    visitor.page.locator("#stop").click()
    wait_until(visitor.page, lambda: visitor.state() == "done")
    wait_until(visitor.page, lambda: not pipeline.active)
    pipeline.let_go()
    assert named(visitor, "Paint it").is_visible()
    visitor.tab("Result")
    assert visitor.shown_picture() == shown


# -- what it did, and the drawing over it ------------------------------------------------------------------


def test_the_heat_map_opens_where_the_modulator_acted_most_and_says_in_what_unit(
    finished: Painted, models: Models
) -> None:
    visitor, request = finished
    visitor.tab("What it did")
    model = models.default
    result = MCMPipeline(model.base, model.pipeline.modulator)(request)
    heat = pictures.heat(pictures.calm(result.gamma_actions), pictures.calm(result.nu_actions))
    most = int(result.actions.mean(axis=(1, 2, 3)).argmax())
    tag = visitor.in_viewer(".action .tag.left")
    assert tag.inner_text() == f"Step {most + 1} of {request.steps}"
    assert f"{round(100 * heat['top'])} % of the noise" in visitor.in_viewer(".heat-key").inner_text()
    for name, word in (("Scale γ", "up or down"), ("Shift ν", "adds"), ("Both", "guesses the noise")):
        named(visitor, name).click()
        assert word in visitor.in_viewer(".figures").inner_text()


def test_the_drawing_lies_over_the_picture_as_strongly_as_one_wants(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    paint_sky_and_water(visitor)
    with visitor.answered():
        visitor.tool("Pen")
        visitor.stroke((5, 40), (50, 40))
    visitor.generate()
    layers = {name: visitor.in_viewer(f"img.drawn.{name}") for name in ("labels", "sketch")}
    opacity = "layer => Number(layer.style.opacity)"
    assert [layer.evaluate(opacity) for layer in layers.values()] == [0, 0]
    slider = visitor.page.get_by_label("Drawing over the picture")
    slider.focus()
    visitor.keys("End", *["ArrowLeft"] * 40)
    assert layers["labels"].evaluate(opacity) == pytest.approx(0.6)
    assert layers["sketch"].evaluate(opacity) == 1
    before = visitor.run()
    visitor.generate()
    assert visitor.run() > before
    assert layers["labels"].evaluate(opacity) == pytest.approx(0.6)


# -- any two, and a row ------------------------------------------------------------------------------------


def test_any_two_pictures_of_the_visit_are_compared(painted: Painted) -> None:
    visitor, _ = painted
    first = visitor.shown_picture()
    visitor.generate()
    visitor.generate()
    third = visitor.shown_picture()
    opened(visitor, "Compare")
    named(visitor, "Any two pictures").click()
    strips = {side: visitor.in_viewer(f"[aria-label='Picture {side}'] button") for side in "AB"}
    strips["A"].nth(2).click()
    strips["B"].nth(0).click()
    shown = {kind: visitor.in_viewer(f"img.{kind}").get_attribute("src") for kind in ("plain", "modulated")}
    assert shown == {"plain": first, "modulated": third}
    assert strips["A"].nth(2).get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize(("over", "count"), [("Strength", 5), ("Seed", 4), ("Until", 5)])
def test_a_row_varies_one_thing_and_each_picture_can_be_restored(
    painted: Painted, models: Models, tmp_path: Path, over: str, count: int
) -> None:
    visitor, request = painted
    visitor.tab("Row")
    named(visitor, over).click()
    before = visitor.turn()
    named(visitor, "Paint the row").click()
    wait_until(visitor.page, lambda: visitor.turn() > before and visitor.state() == "done")
    cells = visitor.in_viewer(".row button.cell")
    assert cells.count() == count
    file = visitor.file(cells.nth(1).locator("img").get_attribute("src") or "")
    made = request_of(file, tmp_path)
    changed = {
        "Strength": {"strength": dict.fromkeys(request.strength, 0.25)},
        "Seed": {"seeds": (request.seeds[0] + 1,)},
        "Until": {"end": 0.4},
    }[over]
    assert replace(made, previews=True) == replace(request, **changed)
    np.testing.assert_array_equal(pixels(file), bare(models, made))
    cells.nth(1).click()
    wait_until(visitor.page, lambda: "from the gallery" in visitor.in_viewer(".status").inner_text())
    assert visitor.file(visitor.shown_picture() or "") == file
    if over != "Seed":
        visitor.tab("Row")
        assert cells.count() == count  # the row stays, to try another


def test_a_row_stops_and_keeps_what_it_has(painted: Painted, pipeline: Paced) -> None:
    visitor, request = painted
    visitor.tab("Row")
    pipeline.hold()
    pipeline.let_go(request.steps + 1)
    named(visitor, "Paint the row").click()
    visitor.in_viewer(".row button.cell").wait_for()
    visitor.page.locator("#stop").click()
    wait_until(visitor.page, lambda: visitor.state() == "done" and not pipeline.active)
    pipeline.let_go()
    assert visitor.in_viewer(".row button.cell").count() == 1


# -- copies, and the picture as a drawing ------------------------------------------------------------------


def test_a_picture_is_copied_to_the_clipboard(visit: Callable[..., Visitor]) -> None:
    visitor = visit(permissions=["clipboard-read", "clipboard-write"])
    file = visitor.generate()
    named(visitor, "Copy the picture").click()
    wait_until(visitor.page, lambda: visitor.in_viewer(".said").inner_text() == "Copied")
    copied = np.array(visitor.page.evaluate(COPIED), np.uint8).reshape(SIZE, SIZE, 4)
    np.testing.assert_array_equal(copied[..., :3], pixels(file))


def test_where_nothing_can_be_copied_the_page_says_what_to_do(visit: Callable[..., Visitor]) -> None:
    visitor = visit(script="Object.defineProperty(navigator, 'clipboard', { value: undefined });")
    visitor.generate()
    named(visitor, "Copy the picture").click()
    wait_until(visitor.page, lambda: "right-click" in visitor.in_viewer(".said").inner_text())


@pytest.mark.parametrize("times", [2, 4])
def test_a_larger_copy_is_saved_and_what_is_shown_stays(
    finished: Painted, tmp_path: Path, times: int
) -> None:
    visitor, _ = finished
    visitor.tab("Result")
    shown = visitor.shown_picture()
    visitor.in_viewer("summary").click()
    with visitor.page.expect_download() as download:
        named(visitor, f"Save {times} × larger (resampled)").click()
    download.value.save_as(tmp_path / "large.png")
    large = pixels((tmp_path / "large.png").read_bytes())
    picture = pixels(visitor.file(shown or ""))
    np.testing.assert_array_equal(large, pictures.enlarged(picture, times))
    assert large.shape == (times * SIZE, times * SIZE, 3)
    assert visitor.shown_picture() == shown
    assert visitor.state() == "done"


def test_the_picture_comes_back_to_the_canvas_as_a_drawing(painted: Painted) -> None:
    from PIL import Image

    visitor, _ = painted
    drawn = visitor.stored()
    picture = pixels(visitor.file(visitor.shown_picture() or ""))
    visitor.in_viewer("summary").click()
    named(visitor, "Put its edges on the canvas").click()
    found = Conditions({SKETCH: edges(Image.fromarray(picture))})
    wait_until(visitor.page, lambda: visitor.stored() == drawn.joined(found))
    visitor.in_viewer("summary").click()
    named(visitor, "Put its classes on the canvas").click()
    read = np.where(np.arange(SIZE)[:, None] < SIZE // 2, 1, 3).astype(np.uint8) * np.ones(
        (1, SIZE), np.uint8
    )
    wait_until(visitor.page, lambda: np.array_equal(visitor.stored().maps[LABELS], read))


# -- sight -------------------------------------------------------------------------------------------------


def test_generate_stays_where_it_is_under_every_tab(finished: Painted) -> None:
    visitor, _ = finished
    button = visitor.page.locator("#go")
    places = set()
    for tab in TABS:
        opened(visitor, tab)
        box = button.bounding_box()
        assert box is not None
        places.add(box["y"])
        assert box["y"] + box["height"] <= 800, tab
    assert len(places) == 1


def test_the_focus_goes_from_generate_to_stop_and_back(
    visit: Callable[..., Visitor], pipeline: Paced
) -> None:
    visitor = visit()
    focused = "document.activeElement.id"
    visitor.page.locator("#go").focus()
    pipeline.hold()
    visitor.keys("Enter")
    wait_until(visitor.page, lambda: visitor.page.evaluate(focused) == "stop")
    pipeline.let_go()
    visitor.finished()
    assert visitor.page.evaluate(focused) == "go"


CONTRAST = """() => {
    const parse = (color) => color.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b]
        .map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
        .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
    const behind = (node) => {
        for (; node; node = node.parentElement) {
            const color = parse(getComputedStyle(node).backgroundColor);
            if (color[3] !== 0) return color;
        }
        return [255, 255, 255];
    };
    return [...document.querySelectorAll("[placeholder]:not([placeholder=''])")].map((field) => {
        const text = light(parse(getComputedStyle(field, "::placeholder").color));
        const paper = light(behind(field));
        return (Math.max(text, paper) + 0.05) / (Math.min(text, paper) + 0.05);
    });
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_placeholders_can_be_read(visit: Callable[..., Visitor], theme: str) -> None:
    """Axe passes placeholders over. Under each tab only what the tab changes is looked at."""
    axe = Path(pytest.importorskip("axe_playwright_python").__file__).with_name("axe.min.js").read_text()
    visitor = visit(f"?__theme={theme}", reduced_motion="reduce")

    def found(where: str) -> list[str]:
        check = f"async (axe) => {{ (0, eval)(axe); return (await window.axe.run({where})).violations; }}"
        return [
            f"{fault['id']}: {node['html']:.100} {node['failureSummary']}"
            for fault in visitor.page.evaluate(check, axe)
            for node in fault["nodes"]
        ]

    assert not found("document")
    paint_sky_and_water(visitor)
    visitor.generate()
    for tab in TABS:
        opened(visitor, tab)
        assert not found("'#see'"), tab
    visitor.page.locator("#settings > button").click()
    visitor.page.get_by_label("number input for Steps").wait_for()
    assert not found("document")
    visitor.page.get_by_label("Negative prompt").wait_for()
    ratios = visitor.page.evaluate(CONTRAST)
    assert len(ratios) >= 2
    assert min(ratios) >= 4.5, ratios


CLIPPED = """() => {
    const clipped = [];
    const all = document.querySelectorAll("button, a[href], input, textarea, summary, [tabindex='0']");
    for (const node of all) {
        node.focus({ focusVisible: true });
        if (document.activeElement !== node) continue;
        node.scrollIntoView({ block: "nearest", inline: "nearest" });
        const isRinged = (seen) => getComputedStyle(seen).outlineStyle !== "none";
        const ring = [node, node.parentElement].find(isRinged);
        if (!ring) continue;
        const style = getComputedStyle(ring);
        const reach = Math.max(0, parseFloat(style.outlineWidth) + parseFloat(style.outlineOffset));
        const box = ring.getBoundingClientRect();
        for (let around = ring.parentElement; around; around = around.parentElement) {
            const { overflowX, overflowY } = getComputedStyle(around);
            const edge = around.getBoundingClientRect();
            const outX = box.left - reach < edge.left - 0.5 || box.right + reach > edge.right + 0.5;
            const outY = box.top - reach < edge.top - 0.5 || box.bottom + reach > edge.bottom + 0.5;
            const isCut = (overflowX !== "visible" && outX) || (overflowY !== "visible" && outY);
            if (isCut && box.width <= edge.width) {
                clipped.push(`${ring.outerHTML.slice(0, 120)} in ${around.id || around.className}`);
                break;
            }
        }
    }
    return clipped;
}"""


def test_no_ring_of_the_focus_is_cut_off(finished: Painted) -> None:
    visitor, _ = finished
    for tab in TABS:
        opened(visitor, tab)
        assert visitor.page.evaluate(CLIPPED) == [], tab


def test_nothing_moves_where_motion_is_reduced(visit: Callable[..., Visitor]) -> None:
    visitor = visit(reduced_motion="reduce")
    visitor.generate()
    moving = visitor.page.evaluate("""() => [...document.querySelectorAll("*")].filter((node) => {
        const { animationName, transitionDuration } = getComputedStyle(node);
        return animationName !== "none" || transitionDuration.split(", ").some((time) => time !== "0s");
    }).map((node) => node.outerHTML.slice(0, 100))""")
    assert moving == []
