"""`python -m mcm_core fuse`: a base with LoRAs, a scheduler and defaults of its own, written as a folder.

Few-step LoRAs (LCM: Luo et al. 2023, TCD: Zheng et al. 2024) make another base of a Stable Diffusion: fused
once, it is opened by every command like any other, is told apart by its fingerprint, and needs no options.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import metadata_save

from mcm_core.base.opening import Family, networks, open_pipeline
from mcm_core.base.schedulers import SCHEDULERS, converted
from mcm_core.drawing.conditions import InputError
from mcm_core.request import MAX_GUIDANCE, MAX_STEPS
from mcm_core.schedule import PREDICTION_TYPES
from mcm_core.sums import write_sums
from mcm_core.vocabulary import FILE as VOCABULARY
from mcm_core.weights import PICKLES, require_finite

EPILOG = """
mcm fuse --base stable-diffusion-v1-5/stable-diffusion-v1-5 --lora latent-consistency/lcm-lora-sdv1-5
         --scheduler lcm --out sd15-lcm
mcm fuse --base stabilityai/sd-turbo --steps 2 --guidance-scale 1 --out sd-turbo
mcm app --base sd15-lcm --modulator runs/my-modulator
"""


def main(argv: Sequence[str]) -> int:
    """Write the folder and name it; 0 when it is there. Errors are `InputError`."""
    options = parser().parse_args(argv)
    _check(options)
    hub = {"revision": options.revision, "variant": options.variant}
    pipe, family = open_pipeline(options.base, **{name: value for name, value in hub.items() if value})
    for network in networks(pipe):
        network.float()  # what is added to them may be finer than half precision
    for source, weight in map(_weighted, options.lora):
        _fuse(pipe, family, source, weight)
    if options.prediction_type:
        config = pipe.scheduler.config
        pipe.scheduler = pipe.scheduler.from_config(config, prediction_type=options.prediction_type)
    if options.scheduler:
        pipe.scheduler = converted(pipe.scheduler, options.scheduler)
    _save(pipe, options)
    print(f"{options.out} is a base like any other: mcm app --base {options.out}")
    return 0


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        "python -m mcm_core fuse",
        description="Write a base with LoRAs fused into it, and what it is used with, as a folder.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--base", required=True, help="diffusers folder, hub id or .safetensors file")
    options.add_argument("--revision", help="branch, tag or commit of a hub id")
    options.add_argument("--variant", help="of its files, such as fp16")
    options.add_argument(
        "--prediction-type",
        choices=PREDICTION_TYPES,
        help="what its U-Net predicts, where its files do not say (a checkpoint of one file)",
    )
    options.add_argument(
        "--lora",
        nargs="+",
        default=[],
        metavar="LORA[=WEIGHT]",
        help=".safetensors file, folder or hub id; weight 1 unless told (needs `pip install peft`)",
    )
    options.add_argument(
        "--scheduler", choices=sorted(SCHEDULERS), help="its own from now on: lcm or tcd for such LoRAs"
    )
    options.add_argument("--steps", type=int, help="its default number of steps")
    options.add_argument("--guidance-scale", type=float, help="its default guidance; 1 for none")
    options.add_argument("--float32", action="store_true", help="write float32 instead of half precision")
    options.add_argument("--out", required=True, type=Path, help="the folder to write")
    return options


def _check(options: argparse.Namespace) -> None:
    """Before the base is opened, which takes long."""
    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        raise InputError(f"{options.out} is there already: name a new folder with --out.")
    if options.steps is not None and not 1 <= options.steps <= MAX_STEPS:
        raise InputError(f"--steps must be from 1 to {MAX_STEPS}.")
    if options.guidance_scale is not None and not 0 <= options.guidance_scale <= MAX_GUIDANCE:
        raise InputError(f"--guidance-scale must be from 0 to {MAX_GUIDANCE:g}.")
    for source, _ in map(_weighted, options.lora):
        if Path(source).suffix.lower() in PICKLES:
            raise InputError(f"{source} is a pickle, which can run any code: give the .safetensors file.")


def _weighted(text: str) -> tuple[str, float]:
    """ "NAME=0.7" -> its parts; a name alone counts 1."""
    source, equals, number = text.rpartition("=")
    try:
        return (source, float(number)) if equals else (text, 1.0)
    except ValueError:
        raise InputError(f"The weight of --lora {text} is no number: say NAME=0.7.") from None


def _fuse(pipe: Any, family: Family, source: str, weight: float) -> None:
    """Raises InputError: peft is missing, nothing is there, or it was made for another family."""
    if family not in ("sd", "sdxl"):
        raise InputError("LoRAs are for Stable Diffusion and SDXL.")
    try:
        import peft  # noqa: F401
    except ImportError:
        raise InputError('LoRAs need peft: pip install "peft>=0.19,<1"') from None
    try:
        pipe.load_lora_weights(source, use_safetensors=True)
        if not pipe.get_list_adapters():
            raise ValueError("It has nothing for any network of this base.")
        pipe.fuse_lora(lora_scale=weight)
        pipe.unload_lora_weights()
    except Exception as error:  # diffusers and peft have many kinds
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"The LoRA {source} cannot be used with this base. {first_line[:300]}") from error
    for network in networks(pipe):
        require_finite(network, source)


def _save(pipe: Any, options: argparse.Namespace) -> None:
    """The folder is there whole, or not at all."""
    unfinished = options.out.with_name(f".{options.out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    for network in networks(pipe):
        network.to(torch.float32 if options.float32 else torch.float16)
    pipe.save_pretrained(unfinished, safe_serialization=True)
    told = {"num_inference_steps": options.steps, "guidance_scale": options.guidance_scale}
    parameters = {name: value for name, value in told.items() if value is not None}
    if parameters:
        metadata_save(unfinished / "README.md", {"inference": {"parameters": parameters}})
    if (Path(options.base) / VOCABULARY).is_file():
        shutil.copy(Path(options.base) / VOCABULARY, unfinished / VOCABULARY)
    write_sums(unfinished, deep=True)
    if options.out.is_dir():
        options.out.rmdir()
    unfinished.replace(options.out)
