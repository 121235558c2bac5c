"""`python -m benchmarks.workers`: one process against several workers of this machine, and what a kill costs.

The shipped mini model paints the same pictures, all asked for at once: in this process, on one worker, and on
several, each with the cores that it would have among several. Then one of these is killed (SIGKILL) while
everything runs. Bytes are compared with those of one process; the cases take turns, and ratios hold within
one run.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from demo.models import Job, Model, Models, open_models
from demo.workers import Count, Workers, started
from mcm_core.pipeline import Result, Step
from mcm_core.request import Request

PROMPT = "a lake between hills at dusk"


@dataclass
class Case:
    """Seconds for all pictures of a round, and to each picture's first preview."""

    title: str
    models: Models
    seconds: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    equal: bool = True


def jobs(model: Model, pictures: int) -> list[Job]:
    return [
        Job(model.name, model.resolved(Request(prompt=PROMPT, seeds=(seed,)))) for seed in range(pictures)
    ]


def paint(models: Models, asked: Sequence[Job]) -> tuple[float, list[float], list[Result]]:
    """All at once -> seconds for all, to each first preview, and the pictures."""
    begun = time.perf_counter()

    def read(job: Job) -> tuple[float, Result]:
        first = 0.0
        for event in models.generate(job):
            if isinstance(event, Result):
                return first, event
            first = first or (time.perf_counter() - begun if isinstance(event, Step) else 0.0)
        raise AssertionError("a run ends with a result")

    with ThreadPoolExecutor(len(asked)) as crowd:
        read_all = list(crowd.map(read, asked))
    return time.perf_counter() - begun, [first for first, _ in read_all], [result for _, result in read_all]


def same(first: Sequence[Result], second: Sequence[Result]) -> bool:
    return all(np.array_equal(one.images, other.images) for one, other in zip(first, second, strict=True))


def kill_one() -> None:
    """Ends a replica of this process's cluster, as a fault would."""
    family = psutil.Process().children(recursive=True)
    os.kill(next(child.pid for child in family if "ServeReplica" in "".join(child.cmdline())), signal.SIGKILL)


def killed(models: Models, asked: Sequence[Job], alone: Sequence[Result]) -> dict[str, Any]:
    """The same once more, with a replica killed as soon as all slots are taken."""
    with ThreadPoolExecutor(1) as reader:
        running = reader.submit(paint, models, asked)
        while models.engine.running < 2:
            time.sleep(0.01)
        kill_one()
        seconds, _, results = running.result()
    return {"case": "one of them killed", "seconds": seconds, "equal": same(results, alone)}


def measure(count: int, pictures: int, rounds: int) -> list[dict[str, Any]]:
    """The table's rows."""
    opening = {"device": "cpu", "dtype": "float32"}
    front = open_models(**opening)[:1]
    asked = jobs(front[0], pictures)
    threads = torch.get_num_threads()
    with started(Count(count, count), None, opening) as workers:
        cases = [
            Case(f"this process, {threads} threads", _queue(front)),
            Case("one worker", _queue(front, workers, 1)),
            Case(f"{count} workers", _queue(front, workers, count)),
        ]
        torch.set_num_threads(max(1, threads // count))
        alone = paint(cases[0].models, asked)[2]
        torch.set_num_threads(threads)
        for turn in range(rounds + 1):
            for case in cases:
                seconds, firsts, results = paint(case.models, asked)
                case.equal &= case is cases[0] or same(results, alone)
                if turn:  # the first turn warms up
                    case.seconds.append(seconds)
                    case.firsts += firsts
        rows = [row(case) for case in cases]
        return [*rows, killed(cases[-1].models, asked, alone)]


def _queue(front: Sequence[Model], workers: Workers | None = None, slots: int = 0) -> Models:
    return Models(front, max_waiting=1000, streams=workers.streams[:slots] if workers else ())


def row(case: Case) -> dict[str, Any]:
    seconds, first = statistics.median(case.seconds), statistics.median(case.firsts)
    return {"case": case.title, "seconds": seconds, "first_preview": first, "equal": case.equal}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.workers", description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=6, help="asked for at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--json", type=Path, default=Path("workers.json"), help="where the figures are written"
    )
    options = parser.parse_args(argv)
    rows = measure(options.workers, options.pictures, options.rounds)
    options.json.write_text(json.dumps(rows, indent=1) + "\n")
    print("| | seconds for all | pictures a second | same bytes |\n|---|---:|---:|---|")
    for figures in rows:
        told = "yes" if figures["equal"] else "no"
        rate = options.pictures / figures["seconds"]
        print(f"| {figures['case']} | {figures['seconds']:.2f} | {rate:.2f} | {told} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
