"""`python -m benchmarks.fuzz`: random calls of everything that the page answers to, and what comes back.

A call is the endpoint for programs, any event of the page (with its own values, some of them replaced by
junk), an upload, or a route of Gradio. Counted are errors without words (`null`), server errors, and calls
that do not end; between them, and at the end, a good request must make the picture that it made before.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio as gr
import httpx

from demo.models import Models, open_models
from demo.ui import build_ui, launch_options
from mcm_core.models import add_options

PATIENCE_S = 120.0
EVERY = 100
"""Calls between two good requests."""
GOOD = ["a lake", None, None, None, "", 1, None, 7]
JUNK: list[Any] = [
    None, True, 0, -1, 10**40, 1.5, float("inf"), float("nan"), "", "x", "\x00", "<img src=x>", "\ud800", [],
    [1], {}, {"a": 1}, {"path": "/etc/passwd"}, {"path": None, "meta": {"_type": "gradio.FileData"}},
    {"path": "http://127.0.0.1:1/x.png", "url": "http://127.0.0.1:1/x.png"}, {"index": 0},
    "data:image/png;base64,AAAA",
    {"labels": "1x4095", "sketch": "", "version": 1, "width": 64, "height": 64, "revision": 0}, [[[]]],
    "auto",
]  # fmt: skip
ROUTES = [
    "cancel",
    "reset",
    "component_server",
    "call/generate",
    "queue/join",
    "upload",
    "run/generate",
    "nothing",
]

Ending = tuple[str, str]
"""What a call came to ("picture", "words", "refused", "null", "5xx", "hung"), and details."""


class Fuzz:
    """Calls of one served page. `values` of every event are what its fields hold when the page opens."""

    def __init__(self, url: str, blocks: gr.Blocks) -> None:
        self.api = f"{url.rstrip('/')}/gradio_api"
        self.events = {index: [sendable(field) for field in fn.inputs] for index, fn in blocks.fns.items()}

    def call(self, number: int) -> Ending:
        """A random call; the number is its seed."""
        chance = random.Random(number)
        kinds: list[Callable[[random.Random], Ending]] = [self.program, self.event, self.event, self.route]
        try:
            return chance.choice(kinds)(chance)
        except httpx.TimeoutException:
            return "hung", ""

    def program(self, chance: random.Random) -> Ending:
        return self.ending(spoiled(chance, [*GOOD, *[None] * chance.randint(0, 14)]))

    def ending(self, data: Any) -> Ending:
        """Of the endpoint for programs."""
        answer = self.post("call/generate", {"data": data})
        if answer.status_code != 200:
            return refused(answer)
        events = self.lines(f"call/generate/{answer.json()['event_id']}")
        last, told = events[-2].removeprefix("event: "), json.loads(events[-1].removeprefix("data: "))
        return ("picture", self.digest(told[0]["path"])) if last == "complete" else worded(told)

    def digest(self, path: str) -> str:
        """Of a picture's file."""
        file = httpx.get(f"{self.api}/file={path}", timeout=PATIENCE_S)
        return hashlib.sha256(file.raise_for_status().content).hexdigest()

    def event(self, chance: random.Random) -> Ending:
        index = chance.choice([*self.events, -1, 10**6, None])
        session = f"{chance.random()}"
        data = spoiled(chance, [*self.events.get(index or 0, [])])
        body = {"fn_index": index, "data": data, "session_hash": session, "event_data": chance.choice(JUNK)}
        answer = self.post("queue/join", body)
        if answer.status_code != 200:
            return refused(answer)
        last: dict[str, Any] = {}
        for line in self.lines(f"queue/data?session_hash={session}"):
            told = json.loads(line.removeprefix("data: "))
            last = told if told.get("msg") == "process_completed" else last
        output = last.get("output") or {}
        return worded(output) if "error" in output else ("picture", str(index))

    def route(self, chance: random.Random) -> Ending:
        route = chance.choice(ROUTES)
        if route == "upload":
            name = chance.choice(["", "x", "../x.png", "\x00.png", "x" * 5000])
            files = {"files": (name, chance.randbytes(chance.choice([0, 10, 1000])))}
            return refused(httpx.post(f"{self.api}/upload", files=files, timeout=PATIENCE_S))
        return refused(self.post(route, chance.choice(JUNK)))

    def post(self, route: str, content: Any) -> httpx.Response:
        headers = {"content-type": "application/json"}
        return httpx.post(
            f"{self.api}/{route}", content=json.dumps(content), headers=headers, timeout=PATIENCE_S
        )

    def lines(self, route: str) -> list[str]:
        """Of a stream of events, to its end."""
        with httpx.stream("GET", f"{self.api}/{route}", timeout=PATIENCE_S) as stream:
            return [line for line in stream.iter_lines() if line.strip()]


def sendable(field: Any) -> Any:
    """What a browser sends of a field: of a state nothing."""
    return None if isinstance(field, gr.State) else field.value


def spoiled(chance: random.Random, data: list[Any]) -> Any:
    """The values with up to three of them replaced, and now and then no list at all."""
    if chance.random() < 0.05:
        return chance.choice(JUNK)
    for _ in range(min(chance.randint(0, 3), len(data))):
        data[chance.randrange(len(data))] = chance.choice(JUNK)
    return data


def worded(told: Any) -> Ending:
    words = told.get("error") if isinstance(told, dict) else None
    return ("words", words) if words else ("null", json.dumps(told))


def refused(answer: httpx.Response) -> Ending:
    return ("5xx" if answer.status_code >= 500 else "refused"), f"{answer.status_code} {answer.text[:200]}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--base", nargs="+")
    parser.add_argument("--json", type=Path, default=Path("fuzz.json"), help="where the figures are written")
    add_options(parser)
    options = parser.parse_args(argv)
    models = Models(open_models(options.base, dtype=options.dtype, device=options.device))
    blocks = build_ui(models)
    _, url, _ = blocks.launch(
        server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **launch_options()
    )
    fuzz, counts, bad, begun = Fuzz(url, blocks), Counter[str](), [], time.monotonic()
    good = fuzz.ending(GOOD)
    with ThreadPoolExecutor(options.threads) as threads:
        for start in range(0, options.calls, EVERY):
            numbers = range(start, min(start + EVERY, options.calls))
            for number, (kind, details) in zip(numbers, threads.map(fuzz.call, numbers), strict=True):
                counts[kind] += 1
                if kind in ("null", "5xx", "hung"):
                    bad.append({"call": number, "kind": kind, "details": details})
            if fuzz.ending(GOOD) != good:
                bad.append({"call": start, "kind": "wrong picture"})
    idle = (models.engine.running, models.engine.waiting) == (0, 0)
    figures = {"calls": options.calls, **counts, "seconds": round(time.monotonic() - begun), "idle": idle}
    options.json.write_text(json.dumps({**figures, "bad": bad}, indent=1) + "\n")
    print("\n".join(f"{name:<10}{value}" for name, value in figures.items()))
    print("\n".join(map(str, bad[:20])))
    blocks.close()
    return 1 if bad or not idle else 0


if __name__ == "__main__":
    sys.exit(main())
