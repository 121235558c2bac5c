"""`python -m mcm_core dream --base B --classes FILE --segmenter ID --count N --out DIR`: pairs from nothing.

The base itself paints from prompts, as it would for anybody; a segmentation model says what is where, and
the lines are drawn as `prepare` draws them. So the pairs have the base's own styles, and the modulator that
learns from them takes none away. Latents are kept: training encodes nothing. Pictures of which the segmenter
is unsure are left out. What is interrupted goes on with the same command; under torchrun processes share it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mcm_core.base import Base, Embeddings, schedulers
from mcm_core.drawing.conditions import InputError, Size
from mcm_core.modulation import guide
from mcm_core.pairs.labelling import Labeller, open_labeller, read_merging, require_both
from mcm_core.pairs.lines import Sketcher, open_sketcher
from mcm_core.pairs.prompts import lines_of, prompt_of
from mcm_core.pairs.sheet import show
from mcm_core.pairs.store import Made, Store
from mcm_core.pipeline import to_uint8

LEAST_SURE = 0.6


@dataclass(frozen=True)
class Dreaming:
    """How pictures are painted; `steps` and `guidance_scale` are those that the base is used with."""

    base: Base
    size: Size
    steps: int
    guidance_scale: float


def main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    if min(options.count, options.batch_size) < 1:
        raise InputError("--count and --batch-size must be at least 1.")
    require_both(options.classes, options.segmenter)
    merging = read_merging(options.classes) if options.classes else None
    classes = merging.classes if merging else ()
    lines = lines_of(options.prompts, options.classes, classes)
    base = Base.from_pretrained(options.base, device=options.device)
    if not base.accepts_text:
        raise InputError(f"{base.id} takes no text: there is nothing that it could dream of.")
    labeller = open_labeller(options.segmenter, merging, base.device) if merging else None
    dreaming = Dreaming(
        base,
        tuple(options.size or base.default_size),
        options.steps or base.default_steps,
        base.default_guidance_scale if options.guidance_scale is None else options.guidance_scale,
    )
    recipe = {
        "base": base.fingerprint,
        "size": list(dreaming.size),
        "steps": dreaming.steps,
        "guidance_scale": dreaming.guidance_scale,
        **{name: getattr(options, name) for name in ("classes", "segmenter", "sketch", "seed", "least_sure")},
        "prompts": list(lines),
    }
    store = Store(options.out, recipe, merging)
    dream(options, dreaming, lines, labeller, open_sketcher(options.sketch), store)
    finished = store.finish(_names(options.count))
    if finished is None:
        print("Others are still at work; whoever ends last writes metadata.jsonl.")
        return 0
    if not finished.count:
        raise InputError(
            "The segmenter was unsure of every picture: lower --least-sure, or look at its classes."
        )
    sheet = show(options.out, classes)
    print(f"{finished.count} pairs in {options.out}, {len(finished.left_out)} left out; look at {sheet}.")
    if seldom := finished.seldom(classes):
        print(f"{seldom} Prompts that name them more often help, and more dreams.")
    return 0


def dream(
    options: argparse.Namespace,
    dreaming: Dreaming,
    lines: tuple[str, ...],
    labeller: Labeller | None,
    sketcher: Sketcher,
    store: Store,
) -> None:
    """Paints this process's part of the pictures that are not there yet."""
    known = store.entries()
    names = [name for name in store.shard.of(_names(options.count)) if name not in known]
    with tqdm(total=len(names), unit="picture", file=sys.stderr) as bar:
        for start in range(0, len(names), options.batch_size):
            part = names[start : start + options.batch_size]
            prompts = [prompt_of(lines, options.seed + int(name)) for name in part]
            latents = paint(dreaming, prompts, [options.seed + int(name) for name in part])
            pictures = decoded(dreaming.base, latents)
            read = labeller(pictures) if labeller else None
            stored = with_mirrored(dreaming.base, latents, pictures)
            for index, name in enumerate(part):
                if read is not None and read.sureness[index] < options.least_sure:
                    store.leave_out(name, f"the segmenter is sure of {read.sureness[index]:.0%} only")
                    continue
                sketch = sketcher(pictures[index])
                labels = None if read is None else read.labels[index]
                made = (pictures[index], labels, sketch, prompts[index], stored[index])
                store.add(name, name, Made(*made, dreaming.base.fingerprint))
            bar.update(len(part))


def _names(count: int) -> list[str]:
    return [f"{index:08d}" for index in range(count)]


@torch.no_grad()
def paint(dreaming: Dreaming, prompts: Sequence[str], seeds: Sequence[int]) -> Tensor:
    """Latents (B, C, h, w) of the base alone, many at a time, each from the noise of its seed."""
    base, scheduler = dreaming.base, dreaming.base.make_scheduler()
    schedulers.set_timesteps(scheduler, dreaming.steps, base.device)
    shape = (base.latent_channels, *(side // base.downscale for side in dreaming.size))
    noise = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    latents = torch.stack(noise).to(base.device) * scheduler.init_noise_sigma
    generator = torch.Generator().manual_seed(seeds[0])
    embeddings, twice = base.encode_prompt(prompts), dreaming.guidance_scale > 1 and not base.embeds_guidance
    if twice:
        negative = base.encode_prompt([""], negative=True)
        embeddings = Embeddings.cat([*[negative] * len(prompts), embeddings])
    for timestep in scheduler.timesteps:
        sample = scheduler.scale_model_input(latents, timestep)
        batch = torch.cat([sample] * 2) if twice else sample
        output = base.predict(batch, timestep, embeddings, dreaming.guidance_scale)
        if twice:
            negatives, positives = output.chunk(2)
            output = guide(negatives, positives, dreaming.guidance_scale)
        latents = schedulers.step(scheduler, output, timestep, latents, generator)
    return latents


def decoded(base: Base, latents: Tensor) -> np.ndarray:
    """(B, H, W, 3) uint8, a picture at a time: decoding takes the most memory of all."""
    return np.concatenate([to_uint8(base.decode(latent)) for latent in latents.split(1)])


def with_mirrored(base: Base, latents: Tensor, pictures: np.ndarray) -> np.ndarray:
    """(B, 2, C, h, w): the latents, and those of the mirrored pictures, as training stores them."""
    signed = (
        torch.from_numpy(np.ascontiguousarray(pictures[:, :, ::-1])).permute(0, 3, 1, 2).float() / 127.5 - 1
    )
    mirrored = torch.cat([base.encode(picture) for picture in signed.split(1)])
    return torch.stack([latents, mirrored.to(latents)], dim=1).float().cpu().numpy()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m mcm_core dream", description=__doc__)
    parser.add_argument("--base", required=True, help="the frozen model: folder, file or hub id")
    parser.add_argument("--out", type=Path, required=True, help="the data set")
    parser.add_argument("--count", type=int, required=True, help="pictures to paint")
    parser.add_argument("--classes", help="landscape, interior, street, or a JSON file (see prepare)")
    parser.add_argument(
        "--segmenter",
        help="segmentation model of transformers: folder or hub id; without it and --classes: sketches alone",
    )
    parser.add_argument(
        "--prompts",
        help="text file, a prompt a line; {a|b} chooses (default: those that come with landscape, interior "
        "and street, else the names of the classes)",
    )
    parser.add_argument("--sketch", default="both", help="as in prepare")
    parser.add_argument("--steps", type=int, help="of the base (default: its own)")
    parser.add_argument("--guidance-scale", type=float, help="of the base (default: its own)")
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="pixels (default: the base's)")
    parser.add_argument("--seed", type=int, default=0, help="of the first picture")
    parser.add_argument(
        "--least-sure", type=float, default=LEAST_SURE, help="leave out where the segmenter is less sure"
    )
    parser.add_argument("--batch-size", type=int, default=4, help="pictures painted together")
    parser.add_argument("--device", help="cuda, mps, cpu (default: the quickest that is here)")
    return parser
