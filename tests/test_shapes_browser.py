"""Pictures of other shapes than the base's own: the field, the canvas and the viewer, links and files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from demo import form
from demo.models import Models
from demo.offering import Offering
from demo.offering import lay_out as lay_out_offer
from demo.page import lay_out
from demo.restoring import Restoring, lost
from demo.runs import Runs
from mcm_core.drawing.conditions import Conditions
from mcm_core.request import Request
from tests import pages, tiny
from tests.browser import wait_until
from tests.visitor import Visitor, paint_sky_and_water, pixels, request_of

pytest_plugins = ["tests.chromium", "tests.visits"]

OWN, WIDE, TALL = (128, 128), (96, 160), (160, 96)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tiny.build_stable_diffusion(tmp_path_factory.mktemp("base"), sample_size=16)
    return Models([pages.tiny_model(folder)])


@pytest.fixture(scope="module")
def fields(models: Models) -> form.Form:
    with gr.Blocks():
        return lay_out(models, []).form


# -- the field ---------------------------------------------------------------------------------------------


def test_its_own_comes_first_and_none_takes_more(models: Models) -> None:
    own, *others = models.default.sizes
    assert own == OWN
    assert {WIDE, TALL} <= set(others)
    assert all(height * width <= own[0] * own[1] for height, width in others)


def test_a_small_model_offers_its_own_alone(sd_folder: Path) -> None:
    """Of others, sides would be shorter than any picture may be."""
    assert pages.tiny_model(sd_folder).sizes == ((64, 64),)


def test_what_a_model_does_not_offer_is_its_own(fields: form.Form, models: Models) -> None:
    asked = {"160x96": WIDE, "96x160": TALL, "1000x1000": OWN, None: OWN, 3: OWN}
    assert {text: fields.size({fields.shape: text}, models.default) for text in asked} == asked


def test_a_request_of_another_shape_comes_back_from_the_fields(fields: form.Form, models: Models) -> None:
    request = models.default.resolved(Request(width=160, height=96, seeds=(4,)))
    assert lost(request, models.default) == []
    values = fields.restored(request)
    assert models.default.resolved(fields.request(values, Conditions(), models.default)) == request


def test_a_link_names_a_shape_that_is_offered(fields: form.Form, models: Models) -> None:
    assert form.from_link(fields, {"shape": "160x96"}, models.default) == {fields.shape: "160x96"}
    assert form.from_link(fields, {"shape": "8000x8000"}, models.default) == {}


def test_a_link_is_read_as_its_own_model_offers_it(fields: form.Form, tmp_path: Path) -> None:
    """Not as the page's first one does."""
    larger = pages.tiny_model(tiny.build_stable_diffusion(tmp_path, sample_size=32))
    for size in larger.sizes:
        query = {"shape": form.shape(size)}
        assert form.from_link(fields, query, larger) == {fields.shape: form.shape(size)}


def test_another_model_takes_the_nearest_shape_that_it_offers(models: Models, tmp_path: Path) -> None:
    folder = tiny.build_stable_diffusion(tmp_path, sample_size=32)
    larger = replace(pages.tiny_model(folder), name="larger")
    both = Models([models.default, larger])
    with gr.Blocks():
        page = lay_out(both, [])
        restoring = Restoring(page, both, Runs(), [], Offering(page, lay_out_offer(larger), both))
    for chosen in models.default.sizes:
        updates = restoring.choose_model({page.model: "larger", page.form.shape: form.shape(chosen)})
        told = updates[page.form.shape]["value"]
        height, width = updates[page.canvas]["height"], updates[page.canvas]["width"]
        assert told == form.shape((height, width))
        assert (height, width) in larger.sizes
        assert np.sign(width - height) == np.sign(chosen[1] - chosen[0])


# -- the page ----------------------------------------------------------------------------------------------


@pytest.mark.browser
def test_a_picture_of_another_shape_fills_canvas_and_viewer_and_comes_back(
    visit: Callable[..., Visitor], tmp_path: Path
) -> None:
    visitor = visit()
    paint_sky_and_water(visitor)
    drawn = visitor.stored()
    visitor.shape(WIDE)
    scaled = visitor.stored()
    visitor.shape(OWN)
    assert visitor.stored() == drawn
    visitor.shape(WIDE)
    assert visitor.stored() == scaled
    first = visitor.generate()
    assert pixels(first).shape == (*WIDE, 3)
    assert request_of(first, tmp_path).conditions == scaled
    for stage in (visitor.stage, visitor.in_viewer(".stage")):
        box = stage.bounding_box()
        assert box is not None
        assert box["width"] / box["height"] == pytest.approx(WIDE[1] / WIDE[0], rel=0.01)
    visitor.page.reload()
    again = Visitor(visitor.page, WIDE[1], WIDE[0])
    wait_until(again.page, lambda: again.shown_size() == WIDE)
    assert again.stored() == scaled
    assert again.generate() == first
    again.shape(OWN)
    assert again.stored() == drawn
    again.shape(WIDE)
    other = visit()
    (tmp_path / "first.png").write_bytes(first)
    other.page.locator("input[type=file]").first.set_input_files(tmp_path / "first.png")
    wait_until(other.page, lambda: other.shown_size() == WIDE)
    wait_until(other.page, lambda: other.state() == "done")
    assert other.generate() == first


@pytest.mark.browser
def test_with_live_on_another_shape_is_painted(visit: Callable[..., Visitor], tmp_path: Path) -> None:
    visitor = visit()
    paint_sky_and_water(visitor)
    with visitor.answered():
        visitor.page.locator("#live input").check()
    before = visitor.run()
    visitor.shape(WIDE)
    wait_until(visitor.page, lambda: visitor.run() > before and visitor.state() == "done")
    wait_until(visitor.page, lambda: pixels(visitor.finished()).shape == (*WIDE, 3))
    assert request_of(visitor.finished(), tmp_path).conditions == visitor.stored()


@pytest.mark.browser
def test_a_link_brings_its_drawing_in_its_shape(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    paint_sky_and_water(visitor)
    visitor.shape(TALL)
    drawn = visitor.stored()
    visitor.page.locator("#link").click()
    wait_until(visitor.page, lambda: "shape=96x160" in visitor.page.url)
    other = visit("?" + visitor.page.url.split("?")[1])
    wait_until(other.page, lambda: other.shown_size() == TALL)
    assert other.stored() == drawn
