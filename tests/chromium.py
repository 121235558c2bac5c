"""A real browser as fixtures: a test module says `pytest_plugins = ["tests.chromium"]`.

Where no Chromium is installed, tests that want one are skipped; where the variable CI is set, they fail.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import COUNT_EVENTS, PATIENCE_S

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a module: if it lived on, Playwright's event loop would run under other tests."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up(f"No browser found: install one of {', '.join(BROWSERS)}.")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """open_page(url, **context options) -> a page of its own.

    What it says to the console fails the test, but for texts that hold one of `forgiven`.
    """
    said: list[str] = []
    contexts = []

    def open_one(url: str, script: str = "", forgiven: tuple[str, ...] = (), **options: Any) -> Page:
        def hear(text: str) -> None:
            if not any(known in text for known in forgiven):
                said.append(text)

        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE_S)
        page.add_init_script(COUNT_EVENTS)
        page.on("console", lambda message: hear(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: hear(f"error: {error}"))
        if script:
            page.add_init_script(script)
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not said, said
