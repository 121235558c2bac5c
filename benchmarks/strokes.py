"""`python -m benchmarks.strokes`: hasty hands, again and again, in a real browser with Live on.

Each round draws 64 short strokes of many classes in 20 seconds, far more than can be painted. Then the page
must come to rest by itself: nothing runs or waits, and the picture that is shown is of the last drawing, as
its file says. Any round that ends otherwise is told, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page

from benchmarks.browser import found_or_exit, opened
from demo.models import Models, open_models
from mcm_core.drawing.canvas_value import from_canvas
from mcm_core.models import add_options
from mcm_core.record import read_png

STROKES, SECONDS = 64, 20.0
PATIENCE_S = 120.0
"""After so long a round is taken for stuck."""
STATE = """() => ({
    state: document.querySelector("#mcm-stage").dataset.state,
    run: Number(document.querySelector("#mcm-stage").dataset.run),
    file: document.querySelector("#mcm-stage img.whole:not(.drawn)")?.src,
    canvas: JSON.parse(sessionStorage.getItem("mcm-canvas:drawing")).value,
})"""


@dataclass(frozen=True)
class Round:
    """What was wrong, "" for nothing, and how long after the last stroke the picture was there."""

    fault: str
    seconds: float


def draw(page: Page, hand: random.Random) -> None:
    """The strokes of a round, evenly over its time, each of some class and size."""
    box = page.locator("#canvas .stage").bounding_box()
    assert box is not None
    begun = time.monotonic()
    for index in range(STROKES):
        page.keyboard.press(hand.choice("123456789"))
        x, y = hand.random(), hand.random()
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.mouse.down()
        for _ in range(4):
            x, y = (min(0.99, max(0.01, place + hand.uniform(-0.2, 0.2))) for place in (x, y))
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.mouse.up()
        page.wait_for_timeout(max(0.0, 1000 * (begun + (index + 1) * SECONDS / STROKES - time.monotonic())))


def judged(page: Page, models: Models, folder: Path, before: int) -> Round:
    """Waits until the page rests, and compares the picture with the canvas."""
    begun, model = time.monotonic(), models.default
    fault = "nothing came"
    while time.monotonic() - begun < PATIENCE_S:
        page.wait_for_timeout(100)
        seen = page.evaluate(STATE)
        running, waiting = models.engine.running, models.engine.waiting
        if seen["state"] != "done" or seen["run"] <= before or running or waiting:
            fault = f"{seen['state']}, {running} run, {waiting} wait"
            continue
        file = page.request.get(seen["file"], headers={"Connection": "close"})  # as `Visitor.file`
        (folder / "shown.png").write_bytes(file.body())
        if read_png(folder / "shown.png").conditions == from_canvas(seen["canvas"], model.classes):
            return Round("", time.monotonic() - begun)
        fault = "the picture is of another drawing"
    return Round(fault, time.monotonic() - begun)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.strokes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument(
        "--json", type=Path, default=Path("strokes.json"), help="where the figures are written"
    )
    add_options(parser)
    options = parser.parse_args(argv)
    browser_path = found_or_exit()
    models = Models(open_models(dtype=options.dtype, device=options.device))
    rounds: list[Round] = []
    with TemporaryDirectory() as folder, opened(browser_path, models) as page:
        page.locator("#mcm-stage[data-state=done]").wait_for(timeout=PATIENCE_S * 1000)
        page.keyboard.press("b")
        for number in range(options.rounds):
            before = page.evaluate(STATE)["run"]
            draw(page, random.Random(number))
            rounds.append(judged(page, models, Path(folder), before))
            print(
                f"round {number + 1}: {rounds[-1].fault or 'right'}, {rounds[-1].seconds:.1f} s", flush=True
            )
    faults = [played.fault for played in rounds if played.fault]
    slowest = max(played.seconds for played in rounds)
    figures = {"rounds": len(rounds), "faults": faults, "slowest_seconds": slowest}
    options.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"{len(rounds)} rounds, {len(faults)} wrong; the slowest came to rest after {slowest:.1f} s")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
