"""Faults, crowds, people who go away, and a long time."""

from __future__ import annotations

import gc
import json
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from gradio_client import Client

from demo.delivery import Delivery
from demo.models import Models
from demo.ui import build_ui, launch_options
from tests import pages
from tests.browser import served
from tests.calls import called, generate, posted, refusal, streamed, values
from tests.pages import PATIENCE_S, Paced, canvas_value, connected, until
from tests.server.conftest import MAX_WAITING

ROOT = Path(__file__).parents[2]


# -- faults ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (MemoryError("secret"), "not enough memory"),
        (RuntimeError("secret"), "Something went wrong"),
        (KeyError("secret"), "Something went wrong"),
    ],
)
def test_after_a_fault_there_are_words_and_the_next_request_works(
    client: Client, pipeline: Paced, fault: Exception, told: str
) -> None:
    def fail() -> None:
        raise fault

    pipeline.fault = fail
    answer = refusal(client)
    assert told in answer
    assert "secret" not in answer
    pipeline.fault = lambda: None
    assert generate(client)[0]


def test_numbers_that_run_away_are_an_error_and_no_black_picture(client: Client, models: Models) -> None:
    modulator = models.default.pipeline.modulator
    assert modulator is not None
    bias = modulator.trunk.conv_out.bias
    kept = bias.detach().clone()
    bias.data.fill_(float("nan"))
    try:
        assert "not finite" in refusal(client, drawing=canvas_value())
    finally:
        bias.data.copy_(kept)
    assert generate(client, drawing=canvas_value())[0]


def test_a_request_has_a_deadline(client: Client, models: Models, pipeline: Paced) -> None:
    pipeline.pause_s, models.engine.deadline_s = 0.1, 0.3
    try:
        assert "Stopped after 0.3 seconds" in refusal(client, steps=50)
    finally:
        models.engine.deadline_s = 300.0


# -- crowds ------------------------------------------------------------------------------------------------


def test_sixteen_clients_at_once_each_get_the_picture_of_their_seed(
    url: str, models: Models, pipeline: Paced
) -> None:
    def ask(client: Client, seed: int) -> bytes:
        words = {"prompt": f"lake {seed}", "drawing": canvas_value()}
        return Path(generate(client, seed=seed, steps=4, **words)[0]).read_bytes()

    seeds = range(100, 116)
    with ThreadPoolExecutor(16) as crowd:
        clients = list(crowd.map(lambda _: connected(url), seeds))
        together = dict(zip(seeds, crowd.map(ask, clients, seeds), strict=True))
    assert pipeline.most_active == 1
    assert {seed: ask(clients[0], seed) for seed in seeds} == together
    assert len(set(together.values())) == 16


def test_beyond_the_line_a_request_is_refused_at_once_with_words(
    url: str, models: Models, pipeline: Paced
) -> None:
    pipeline.hold()
    clients = [connected(url) for _ in range(3)]
    client = clients[2]
    first = client.submit(seed=0, steps=3, api_name="/generate")
    until(lambda: models.engine.running == 1)
    line = [clients[seed % 2].submit(seed=seed, steps=1, api_name="/generate") for seed in range(MAX_WAITING)]
    until(lambda: models.engine.waiting == MAX_WAITING)
    told = [refusal(client, seed=seed) for seed in (50, 51, 52)]
    assert "steps must be" in refusal(client, steps=0), "what is wrong is refused before it would wait"
    assert pipeline.steps == 0, "they had to wait"
    assert all(f"{MAX_WAITING} requests are waiting already" in words for words in told)
    pipeline.let_go()
    assert all(job.result(timeout=PATIENCE_S)[0] for job in [first, *line])


def test_a_client_with_many_requests_does_not_keep_others_waiting(
    url: str, models: Models, pipeline: Paced
) -> None:
    pipeline.hold()
    many, other = connected(url), connected(url)
    running = many.submit(seed=0, steps=1, api_name="/generate")
    until(lambda: models.engine.running == 1)
    jobs = [many.submit(seed=seed, steps=1, api_name="/generate") for seed in range(1, 24)]
    until(lambda: sum(job.done() for job in jobs) == 23 - MAX_WAITING // 2)
    refused = [str(job.exception()) for job in jobs if job.done()]
    assert all("of your requests are waiting already" in words for words in refused)
    second = other.submit(seed=100, steps=1, api_name="/generate")
    until(lambda: models.engine.waiting == MAX_WAITING // 2 + 1)
    pipeline.let_go()
    assert second.result(timeout=PATIENCE_S)[0]
    assert running.result(timeout=PATIENCE_S)[0]
    until(lambda: len(pipeline.begun) == MAX_WAITING // 2 + 2)
    assert [request.seeds[0] for request in pipeline.begun].index(100) <= 2


def test_calls_without_a_session_are_one_client(url: str, models: Models, pipeline: Paced) -> None:
    pipeline.hold()
    for _ in range(MAX_WAITING):
        assert posted(url, json.dumps({"data": values()})).status_code == 200
    until(lambda: models.engine.waiting == MAX_WAITING // 2)
    session = connected(url).submit(seed=100, steps=1, api_name="/generate")
    until(lambda: models.engine.waiting == MAX_WAITING // 2 + 1)
    pipeline.let_go()
    assert session.result(timeout=PATIENCE_S)[0]
    assert [request.seeds[0] for request in pipeline.begun].index(100) <= 2


def test_a_waiting_request_is_told_its_place(url: str, models: Models, pipeline: Paced) -> None:
    pipeline.hold()
    client = connected(url)
    jobs = [client.submit(seed=seed, steps=2, api_name="/generate") for seed in range(3)]

    def places() -> list[list[int]]:
        told = [[details["place"] for _, _, details in job.outputs() if "place" in details] for job in jobs]
        return sorted(told)

    until(lambda: places() == [[], [1], [2]])
    pipeline.let_go(2)
    until(lambda: places() == [[], [1], [2, 1]])
    pipeline.let_go()
    assert all(job.result(timeout=PATIENCE_S)[0] for job in jobs)
    assert places() == [[], [1], [2, 1]]


def test_who_goes_away_gives_the_place_free(url: str, models: Models, pipeline: Paced) -> None:
    pipeline.pause_s = 0.2
    with streamed(url, posted(url, json.dumps({"data": values(steps=150)}))) as stream:
        next(stream.iter_lines())
        until(lambda: models.engine.running == 1)
    until(lambda: models.engine.running == 0)
    assert pipeline.steps < 150


def test_a_call_leaves_no_session_behind(models: Models) -> None:
    """Else the calls of programs would drive out what the server knows of people's visits."""
    blocks = build_ui(models)
    with served(blocks, **launch_options()) as address:
        event, told = called(address.rstrip("/"), values())
        assert event == "complete", told
        until(lambda: not blocks.state_holder.session_data)
        assert generate(connected(address))[0]
        assert len(blocks.state_holder.session_data) == 1


def test_a_run_that_nobody_reads_ends(models: Models, pipeline: Paced) -> None:
    pipeline.pause_s = 0.05
    with pages.page(models, delivery=Delivery(patience_s=0.5)) as address:
        url = address.rstrip("/")
        body = {"data": values(steps=150)}
        assert posted(url, json.dumps(body)).status_code == 200
        until(lambda: models.engine.running == 1)
        until(lambda: models.engine.running == 0)
        assert pipeline.steps < 150
        event, told = called(url, values(steps=40))
        assert event == "complete", told


def test_a_run_goes_on_while_its_session_or_its_event_is_read(models: Models, pipeline: Paced) -> None:
    pipeline.pause_s = 0.05
    with pages.page(models, delivery=Delivery(patience_s=0.3)) as address:
        url = address.rstrip("/")
        for session in ({}, {"session_hash": "of its own"}):
            answer = posted(url, json.dumps({"data": values(steps=30), **session}))
            with streamed(url, answer) as stream:
                assert "event: complete" in stream.read().decode()
        assert generate(connected(url), steps=30)[0]


# -- a long time -------------------------------------------------------------------------------------------


def test_memory_threads_and_files_are_back_after_many_runs(url: str, models: Models, pipeline: Paced) -> None:
    process = psutil.Process()

    def soak(count: int) -> None:
        for seed in range(count):
            if seed % 5 != 4:
                event, told = called(url, values(seed=seed, steps=2, drawing=canvas_value()))
                assert event == "complete", told
                continue
            body = json.dumps({"data": values(seed=seed, steps=150, drawing=canvas_value())})
            with streamed(url, posted(url, body)) as stream:
                next(stream.iter_lines())
                until(lambda: models.engine.running == 1)
            until(lambda: models.engine.running == 0)
        pipeline.calm()

    soak(30)
    gc.collect()
    before, files = process.memory_info().rss, process.num_fds()
    soak(100)
    gc.collect()
    assert (process.memory_info().rss - before) / 2**20 < 12
    assert process.num_fds() < files + 20
    assert threading.active_count() < 120


def test_on_sigterm_the_program_ends_after_the_running_picture(sd_folder: Path) -> None:
    command = [sys.executable, "app.py", "--base", str(sd_folder)]
    program = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, bufsize=1)
    try:
        assert program.stdout is not None
        address = next(line.split()[-1].rstrip("/") for line in program.stdout if "http://" in line)
        with streamed(address, posted(address, json.dumps({"data": values(steps=50)}))) as stream:
            lines = stream.iter_lines()
            assert next(lines) == "event: generating"
            program.send_signal(signal.SIGTERM)
            events = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
        assert events[-1] == "complete"
        assert program.wait(PATIENCE_S) == 0
    finally:
        program.kill()
