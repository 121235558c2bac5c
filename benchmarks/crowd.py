"""`python -m benchmarks.crowd`: how many people one page can serve, by simulation.

The page is the real one (Gradio, handlers, the engine's line) on the shipped mini model, in a process of its
own. Its replicas only wait, 50 ms a step, and then hand over the steps, previews and picture of a run that
was painted before. Its visitors, in another process, speak Gradio's protocol: they press Generate, read the
answers to the end, fetch the picture, look at it for 10 to 30 seconds, and press again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import psutil

STEP_S = 0.05
LOOK_S = (10.0, 30.0)
WARM_S = 25.0
"""Until every visitor has come."""
CROWDS = ((1, 10), (1, 50), (4, 200), (16, 200), (16, 800), (64, 200), (64, 1000))
"""Replicas and visitors."""
PICTURE = re.compile(rb'"path": ?"([^"]+\.png)"')


# -- the front ---------------------------------------------------------------------------------------------


def front(replicas: int, channel: Connection) -> None:
    """Serves the page until something comes through the channel, tells its address and Generate's event."""
    from demo.app import WAITING
    from demo.examples import fitting, read_examples
    from demo.models import Models, open_models
    from demo.ui import build_ui, launch_options
    from mcm_core.drawing.canvas_value import to_canvas
    from mcm_core.request import Request

    opened = open_models(device="cpu")
    model = opened[0]
    example = fitting(read_examples(), model)[0]
    drawing = example.conditions
    painted = list(model.pipeline.stream(Request(prompt=example.prompt, conditions=drawing, seeds=(7,))))

    def waits(job: Any, should_stop: Callable[[], bool]) -> Generator[Any]:
        for step in painted:
            time.sleep(STEP_S)
            if should_stop():
                return
            result = step.result and replace(step.result, request=job.request)
            yield replace(step, result=result)

    models = Models(opened, max_waiting=WAITING * replicas, streams=[waits] * replicas)
    blocks = build_ui(models)
    options = launch_options(holds=models.engine.holds)
    _, url, _ = blocks.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **options)
    channel.send((url.rstrip("/"), generate_event(blocks.config, to_canvas(drawing), example.prompt)))
    channel.recv()
    blocks.close()


def generate_event(config: Any, drawing: dict[str, Any], prompt: str) -> dict[str, Any]:
    """The body of the request that a press on Generate sends."""
    components = {part["id"]: part["props"] for part in config["components"]}
    named = {props.get("elem_id"): number for number, props in components.items()}
    event = next(
        event for event in config["dependencies"] if (named["go"], "click") in map(tuple, event["targets"])
    )
    given = {named["canvas"]: drawing, named["prompt"]: prompt}
    data = [given.get(number, components[number].get("value")) for number in event["inputs"]]
    return {"fn_index": event["id"], "trigger_id": named["go"], "data": data}


# -- the visitors ------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """What the visitors saw since the clock was started: seconds to the first preview, pictures, refusals."""

    firsts: list[float] = field(default_factory=list)
    pictures: int = 0
    refused: int = 0
    failed: int = 0


def visitors(count: int, url: str, event: dict[str, Any], seconds: float, channel: Connection) -> None:
    """Visits the page for so long, and then says what was seen."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    channel.send(asyncio.run(_visits(count, url, event, seconds, channel)))


async def _visits(count: int, url: str, event: dict[str, Any], seconds: float, channel: Connection) -> Seen:
    seen = [Seen()]
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=600, limits=limits) as client:
        people = [asyncio.create_task(_visit(client, event, number, seen)) for number in range(count)]
        await asyncio.sleep(WARM_S)
        seen[0] = Seen()
        channel.send("warm")
        await asyncio.sleep(seconds)
        result = seen[0]
        channel.send("done")
        for person in people:
            person.cancel()
        await asyncio.gather(*people, return_exceptions=True)
    return result


async def _visit(client: httpx.AsyncClient, event: dict[str, Any], number: int, seen: list[Seen]) -> None:
    chance = random.Random(number)
    body = {**event, "session_hash": f"visitor{number}"}
    await asyncio.sleep(chance.uniform(0, WARM_S - 5))
    while True:
        try:
            await _press(client, body, seen)
        except httpx.HTTPError:
            seen[0].failed += 1
        await asyncio.sleep(chance.uniform(*LOOK_S))


async def _press(client: httpx.AsyncClient, body: dict[str, Any], seen: list[Seen]) -> None:
    begun = time.monotonic()
    first, picture, said = 0.0, None, b""
    answer = await client.post("/gradio_api/queue/join", json=body)
    if answer.status_code != 200:
        seen[0].refused += 1
        return
    async with client.stream(
        "GET", "/gradio_api/queue/data", params={"session_hash": body["session_hash"]}
    ) as stream:
        async for chunk in stream.aiter_raw():
            said = said[-200:] + chunk
            if not first and b"data:image" in said:
                first = time.monotonic() - begun
            picture = PICTURE.search(said) or picture
            if b"waiting already" in said:
                seen[0].refused += 1
                return
    if picture is None:
        seen[0].failed += 1
        return
    fetched = await client.get(f"/gradio_api/file={picture[1].decode()}")
    seen[0].firsts.append(first)
    seen[0].pictures += fetched.status_code == 200


# -- one crowd ---------------------------------------------------------------------------------------------


def measure(replicas: int, count: int, seconds: float) -> dict[str, float]:
    """One row of the table."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    page = context.Process(target=front, args=(replicas, theirs), daemon=True)
    page.start()
    url, event = ours.recv()
    server = psutil.Process(page.pid)
    empty = server.memory_info().rss
    ours_too, theirs_too = context.Pipe()
    crowd = context.Process(target=visitors, args=(count, url, event, seconds, theirs_too), daemon=True)
    crowd.start()
    people = psutil.Process(crowd.pid)
    ours_too.recv()
    before = [sum(process.cpu_times()[:2]) for process in (server, people)]
    begun = time.monotonic()
    ours_too.recv()
    wall = time.monotonic() - begun
    after = [sum(process.cpu_times()[:2]) for process in (server, people)]
    memory, threads = server.memory_info().rss, server.num_threads()
    seen: Seen = ours_too.recv()
    ours.send("end")
    for process in (page, crowd):
        process.join(20)
        process.kill()
    cores = psutil.cpu_count() or 1
    hundredths = statistics.quantiles(seen.firsts, n=100) if len(seen.firsts) > 1 else [float("nan")] * 99
    return {
        "replicas": replicas,
        "visitors": count,
        "pictures_a_second": seen.pictures / wall,
        "replicas_could": replicas / (8 * STEP_S),
        "first_preview_p50": hundredths[49],
        "first_preview_p95": hundredths[94],
        "refused": seen.refused,
        "failed": seen.failed,
        "front_cores": (after[0] - before[0]) / wall,
        "visitors_share": (after[1] - before[1]) / wall / cores,
        "front_empty_mib": empty / 2**20,
        "front_mib": memory / 2**20,
        "threads": threads,
    }


def table(rows: Sequence[dict[str, float]]) -> str:
    """The rows in Markdown."""
    lines = [
        "| replicas | visitors | pictures a second | replicas could | first preview, p50 | p95 | refused "
        "| front: cores | of them a picture | memory | visitors' share of the CPU |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        cells = (
            f"{row['replicas']}",
            f"{row['visitors']:,}",
            f"{row['pictures_a_second']:.1f}",
            f"{row['replicas_could']:.1f}",
            f"{row['first_preview_p50']:.2f} s",
            f"{row['first_preview_p95']:.2f} s",
            f"{row['refused'] + row['failed']:.0f}",
            f"{row['front_cores']:.2f}",
            f"{1000 * row['front_cores'] / max(row['pictures_a_second'], 1e-9):.0f} ms",
            f"{row['front_mib']:.0f} MiB",
            f"{100 * row['visitors_share']:.0f}%",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.crowd", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="measured of each crowd, after it has come")
    parser.add_argument("--crowds", nargs="+", metavar="REPLICAS:VISITORS", help="default: 1:10 to 64:1000")
    parser.add_argument("--json", type=Path, default=Path("crowd.json"), help="where the figures are written")
    options = parser.parse_args(argv)
    crowds = [tuple(map(int, text.split(":"))) for text in options.crowds or ()] or CROWDS
    rows = []
    for replicas, count in crowds:
        rows.append(measure(replicas, count, options.seconds))
        print(json.dumps(rows[-1]), file=sys.stderr)
    options.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
