"""A real browser as fixtures: a test module says `pytest_plugins = ["tests.chromium"]`.

Where no Chromium is installed, tests that want one are skipped; where the variable CI is set, they fail.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import Tab

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a module: if it lived on, Playwright's event loop would run under other tests."""
    pytest.importorskip("playwright.sync_api")
    from playwright.sync_api import sync_playwright

    from benchmarks import browser

    path = browser.found()
    if path is None:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up(browser.NOT_FOUND)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=browser.ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def tab(chromium: Browser) -> Tab:
    """The tab that the tests of a module take turns in: its cache halves the time in which a page opens."""
    return Tab(chromium)


@pytest.fixture
def open_page(chromium: Browser, tab: Tab) -> Iterator[Callable[..., Page]]:
    """open_page(url, **context options) -> a page that remembers nothing, of another person each time.

    What it says to the console fails the test, but for texts that hold one of `forgiven`.
    """
    tabs: list[Tab] = []

    def open_one(url: str, script: str = "", forgiven: tuple[str, ...] = (), **options: Any) -> Page:
        if tabs or script or options:
            tabs.append(Tab(chromium, script, **options))
        else:
            tabs.append(tab)
            tab.said.clear()
            tab.empty("/".join(url.split("/")[:3]))
        tabs[-1].forgiven = forgiven
        tabs[-1].page.goto(url)
        return tabs[-1].page

    yield open_one
    said = [text for used in tabs for text in used.said]
    for used in tabs:
        if used is tab:
            used.leave()
        else:
            used.context.close()
    assert not said, said
