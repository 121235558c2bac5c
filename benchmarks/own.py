"""`python -m benchmarks.own --out DIR`: how far pairs made of photos, and pairs made of nothing, get.

On the shipped base. Renders stand for photos: their maps and sketches are thrown away, and `mcm prepare`
makes others, with a SegFormer of transformers that learned here from other renders. `mcm dream` makes pairs
without a single render. `mcm train` learns from both, and `mcm evaluate` measures what comes of it as it
measures the shipped modulator. The same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessorPil

from benchmarks.rivals.learning import ENDLESS
from mcm_core.__main__ import main as mcm
from mcm_core.devices import choose_device
from mcm_core.drawing.conditions import LABELS, SKETCH, VOID
from mcm_core.evaluation.cases import BOTH, MAP, SKETCHED
from mcm_core.evaluation.overlap import confusions, iou
from mcm_core.evaluation.segmenter import to_signed
from mcm_core.files import write_whole
from mcm_core.landscapes.captions import STYLES, prompts
from mcm_core.landscapes.easel import CLASSES
from mcm_core.mini.damage import damaged
from mcm_core.mini.segmenter_training import Renders, class_weights, mirrored, read_renders
from mcm_core.models import MODULATOR, shipped
from mcm_core.pairs.labelling import Merging
from mcm_core.training import fit
from mcm_core.training.precision import AUTO, autocast
from mcm_core.training.rows import METADATA

SEGMENTED, PHOTOGRAPHED = 1_000_000, 2_000_000
"""The first scene that the SegFormer learns from, and the first whose picture stands for a photo."""
CROP = 128
"""Pixels along a side of what the SegFormer learns from: it has no places of its own, so that what learned on
parts reads whole pictures, and half a side lets it make six times as many steps."""
STYLED = [f"{style}: {BOTH}" for style in STYLES if style != "poster"]
ALL_STYLES = f"all styles: {BOTH}"
PATHS = ("file_name", LABELS, SKETCH, "latents")
"""Columns of a data set that name files."""


def main(argv: Sequence[str]) -> int:
    options = parser().parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    classes = options.out / "classes.json"
    write_whole(classes, json.dumps(Merging.of(CLASSES).entries(), indent=1).encode())
    segformer = learn_segformer(options)
    kept = options.out / "own.json"
    told = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    shared: list[object] = ["--base", options.base, "--classes", classes, "--segmenter", segformer]
    if "dreams" in options.parts:
        pairs = dreams(options, shared)
        told["dreams"] = learned(options, pairs, [MAP, SKETCHED, BOTH, *STYLED])
        write(options, told)
    if "photos" in options.parts:
        pairs = photos(options, shared)
        told["read from photos"] = agreement(pairs, options.out / "scenes")
        write(options, told)
        for count in options.counts:
            asked = [MAP, SKETCHED, BOTH, *STYLED] if count == options.counts[0] else [MAP]
            told[f"{count} photos"] = learned(options, first_pairs(pairs, count), asked)
            write(options, told)
    told["shipped"] = evaluated(options, "shipped", shipped(MODULATOR), [MAP, SKETCHED, BOTH, *STYLED])
    write(options, told)
    return 0


def run(*argv: object) -> None:
    """A command of `mcm`, as a person runs it; where it fails, this ends with its exit code."""
    code = mcm([str(each) for each in argv])
    if code:
        sys.exit(code)


# -- pairs -------------------------------------------------------------------------------------------------


def photos(options: argparse.Namespace, shared: Sequence[object]) -> Path:
    """Pairs of renders of which nothing but picture and caption is known."""
    scenes, pairs = options.out / "scenes", options.out / "photos"
    if not (scenes / METADATA).is_file():
        count = max(options.counts)
        run("render", "--count", count, "--seed", PHOTOGRAPHED, "--styles", "all", "--out", scenes)
    for row in rows_of(scenes):
        picture = scenes / row["file_name"]
        picture.with_suffix(".txt").write_text(row["text"], encoding="utf-8")
    run("prepare", "--images", scenes / "images", *shared, "--out", pairs)
    return pairs


def dreams(options: argparse.Namespace, shared: Sequence[object]) -> Path:
    """Pairs that the base paints of prompts in the words that it was taught, a style as often as another."""
    lines, pairs = options.out / "prompts.txt", options.out / "dreams"
    write_whole(lines, "\n".join(prompt.text for prompt in prompts(range(2 * options.dreams))).encode())
    size = ["--batch-size", options.batch_size, "--steps", options.dream_steps]
    run("dream", *shared, "--prompts", lines, "--count", options.dreams, *size, "--out", pairs)
    return pairs


def first_pairs(pairs: Path, count: int) -> Path:
    """A data set of the first so many pairs; their files stay where they are."""
    folder = pairs.with_name(f"{pairs.name}-{count}")
    folder.mkdir(exist_ok=True)
    rows = [
        {name: f"../{pairs.name}/{value}" if name in PATHS else value for name, value in row.items()}
        for row in rows_of(pairs)[:count]
    ]
    write_whole(folder / METADATA, "".join(json.dumps(row) + "\n" for row in rows).encode())
    write_whole(folder / "classes.json", (pairs / "classes.json").read_bytes())
    return folder


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / METADATA).read_text(encoding="utf-8").splitlines()]


def agreement(pairs: Path, scenes: Path) -> dict[str, float]:
    """How the maps that were read agree with what was rendered: mIoU of the pixels of which the SegFormer is
    sure, and their share."""
    total, sure, seen = np.zeros((len(CLASSES), len(CLASSES)), np.int64), 0, 0
    for row in rows_of(pairs):
        name = f"{Path(row['file_name']).name.partition('.')[0]}.png"
        true, read = _grey(scenes / "labels" / name), _grey(pairs / row[LABELS])
        drawn = np.where(read == VOID, VOID, true)
        total += confusions(drawn[None], read[None], len(CLASSES))[0]
        sure, seen = sure + int((read != VOID).sum()), seen + read.size
    return {"miou": iou(total).mean, "share": sure / seen}


def _grey(file: Path) -> np.ndarray:
    picture = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    assert picture is not None, file
    return picture


# -- the segmentation model --------------------------------------------------------------------------------


def learn_segformer(options: argparse.Namespace) -> Path:
    """A SegFormer that has seen other renders, in transformers' own layout."""
    folder, scenes = options.out / "segformer", options.out / "segmented"
    if (folder / "preprocessor_config.json").is_file():
        return folder
    if not (scenes / METADATA).is_file():
        count = options.segmented
        run("render", "--count", count, "--seed", SEGMENTED, "--styles", "all", "--out", scenes)
    renders = read_renders(scenes, options.segmented).to(choose_device(options.device))
    network = trained(renders, options.out / "segformer-training", options.segformer_minutes * 60)
    network.save_pretrained(folder)
    side = {"height": renders.labels.shape[1], "width": renders.labels.shape[2]}
    grey = [0.5] * 3  # as `to_signed` scales pictures
    SegformerImageProcessorPil(size=side, image_mean=grey, image_std=grey).save_pretrained(folder)
    return folder


def trained(renders: Renders, out: Path, seconds: float) -> SegformerForSemanticSegmentation:
    torch.manual_seed(0)
    names = [kind.name for kind in CLASSES]
    config = SegformerConfig(
        hidden_sizes=[32, 64, 128, 192],
        decoder_hidden_size=128,
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
    )
    device = renders.pictures.device
    network = SegformerForSemanticSegmentation(config).to(device, memory_format=torch.channels_last)
    weights = class_weights(renders.labels, len(CLASSES)).sqrt()
    batch = 64 if device.type == "cuda" else 16

    def loss(generator: torch.Generator) -> Tensor:
        chosen = renders[torch.randint(len(renders.pictures), (batch,), generator=generator).to(device)]
        chosen = mirrored(chosen) if torch.rand((), generator=generator) < 0.5 else chosen
        chosen = cropped(chosen, generator)
        pictures, _ = damaged(to_signed(chosen.pictures), generator)
        with autocast(device, AUTO):
            seen = network(pictures).logits
        grown = functional.interpolate(seen.float(), chosen.labels.shape[1:], mode="bilinear")
        return functional.cross_entropy(grown, chosen.labels.long() - 1, weights)

    return fit.train(
        network, loss, steps=ENDLESS, seconds=seconds, out=out, lr=2e-3, matrices=False, ema=0.99
    )


def cropped(renders: Renders, generator: torch.Generator) -> Renders:
    """The same part of each, `CROP` pixels along a side."""
    height, width = renders.labels.shape[1:]
    top = int(torch.randint(max(0, height - CROP) + 1, (), generator=generator))
    left = int(torch.randint(max(0, width - CROP) + 1, (), generator=generator))
    rows, columns = slice(top, top + CROP), slice(left, left + CROP)
    return Renders(renders.pictures[:, rows, columns], renders.labels[:, rows, columns], renders.attributes)


# -- training and judging ----------------------------------------------------------------------------------


def learned(options: argparse.Namespace, pairs: Path, cases: Iterable[str]) -> dict[str, Any]:
    """What the evaluation says of a modulator that has learned from these pairs alone."""
    folder = options.out / "modulators" / pairs.name
    given = ["--base", options.base, "--data", pairs, "--out", folder]
    given += ["--steps", options.steps, "--batch-size", options.batch_size, "--sample-every", 0]
    given += ["--workers", options.workers]
    given += ["--reading", options.reading, "--reader-steps", options.reader_steps]
    run("train", *given)
    return {"pairs": len(rows_of(pairs)), **evaluated(options, pairs.name, folder, cases)}


def evaluated(
    options: argparse.Namespace, name: str, modulator: Path | str, cases: Iterable[str]
) -> dict[str, Any]:
    """mIoU by case, and of all other styles together, with how often the style is recognised."""
    folder = options.out / "evaluations" / name
    models = ["--base", options.base, "--modulator", modulator]
    run("evaluate", *models, "--count", options.count, "--steps", 10, "--cases", *cases, "--out", folder)
    table = json.loads((folder / "table.json").read_text(encoding="utf-8"))
    rows = {row["name"]: row for row in table["rows"] if row["group"] in ("control", "styles")}
    told: dict[str, Any] = {case: rows[case]["miou"] for case in (MAP, SKETCHED, BOTH) if case in rows}
    if ALL_STYLES in rows:
        styled = rows[ALL_STYLES]
        told |= {"styles": styled["miou"], "style recognised": styled["attributes"]["style"]}
    return told


def write(options: argparse.Namespace, told: dict[str, dict[str, Any]]) -> None:
    """own.json, and own.md to read."""
    write_whole(options.out / "own.json", json.dumps(told, indent=1).encode())
    text = table(told)
    write_whole(options.out / "own.md", text.encode())
    print(text, flush=True)


def table(told: dict[str, dict[str, Any]]) -> str:
    """Markdown: a line for each modulator, and its map's mIoU as a share of the shipped one's."""
    columns = ("pairs", MAP, "of the shipped", SKETCHED, BOTH, "styles", "style recognised")
    whole = told.get("shipped", {}).get(MAP)
    lines = [["", *columns], ["---", *["---:"] * len(columns)]]
    for name, values in told.items():
        if MAP in values:
            shown = values | {"of the shipped": values[MAP] / whole if whole else None}
            lines.append([name, *(_cell(shown.get(column)) for column in columns)])
    read = told.get("read from photos")
    note = (
        f"\nMaps read from photos: mIoU {read['miou']:.3f} of {read['share']:.0%} of the pixels.\n"
        if read
        else ""
    )
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines) + note


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def parser() -> argparse.ArgumentParser:
    one = argparse.ArgumentParser("python -m benchmarks.own", description=__doc__, allow_abbrev=False)
    one.add_argument("--out", type=Path, required=True, help="the folder for all that is made and told")
    one.add_argument("--base", default=shipped("mini"), help="default: the shipped one")
    one.add_argument("--parts", nargs="+", choices=("photos", "dreams"), default=["photos", "dreams"])
    one.add_argument(
        "--counts",
        nargs="+",
        type=int,
        default=[1000, 100, 300, 3000],
        help="photos that are learned from; the first is measured in full (default: 1000 100 300 3000)",
    )
    one.add_argument("--dreams", type=int, default=3000, help="pictures to dream (default: 3000)")
    one.add_argument("--dream-steps", type=int, default=10, help="of each (default: 10)")
    one.add_argument("--segmented", type=int, default=6000, help="renders for the SegFormer (default: 6000)")
    one.add_argument("--segformer-minutes", type=float, default=15, help="of its training (default: 15)")
    one.add_argument("--steps", type=int, default=4000, help="of training each modulator (default: 4000)")
    one.add_argument("--batch-size", type=int, default=16)
    one.add_argument("--reading", type=float, default=0.0, help="see train (default: 0)")
    one.add_argument("--reader-steps", type=int, default=200, help="of that (default: 200)")
    one.add_argument("--workers", type=int, default=0, help="processes that prepare batches, see train")
    one.add_argument("--count", type=int, default=64, help="held-out scenes that are judged (default: 64)")
    one.add_argument("--device", help="of the SegFormer's training (default: the quickest that is here)")
    return one


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
