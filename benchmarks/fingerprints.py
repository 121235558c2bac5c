"""`python -m benchmarks.fingerprints --out FILE [--against FILE]`: SHA-256 sums of what the sampling makes.

The shipped mini model in float32 on the CPU answers a list of requests that touches every choice a request
has, a base of each prediction type, and the wrapped stock pipeline. On one machine and one version of torch
the sums change only where a change of the code changes a picture.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from PIL import Image
from tqdm import tqdm

from mcm_core import MCMPipeline, Modulator, modulate
from mcm_core.base.schedulers import SCHEDULERS
from mcm_core.drawing.canvas_value import from_canvas
from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions
from mcm_core.models import BASE, MODULATOR, open_models, shipped
from mcm_core.request import Request

MAP, STROKES = "2-house.json", "3-peaks.json"
"""In assets/freehand: drawn by hand, so that they do not change with the renderer."""
PROMPT = "a house between mountains at sunset in autumn"
STEPS, SEED = 4, 7
PREDICTION_TYPES = ("epsilon", "sample")
"""Those that the mini model does not have: its network is read as if it predicted them."""


def drawings() -> dict[str, Conditions]:
    """A label map, a sketch, both, a map of which half is painted, and a larger map."""
    labels, sketch = read(MAP).maps[LABELS], read(STROKES).maps[SKETCH]
    partial = labels.copy()
    partial[:, partial.shape[1] // 2 :] = 0
    larger = np.kron(labels, np.ones((2, 2), np.uint8))
    return {
        "map": Conditions({LABELS: labels}),
        "sketch": Conditions({SKETCH: sketch}),
        "both": Conditions({LABELS: labels, SKETCH: sketch}),
        "partial": Conditions({LABELS: partial}),
        "larger": Conditions({LABELS: larger, SKETCH: sketch}),
    }


def read(name: str) -> Conditions:
    file = shipped(BASE).parents[1] / "freehand" / name
    return from_canvas(json.loads(file.read_text(encoding="utf-8"))["drawing"])


def requests(drawn: dict[str, Conditions]) -> dict[str, Request]:
    """What is asked of the mini model, by name."""

    def ask(**fields: Any) -> Request:
        usual: dict[str, Any] = {
            "prompt": PROMPT,
            "conditions": drawn["both"],
            "steps": STEPS,
            "seeds": (SEED,),
        }
        return Request(**(usual | {"scheduler": "ddim", "guidance_scale": 1.0} | fields))

    asked = {name: ask(conditions=conditions) for name, conditions in drawn.items()}
    asked |= {f"{name}, guided": ask(conditions=drawn[name], guidance_scale=3.0) for name in ("map", "both")}
    asked |= {"nothing drawn": ask(conditions=Conditions()), "prompt empty": ask(prompt="")}
    asked |= {"defaults": Request(prompt=PROMPT, conditions=drawn["map"], steps=STEPS, seeds=(SEED,))}
    asked |= {f"scheduler {name}": ask(scheduler=name) for name in SCHEDULERS if name != "pndm"}
    for name in ("both", "conditional", "guided"):
        asked[f"placement {name}"] = ask(placement=name, guidance_scale=3.0)
    for start, end in ((0.0, 0.5), (0.5, 1.0), (0.25, 0.75), (0.5, 0.5)):
        asked[f"window {start} to {end}"] = ask(start=start, end=end)
    for labels, sketch in ((0.0, 0.0), (0.5, 1.0), (1.0, 0.0), (1.5, 0.25), (2.0, 2.0)):
        asked[f"strength {labels} and {sketch}"] = ask(strength={LABELS: labels, SKETCH: sketch})
    asked["compared"] = ask(compare=True)
    asked["compared, guided"] = ask(compare=True, guidance_scale=3.0, scheduler="euler")
    asked["compared, nothing drawn"] = ask(compare=True, conditions=Conditions())
    asked["batch"] = ask(seeds=(SEED, 2**32 - 1))
    asked["negative prompt"] = ask(negative_prompt="fog", guidance_scale=3.0)
    asked["wide"] = ask(width=320, height=192)
    asked["one step"] = ask(steps=1)
    asked["more steps"] = ask(steps=6, scheduler="dpmsolver++", previews=False)
    return asked


def of_request(pipeline: MCMPipeline, request: Request) -> dict[str, str]:
    """Sums of the pictures, and of everything that can be seen on the way to them."""
    steps = list(pipeline.stream(request))
    result = steps[-1].result
    assert result is not None
    pictures = [result.images, *([] if result.plain_images is None else [result.plain_images])]
    previews = [step.preview for step in steps if step.preview is not None]
    actions = [result.gamma_actions, result.nu_actions]
    return {"pictures": digest(pictures), "previews": digest(previews), "actions": digest(actions)}


def digest(arrays: Sequence[np.ndarray]) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def read_as(prediction_type: str, folder: Path) -> str:
    """The mini base in `folder`, with another prediction type in its scheduler's configuration."""
    copy = Path(shutil.copytree(shipped(BASE), folder / prediction_type))
    file = copy / "scheduler" / "scheduler_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**config, "prediction_type": prediction_type}), encoding="utf-8")
    return str(copy)


def wrapped(drawn: dict[str, Conditions]) -> Iterator[tuple[str, dict[str, str]]]:
    """Stock pipelines around the mini base, modulated."""
    modulator = Modulator.from_pretrained(shipped(MODULATOR))
    pipe = StableDiffusionPipeline.from_pretrained(shipped(BASE), torch_dtype=torch.float32)
    for options in (
        {},
        {"placement": "both"},
        {"strength": 0.5},
        {"start": 0.2, "end": 0.8},
        {"strength": {LABELS: 0.5, SKETCH: 1.0}},
    ):
        yield f"wrapped {options}", of_stock(modulate(pipe, modulator, drawn["both"], **options))
    img2img = StableDiffusionImg2ImgPipeline(**pipe.components, requires_safety_checker=False)
    slope = Image.linear_gradient("L").convert("RGB")
    drawn_over = modulate(img2img, modulator, drawn["map"])
    yield "wrapped image to image", of_stock(drawn_over, image=slope, strength=0.7)


def of_stock(pipe: Any, **options: Any) -> dict[str, str]:
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(SEED)
    made = pipe(PROMPT, num_inference_steps=STEPS, guidance_scale=3.0, generator=generator, **options)
    return {"pictures": digest([np.asarray(image) for image in made.images])}


def fingerprints() -> dict[str, dict[str, str]]:
    """All of them, by the name of the request."""
    drawn = drawings()
    sums: dict[str, dict[str, str]] = {}
    pipeline = open_models(dtype="float32", device="cpu")
    for name, request in tqdm(requests(drawn).items(), "mini", file=sys.stderr):
        sums[name] = of_request(pipeline, request)
    with tempfile.TemporaryDirectory() as folder:
        for kind in PREDICTION_TYPES:
            base = read_as(kind, Path(folder))
            other = open_models(base, str(shipped(MODULATOR)), dtype="float32", device="cpu")
            for scheduler in ("ddim", "heun"):
                request = Request(PROMPT, conditions=drawn["both"], steps=STEPS, scheduler=scheduler)
                sums[f"{kind}, {scheduler}"] = of_request(other, request)
    return sums | dict(wrapped(drawn))


def changed(before: dict[str, dict[str, str]], now: dict[str, dict[str, str]]) -> list[str]:
    """What differs between two results, or is in one of them alone."""
    kinds = {(name, kind) for sums in (before, now) for name in sums for kind in sums[name]}
    differing = [(n, k) for n, k in kinds if before.get(n, {}).get(k) != now.get(n, {}).get(k)]
    return [f"{name}: {kind}" for name, kind in sorted(differing)]


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the sums; 1 where some differ from those of `--against`."""
    parser = argparse.ArgumentParser("python -m benchmarks.fingerprints", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="where the sums are written, as JSON")
    parser.add_argument("--against", type=Path, help="an earlier file, to compare with")
    options = parser.parse_args(argv)
    now = fingerprints()
    options.out.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    differing = changed(json.loads(options.against.read_text()), now) if options.against else []
    print("\n".join([f"{len(now)} requests, {len(differing)} sums differ", *differing]))
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
