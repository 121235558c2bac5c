"""A picture that somebody brings: what the page understood is shown before it touches the drawing."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from demo.examples import fitting, read_examples
from demo.models import Models
from demo.offering import description, understood
from demo.page import hint, kinds
from mcm_core import Base
from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions, InputError
from mcm_core.drawing.palette import palette_picture
from tests import pages, tiny
from tests.browser import wait_until
from tests.pages import SIZE
from tests.visitor import Visitor

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytest_plugins = ["tests.chromium", "tests.visits"]


@pytest.fixture(scope="module")
def models(sd_folder: Path) -> Models:
    return Models([pages.tiny_model(sd_folder)])


@pytest.fixture
def visitor(url: str, open_page: Callable[..., Page]) -> Guest:
    return Guest(open_page(url), SIZE, SIZE)


def map_file(models: Models) -> bytes:
    """Hill over water, in the classes' colours."""
    labels = np.full((SIZE, SIZE), 2, np.uint8)
    labels[SIZE // 4 :] = 3
    return png(Image.fromarray(palette_picture(labels, models.default.classes)))


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


class Guest(Visitor):
    """Somebody who brings pictures."""

    def brings(self, content: bytes, says: str) -> None:
        """A picture by the button, until the page says something of it."""
        file = {"name": "map.png", "mimeType": "image/png", "buffer": content}
        self.page.locator("input[type=file]").first.set_input_files(file)  # type: ignore[arg-type]
        self.is_told(says)

    def is_told(self, says: str) -> None:
        self.panel.get_by_text(says).wait_for()

    @property
    def panel(self) -> Locator:
        return self.page.locator("#offer")

    def press(self, name: str) -> None:
        self.panel.get_by_role("button", name=name).click()
        self.panel.wait_for(state="hidden")

    def read_it(self, kind: str) -> None:
        self.panel.locator("#offer-kind input").click()
        self.page.get_by_role("option", name=kind, exact=True).click()

    def keeps_something(self) -> bool:
        return bool(self.page.evaluate("localStorage.getItem('mcm-canvas:drawing')"))

    def has(self, drawn: Conditions) -> None:
        wait_until(self.page, lambda: self.stored() == drawn)


def half_sky(visitor: Guest) -> None:
    visitor.keys("1")
    visitor.tool("Rectangle")
    visitor.stroke((0, 0), (SIZE - 1, SIZE // 2))
    wait_until(visitor.page, visitor.keeps_something)


@pytest.mark.browser
def test_a_map_is_said_and_shown_and_replaces_the_drawing_when_it_is_to_be_used(
    visitor: Guest, models: Models
) -> None:
    half_sky(visitor)
    before = visitor.stored()
    visitor.brings(map_file(models), "Read as a label map.")
    visitor.is_told("It holds water 75%, hill 25%.")
    assert visitor.stored() == before
    reading = visitor.panel.get_by_alt_text("How it was understood").get_attribute("src") or ""
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(reading.split(",")[1]))))
    assert {tuple(color) for color in pixels.reshape(-1, 3).tolist()} == {
        (0x6A, 0x9A, 0x4C),
        (0x2B, 0x5F, 0xAE),
    }
    visitor.press("Use it")
    labels = np.full((SIZE, SIZE), 2, np.uint8)
    labels[SIZE // 4 :] = 3
    visitor.has(Conditions({LABELS: labels}))


@pytest.mark.browser
def test_cancelled_it_leaves_the_drawing_and_can_be_brought_again(visitor: Guest, models: Models) -> None:
    half_sky(visitor)
    before = visitor.stored()
    for _ in range(2):
        visitor.brings(map_file(models), "Read as a label map.")
        visitor.press("Cancel")
        assert visitor.stored() == before


@pytest.mark.browser
def test_it_is_a_dialog_that_takes_the_keys_and_gives_them_back(visitor: Guest, models: Models) -> None:
    half_sky(visitor)
    before = visitor.stored()
    visitor.brings(map_file(models), "Read as a label map.")
    wait_until(visitor.page, lambda: visitor.panel.get_attribute("role") == "dialog")
    wait_until(visitor.page, lambda: visitor.page.evaluate("document.activeElement.id") == "offer-use")
    visitor.page.keyboard.press("Control+z")
    assert visitor.stored() == before
    visitor.page.keyboard.press("Escape")
    visitor.panel.wait_for(state="hidden")
    assert visitor.stored() == before
    wait_until(visitor.page, lambda: not visitor.page.evaluate("document.querySelector('#workbench').inert"))
    visitor.page.keyboard.press("Control+z")
    wait_until(visitor.page, lambda: not visitor.stored().maps)


@pytest.mark.browser
def test_a_picture_that_was_made_here_takes_the_place_of_what_was_offered(
    visitor: Guest, models: Models, tmp_path: Path
) -> None:
    half_sky(visitor)
    (tmp_path / "made.png").write_bytes(visitor.generate())
    visitor.brings(map_file(models), "Read as a label map.")
    wait_until(visitor.page, lambda: visitor.page.evaluate("document.querySelector('#workbench').inert"))
    visitor.page.locator("input[type=file]").first.set_input_files(tmp_path / "made.png")
    visitor.panel.wait_for(state="hidden")
    wait_until(visitor.page, lambda: not visitor.page.evaluate("document.querySelector('#workbench').inert"))


@pytest.mark.browser
def test_it_can_be_read_as_another_kind(visitor: Guest, models: Models) -> None:
    visitor.brings(map_file(models), "Read as a label map.")
    visitor.read_it("as a photo")
    visitor.is_told("Read as a sketch.")
    visitor.is_told("its edges became the sketch")
    visitor.press("Use it")
    wait_until(visitor.page, visitor.keeps_something)
    wait_until(visitor.page, lambda: list(visitor.stored().maps) == [SKETCH])


@pytest.mark.browser
def test_what_cannot_be_read_so_says_why_and_cannot_be_used(visitor: Guest, models: Models) -> None:
    visitor.brings(png(Image.new("RGB", (SIZE, SIZE), "white")), "Nothing to draw was found")
    assert visitor.panel.get_by_role("button", name="Use it").is_disabled()
    visitor.press("Cancel")


@pytest.mark.browser
def test_it_fits_a_phone(url: str, open_page: Callable[..., Page], models: Models) -> None:
    guest = Guest(open_page(url, viewport={"width": 360, "height": 640}), SIZE, SIZE)
    guest.brings(map_file(models), "Read as a label map.")
    box = guest.panel.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    assert box["y"] + box["height"] <= 640


@pytest.mark.parametrize("kind", ["sketch", "photo"])
def test_a_kind_that_the_model_does_not_take_is_refused_before_its_pixels_are_looked_at(
    models: Models, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("demo.models.Model.layers", (LABELS,))
    monkeypatch.setattr("demo.offering.from_upload", lambda *_: pytest.fail("it was read"))
    with pytest.raises(InputError, match="This model takes no sketch"):
        understood(Image.new("L", (SIZE, SIZE)), models.default, kind, "crop", (SIZE, SIZE))


def test_what_reads_depth_alone_takes_any_picture_as_that_and_offers_nothing_to_draw(base: Base) -> None:
    depth = [{"name": "depth", "kind": "image", "channels": 1}]
    model = pages.model(base, tiny.build_modulator(base, modalities=depth, classes=[]))
    assert [kind for _, kind in kinds(model)] == ["auto", "depth"]
    assert hint(model) == "Load a depth map"
    assert fitting(read_examples(), model) == []
    picture = Image.linear_gradient("L").resize((SIZE, SIZE))
    read = understood(picture, model, "auto", "crop", (SIZE, SIZE))
    assert np.array_equal(read.maps["depth"], np.asarray(picture))


def test_without_a_modulator_nothing_is_offered(base: Base) -> None:
    model = pages.model(base, None)
    assert [kind for _, kind in kinds(model)] == ["auto"]
    assert hint(model) == "This model follows no drawing"
    assert fitting(read_examples(), model) == []
    with pytest.raises(InputError, match="follows no drawing"):
        understood(Image.new("L", (SIZE, SIZE)), model, "auto", "crop", (SIZE, SIZE))


def test_what_is_unpainted_and_what_was_noted_is_said(models: Models) -> None:
    labels = np.zeros((SIZE, SIZE), np.uint8)
    labels[:16] = 1
    said = description(Conditions({LABELS: labels}, ("A note.",)), models.default.classes)
    assert said == ["Read as a label map.", "It holds sky 25%, unpainted 75%.", "A note."]
