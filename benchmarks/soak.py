"""`python -m benchmarks.soak`: many clients at once, many runs one after the other, and what is left of them.

Clients with sessions of their own ask the shipped model for pictures, all at the same moment; each must get
the bytes that its seed makes alone. Then runs follow each other, of which every third is left in the middle.
In the end nothing runs or waits, the page paints what it painted before, and memory, threads and files are
what they were before these runs.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil

from demo.models import Models, open_models
from demo.ui import build_ui, launch_options
from mcm_core.models import add_options

PATIENCE_S = 600.0
STEPS, MANY_STEPS = 2, 40
WARM = 30
"""Runs until caches are filled, before memory is looked at."""


class Page:
    """A served page, asked as programs ask it."""

    def __init__(self, url: str) -> None:
        self.api = f"{url.rstrip('/')}/gradio_api"

    def picture(self, seed: int, session: str) -> str:
        """The SHA-256 of the file that a request is answered with; a refusal ends the benchmark."""
        with self.events(seed, STEPS, session) as stream:
            *_, event, told = [line for line in stream.iter_lines() if line.strip()]
        data = json.loads(told.removeprefix("data: "))
        if event != "event: complete":
            raise RuntimeError(f"seed {seed} was refused: {data}")
        file = httpx.get(f"{self.api}/file={data[0]['path']}", timeout=PATIENCE_S)
        return hashlib.sha256(file.raise_for_status().content).hexdigest()

    def leave(self, seed: int, session: str) -> None:
        """A run that is left at its first event."""
        with self.events(seed, MANY_STEPS, session) as stream:
            next(line for line in stream.iter_lines() if line.startswith("event: generating"))

    def events(self, seed: int, steps: int, session: str) -> Any:
        data = [f"lake {seed}", None, None, None, "", steps, None, seed]
        body = {"data": data, "session_hash": session}
        answer = httpx.post(f"{self.api}/call/generate", json=body, timeout=PATIENCE_S).raise_for_status()
        url = f"{self.api}/call/generate/{answer.json()['event_id']}"
        return httpx.stream("GET", url, timeout=PATIENCE_S)


def crowd(page: Page, clients: int) -> dict[str, Any]:
    """All at once, and then each alone."""
    seeds = range(clients)
    begun = time.monotonic()
    with ThreadPoolExecutor(clients) as threads:
        together = list(threads.map(lambda seed: page.picture(seed, f"client {seed}"), seeds))
    seconds = time.monotonic() - begun
    alone = [page.picture(seed, "alone") for seed in seeds]
    different = sum(one != other for one, other in zip(together, alone, strict=True))
    return {"clients": clients, "seconds": seconds, "different": different, "pictures": len(set(alone))}


def runs(page: Page, models: Models, count: int) -> dict[str, Any]:
    """One after the other; how this process, which serves, has changed by them."""
    process, engine = psutil.Process(), models.engine

    def go(numbers: range) -> None:
        for number in numbers:
            (page.leave if number % 3 == 2 else page.picture)(number, f"run {number}")
        while engine.running or engine.waiting:
            time.sleep(0.05)
        gc.collect()

    go(range(WARM))
    before = process.memory_info().rss, process.num_fds(), threading.active_count()
    go(range(WARM, WARM + count))
    after = process.memory_info().rss, process.num_fds(), threading.active_count()
    grown = [now - then for now, then in zip(after, before, strict=True)]
    return {
        "runs": count,
        "left": count // 3,
        "mib": grown[0] / 2**20,
        "files": grown[1],
        "threads": grown[2],
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--json", type=Path, default=Path("soak.json"), help="where the figures are written")
    add_options(parser)
    options = parser.parse_args(argv)
    opened = open_models(dtype=options.dtype, device=options.device)
    models = Models(opened, max_waiting=2 * options.clients)  # of one address, three quarters
    blocks = build_ui(models)
    serving = launch_options(holds=models.engine.holds)
    _, url, _ = blocks.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **serving)
    page = Page(url)
    first = page.picture(0, "first")
    together = crowd(page, options.clients)
    left = runs(page, models, options.runs)
    is_same = page.picture(0, "last") == first
    figures = {"crowd": together, "runs": left, "same_picture": is_same}
    options.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))
    blocks.close()
    return 0 if is_same and not together["different"] else 1


if __name__ == "__main__":
    sys.exit(main())
