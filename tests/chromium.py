"""A real browser as fixtures: a test module says `pytest_plugins = ["tests.chromium"]`.

Where no Chromium is installed, tests that want one are skipped; where the variable CI is set, they fail.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import COUNT_EVENTS, PATIENCE_S

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LIGHT = "/robots.txt"
"""What any Gradio server answers at once."""


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


class Tab:
    """A page of a browser context of its own, and what it said to the console in the running test."""

    def __init__(self, chromium: Browser, script: str = "", **options: Any) -> None:
        self.said: list[str] = []
        self.forgiven: tuple[str, ...] = ()
        self.context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        self.page = self.context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE_S)
        self.page.on("console", lambda message: self._hear(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self._hear(f"error: {error}"))
        for text in filter(None, (COUNT_EVENTS, script)):
            self.page.add_init_script(text)

    def _hear(self, text: str) -> None:
        if not any(known in text for known in self.forgiven):
            self.said.append(text)

    def empty(self, server: str) -> None:
        """Nothing is left of an earlier visit to the server but what the browser cached of its files."""
        self.page.goto(server + LIGHT)
        self.page.evaluate("localStorage.clear(); sessionStorage.clear()")

    def leave(self) -> None:
        """From now on it is nobody's: what it still asked for is given up, as when it is closed."""
        for page in self.context.pages:
            if page is not self.page:
                page.close()
        self.page.mouse.up()
        self.page.goto("about:blank")


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
    for used in tabs:
        if used is tab:
            used.leave()
        else:
            used.context.close()
    said = [text for used in tabs for text in used.said]
    assert not said, said
