"""The page on a test module's fixture `models` and its visitors, as fixtures in a real browser.

A test module says `pytest_plugins = ["tests.chromium", "tests.visits"]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from demo.models import Models
from tests import pages
from tests.pages import SIZE, Paced
from tests.visitor import Visitor

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture(scope="module")
def url(models: Models) -> Iterator[str]:
    with pages.page(models) as address:
        yield address


@pytest.fixture
def pipeline(models: Models) -> Iterator[Paced]:
    """At rest before a test and after it."""
    paced = pages.paced(models)
    paced.calm()
    yield paced
    paced.calm()


@pytest.fixture
def visit(pipeline: Paced, url: str, open_page: Callable[..., Page]) -> Callable[..., Visitor]:
    """visit(path, **context options) -> a visitor of a fresh page."""
    return lambda path="", **options: Visitor(open_page(url + path, **options), SIZE, SIZE)
