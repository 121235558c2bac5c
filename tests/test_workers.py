"""The page's runs on replicas: the same bytes, the same line, and what a lost replica costs."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from demo.models import Job, Model, Models, open_models
from demo.workers import Count, Share, Workers, painting, shared, started
from mcm_core import Base
from mcm_core.__main__ import main
from mcm_core.drawing.conditions import InputError
from mcm_core.engine import Cancelled, Failed, TimedOut
from mcm_core.pipeline import Result, Step
from mcm_core.record import write_png
from mcm_core.request import MAX_STEPS, Request
from tests import tiny
from tests.pages import PATIENCE_S, connected, until

ROOT = Path(__file__).parents[1]


class TestRoom:
    """What a replica gets, by the machines that are there."""

    @pytest.mark.parametrize(
        ("machines", "count", "share"),
        [
            ([{"CPU": 8.0}], Count(2, 2), Share(cores=4)),
            ([{"CPU": 8.0}], Count(3, 3), Share(cores=2)),
            ([{"CPU": 8.0}], Count(1, 4), Share(cores=2)),
            ([{"CPU": 3.0}, {"CPU": 3.0}], Count(3, 3), Share(cores=1)),
            ([{"CPU": 8.0, "GPU": 1.0}, {"CPU": 8.0, "GPU": 2.0}], Count(3, 3), Share(cores=1, gpus=1)),
        ],
    )
    def test_a_gpu_for_each_or_as_many_cores_as_let_the_most_of_them_fit(
        self, machines: list[dict[str, float]], count: Count, share: Share
    ) -> None:
        assert shared(machines, count, None, grows=False) == share

    def test_gpus_are_left_alone_where_the_cpu_was_asked_for(self) -> None:
        assert shared([{"CPU": 8.0, "GPU": 1.0}], Count(2, 2), "cpu", grows=False) == Share(cores=4)

    @pytest.mark.parametrize("machine", [{"CPU": 2.0}, {"CPU": 16.0, "GPU": 2.0}])
    def test_without_room_it_says_how_many_there_may_be(self, machine: dict[str, float]) -> None:
        with pytest.raises(InputError, match="take --workers 2 or fewer"):
            shared([machine], Count(1, 3), None, grows=False)

    def test_a_cluster_may_grow_to_the_most(self) -> None:
        assert shared([{"CPU": 16.0, "GPU": 2.0}], Count(1, 8), None, grows=True) == Share(cores=1, gpus=1)

    @pytest.mark.parametrize("text", ["0", "-1", "3-2", "many", "1-2-3", ""])
    def test_other_counts_are_refused(self, text: str) -> None:
        with pytest.raises(InputError, match="such as 1-4"):
            Count.of(text)

    def test_counts(self) -> None:
        assert (Count.of("4"), Count.of("1-8")) == (Count(4, 4), Count(1, 8))


def test_without_ray_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["app", "--workers", "2"]) == 2
    assert capsys.readouterr().err.strip().splitlines() == [
        'mcm: --workers and --ray need Ray: pip install "ray[serve]>=2.60,<3".'
    ]


# -- two workers on two machines of one cluster ------------------------------------------------------------


@pytest.fixture(scope="module")
def opening(sd_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The small Stable Diffusion of `tests.tiny` with a modulator that acts, in folders."""
    modulator = tmp_path_factory.mktemp("modulator")
    tiny.build_modulator(Base.from_pretrained(sd_folder)).save_pretrained(modulator)
    return {"bases": [str(sd_folder)], "modulators": [str(modulator)], "dtype": "float32"}


@pytest.fixture(scope="module")
def here(opening: dict[str, Any]) -> Model:
    """The model in this process."""
    return open_models(**opening)[0]


@pytest.fixture(scope="module")
def workers(opening: dict[str, Any]) -> Iterator[Workers]:
    """Two of them: two machines, as far as Ray knows, each with a core for one."""
    pytest.importorskip("ray.serve", reason='Ray is not installed: pip install "mcm[ray]"')
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    machine = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**machine, "include_dashboard": False})
    cluster.add_node(**machine)
    try:
        with started(None, cluster.address, opening) as workers:
            yield workers
    finally:
        cluster.shutdown()


@pytest.fixture
def models(workers: Workers, here: Model) -> Iterator[Models]:
    models = Models([here], streams=workers.streams)
    yield models
    until(lambda: (models.engine.running, models.engine.waiting) == (0, 0))


def job(model: Model, seed: int, steps: int = 4, batch: int = 1, **fields: Any) -> Job:
    seeds = tuple(range(seed, seed + batch))
    asked = Request(prompt=f"lake {seed}", conditions=tiny.drawing(), seeds=seeds, steps=steps, **fields)
    return Job(model.name, model.resolved(asked))


def pictures(models: Models, jobs: list[Job]) -> list[Result]:
    """Of all jobs at once."""
    with ThreadPoolExecutor(len(jobs)) as crowd:
        return list(crowd.map(lambda job: list(models.generate(job))[-1], jobs))


def test_as_many_slots_as_machines(workers: Workers) -> None:
    assert len(workers.streams) == 2


def test_the_bytes_are_those_of_one_process(models: Models, workers: Workers, here: Model) -> None:
    torch.set_num_threads(1)  # as on the replicas
    origin = workers.told([here])[0].origin
    jobs = [job(here, seed, compare=seed % 2 == 0) for seed in range(8)]
    for asked, there in zip(jobs, pictures(models, jobs), strict=True):
        alone = here.pipeline(asked.request)
        png = write_png(there.images[0], there.request, origin)
        assert png == write_png(alone.images[0], alone.request, here.origin)
        np.testing.assert_array_equal(there.actions, alone.actions)
        if there.plain_images is not None:
            np.testing.assert_array_equal(there.plain_images, alone.plain_images)


def test_every_step_comes_with_its_preview(models: Models, here: Model) -> None:
    *events, result = models.generate(job(here, 7, steps=6))
    steps = [event for event in events if isinstance(event, Step)]
    alone = list(here.pipeline.paint(job(here, 7, steps=6).request))
    assert [step.index for step in steps] == [0, 1, 2, 3, 4, 5]
    for there, step in zip(steps, alone, strict=True):
        np.testing.assert_array_equal(there.preview, step.preview)
    assert result.images.flags.writeable, "as if it had been made here"


class TestEndingARun:
    """Its replica is free long before it would have come to its end."""

    @pytest.fixture(autouse=True)
    def run(self, models: Models, here: Model) -> Iterator[None]:
        """A run of many steps that goes on, and afterwards two short ones, which need both replicas."""
        self.cancel = threading.Event()
        self.events = models.generate(job(here, 1, MAX_STEPS, batch=4), self.cancel)
        next(self.events)
        begun = time.monotonic()
        next(self.events)
        step_s = time.monotonic() - begun
        yield
        begun = time.monotonic()
        assert len(pictures(models, [job(here, seed, 1) for seed in (1, 2)])) == 2
        assert time.monotonic() - begun < step_s * MAX_STEPS / 2

    def test_by_cancelling(self) -> None:
        self.cancel.set()
        with pytest.raises(Cancelled):
            list(self.events)

    def test_at_the_deadline(self, models: Models) -> None:
        models.engine.deadline_s = 1e-9
        with pytest.raises(TimedOut, match="1e-09 seconds"):
            list(self.events)
        models.engine.deadline_s = 300.0

    def test_when_its_reader_goes_away(self) -> None:
        self.events.close()

    def test_when_its_reader_is_forgotten(self, models: Models) -> None:
        del self.events
        gc.collect()
        assert models.engine.running == 0


def test_an_error_comes_in_words_and_the_next_run_works(models: Models, here: Model) -> None:
    with pytest.raises(Failed, match="Something went wrong"):
        list(models.generate(Job("unknown", job(here, 1).request)))
    assert pictures(models, [job(here, 1)])


def replicas() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "ServeReplica" in "".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def test_runs_of_a_killed_replica_begin_again_and_ray_restarts_it(models: Models, here: Model) -> None:
    jobs = [job(here, seed, 40) for seed in range(4)]
    before = replicas()
    assert len(before) == 2
    with ThreadPoolExecutor(1) as reader:
        running = reader.submit(pictures, models, jobs)
        until(lambda: models.engine.running == 2)
        before[0].send_signal(signal.SIGKILL)
        results = running.result(PATIENCE_S)
    for asked, there in zip(jobs, results, strict=True):
        np.testing.assert_array_equal(there.images, here.pipeline(asked.request).images)
    until(lambda: len(replicas()) == 2)
    assert before[0].pid not in [replica.pid for replica in replicas()]


def test_a_run_that_ends_every_replica_is_given_up_with_words(here: Model) -> None:
    pytest.importorskip("ray.serve")
    from ray.exceptions import ActorDiedError

    class Fatal:
        """In place of a handle: every replica dies of the job."""

        def __init__(self) -> None:
            self.paint, self.tries = self, 0

        def options(self, stream: bool) -> Fatal:
            return self

        def remote(self, job: bytes) -> Fatal:
            self.tries += 1
            return self

        def cancel(self) -> None: ...

        def __iter__(self) -> Iterator[bytes]:
            raise ActorDiedError

    fatal = Fatal()
    with pytest.raises(Failed, match="3 workers ended"):
        list(painting(fatal)(job(here, 1), lambda: False))
    assert fatal.tries == 3


def test_the_page_on_workers_of_this_machine(opening: dict[str, Any], here: Model) -> None:
    """From the command line to a picture, and to the end without leaving a process behind."""
    pytest.importorskip("ray.serve")
    [base], [modulator] = opening["bases"], opening["modulators"]
    options = ["--base", base, "--modulator", modulator, "--dtype", "float32", "--workers", "2"]
    program = subprocess.Popen(
        [sys.executable, "app.py", *options], cwd=ROOT, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        assert program.stdout is not None
        address = next(line.split()[-1].rstrip("/") for line in program.stdout if "http://" in line)
        family = psutil.Process(program.pid).children(recursive=True)
        path, _, details = connected(address).predict(prompt="a lake", seed=7, steps=4, api_name="/generate")
        alone = here.pipeline(Request(prompt="a lake", seeds=(7,), steps=4))
        assert Path(path).read_bytes() == write_png(alone.images[0], alone.request, here.origin)
        assert details["request"]["seeds"] == [7]
        program.send_signal(signal.SIGTERM)
        assert program.wait(PATIENCE_S) == 0
        until(lambda: not any(process.is_running() for process in family))
    finally:
        program.kill()
