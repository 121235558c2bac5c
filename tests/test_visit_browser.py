"""A visit over time, in a real browser: words, seeds, reloads, links, and what is said of old pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from demo.models import Models
from demo.ui import build_ui, launch_options
from mcm_core.record import digest, read_record
from mcm_core.request import Request
from tests import pages
from tests.browser import served, wait_until
from tests.pages import SIZE, Paced
from tests.visitor import Visitor, paint_sky_and_water, pixels, request_of

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytest_plugins = ["tests.chromium", "tests.visits"]
pytestmark = pytest.mark.browser

PROMPT = "#prompt textarea"
VOCABULARY = {"Things": ("a lake", "hills"), "Time": ("at night",)}


@pytest.fixture(scope="module")
def models(sd_folder: Path) -> Models:
    """The small model, which was taught a few words."""
    model = pages.tiny_model(sd_folder)
    model.base.vocabulary = VOCABULARY
    return Models([model])


def seed(visitor: Visitor) -> str:
    return visitor.page.locator("#seed input").input_value()


def prompt(visitor: Visitor) -> str:
    return visitor.page.locator(PROMPT).input_value()


def said_of_picture(visitor: Visitor) -> str:
    return visitor.page.locator("#memory").inner_text().strip()


def reloaded(visitor: Visitor) -> Visitor:
    visitor.page.reload()
    return Visitor(visitor.page, SIZE, SIZE)


def go_live(visitor: Visitor) -> None:
    """Switches Live on; the picture that this asks for has come."""
    visitor.page.locator("#live input").check()
    visitor.finished()


# -- words -------------------------------------------------------------------------------------------------


def test_words_repaint_however_they_come(visit: Callable[..., Visitor], pipeline: Paced) -> None:
    visitor = visit()
    go_live(visitor)
    field = visitor.page.locator(PROMPT)

    def pasted(words: str) -> None:
        field.select_text()
        visitor.page.evaluate("(words) => document.execCommand('insertText', false, words)", words)

    def spoken(words: str) -> None:
        field.evaluate(
            "(field, words) => { field.value = words; field.dispatchEvent(new Event('input', "
            "{ bubbles: true })); }",
            words,
        )

    for come, words in ((field.press_sequentially, "hills at night"), (pasted, "a lake"), (spoken, "hills")):
        before = visitor.run()
        come(words)
        wait_until(visitor.page, lambda words=words: pipeline.begun[-1].prompt == words)
        visitor.finished(before)


def test_words_and_strokes_share_one_order(
    visit: Callable[..., Visitor], pipeline: Paced, tmp_path: Path
) -> None:
    """Whatever the order in which events are answered, the last picture is of the last words and drawing."""
    visitor = visit()
    go_live(visitor)
    visitor.keys("3")
    for index in range(4):
        visitor.page.locator(PROMPT).fill(f"hills {'ab'[index % 2] * (index + 1)}")
        visitor.stroke((5, 10 * index + 5), (60, 10 * index + 5))
    last = f"hills {'b' * 4}"

    def is_last(request: Request) -> bool:
        return request.prompt == last and request.conditions == visitor.stored()

    wait_until(visitor.page, lambda: is_last(pipeline.begun[-1]))
    wait_until(visitor.page, lambda: visitor.state() == "done" and not pipeline.active)
    assert is_last(request_of(visitor.file(visitor.shown_picture() or ""), tmp_path))
    assert said_of_picture(visitor) == ""


def test_what_is_not_read_is_marked_while_one_types(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    unread = visitor.page.locator("#words s")
    visitor.page.locator(PROMPT).fill("a purple cat by a lake at night")
    wait_until(visitor.page, lambda: unread.all_inner_texts() == ["purple", "cat", "by"])
    visitor.page.locator(PROMPT).fill("a lake")
    wait_until(visitor.page, lambda: unread.count() == 0)


def test_a_word_that_it_knows_is_one_press_away(visit: Callable[..., Visitor], pipeline: Paced) -> None:
    visitor = visit()
    go_live(visitor)
    visitor.page.get_by_text("Words it knows").click()
    known = visitor.page.locator("#words .word")
    assert known.all_inner_texts() == ["a lake", "hills", "at night"]
    known.nth(0).click()
    known.nth(2).click()
    assert prompt(visitor) == "a lake at night"
    wait_until(visitor.page, lambda: pipeline.begun[-1].prompt == "a lake at night")
    visitor.finished()


def test_words_typed_after_a_chip_of_their_group_switch_it_off(
    visit: Callable[..., Visitor], pipeline: Paced
) -> None:
    visitor = visit()
    for chip, words in (
        ("Sunset", "a lake at night"),
        ("Winter", "a lake in summer"),
        ("Mist", "a lake in the fog"),
        ("Oil", "a watercolor of a lake"),
    ):
        label = visitor.page.locator("#styles label").filter(has_text=chip)
        box = label.locator("input")
        visitor.page.locator(PROMPT).fill("a lake")
        label.click()
        wait_until(visitor.page, box.is_checked)
        visitor.page.locator(PROMPT).fill("a lake by hills")
        visitor.page.locator(PROMPT).fill(words)
        wait_until(visitor.page, lambda box=box: not box.is_checked())
        visitor.generate()
        assert pipeline.begun[-1].prompt == words


# -- seeds -------------------------------------------------------------------------------------------------


def test_a_seed_is_kept_until_the_dice_or_the_lock_say_otherwise(
    visit: Callable[..., Visitor], pipeline: Paced
) -> None:
    visitor = visit()
    first = visitor.generate()
    kept = seed(visitor)
    assert visitor.generate() == first
    before = visitor.run()
    visitor.page.get_by_role("button", name="Roll the dice").click()
    visitor.finished(before)
    rolled = seed(visitor)
    assert rolled != kept
    assert str(pipeline.begun[-1].seeds[0]) == rolled
    visitor.page.get_by_label("Keep seed").uncheck(force=True)
    visitor.generate()
    wait_until(visitor.page, lambda: seed(visitor) == str(pipeline.begun[-1].seeds[0]) != rolled)


def test_an_empty_seed_is_a_random_one_and_is_told(visit: Callable[..., Visitor], pipeline: Paced) -> None:
    visitor = visit()
    visitor.page.locator("#seed input").fill("")
    visitor.generate()
    wait_until(visitor.page, lambda: seed(visitor) == str(pipeline.begun[-1].seeds[0]))


def test_restoring_says_what_it_has_set(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.page.locator(PROMPT).fill("a lake")
    visitor.page.locator("#seed input").fill("123")
    visitor.setting("Steps", "7")
    visitor.generate()
    visitor.page.locator("#gallery button").first.click()
    toast = visitor.page.get_by_text("Restored: no drawing, prompt, seed 123, 7 steps")
    toast.first.wait_for()


# -- nothing is lost ---------------------------------------------------------------------------------------


def test_everything_outlives_a_reload_and_nothing_is_painted_for_it(
    visit: Callable[..., Visitor], pipeline: Paced, tmp_path: Path
) -> None:
    visitor = visit()
    paint_sky_and_water(visitor)
    visitor.page.locator(PROMPT).fill("a lake")
    visitor.setting("Steps", "7")
    visitor.page.locator("#seed input").fill("123")
    visitor.generate()
    visitor.page.locator(PROMPT).fill("hills")
    last, drawn = visitor.generate(), visitor.stored()
    wait_until(visitor.page, lambda: has_picture(visitor))
    begun = len(pipeline.begun)
    visitor = reloaded(visitor)
    assert (prompt(visitor), seed(visitor)) == ("hills", "123")
    assert pixels(visitor.finished()).tobytes() == pixels(last).tobytes()
    assert visitor.page.locator("#gallery button").count() == 2
    assert said_of_picture(visitor) == ""
    assert len(pipeline.begun) == begun
    visitor.page.locator("#gallery button").nth(1).click()
    wait_until(visitor.page, lambda: len(pipeline.begun) == begun + 1)
    again = pipeline.begun[-1]
    assert (again.prompt, again.steps, again.seeds, again.conditions) == ("a lake", 7, (123,), drawn)
    wait_until(visitor.page, lambda: prompt(visitor) == "a lake")


def has_picture(visitor: Visitor) -> bool:
    return "picture" in (kept(visitor, "visit") or {})


def kept(visitor: Visitor, name: str) -> Any:
    return json.loads(visitor.page.evaluate("(key) => sessionStorage.getItem(key)", f"mcm-{name}") or "null")


def test_a_restarted_server_gets_the_visit_back(
    models: Models, pipeline: Paced, open_page: Callable[..., Page]
) -> None:
    """The page goes on by itself, and says meanwhile that it tries."""
    with pages.page(models) as address:
        page = open_page(address, forgiven=("Failed to load resource", "ERR_", "net::", "error"))
        visitor = Visitor(page, SIZE, SIZE)
        paint_sky_and_water(visitor)
        visitor.page.locator(PROMPT).fill("a lake")
        last = visitor.generate()
        wait_until(page, lambda: has_picture(visitor))
        page.evaluate("window.isOld = true")
    page.evaluate("window.dispatchEvent(new Event('offline'))")
    wait_until(page, lambda: said_of_picture(visitor) == "Connection lost, trying again")
    port = int(address.rstrip("/").rpartition(":")[2])
    with served(build_ui(models), server_port=port, **launch_options()) as again:
        assert again == address
        page.wait_for_function("!window.isOld")  # goes on over the reload
        visitor = Visitor(page, SIZE, SIZE)
        assert prompt(visitor) == "a lake"
        assert pixels(visitor.finished()).tobytes() == pixels(last).tobytes()
        visitor.leave()


def test_each_tab_has_its_own_and_a_new_one_begins_with_a_copy(
    visit: Callable[..., Visitor], url: str
) -> None:
    visitor = visit()
    paint_sky_and_water(visitor)
    visitor.page.locator(PROMPT).fill("a lake")
    wait_until(visitor.page, lambda: kept_prompt(visitor) == "a lake")
    drawn = drawing(visitor)
    page = visitor.page.context.new_page()
    page.goto(url)
    other = Visitor(page, SIZE, SIZE)
    assert prompt(other) == "a lake"
    assert drawing(other) == drawn
    other.button("Clear all").click()
    wait_until(other.page, lambda: drawing(other) == ("", ""))
    other.page.locator(PROMPT).fill("hills")
    wait_until(other.page, lambda: kept_prompt(other) == "hills")
    visitor = reloaded(visitor)
    assert prompt(visitor) == "a lake"
    assert drawing(visitor) == drawn
    assert prompt(reloaded(other)) == "hills"


def kept_prompt(visitor: Visitor) -> str | None:
    return (kept(visitor, "visit") or {}).get("fields", {}).get("prompt")


def drawing(visitor: Visitor) -> tuple[str, str]:
    value = kept(visitor, "canvas:drawing")["value"]
    return value["labels"], value["sketch"]


def test_damaged_storage_is_passed_over(visit: Callable[..., Visitor]) -> None:
    keys = ["mcm-visit", "mcm-gallery", "mcm-canvas:drawing"]
    damaged = ["{", "[]", '"x"', "7", '{"fields": 3, "picture": "x"}']
    script = f"""
        const turn = Number(sessionStorage.turn ?? 0);
        sessionStorage.turn = turn + 1;
        for (const key of {keys}) sessionStorage[key] = localStorage[key] = {damaged}[turn];
    """
    visitor = visit(script=script)
    for _ in damaged[1:]:
        assert visitor.generate()
        visitor = reloaded(visitor)
    assert visitor.generate()
    assert visitor.page.evaluate("sessionStorage.turn") == str(len(damaged))


def test_a_damaged_gallery_keeps_what_is_whole(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.generate()
    entries = wait_until(visitor.page, lambda: kept(visitor, "gallery"))
    bad = [
        {**entries[0], **change}
        for change in ({"record": "{"}, {"images": ["x", 3]}, {"model": "?"}, {"id": 3})
    ]
    visitor.page.evaluate(
        "(all) => sessionStorage.setItem('mcm-gallery', all)", json.dumps([*bad, 3, *entries])
    )
    visitor = reloaded(visitor)
    assert visitor.page.locator("#gallery button").count() == 1


# -- links -------------------------------------------------------------------------------------------------


def test_a_link_gives_the_same_picture_in_another_browser(
    visit: Callable[..., Visitor], pipeline: Paced, tmp_path: Path
) -> None:
    visitor = visit()
    paint_sky_and_water(visitor)
    visitor.tool("Pen")
    visitor.stroke((3, 60), (30, 40), (60, 50))
    visitor.page.locator(PROMPT).fill("a lake & hills")
    visitor.setting("Steps", "9")
    visitor.page.get_by_label("Keep seed").uncheck(force=True)
    first = visitor.generate()
    wait_until(visitor.page, lambda: seed(visitor) == str(pipeline.begun[-1].seeds[0]))
    visitor.page.locator("#link").click()
    wait_until(visitor.page, lambda: "#d=" in visitor.page.url)
    other = visit(visitor.page.url.partition("/")[2].partition("/")[2].partition("/")[2])
    second = other.finished()
    (tmp_path / "second.png").write_bytes(second)
    assert digest(pixels(second)) == digest(pixels(first)) == read_record(tmp_path / "second.png").pixels
    assert second == first
    assert other.stored() == visitor.stored()
    assert prompt(other) == "a lake & hills"


def test_a_link_that_was_opened_does_not_undo_what_came_after(visit: Callable[..., Visitor]) -> None:
    visitor = visit("?prompt=a+lake")
    visitor.finished()
    assert prompt(visitor) == "a lake"
    visitor.page.locator(PROMPT).fill("hills")
    wait_until(visitor.page, lambda: kept_prompt(visitor) == "hills")
    assert prompt(reloaded(visitor)) == "hills"


@pytest.mark.parametrize("damaged", ["AAAA", "x", "q1YqSy0qzszPU7IyBAA"])
def test_a_damaged_drawing_in_a_link_is_told(visit: Callable[..., Visitor], damaged: str) -> None:
    visitor = visit(f"?prompt=a+lake#d={damaged}")
    visitor.page.get_by_text("The drawing of this link was left out").first.wait_for()
    assert prompt(visitor) == "a lake"


def test_a_drawing_too_large_for_a_link_is_told(visit: Callable[..., Visitor]) -> None:
    """Noise does not deflate."""
    noise = np.random.default_rng(0).integers(0, 4, SIZE * SIZE * 16)
    runs = ",".join(f"{index}x1" for index in noise)
    value = {"version": 1, "width": 4 * SIZE, "height": 4 * SIZE, "labels": runs, "sketch": "", "revision": 1}
    visitor = visit()
    said = visitor.page.evaluate(
        """(drawing) => new Promise((say) => document.dispatchEvent(
            new CustomEvent("mcm-link", { detail: { drawing, fields: { prompt: "a lake" }, say } })))""",
        value,
    )
    assert "too large" in said
    assert visitor.page.url.endswith("?prompt=a+lake")


# -- what is said of a picture -----------------------------------------------------------------------------


def test_a_picture_of_an_earlier_drawing_or_of_earlier_words_says_so(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.generate()
    visitor.keys("1")
    visitor.stroke((5, 5), (40, 40))
    wait_until(visitor.page, lambda: said_of_picture(visitor) == "Of an earlier drawing")
    visitor.keys("Control+z")
    wait_until(visitor.page, lambda: said_of_picture(visitor) == "")
    visitor.page.locator(PROMPT).fill("hills")
    wait_until(visitor.page, lambda: said_of_picture(visitor) == "Of earlier words")
    visitor.generate()
    wait_until(visitor.page, lambda: said_of_picture(visitor) == "")


def test_an_error_leaves_the_picture_and_stands_beside_it(
    visit: Callable[..., Visitor], pipeline: Paced
) -> None:
    visitor = visit()
    visitor.generate()
    shown = visitor.shown_picture()

    def fail() -> None:
        raise RuntimeError("on purpose")

    pipeline.fault = fail
    visitor.page.locator("#go").click()
    wait_until(visitor.page, lambda: visitor.state() == "failed")
    assert visitor.shown_picture() == shown
    assert "No new picture" in visitor.in_viewer(".bar .status").inner_text()


def test_next_in_line_is_told_who_is_before(visit: Callable[..., Visitor], pipeline: Paced) -> None:
    visitor, other = visit(), visit()
    pipeline.hold()
    visitor.page.locator("#go").click()
    wait_until(visitor.page, lambda: pipeline.active == 1)
    other.page.locator("#go").click()
    status = other.in_viewer(".bar .status")
    wait_until(other.page, lambda: status.inner_text().strip() == "In line: 1 before you")
    pipeline.let_go()
    visitor.finished()
    other.finished()


def test_compare_that_is_open_compares_by_itself(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    paint_sky_and_water(visitor)
    visitor.tab("Compare")
    visitor.page.locator("#go").click()
    wait_until(visitor.page, lambda: visitor.in_viewer("img.plain").count() and visitor.state() == "done")


def test_the_page_introduces_itself(visit: Callable[..., Visitor]) -> None:
    head = visit().page.content().partition("</head>")[0]
    tags = {
        name: content
        for name, content in visitor_meta(head)
        if name.startswith(("og:", "twitter:")) or name == "description"
    }
    assert tags["og:title"] == tags["twitter:title"] == "MCM: draw it"
    assert "drawing" in tags["og:description"]
    assert "gradio" not in json.dumps(tags).lower()


def visitor_meta(head: str) -> list[tuple[str, str]]:
    return re.findall(r'<meta\s+(?:property|name)="([^"]+)"\s+content="([^"]*)"', head)
