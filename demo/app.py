"""`mcm app`: opens the models, and serves the page until the process is told to end."""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcm_core.drawing.conditions import InputError
from mcm_core.models import add_options

if TYPE_CHECKING:
    from .models import Model, Models
    from .workers import Count

PORT = 7860
WAITING = 16
"""Requests in line, for each place where one may run."""
DELIVERY_S, DOWNLOAD_S = 30.0, 2.0
"""Seconds that the last events may take to their readers, and that these then have for their files."""
EXAMPLE = """
mcm app --base stable-diffusion-v1-5/stable-diffusion-v1-5 --modulator runs/my-modulator
"""


def main(arguments: Sequence[str]) -> int:
    """Load the models once, build the page and serve it; 0 when it has ended. Errors are `InputError`."""
    options = parse(arguments)
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    with contextlib.suppress(ImportError):  # on ZeroGPU, before anything touches CUDA
        import spaces  # noqa: F401

    with contextlib.ExitStack() as at_the_end:
        _serve(options, _opened(options, at_the_end))
    return 0


def _opened(options: argparse.Namespace, at_the_end: contextlib.ExitStack) -> Models:
    """The models, here or on workers, which end with the program."""
    from .models import Models, open_models

    opening = {
        "bases": options.base,
        "modulators": options.modulator,
        "segmenter": options.segmenter,
        "live_modulator": options.live_modulator,
        "preview_decoder": options.preview_decoder,
        "device": options.device,
        "dtype": options.dtype,
        "low_memory": options.low_memory,
    }
    waiting = options.max_waiting
    if not (options.workers or options.ray):
        opened = open_models(**opening)
        _quicken(opened[0])
        return Models(opened, WAITING if waiting is None else waiting, options.deadline)
    from .workers import require_ray, started

    require_ray()
    models = open_models(
        **{**opening, "device": "cpu"}
    )  # what is wrong with them is told before others start
    name = f"mcm-{socket.gethostname()}-{options.port or PORT}"
    workers = at_the_end.enter_context(started(options.workers, options.ray, opening, options.deadline, name))
    holds = WAITING * len(workers.streams) if waiting is None else waiting
    return Models(workers.told(models), holds, options.deadline, workers.streams)


def _quicken(model: Model) -> None:
    """The most of an example that the model reads serves for what its visitors will draw."""
    from mcm_core.request import Request

    from .examples import fitting, read_examples

    drawings = [example.conditions for example in fitting(read_examples(), model)]
    if drawings:
        fullest = max(drawings, key=lambda drawn: len(drawn.maps))
        model.quicken(Request(conditions=fullest, steps=1, seeds=(0,)))


def _serve(options: argparse.Namespace, models: Models) -> None:
    """The page, until the process is told to end, and then the readers have what they wait for."""
    from mcm_core.engine import drain_on_sigterm

    from .delivery import Delivery
    from .ui import build_ui, launch_options

    demo = build_ui(models)
    ended, delivery = threading.Event(), Delivery()
    drain_on_sigterm(models.engine, ended.set)
    _, address, _ = demo.launch(
        server_name=options.host,
        server_port=options.port,
        prevent_thread_lock=True,
        quiet=True,
        **launch_options(
            delivery, [*options.allow_host, options.host or ""], options.auth, models.engine.holds
        ),
    )
    print(f"The page is at {address}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        ended.wait()
        delivery.wait(DELIVERY_S)
        time.sleep(DOWNLOAD_S)
    demo.close()


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser("mcm app", description="Open the page on this machine.", epilog=EXAMPLE)
    _add_models(parser)
    _add_serving(parser)
    return parser.parse_args(arguments)


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--base", nargs="+", help="frozen bases: hub ids, folders, .safetensors files, or a folder of folders"
    )
    parser.add_argument(
        "--modulator", nargs="*", help="modulators, or a folder of them; each goes with what it fits"
    )
    parser.add_argument(
        "--segmenter",
        help="folder of a judge (`mcm train-segmenter`) that reads pictures again, for the first model",
    )
    parser.add_argument(
        "--preview-decoder",
        metavar="FOLDER_OR_HUB_ID",
        help="a small decoder (AutoencoderTiny) that shows pictures as they form, for the first base: "
        "madebyollin/taesd for Stable Diffusion, madebyollin/taesdxl for SDXL",
    )
    parser.add_argument(
        "--live-modulator",
        metavar="FOLDER_OR_HUB_ID",
        help="a modulator of few steps (`mcm distil`) that paints while the brush moves, for the first model",
    )
    add_options(parser)
    parser.add_argument(
        "--workers",
        type=_count,
        metavar="N or MIN-MAX",
        help="paint on so many replicas, one per GPU or group of cores; of MIN-MAX, the more the more people "
        "wait (default: in this process, or with --ray one per GPU or machine)",
    )
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="paint on the Ray cluster that this machine has joined (`ray start --address=ADDRESS`)",
    )


def _add_serving(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host", help="address to listen at (default: this machine only, or GRADIO_SERVER_NAME)"
    )
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument(
        "--allow-host",
        nargs="+",
        default=[],
        metavar="NAME",
        help="names under which the page may be called, besides addresses and localhost",
    )
    parser.add_argument(
        "--auth",
        nargs="+",
        default=[],
        type=_person,
        metavar="NAME:PASSWORD",
        help="who may come in (default: everybody)",
    )
    parser.add_argument(
        "--max-waiting",
        type=int,
        help=f"requests in line before more are refused (default: {WAITING}, times the workers)",
    )
    parser.add_argument("--deadline", type=float, default=300.0, help="seconds that one request may run")


def _count(text: str) -> Count:
    from .workers import Count

    try:
        return Count.of(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _person(text: str) -> tuple[str, str]:
    name, colon, password = text.partition(":")
    if not (name and colon and password):
        raise argparse.ArgumentTypeError("say NAME:PASSWORD")
    return name, password
