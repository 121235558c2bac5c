"""`python -m mcm_core train-base --data DIR --out DIR`: the embedded base, from scenes to a diffusers folder.

The stages words, autoencoder, latents, denoiser and assemble run in this order; `--stage` runs some alone, on
what those before it left in `--out`. The same command goes on where it was stopped, and one with more steps
or more scenes goes on from there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from mcm_core.devices import choose_device
from mcm_core.drawing.conditions import InputError
from mcm_core.landscapes.captions import vocabulary_groups
from mcm_core.schedule import EPSILON, V_PREDICTION
from mcm_core.sums import write_sums
from mcm_core.training.checkpoints import is_complete, write_folder
from mcm_core.training.fit import spent
from mcm_core.training.precision import AUTO, choose_precision
from mcm_core.vocabulary import write_vocabulary

from .autoencoder import train_autoencoder
from .base_card import Stage, write_card
from .denoiser import build_scheduler, build_unet, train_denoiser
from .latents import Rows, encode, read_pictures, read_rows, read_shards, write_shards
from .text import build_text_encoder, known_words, learn_tokenizer

LARGEST_FILE = "9MB"
SCALED_BY = 1000  # pictures whose latents tell the scaling to unit deviation


def main(argv: Sequence[str]) -> int:
    options = parser().parse_args(argv)
    if options.init is not None and not (options.init / "model_index.json").is_file():
        raise InputError(f"{options.init} is no base: give the folder `base` that this command wrote.")
    rows = read_rows(options.data)
    for name, stage in STAGES.items():
        if name in options.stage:
            stage(options, rows)
    return 0


def parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser("python -m mcm_core train-base", description=__doc__)
    add = command.add_argument
    add("--data", type=Path, required=True, help="a folder written by `python -m mcm_core render`")
    add("--out", type=Path, required=True, help="checkpoints, and the base in its folder `base`")
    add("--stage", nargs="+", choices=[*STAGES], default=[*STAGES], help="only these")
    add("--device", help="cuda, mps or cpu (default: the best that is here)")
    add("--init", type=Path, help="a base to train further: its denoiser; words and autoencoder stay")
    add("--precision", choices=(AUTO, "bf16", "fp32"), default=AUTO, help="auto: what is quickest here")
    add("--autoencoder-pictures", type=int, default=4000)
    add("--autoencoder-steps", type=int, default=4200)
    add("--autoencoder-batch", type=int, default=4)
    add("--steps", type=int, default=3700, help="of the denoiser")
    add("--batch-size", type=int, default=32, help="of the denoiser")
    add("--lr", type=float, default=2e-3, help="of the denoiser")
    add("--prediction-type", choices=(V_PREDICTION, EPSILON), default=V_PREDICTION, help="what it predicts")
    return command


# -- stages ------------------------------------------------------------------------------------------------


def words(options: argparse.Namespace, rows: Rows) -> None:
    """Learned once: a denoiser knows tokens by their numbers, which other words would change."""
    folder = options.out / "words"
    if is_complete(folder):
        return
    if options.init is None:
        tokenizer = learn_tokenizer([*known_words(), *(row["text"] for row in rows)])
    else:
        tokenizer = CLIPTokenizer.from_pretrained(options.init / "tokenizer")
    write_folder(folder, tokenizer.save_pretrained)


def autoencoder(options: argparse.Namespace, rows: Rows) -> None:
    work, result = options.out / "autoencoder", options.out / "autoencoder" / "result"
    if is_complete(result) and (options.init or spent(work)[0] >= options.autoencoder_steps):
        return
    if options.init is not None:
        model = AutoencoderKL.from_pretrained(options.init / "vae", torch_dtype=torch.float32)
    else:
        device = choose_device(options.device)
        pictures = read_pictures(options.data, rows[: options.autoencoder_pictures]).to(device)
        batch, steps = options.autoencoder_batch, options.autoencoder_steps
        model = train_autoencoder(pictures, work, steps=steps, batch=batch, precision=options.precision)
        deviation = encode(model, pictures[:SCALED_BY], options.precision).std().item()
        model.register_to_config(scaling_factor=round(1 / deviation, 4))
    stage = _stage(options, "autoencoder", options.autoencoder_batch)
    _write_result(result, {"model": model}, stage)


def latents(options: argparse.Namespace, rows: Rows) -> None:
    device = choose_device(options.device)
    model = _autoencoder(options).to(device, memory_format=torch.channels_last)
    write_shards(model, options.data, rows, options.out / "latents", options.precision)


def denoiser(options: argparse.Namespace, rows: Rows) -> None:
    tokenizer = _tokenizer(options)
    device = choose_device(options.device)
    encoded = read_shards(options.out / "latents", len(rows)).to(device)
    texts = ["", *(row["text"] for row in rows)]
    tokens = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids.to(device)
    twice = tokens[1:].repeat_interleave(encoded.shape[1], dim=0)  # a caption is true of the mirrored, too
    unet, encoder = train_denoiser(
        encoded.flatten(0, 1), twice, tokens[0], *_untrained(options, tokenizer), options.out / "denoiser",
        steps=options.steps, batch=options.batch_size, lr=options.lr,
        prediction_type=options.prediction_type, precision=options.precision,
    )  # fmt: skip
    stage = _stage(options, "denoiser", options.batch_size)
    _write_result(options.out / "denoiser" / "result", {"unet": unet, "text_encoder": encoder}, stage)


def assemble(options: argparse.Namespace, rows: Rows) -> None:
    """Write the stock diffusers folder: half precision, every file below 10 MB; and its card."""
    result, folder = _result(options, "denoiser"), options.out / "base"
    networks = {
        "unet": UNet2DConditionModel.from_pretrained(result / "unet"),
        "text_encoder": CLIPTextModel.from_pretrained(result / "text_encoder"),
        "vae": _autoencoder(options),
    }
    for name in ("unet", "vae"):  # else their files would name folders of this machine
        networks[name].register_to_config(_name_or_path=name)
    pipeline = StableDiffusionPipeline(
        **networks,
        tokenizer=_tokenizer(options),
        scheduler=build_scheduler(options.prediction_type),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(folder, safe_serialization=True, max_shard_size=LARGEST_FILE)
    write_vocabulary(folder, vocabulary_groups())
    write_sums(folder, deep=True)
    stages = [Stage(**json.loads((_result(options, name) / "stage.json").read_text())) for name in TRAINED]
    counts = {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
    write_card(
        folder, networks["vae"].float(), len(rows), stages, counts, options.prediction_type, options.init
    )


STAGES: Mapping[str, Callable[[argparse.Namespace, Rows], None]] = {
    "words": words,
    "autoencoder": autoencoder,
    "latents": latents,
    "denoiser": denoiser,
    "assemble": assemble,
}
TRAINED = ("autoencoder", "denoiser")


# -- what a stage leaves for the next ----------------------------------------------------------------------


def _result(options: argparse.Namespace, stage: str) -> Path:
    """Raises: InputError: the stage has not been run."""
    folder = options.out / stage if stage == "words" else options.out / stage / "result"
    if not is_complete(folder):
        raise InputError(f"{folder} is missing or damaged: run --stage {stage} first.")
    return Path(folder)


def _write_result(folder: Path, networks: Mapping[str, Any], stage: Stage) -> None:
    def write(target: Path) -> None:
        for name, network in networks.items():
            network.save_pretrained(target / name)
        (target / "stage.json").write_text(json.dumps(asdict(stage)), encoding="utf-8")

    write_folder(folder, write)


def _stage(options: argparse.Namespace, name: str, batch: int) -> Stage:
    precision = choose_precision(options.precision, choose_device(options.device))
    return Stage(name, *spent(options.out / name), batch=batch, precision=precision)


def _tokenizer(options: argparse.Namespace) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(_result(options, "words"))


def _autoencoder(options: argparse.Namespace) -> AutoencoderKL:
    return AutoencoderKL.from_pretrained(_result(options, "autoencoder") / "model")


def _untrained(
    options: argparse.Namespace, tokenizer: CLIPTokenizer
) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    """What the denoiser's training begins with: new networks, or those of `--init`."""
    if options.init is not None:
        return (
            UNet2DConditionModel.from_pretrained(options.init / "unet", torch_dtype=torch.float32),
            CLIPTextModel.from_pretrained(options.init / "text_encoder", dtype=torch.float32),
        )
    torch.manual_seed(0)
    encoder = build_text_encoder(tokenizer)
    torch.manual_seed(0)
    return build_unet(encoder.config.hidden_size), encoder
