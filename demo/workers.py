"""Replicas of the models on Ray Serve: on this machine's GPUs or cores, or on those of many machines.

    with started(Count(2, 2), None, opening) as workers:       # they paint, this process does not
        models = Models(workers.told(open_models(**opening)), streams=workers.streams)

The engine's line stays in front of them: each of its slots is one call of `Painter.paint`, whose steps stream
back. There are as many slots as there may ever be replicas, so that Ray sees who waits for those that are not
there yet; the deadline of a run counts from then on.
A run that loses its replica begins again on another; what it makes depends on nothing but the job.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import re
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcm_core.drawing.conditions import InputError
from mcm_core.engine import POLL_S, EngineError, Failed
from mcm_core.record import Origin

from .models import Job, Model, Models, open_models

if TYPE_CHECKING:
    from mcm_core.engine import Stream
    from mcm_core.pipeline import Step

TRIES = 3
"""So often a run may begin: what ends every replica that it meets must not meet them all."""
STORE_BYTES = 512 * 2**20
"""Of shared memory, for the steps on their way to this process."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Count:
    """How many replicas there are at least, and at most while people wait."""

    least: int
    most: int

    @classmethod
    def of(cls, text: str) -> Count:
        """From "4" or "1-8". Raises InputError."""
        numbers = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
        count = cls(int(numbers[1]), int(numbers[2] or numbers[1])) if numbers else cls(0, 0)
        if not 1 <= count.least <= count.most:
            raise InputError("say a number, such as 4, or a range, such as 1-4")
        return count


@dataclass(frozen=True)
class Share:
    """What one replica gets of its machine."""

    cores: int
    gpus: int = 0


class Painter:
    """One replica: the models, and an engine that lets one job at a time have the device."""

    def __init__(self, opening: Mapping[str, Any], threads: int, deadline_s: float) -> None:
        import torch

        torch.set_num_threads(threads)
        self.models = Models(open_models(**opening), deadline_s=deadline_s)

    def origins(self) -> dict[str, Origin]:
        """What made the pictures, by model: the precision is chosen where the device is."""
        return {name: model.origin for name, model in self.models.by_name.items()}

    async def paint(self, job: bytes) -> AsyncGenerator[bytes]:
        """The job's steps, or at last an error with words for people.

        All are pickled: as objects of Ray their arrays would be read-only, and keep its store filled. When
        Ray cancels this coroutine, the run ends at its next step.
        """
        from mcm_core.pipeline import Step

        cancel = threading.Event()
        events = self.models.engine.generate(pickle.loads(job), cancel)
        try:
            while (event := await asyncio.to_thread(next, events, None)) is not None:
                if isinstance(event, Step):
                    yield pickle.dumps(event)
        except (InputError, EngineError) as error:
            yield pickle.dumps(error)
        finally:
            cancel.set()
            with contextlib.suppress(ValueError):  # a thread is in it, and will see that it is cancelled
                events.close()


class Workers:
    """The replicas, as the front sees them. `streams` are the slots for its engine."""

    def __init__(self, handle: Any, slots: int) -> None:
        self.handle = handle
        self.streams: list[Stream[Job]] = [painting(handle)] * slots

    def told(self, models: Sequence[Model]) -> list[Model]:
        """This process's models, with what the replicas say of theirs."""
        origins = self.handle.origins.remote().result()
        return [replace(model, origin=origins[model.name]) for model in models]


@contextlib.contextmanager
def started(
    count: Count | None,
    address: str | None,
    opening: Mapping[str, Any],
    deadline_s: float = 300.0,
    name: str = "mcm",
) -> Iterator[Workers]:
    """Replicas that have opened the models; at the end they end.

    Args:
        count: None for as many as there are GPUs, or else machines.
        address: of a Ray cluster that this machine has joined; None for one of this machine alone.
        opening: the arguments of `open_models`. On several machines folders must be the same on all.
        deadline_s: how long one job may run.
        name: of these replicas in the cluster; earlier ones of that name end.

    Raises:
        InputError: Ray is not installed or not there, has no room, or the models cannot be opened.
    """
    require_ray()
    import ray
    from ray import serve

    machines, device = _join(address), opening.get("device")
    try:
        wanted = count or _natural(machines, device)
        share = shared(machines, wanted, device, grows=address is not None)
        opening = {key: _anywhere(value) for key, value in opening.items()}
        opening["device"] = "cuda" if share.gpus else (device or "cpu")
        yield Workers(_deploy(wanted, share, name, opening, share.cores, deadline_s), wanted.most)
    finally:
        with contextlib.suppress(Exception):  # the cluster may have gone before
            serve.delete(name)
        ray.shutdown()


def require_ray() -> None:
    """Raises InputError where Ray is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        from ray import serve  # noqa: F401
    except ImportError as error:
        raise InputError('--workers and --ray need Ray: pip install "ray[serve]>=2.60,<3".') from error


# -- a run -------------------------------------------------------------------------------------------------


def painting(handle: Any) -> Stream[Job]:
    """What the engine does with a job: the steps of a replica behind `handle`."""

    def paint(job: Job, should_stop: Callable[[], bool]) -> Generator[Step]:
        from ray.exceptions import RayError, RayTaskError

        for _ in range(TRIES):
            try:
                yield from _steps(handle, job, should_stop)
                return
            except RayTaskError as error:
                raise error.cause from None
            except RayError as error:
                if should_stop():
                    return
                log.warning("A worker was lost, and its run begins again: %s", type(error).__name__)
        raise Failed(f"{TRIES} workers ended while they painted this. Take a smaller size or fewer pictures.")

    return paint


def _steps(handle: Any, job: Job, should_stop: Callable[[], bool]) -> Iterator[Step]:
    answer = handle.options(stream=True).paint.remote(pickle.dumps(job))
    with _watched(answer, should_stop):
        for pickled in answer:
            step = pickle.loads(pickled)
            if isinstance(step, Exception):
                raise step
            yield step
            if should_stop():
                return


@contextlib.contextmanager
def _watched(answer: Any, should_stop: Callable[[], bool]) -> Iterator[None]:
    """Cancels the answer as soon as it should stop, also while its reader waits, and where that leaves it."""
    ended = threading.Event()

    def cancel() -> None:
        with contextlib.suppress(Exception):  # of a replica that was lost, there is nothing to cancel
            answer.cancel()

    def watch() -> None:
        while not ended.wait(POLL_S):
            if should_stop():
                return cancel()

    threading.Thread(target=watch, name="watch", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        cancel()


# -- the cluster -------------------------------------------------------------------------------------------


def shared(machines: Sequence[Mapping[str, float]], count: Count, device: str | None, grows: bool) -> Share:
    """What each replica gets: a GPU where there are any, or else as many cores as let the most of them fit.

    Args:
        machines: their CPUs and GPUs, as Ray counts them.
        count: how many are wanted.
        device: where they shall run; None for what is there.
        grows: machines may still join, so that there need be room for no more than the least.

    Raises:
        InputError: there is no room.
    """
    gpus = _gpus(machines, device)
    cores = [int(machine.get("CPU", 0)) for machine in machines]
    room, what = (gpus, "GPUs") if gpus else (sum(cores), "cores")
    if room < (count.least if grows else count.most):
        raise InputError(
            f"There are {room} {what} for workers, one for each: take --workers {room} or fewer."
        )
    if gpus:
        return Share(1, 1)
    fits = (n for n in range(max(cores), 1, -1) if sum(own // n for own in cores) >= count.most)
    return Share(next(fits, 1))


def _natural(machines: Sequence[Mapping[str, float]], device: str | None) -> Count:
    number = _gpus(machines, device) or len(machines)
    return Count(number, number)


def _gpus(machines: Sequence[Mapping[str, float]], device: str | None) -> int:
    wanted = device is None or device.startswith("cuda")
    return sum(int(machine.get("GPU", 0)) for machine in machines) if wanted else 0


def _join(address: str | None) -> list[Mapping[str, float]]:
    """The resources of the machines that are there. Raises InputError where nobody answers at the address."""
    import ray

    alone: dict[str, Any] = {
        "include_dashboard": False,
        "object_store_memory": STORE_BYTES,
        "_node_ip_address": "127.0.0.1",
    }
    try:
        ray.init(address or "local", logging_level=logging.WARNING, **({} if address else alone))
    except (ConnectionError, ValueError) as error:
        raise InputError(
            f"There is no Ray cluster at {address}: say `ray start --address={address}` here first."
        ) from error
    return [machine["Resources"] for machine in ray.nodes() if machine["Alive"]]


def _deploy(count: Count, share: Share, name: str, *arguments: Any) -> Any:
    """A handle of the replicas, which are ready.

    Raises:
        InputError: they could not open the models.
    """
    from ray import serve

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    logs = {"log_level": "WARNING", "enable_access_log": False}
    scale = {"min_replicas": count.least, "max_replicas": count.most, "target_ongoing_requests": 1}
    deployment: Any = serve.deployment(
        Painter,
        name="painter",
        max_ongoing_requests=1,
        ray_actor_options={"num_cpus": share.cores, "num_gpus": share.gpus},
        health_check_period_s=2,
        graceful_shutdown_timeout_s=5,
        max_constructor_retry_count=3,
        logging_config=logs,
        **({"num_replicas": count.most} if count.least == count.most else {"autoscaling_config": scale}),
    )
    serve.start(proxy_location="Disabled", logging_config=logs)
    try:
        return serve.run(deployment.bind(*arguments), name=name, route_prefix=None)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise InputError(f"The workers could not open the models: {reason}") from error


def _anywhere(value: Any) -> Any:
    """A path, or several, such that they do not depend on the folder of the process."""
    if isinstance(value, list | tuple):
        return [_anywhere(part) for part in value]
    return str(Path(value).resolve()) if isinstance(value, str) and Path(value).exists() else value
