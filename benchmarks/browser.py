"""The headless Chromium in which benchmarks and tests open the page."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

from demo.models import Models
from demo.ui import build_ui, launch_options

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NOT_FOUND = f"No browser found: install one of {', '.join(BROWSERS)}."
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def found() -> str | None:
    """The path of the first browser that is installed."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def found_or_exit() -> str:
    """The path of the first browser that is installed; without one the program ends with exit code 2."""
    path = found()
    if path is None:
        print(NOT_FOUND, file=sys.stderr)
        sys.exit(2)
    return path


@contextmanager
def opened(browser_path: str, models: Models, query: str = "", script: str = "") -> Iterator[Page]:
    """The page on these models, served on loopback; `script` runs before those of the page."""
    blocks = build_ui(models)
    _, url, _ = blocks.launch(
        server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **launch_options()
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(script)
        page.goto(url + query)
        yield page
        browser.close()
    blocks.close()
