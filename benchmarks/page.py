"""`python -m benchmarks.page`: what the page adds to the bare pipeline's time, in a real browser.

The shipped mini model paints an example in 20 steps: by the pipeline alone without previews, and by pressing
Generate on the page in a headless Chromium, with a preview at each step and everything that the page does
around it. The two take turns, so that a drift of the machine's speed meets both alike.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from playwright.sync_api import Page, sync_playwright

from demo.examples import read_examples
from demo.models import Model, Models, open_models
from demo.ui import build_ui, launch_options
from mcm_core.base.frozen import STEPS
from mcm_core.models import add_options
from mcm_core.request import Request

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WATCH = """
    window.times = {};
    const note = () => {
        const stage = document.querySelector(".mcm-viewer .stage");
        if (!times.preview && stage?.querySelector(".forming img")) times.preview = performance.now();
        if (times.start && stage?.dataset.state === "done" && times.preview) times.done ??= performance.now();
    };
    addEventListener("DOMContentLoaded", () => new MutationObserver(note).observe(
        document.body, { subtree: true, childList: true, attributes: true }));
"""
PRESS = """() => {
    times = {};
    times.start = performance.now();
    document.querySelector("#go").click();
}"""


def bare(model: Model, request: Request) -> float:
    """Seconds of the pipeline alone."""
    begun = time.perf_counter()
    model.pipeline(replace(request, previews=False))
    return time.perf_counter() - begun


def pressed(page: Page) -> tuple[float, float]:
    """Seconds from the press to the first preview, and to the finished picture, as the browser sees them."""
    page.evaluate(PRESS)
    page.wait_for_function("times.done", timeout=120_000)
    times = page.evaluate("times")
    return (times["preview"] - times["start"]) / 1000, (times["done"] - times["start"]) / 1000


def measure(page: Page, alone: Callable[[], float], rounds: int) -> dict[str, Any]:
    """Medians over the rounds; the ratios are of the two runs of the same round."""
    rows = []
    for turn in range(rounds + 1):
        seconds = alone()
        first, whole = pressed(page)
        if turn:  # the first turn warms up
            rows.append((seconds, first, whole))
    return {
        "bare_seconds": statistics.median(seconds for seconds, _, _ in rows),
        "page_seconds": statistics.median(whole for _, _, whole in rows),
        "first_preview_seconds": statistics.median(first for _, first, _ in rows),
        "page_over_bare": statistics.median(whole / seconds for seconds, _, whole in rows),
        "first_preview_share": statistics.median(first / whole for _, first, whole in rows),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.page", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, default=Path("page.json"), help="where the figures are written")
    add_options(parser)
    options = parser.parse_args(argv)
    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser_path is None:
        print(f"No browser found: install one of {', '.join(BROWSERS)}.", file=sys.stderr)
        return 2
    models = Models(open_models(dtype=options.dtype, device=options.device))
    model = models.default
    example = next(example for example in read_examples() if example.fits(model.classes))
    conditions = example.drawing(model.classes)
    request = Request(prompt=example.prompt, conditions=conditions, steps=STEPS, seeds=(7,))
    blocks = build_ui(models)
    _, url, _ = blocks.launch(
        server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **launch_options()
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(WATCH)
        page.goto(url)
        page.locator("body[data-state=ready]").wait_for(state="attached")
        page.locator("#examples button").first.click()
        page.wait_for_function("document.querySelector('#prompt textarea').value")
        page.locator(".mcm-canvas.drawn").wait_for()
        figures = measure(page, lambda: bare(model, request), options.rounds)
        browser.close()
    blocks.close()
    facts = {"torch": torch.__version__, "threads": torch.get_num_threads(), "steps": STEPS}
    options.json.write_text(json.dumps({**facts, **figures}, indent=1) + "\n")
    print("\n".join(f"{name:<24}{value:.3f}" for name, value in figures.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
