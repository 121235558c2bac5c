"""`python -m mcm_core make --base B --classes FILE --segmenter ID --out DIR`: everything, by one command.

Pairs (dreamt by the base, or from photos with --images), a modulator, one of few steps for drafts under the
brush, how well both follow drawings that they were not trained on, and with --space a complete Space. Without
classes and segmenter it makes a tool for sketches alone. Every stage goes on where it was stopped, so that
the same command may be stopped and repeated at will.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcm_core.drawing.conditions import LABELS, SKETCH, InputError
from mcm_core.files import write_whole
from mcm_core.sums import digest
from mcm_core.training.rows import METADATA

if TYPE_CHECKING:
    from mcm_core.base import Base
    from mcm_core.modulator import Modulator
    from mcm_core.training.data import Pair
    from mcm_core.training.following import Reader, Sample, Score

TEACHER = "teacher.sha256"
"""In the folder of the modulator of few steps: of which modulator it is made."""
SHOWN = 8
"""Pairs of the sheet that shows what the modulator makes of drawings."""


def main(argv: Sequence[str]) -> int:
    """Run all stages; -> 0, or the exit code of the stage that ended early."""
    options = _parser().parse_args(argv)
    check(options)
    stages: dict[str, Callable[[argparse.Namespace], int]] = {
        "pairs": make_pairs,
        "modulator": make_modulator,
        "modulator of few steps": make_live,
        "how well they follow": report,
    }
    if options.space:
        stages["space"] = write_space
    for name, stage in stages.items():
        print(f"-- {name}", flush=True)
        code = stage(options)
        if code:
            return code
    models = [text for name, folder in _models(options).items() for text in (f"--{name}", str(folder))]
    print(f"Done. Try it: mcm app --base {options.base} {' '.join(models)}")
    return 0


def check(options: argparse.Namespace) -> None:
    """What would end it in a later stage.

    Raises:
        InputError: classes that nothing finds, no prompts to dream of, a number that no training takes, a
            base that no Space can fetch, photos of which nothing is said.
    """
    from mcm_core.pairs.labelling import require_both
    from mcm_core.pairs.prompts import lines_of
    from mcm_core.training import distil
    from mcm_core.training import options as training

    require_both(options.classes, options.segmenter)
    if not options.images:
        lines_of(options.prompts, options.classes)
        training.require(options.count >= 10, "count", "at least 10, of which one is held out to judge by")
    training.parse(_of_modulator(options))
    training.require(options.live_steps >= 0, "live_steps", "at least 0")
    if options.live_steps:
        distil.parse(_of_live(options))
    if options.space:
        from mcm_core.space import require_hub_id

        require_hub_id(options.space_base or options.base)
    is_made = (options.out / "pairs" / METADATA).is_file()
    if options.images and options.caption is None and not options.captioner and not is_made:
        from mcm_core.pairs.captioning import beside
        from mcm_core.pairs.prepare import find_photos

        silent = [photo for photo in find_photos(options.images) if not beside(photo)]
        if silent:
            raise InputError(
                f"{len(silent)} of the photos have no caption, as {silent[0].stem}.txt would be: say "
                "--captioner MODEL, or --caption TEXT, which may be empty for a base that takes no text."
            )


def make_pairs(options: argparse.Namespace) -> int:
    shared = ["--base", options.base, "--out", str(options.out / "pairs")]
    if options.classes:
        shared += ["--classes", options.classes, "--segmenter", options.segmenter]
    shared += ["--device", "cpu"] if options.cpu else []
    if options.images:
        from mcm_core.pairs import prepare

        given = {"--caption": options.caption, "--captioner": options.captioner}
        captions = [text for name, value in given.items() if value for text in (name, value)]
        return prepare.main(["--images", str(options.images), *shared, *captions, *_buckets(options)])
    if options.aspect_buckets:
        raise InputError("--aspect-buckets is for photos: give --images, or leave it out.")
    from mcm_core.pairs import dream

    prompts = ["--prompts", options.prompts] if options.prompts else []
    return dream.main(["--count", str(options.count), *prompts, *shared])


def make_modulator(options: argparse.Namespace) -> int:
    if _is_whole(options.out / "modulator", options.steps):
        return 0
    from mcm_core.training import modulator

    return modulator.main(_of_modulator(options))


def make_live(options: argparse.Namespace) -> int:
    if not options.live_steps:
        return 0
    live = options.out / "live"
    _forget_another_teacher(live, options.out / "modulator")
    if _is_whole(live, options.live_steps):
        return 0
    from mcm_core.training import distil

    return distil.main(_of_live(options))


def _forget_another_teacher(live: Path, teacher: Path) -> None:
    """Begins anew where the modulator has been trained on since."""
    kept, now = live / TEACHER, str(digest(teacher))
    if kept.is_file() and kept.read_text(encoding="utf-8") != now:
        print("The modulator is another one by now: the one of few steps is made anew.")
        stale = live.with_name(f"{live.name}.stale")
        shutil.rmtree(stale, ignore_errors=True)
        live.rename(stale)  # at once: half of it would be taken for a run to go on with
        shutil.rmtree(stale)
    live.mkdir(parents=True, exist_ok=True)
    write_whole(kept, now.encode())


def report(options: argparse.Namespace) -> int:
    """Writes report.json and report.png: held-out drawings, and what comes of them."""
    from mcm_core.base import Base
    from mcm_core.modulator import Modulator
    from mcm_core.pipeline import MCMPipeline
    from mcm_core.training.following import painted
    from mcm_core.training.sheet import sample_sheet

    base = Base.from_pretrained(options.base, device="cpu" if options.cpu else None)
    modulators = {
        folder.name: Modulator.from_pretrained(folder).to(base.device) for folder in _models(options).values()
    }
    first = modulators["modulator"]
    pairs, read = _held_out(options, base, first), _reader(options, base)
    told: dict[str, dict[str, Any]] = {name: {} for name in modulators}
    for name, modulator in modulators.items():
        for kind, (count, score) in _followed(base, modulator, pairs, read).items():
            print(f"{name}: {kind} of {count} pairs are followed to {score}")
            told[name][kind] = {**asdict(score), "count": count}
    (options.out / "report.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    shown = painted(MCMPipeline(base, first), pairs[:SHOWN], seed=0)
    sample_sheet(shown, first).save(options.out / "report.png")
    return 0


def _held_out(options: argparse.Namespace, base: Base, modulator: Modulator) -> list[Pair]:
    """The pairs that no training saw.

    Raises:
        InputError: there are none.
    """
    from mcm_core.training.batches import split
    from mcm_core.training.buckets import layout_of, sizes_of
    from mcm_core.training.data import read_pair
    from mcm_core.training.rows import Layout, open_rows

    layout = Layout(base.default_size, modulator.modalities, modulator.classes)
    rows = open_rows(str(options.out / "pairs"), layout)
    _, held_out = split(len(rows), options.held_out, 0)
    if not held_out:
        raise InputError("No pair was held out to judge by: make more pairs, at least ten.")
    sizes = sizes_of(rows, layout, base) if options.aspect_buckets else ()
    return [read_pair(rows[index], layout_of(index, layout, sizes)) for index in held_out]


def _reader(options: argparse.Namespace, base: Base) -> Reader | None:
    """What reads classes in pictures; None where the tool is for sketches alone."""
    from mcm_core.pairs.labelling import open_labeller, read_merging

    if not options.segmenter:
        return None
    label = open_labeller(options.segmenter, read_merging(options.classes), base.device)
    return lambda pictures: label(pictures).labels


def _followed(
    base: Base, modulator: Modulator, pairs: Sequence[Pair], read: Reader | None
) -> dict[str, tuple[int, Score]]:
    """How far drawings are followed, each kind by itself, and how many there were: mIoU of label maps, F1 of
    the strokes of sketches."""
    from mcm_core.pipeline import MCMPipeline
    from mcm_core.training.following import is_drawn, labels_followed, painted, strokes_followed

    def samples_of(modality: str) -> list[Sample]:
        drawn = [pair for pair in pairs if is_drawn(pair, modality)]
        return painted(MCMPipeline(base, modulator), drawn, seed=0, modalities=[modality])

    scores = {}
    if read is not None and (mapped := samples_of(LABELS)):
        scores["labels"] = len(mapped), labels_followed(mapped, read, len(modulator.classes))
    if sketched := samples_of(SKETCH):
        scores["strokes"] = len(sketched), strokes_followed(sketched)
    return scores


def write_space(options: argparse.Namespace) -> int:
    from mcm_core.space import write

    write(options.space, options.space_base or options.base, _models(options))
    print(f"The Space is in {options.space}: hf upload YOU/NAME {options.space} . --repo-type space")
    return 0


def _of_modulator(options: argparse.Namespace) -> list[str]:
    """The command line of `train`."""
    given = {"--preset": options.preset, "--reading": options.reading, "--echo": options.echo}
    said = [text for name, value in given.items() if value is not None for text in (name, str(value))]
    return [*_training(options, "modulator", options.steps), *said]


def _of_live(options: argparse.Namespace) -> list[str]:
    """The command line of `distil`."""
    return [*_training(options, "live", options.live_steps), "--modulator", str(options.out / "modulator")]


def _training(options: argparse.Namespace, name: str, steps: int) -> list[str]:
    """The options that both trainings share."""
    given = {
        "--base": options.base,
        "--data": options.out / "pairs",
        "--out": options.out / name,
        "--steps": steps,
        "--batch-size": options.batch_size,
        "--held-out": options.held_out,
    }
    flat = [text for option, value in given.items() for text in (option, str(value))]
    return [*flat, "--half", *_buckets(options), *(["--cpu"] if options.cpu else [])]


def _buckets(options: argparse.Namespace) -> list[str]:
    return ["--aspect-buckets"] if options.aspect_buckets else []


def _is_whole(folder: Path, steps: int) -> bool:
    """Whether a training of so many steps has ended there."""
    try:
        result = json.loads((folder / "training.json").read_text(encoding="utf-8"))["result"]
        return bool(result and result["step"] >= steps)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _models(options: argparse.Namespace) -> dict[str, Path]:
    """The folders of what was made, by the options that the page takes them with."""
    live = {"live-modulator": options.out / "live"} if options.live_steps else {}
    return {"modulator": options.out / "modulator", **live}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m mcm_core make",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--base", required=True, help="the frozen model: folder, file or hub id")
    parser.add_argument("--classes", help="landscape, interior, street or a JSON file")
    parser.add_argument(
        "--segmenter",
        help="segmentation model of transformers: folder or id; without it and --classes: for sketches alone",
    )
    parser.add_argument("--out", type=Path, required=True, help="pairs, modulators and report")
    parser.add_argument("--images", type=Path, help="folder of photos; without it the base dreams")
    parser.add_argument("--caption", help="of photos without a text file beside them")
    parser.add_argument("--captioner", help="or a captioner of transformers: folder or hub id")
    parser.add_argument(
        "--aspect-buckets", action="store_true", help="photos keep the nearest of some shapes, see train"
    )
    parser.add_argument("--prompts", help="of dreams, see dream")
    parser.add_argument("--count", type=int, default=3000, help="dreams")
    parser.add_argument("--preset", default="mini", help="size of the modulator, see train")
    parser.add_argument("--reading", type=float, metavar="WEIGHT", help="to follow sooner, see train")
    parser.add_argument("--echo", type=int, metavar="N", help="where the base is slow, see train")
    parser.add_argument("--steps", type=int, default=20000, help="of training the modulator")
    parser.add_argument("--live-steps", type=int, default=4000, help="of distilling it to few steps; 0: none")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--held-out", type=int, default=32, help="pairs that are only judged")
    parser.add_argument("--cpu", action="store_true", help="also where there is a GPU")
    parser.add_argument("--space", type=Path, help="folder for a complete Space")
    parser.add_argument("--space-base", help="the base's hub id, where --base is a folder of this machine")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
