"""`python -m benchmarks.page`: what the page adds to the bare pipeline's time, in a real browser.

The shipped mini model paints an example in 20 steps: by the pipeline alone without previews, and by pressing
Generate on the page in a headless Chromium, with a preview at each step and everything that the page does
around it. The two take turns, so that a drift of the machine's speed meets both alike.

Then a mouse draws with Live on: how soon the first draft is there, how many follow in a second, and how long
a frame takes meanwhile, beside the same strokes with Live off.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from playwright.sync_api import Page

from benchmarks.browser import found_or_exit, opened
from demo.examples import fitting, read_examples
from demo.models import Model, Models, open_models
from mcm_core.base.frozen import STEPS
from mcm_core.models import add_options
from mcm_core.request import Request

WATCH = """
    window.times = {};
    window.drafts = [];
    window.frames = [];
    let shown = null;
    const note = () => {
        const stage = document.querySelector(".mcm-viewer .stage");
        const forming = stage?.querySelector(".forming img");
        if (!times.preview && forming) times.preview = performance.now();
        if (times.start && stage?.dataset.state === "done" && times.preview) times.done ??= performance.now();
        if (forming && forming.src !== shown) drafts.push(performance.now());
        shown = forming?.src ?? shown;
    };
    addEventListener("DOMContentLoaded", () => new MutationObserver(note).observe(
        document.body, { subtree: true, childList: true, attributes: true }));
    window.isCounting = false;
    const tick = (now) => { frames.push(now); if (isCounting) requestAnimationFrame(tick); };
    window.count = (on) => { isCounting = on; frames.length = 0; if (on) requestAnimationFrame(tick); };
"""
PRESS = """() => {
    times = {};
    times.start = performance.now();
    document.querySelector("#go").click();
}"""
HAND_S = 1 / 60
"""Between two moves of the mouse."""


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


# -- live --------------------------------------------------------------------------------------------------


def wave(seconds: float, height: float) -> Iterator[tuple[float, float]]:
    """Where a hand is that draws waves across the canvas, in shares of its sides."""
    end = time.perf_counter() + seconds
    for index in range(10**6):
        if time.perf_counter() > end:
            return
        yield 0.05 + 0.9 * (index % 90) / 90, height + 0.1 * math.sin(index / 9)


def stroke(page: Page, seconds: float, height: float) -> dict[str, Any]:
    """One long stroke by the mouse; what the browser saw of it."""
    box = page.locator("#canvas .stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.05 * box["width"], box["y"] + height * box["height"])
    begun = page.evaluate("() => { drafts.length = 0; count(true); return performance.now(); }")
    page.mouse.down()
    for right, down in wave(seconds, height):
        page.mouse.move(box["x"] + right * box["width"], box["y"] + down * box["height"])
        time.sleep(HAND_S)
    seen = page.evaluate("() => ({ drafts: [...drafts], frames: [...frames], now: performance.now() })")
    page.evaluate("count(false)")  # frames that are asked for all the time take time themselves
    page.mouse.up()
    frames = sorted(after - before for before, after in zip(seen["frames"], seen["frames"][1:], strict=False))
    told = {"frame_ms_p50": frames[len(frames) // 2], "frame_ms_p95": frames[len(frames) * 95 // 100]}
    if not seen["drafts"]:
        return told
    per_second = 1000 * len(seen["drafts"]) / (seen["now"] - begun)
    return {"first_seconds": (seen["drafts"][0] - begun) / 1000, "per_second": per_second, **told}


def drawn_live(page: Page, seconds: float, rounds: int) -> dict[str, float]:
    """Medians over some strokes with Live on, and the frames of as many with it off."""
    figures: dict[str, list[float]] = {}
    for turn in range(2 * (rounds + 1)):
        is_live = turn % 2 == 1
        page.locator("#live input").set_checked(is_live)
        seen = stroke(page, seconds, 0.15 + 0.7 * turn / (2 * rounds + 1))
        if is_live:
            page.locator("#mcm-stage[data-state=done]").wait_for(timeout=120_000)
        for name, value in seen.items() if turn > 1 else ():  # the first two warm up
            figures.setdefault(f"{'live' if is_live else 'still'}_{name}", []).append(value)
    return {name: statistics.median(values) for name, values in figures.items()}


# -- the command -------------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.page", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--strokes", type=int, default=3, help="live strokes, after one that warms up")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each live stroke")
    parser.add_argument("--json", type=Path, default=Path("page.json"), help="where the figures are written")
    add_options(parser)
    options = parser.parse_args(argv)
    browser_path = found_or_exit()
    models = Models(open_models(dtype=options.dtype, device=options.device))
    model = models.default
    example = fitting(read_examples(), model)[0]
    request = Request(prompt=example.prompt, conditions=example.conditions, steps=STEPS, seeds=(7,))
    model.quicken(request)
    with opened(browser_path, models, f"?steps={STEPS}", WATCH) as page:
        page.locator("body[data-state=ready]").wait_for(state="attached")
        page.locator("#live input").set_checked(False)
        page.locator("#examples button").first.click()
        page.wait_for_function("document.querySelector('#prompt textarea').value")
        page.locator(".mcm-canvas.drawn").wait_for()
        figures = measure(page, lambda: bare(model, request), options.rounds)
        if model.drafts is not None:
            figures |= drawn_live(page, options.seconds, options.strokes)
            figures["live_per_page_picture"] = figures["page_seconds"] * figures["live_per_second"]
    facts = {"torch": torch.__version__, "threads": torch.get_num_threads(), "steps": STEPS}
    options.json.write_text(json.dumps({**facts, **figures}, indent=1) + "\n")
    print("\n".join(f"{name:<24}{value:.3f}" for name, value in figures.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
