"""`mcm app`: opens the models, and serves the page until the process is told to end."""

from __future__ import annotations

import argparse
import contextlib
import os
import threading
import time
from collections.abc import Sequence

from mcm_core.models import add_options

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

    from mcm_core.engine import drain_on_sigterm

    from .delivery import Delivery
    from .models import Models, open_models
    from .ui import build_ui, launch_options

    opened = open_models(
        options.base,
        options.modulator,
        options.segmenter,
        options.live_modulator,
        preview_decoder=options.preview_decoder,
        device=options.device,
        dtype=options.dtype,
    )
    models = Models(opened, max_waiting=options.max_waiting, deadline_s=options.deadline)
    demo = build_ui(models)
    ended, delivery = threading.Event(), Delivery()
    drain_on_sigterm(models.engine, ended.set)
    _, address, _ = demo.launch(
        server_name=options.host,
        server_port=options.port,
        prevent_thread_lock=True,
        quiet=True,
        **launch_options(delivery, [*options.allow_host, options.host or ""], options.auth),
    )
    print(f"The page is at {address}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        ended.wait()
        delivery.wait(DELIVERY_S)
        time.sleep(DOWNLOAD_S)
    demo.close()
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser("mcm app", description="Open the page on this machine.", epilog=EXAMPLE)
    parser.add_argument(
        "--base", nargs="+", help="frozen bases: hub ids, folders, .safetensors files, or a folder of folders"
    )
    parser.add_argument(
        "--modulator", nargs="*", help="modulators, or a folder of them; each goes with what it fits"
    )
    parser.add_argument(
        "--segmenter", help="folder of a network that reads pictures again, for the first model"
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
        "--max-waiting", type=int, default=16, help="requests in line before more are refused"
    )
    parser.add_argument("--deadline", type=float, default=300.0, help="seconds that one request may run")
    return parser.parse_args(arguments)


def _person(text: str) -> tuple[str, str]:
    name, colon, password = text.partition(":")
    if not (name and colon and password):
        raise argparse.ArgumentTypeError("say NAME:PASSWORD")
    return name, password
