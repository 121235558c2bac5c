"""The whole page in a real browser: draw, generate, watch, compare, stop, live, keep, restore."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from demo import form, painting, views
from demo.form import LIVE_STEPS
from demo.models import Drafts, Models
from mcm_core import MCMPipeline
from mcm_core.drawing.conditions import LABELS, Conditions
from mcm_core.pipeline import Step
from mcm_core.record import read_record
from mcm_core.request import Request
from tests import pages, tiny
from tests.browser import Tab, wait_until
from tests.pages import SIZE, STEPS, Paced, until
from tests.visitor import Visitor, paint_sky_and_water, pixels, request_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest_plugins = ["tests.chromium", "tests.visits"]
pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=console.error(1)>"


@pytest.fixture(scope="module")
def models(sd_folder: Path) -> Models:
    return Models([pages.tiny_model(sd_folder, pages.sky_over_water)])


# -- draw, generate, watch ---------------------------------------------------------------------------------


def test_what_is_painted_reaches_the_pipeline_pixel_for_pixel_and_makes_its_picture(
    visit: Callable[..., Visitor], models: Models, pipeline: Paced, tmp_path: Path
) -> None:
    visitor = visit()
    paint_sky_and_water(visitor)
    visitor.keys("Control+z")
    undone = visitor.stored()
    visitor.keys("Control+Shift+z")
    assert (undone.maps[LABELS][40:] != 3).all()
    visitor.page.locator("#prompt textarea").fill("a lake")
    file = visitor.generate()
    request = request_of(file, tmp_path)
    np.testing.assert_array_equal(request.conditions.maps[LABELS], visitor.stored().maps[LABELS])
    assert (request.conditions.maps[LABELS][32:] == 3).all()
    assert request.prompt == "a lake"
    np.testing.assert_array_equal(pixels(file), bare(models, request).images[0])


def bare(models: Models, request: Request) -> Any:
    """What the pipeline makes of a request without any page."""
    model = models.default
    return MCMPipeline(model.base, model.pipeline.modulator)(replace(request, previews=False))


def test_a_stroke_alone_changes_nothing_but_the_drawing(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.page.locator("#settings > button").click()
    seed = visitor.page.locator("#seed input").input_value()
    with visitor.answered():
        visitor.stroke((5, 5), (40, 40))
    assert visitor.page.locator("#go").inner_text() == "Generate"
    assert visitor.page.locator("#seed input").input_value() == seed != ""


def test_previews_arrive_while_the_picture_forms(
    visit: Callable[..., Visitor], pipeline: Paced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(painting, "PAUSE_PER_PREVIEW", 0)  # none is passed over, however slow the machine
    visitor = visit()
    pipeline.hold()
    visitor.page.locator("#go").click()
    shown = []
    for step in range(STEPS - 1):
        pipeline.let_go(1)
        visitor.in_viewer(f".stage[data-step='{step}']").wait_for()
        shown.append(visitor.in_viewer(".forming img").get_attribute("src"))
    (request,) = pipeline.begun
    steps = [
        event
        for event in MCMPipeline(pipeline.base, pipeline.modulator).paint(request)
        if isinstance(event, Step)
    ]
    assert shown == [views.previews(step)[0] for step in steps[: STEPS - 1]]
    pipeline.let_go()
    assert visitor.finished()
    assert "Painted in" in visitor.in_viewer(".bar .status").inner_text()


def test_stop_works_at_once_and_the_next_picture_comes(
    visit: Callable[..., Visitor], pipeline: Paced
) -> None:
    visitor = visit()
    pipeline.hold()
    pipeline.let_go(1)
    visitor.page.locator("#go").click()
    visitor.in_viewer(".forming img").wait_for()
    visitor.page.locator("#stop").click()
    wait_until(visitor.page, lambda: visitor.state() == "stopped")
    wait_until(visitor.page, lambda: not pipeline.active)
    pipeline.let_go()
    visitor.page.locator("#go").wait_for()
    assert visitor.generate()


def test_live_mode_drops_stale_runs_and_ends_with_its_switch(
    visit: Callable[..., Visitor], pipeline: Paced, tmp_path: Path
) -> None:
    visitor = visit()
    with visitor.answered():  # it is a change that is painted, too, if Live is on when the hand rests
        visitor.setting("Steps", str(LIVE_STEPS + 1))
    pipeline.hold()
    visitor.page.locator("#live input").check()
    wait_until(visitor.page, lambda: len(pipeline.begun) == 1)
    visitor.keys("1")
    for runs, row in enumerate((5, 25, 45), start=2):
        visitor.stroke((2, row), (60, row))
        wait_until(visitor.page, lambda runs=runs: len(pipeline.begun) == runs)
    pipeline.let_go()
    last = request_of(visitor.finished(), tmp_path)
    np.testing.assert_array_equal(last.conditions.maps[LABELS], visitor.stored().maps[LABELS])
    assert last.steps == LIVE_STEPS
    assert pipeline.most_active == 1
    thumbnails = visitor.page.locator("#gallery button")
    thumbnails.first.wait_for()
    assert thumbnails.count() == 1  # of all the runs, only the last one ended
    with visitor.answered():
        visitor.page.locator("#live input").uncheck()
    with visitor.answered():
        visitor.stroke((2, 60), (60, 60))
    assert len(pipeline.begun) == 4


@pytest.fixture(scope="module")
def lively(sd_folder: Path) -> Models:
    """The small model, with a modulator of few steps that follows the brush."""
    model = pages.tiny_model(sd_folder)
    few = tiny.build_modulator(model.base, live={"steps": [1, 2], "guidance_scale": 3.0, "grid": 32})
    return Models([replace(model, drafts=Drafts(MCMPipeline(model.base, few, drafts=True), 1, 2))])


@pytest.fixture(scope="module")
def lively_url(lively: Models) -> Iterator[str]:
    with pages.page(lively) as address:
        yield address


@pytest.fixture
def drafting(lively: Models, lively_url: str, open_page: Callable[..., Page]) -> Iterator[Visitor]:
    """A visitor of its page, where Live is on from the beginning."""
    pages.paced(lively).calm()
    yield Visitor(open_page(lively_url), SIZE, SIZE)
    pages.paced(lively).let_go()


def test_drafts_follow_the_brush_and_the_picture_comes_when_the_hand_rests(
    drafting: Visitor, lively: Models, tmp_path: Path
) -> None:
    visitor, mouse, whole = drafting, drafting.page.mouse, pages.paced(lively)
    whole.hold()
    visitor.keys("1")
    mouse.move(*visitor.at((4, 30)))
    mouse.down()
    places = itertools.cycle([(x, y) for y in (30, 40) for x in range(5, 60)])

    def drafts_beyond(turn: int) -> bool:
        mouse.move(*visitor.at(next(places)))
        return visitor.state() == "draft" and visitor.turn() > turn

    wait_until(visitor.page, lambda: drafts_beyond(0))
    first = visitor.turn()
    wait_until(visitor.page, lambda: drafts_beyond(first))
    assert not whole.begun
    mouse.up()
    wait_until(visitor.page, lambda: visitor.state() == "waiting")
    assert visitor.in_viewer(".forming img").count() == 1  # the draft is seen until there is something better
    whole.let_go()
    last = request_of(visitor.finished(), tmp_path)
    np.testing.assert_array_equal(last.conditions.maps[LABELS], visitor.stored().maps[LABELS])
    assert last.steps == STEPS
    assert visitor.in_viewer("img.whole:not(.drawn)").count() == 1


def test_a_stroke_over_what_is_painted_already_ends_in_the_picture(drafting: Visitor) -> None:
    """Its drafts are of the same drawing, but they are drafts."""
    visitor, mouse = drafting, drafting.page.mouse
    visitor.keys("1")
    places = [(x, 30) for x in range(4, 60)]
    visitor.stroke(*places)
    visitor.finished()
    before, back_and_forth = visitor.run(), itertools.cycle([*places, *reversed(places)])
    mouse.move(*visitor.at(places[0]))
    mouse.down()

    def is_drafted() -> bool:
        mouse.move(*visitor.at(next(back_and_forth)))
        return visitor.state() == "draft"

    wait_until(visitor.page, is_drafted)
    mouse.up()
    visitor.finished(before)


# -- compare, what it did, how it followed -----------------------------------------------------------------


def test_the_slider_compares_with_the_same_noise_without_the_drawing(
    visit: Callable[..., Visitor], models: Models, tmp_path: Path
) -> None:
    visitor = visit()
    paint_sky_and_water(visitor)
    modulated = request_of(visitor.generate(), tmp_path)
    visitor.tab("Compare")
    visitor.in_viewer(".stage[data-state=done] img.plain").wait_for()
    plain = visitor.file(visitor.in_viewer("img.plain").get_attribute("src") or "")
    alone = MCMPipeline(models.default.base)(
        replace(modulated, conditions=Conditions(), strength={}, compare=False)
    )
    np.testing.assert_array_equal(pixels(plain), alone.images[0])
    slider = visitor.in_viewer(".compare input[type=range]")
    slider.hover(trial=True)  # waits until it stands still
    box = slider.bounding_box()
    assert box is not None
    visitor.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    visitor.page.mouse.down()
    visitor.page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] / 2)
    visitor.page.mouse.up()
    at = visitor.in_viewer(".compare").evaluate("node => parseFloat(node.style.getPropertyValue('--at'))")
    assert 20 <= at <= 30
    visitor.page.get_by_role("button", name="Side by side").click()
    boxes = [visitor.in_viewer(f"img.{kind}").bounding_box() for kind in ("plain", "modulated")]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"] + 1


def test_the_heat_map_and_the_agreement_are_shown(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    paint_sky_and_water(visitor)
    visitor.generate()
    visitor.tab("What it did")
    assert "of the strongest" in (visitor.in_viewer("canvas.heat").get_attribute("aria-label") or "")
    heat = visitor.in_viewer("canvas.heat").evaluate(
        "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)"
    )
    assert heat
    visitor.tab("How it followed")
    painted = visitor.stored().maps[LABELS]
    judged = np.where(np.arange(SIZE)[:, None] < SIZE // 2, 1, 3)
    share = round(100 * (judged == painted)[painted > 0].mean())
    assert f"{share} %" in visitor.in_viewer(".tag.left").inner_text()
    assert visitor.in_viewer(".shares li").count() == len(set(painted[painted > 0]))


# -- hands and keys ----------------------------------------------------------------------------------------


def test_a_finger_draws_and_a_phone_shows_everything(
    visit: Callable[..., Visitor], pipeline: Paced, tmp_path: Path
) -> None:
    visitor = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = visitor.page
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    touch = page.context.new_cdp_session(page)
    box = visitor.stage.bounding_box()
    assert box is not None
    scrolled = page.evaluate("scrollY")
    for kind, share in (("touchStart", 0.3), ("touchMove", 0.5), ("touchMove", 0.7), ("touchEnd", None)):
        points = [] if share is None else [{"x": box["x"] + 40, "y": box["y"] + share * box["height"]}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    wait_until(page, lambda: visitor.revision())
    assert page.evaluate("scrollY") == scrolled
    page.locator("#go").click()  # a tap so soon after the stroke can be taken for one gesture with it
    conditions = request_of(visitor.finished(), tmp_path).conditions
    assert conditions == visitor.stored()


def test_everything_goes_by_keyboard_alone(visit: Callable[..., Visitor], pipeline: Paced) -> None:
    visitor = visit()
    visitor.stage.focus()
    visitor.keys("3", "b", "Space", "ArrowDown", "ArrowRight")
    visitor.keys("Control+Enter")
    visitor.finished()
    assert pipeline.begun[-1].conditions == visitor.stored()
    before = visitor.run()
    visitor.page.locator("#prompt textarea").focus()
    visitor.page.keyboard.type("hills")
    visitor.keys("Enter")
    visitor.finished(before)
    assert pipeline.begun[-1].prompt == "hills"
    visitor.in_viewer("[role=tab][aria-selected=true]").focus()
    visitor.keys("ArrowRight", "Enter")
    wait_until(visitor.page, lambda: visitor.in_viewer("img.plain").count() and visitor.state() == "done")


def test_a_chip_replaces_what_says_otherwise_in_sight(visit: Callable[..., Visitor], pipeline: Paced) -> None:
    visitor = visit()
    prompt = visitor.page.locator("#prompt textarea")
    prompt.fill("a lake by day, in summer")
    chips = visitor.page.locator("#styles label")
    press = {name: chips.filter(has_text=name) for name in form.STYLES}
    chosen = {name: press[name].locator("input") for name in form.STYLES}
    press["Sunset"].click()
    wait_until(visitor.page, lambda: prompt.input_value() == "a lake, in summer")
    press["Night"].click()
    wait_until(visitor.page, lambda: not chosen["Sunset"].is_checked())
    press["Winter"].click()
    wait_until(visitor.page, lambda: prompt.input_value() == "a lake")
    assert chosen["Night"].is_checked()
    visitor.generate()
    assert pipeline.begun[-1].prompt == "a lake at night in winter"


# -- keep and restore --------------------------------------------------------------------------------------


def test_a_reload_keeps_the_drawing(visit: Callable[..., Visitor], pipeline: Paced) -> None:
    visitor = visit()
    paint_sky_and_water(visitor)
    drawn = visitor.stored()
    visitor.page.reload()
    again = Visitor(visitor.page, SIZE, SIZE)
    again.generate()
    assert pipeline.begun[-1].conditions == drawn


def test_a_picture_brings_back_its_request_and_makes_itself_again(
    visit: Callable[..., Visitor], tmp_path: Path
) -> None:
    visitor = visit()
    paint_sky_and_water(visitor)
    visitor.page.locator("#prompt textarea").fill("a lake")
    visitor.setting("Steps", "7")
    visitor.setting("Guidance", "2.5")
    first = visitor.generate()
    (tmp_path / "first.png").write_bytes(first)
    other = visit()
    other.page.locator("#upload input[type=file], input[type=file]").first.set_input_files(
        tmp_path / "first.png"
    )
    wait_until(other.page, lambda: other.page.locator("#prompt textarea").input_value() == "a lake")
    wait_until(other.page, lambda: other.state() == "done")
    np.testing.assert_array_equal(pixels(other.file(other.shown_picture() or "")), pixels(first))
    assert other.generate() == first


def test_the_gallery_brings_everything_back(visit: Callable[..., Visitor], tmp_path: Path) -> None:
    visitor = visit()
    paint_sky_and_water(visitor)
    visitor.page.locator("#prompt textarea").fill("a lake")
    first = visitor.generate()
    drawn = visitor.stored()
    visitor.button("Clear all").click()
    visitor.page.locator("#prompt textarea").fill(EVIL)
    visitor.generate()
    thumbnails = visitor.page.locator("#gallery button")
    wait_until(visitor.page, lambda: thumbnails.count() == 2)
    thumbnails.nth(1).click()
    wait_until(visitor.page, lambda: visitor.page.locator("#prompt textarea").input_value() == "a lake")
    wait_until(visitor.page, lambda: visitor.stored() == drawn)
    assert visitor.generate() == first


def test_a_picture_that_is_brought_back_stops_what_is_being_painted(
    visit: Callable[..., Visitor], pipeline: Paced
) -> None:
    """Else the page would show the one, and the server take the other for shown."""
    visitor = visit()
    paint_sky_and_water(visitor)
    first = visitor.generate()
    visitor.page.locator("#prompt textarea").fill("hills")
    pipeline.hold()
    visitor.page.locator("#go").click()
    until(lambda: pipeline.active == 1)
    visitor.page.locator("#gallery button").first.click()
    wait_until(visitor.page, lambda: visitor.page.locator("#prompt textarea").input_value() == "")
    until(lambda: pipeline.active == 0)
    pipeline.let_go()
    wait_until(visitor.page, lambda: visitor.state() == "done")
    assert visitor.finished() == first
    assert visitor.page.locator("#gallery button").count() == 1


def test_an_edited_picture_brings_its_settings_and_stops_nothing(
    visit: Callable[..., Visitor], pipeline: Paced, tmp_path: Path
) -> None:
    visitor = visit()
    paint_sky_and_water(visitor)
    visitor.page.locator("#prompt textarea").fill("hills")
    image = Image.open(BytesIO(visitor.generate()))
    edited = PngImagePlugin.PngInfo()
    for name, text in image.text.items():  # type: ignore[attr-defined]
        edited.add_text(name, text)
    ImageOps.invert(image).save(tmp_path / "edited.png", pnginfo=edited)
    visitor.page.locator("#prompt textarea").fill("a lake")
    pipeline.hold()
    before = visitor.run()
    visitor.page.locator("#go").click()
    until(lambda: pipeline.active == 1)
    visitor.page.locator("input[type=file]").first.set_input_files(tmp_path / "edited.png")
    wait_until(visitor.page, lambda: visitor.page.locator("#prompt textarea").input_value() == "hills")
    pipeline.let_go()
    wait_until(visitor.page, lambda: visitor.run() > before and visitor.state() == "done")
    assert read_record(visitor.finished()).request.prompt == "a lake"


def test_a_link_brings_back_prompt_and_settings(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.page.locator("#prompt textarea").fill("a lake & hills")
    visitor.setting("Steps", "9")
    visitor.page.locator("#link").click()
    wait_until(visitor.page, lambda: "steps=9" in visitor.page.url)
    other = visit("?" + visitor.page.url.split("?")[1])
    wait_until(other.page, lambda: other.page.locator("#prompt textarea").input_value() == "a lake & hills")
    other.page.locator("#settings > button").click()
    assert other.page.get_by_label("number input for Steps").input_value() == "9"


def test_an_example_fills_the_canvas_and_the_prompt(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.page.locator("#examples button").first.click()
    wait_until(visitor.page, lambda: visitor.page.locator("#prompt textarea").input_value())
    visitor.page.locator(".mcm-canvas.drawn").wait_for()
    assert visitor.stored().maps


# -- how it looks ------------------------------------------------------------------------------------------


def test_both_heroes_and_the_button_are_above_the_fold(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    for selector in ("#draw .stage", "#see .stage", "#go", "#styles"):
        box = visitor.page.locator(selector).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 800, selector
        assert box["width"] > 100, selector


SCREENS = {
    "phone": (390, 844),
    "on its side": (844, 390),
    "small": (320, 640),
    "tablet": (820, 1180),
    "wide": (1024, 768),
}


@pytest.fixture(scope="module")
def phone(chromium: Browser) -> Tab:
    return Tab(chromium, has_touch=True, is_mobile=True)


@pytest.fixture
def on_phone(phone: Tab) -> Iterator[Page]:
    phone.said.clear()
    yield phone.page
    said = [*phone.said]
    phone.leave()
    assert not said, said


@pytest.mark.parametrize("screen", SCREENS)
def test_drawing_picture_and_button_are_in_sight_together(on_phone: Page, url: str, screen: str) -> None:
    page, (width, height) = on_phone, SCREENS[screen]
    page.set_viewport_size({"width": width, "height": height})
    page.goto(url)
    Visitor(page, SIZE, SIZE)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    boxes = {name: page.locator(name).bounding_box() for name in ("#go", "#draw .stage", "#see .stage")}
    for name, box in boxes.items():
        assert box is not None
        assert box["x"] >= 0, name
        assert box["x"] + box["width"] <= width, name
        assert box["y"] >= 0, name
        assert box["y"] + 0.97 * box["height"] <= height, name
        if name != "#go" and screen not in ("tablet", "wide"):
            assert box["y"] + 0.97 * box["height"] <= boxes["#go"]["y"], name  # type: ignore[index]
        assert box["width"] >= (90 if name == "#go" else 140), name
    title, upload = (page.locator(name).bounding_box() for name in ("#title h1", "#upload"))
    assert title is not None
    assert upload is not None
    assert title["x"] + title["width"] + 4 <= upload["x"]
    cut = page.locator(".chip .name").evaluate_all(
        "all => all.filter((n) => n.scrollWidth > n.clientWidth + 1).length"
    )
    assert cut == 0


@pytest.mark.parametrize("screen", ["phone", "on its side", "small", "tablet"])
def test_what_stands_last_is_not_below_the_bar(on_phone: Page, url: str, screen: str) -> None:
    page, (width, height) = on_phone, SCREENS[screen]
    page.set_viewport_size({"width": width, "height": height})
    page.goto(url)
    Visitor(page, SIZE, SIZE)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    last, bar = (page.locator(name).bounding_box() for name in ("#settings > button", "#prompt-row"))
    assert last is not None
    assert bar is not None
    assert last["y"] + last["height"] <= bar["y"]


def test_generate_stays_in_reach_under_what_is_told_of_a_picture(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    paint_sky_and_water(visitor)
    visitor.generate()
    for tab in ("What it did", "How it followed"):
        visitor.tab(tab)
        for selector in ("#go", "#see .stage"):
            box = visitor.page.locator(selector).bounding_box()
            assert box is not None
            assert box["y"] + box["height"] <= 800, (tab, selector)
        stage = visitor.in_viewer(".stage").bounding_box()
        assert stage is not None
        assert stage["width"] == pytest.approx(stage["height"], abs=2)
        assert stage["width"] > 200


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(visit: Callable[..., Visitor], theme: str) -> None:
    visitor = visit(f"?__theme={theme}")
    seen = np.asarray(Image.open(BytesIO(visitor.page.screenshot())).convert("L")).astype(int)
    assert (seen[:, :20].mean() < 128) == (theme == "dark")
    box = visitor.page.locator("#title h1").bounding_box()
    assert box is not None
    x, y, width, height = (int(box[name]) for name in ("x", "y", "width", "height"))
    title = seen[y : y + height, x : x + width]
    assert np.ptp(title) > 150
