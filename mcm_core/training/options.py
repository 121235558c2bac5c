"""The options of `python -m mcm_core train`, as one frozen record that is saved beside the weights."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from mcm_core.drawing.conditions import LABELS, InputError, Modality
from mcm_core.modulator import PRESETS
from mcm_core.request import MAX_BOOST
from mcm_core.training.dropout import Rates
from mcm_core.training.objective import DENSITIES, WEIGHTINGS
from mcm_core.training.precision import AUTO, PRECISIONS

OPTIMISERS = ("adamw", "muon")
TRACKERS = ("tensorboard", "wandb")
FREE_ON_RESUME: tuple[str, ...] = (
    "steps",
    "out",
    "log_every",
    "sample_every",
    "samples",
    "checkpoint_every",
    "keep",
    "workers",
    "cpu",
    "half",
    "push_to_hub",
    "private",
    "dry_run",
    "init",
    "segmenter",
    "report_to",
    "prompt_boost",
    "batch_size",
    "accumulate",
)
"""Options that may differ when a run goes on: they do not change what a step computes (but `steps` bends the
learning rate's schedule). Of the last two the product is compared, times the processes."""


@dataclass(frozen=True)
class Options:
    """One training run. See `parser` for what each field means."""

    base: str
    data: str
    out: str
    split: str = "train"
    columns: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    classes: str | None = None
    zero_based: bool = False
    size: tuple[int, int] | None = None
    aspect_buckets: bool = False
    preset: str = "mini"
    init: str | None = None
    steps: int = 20_000
    batch_size: int = 32
    accumulate: int = 1
    lr: float = 2e-3
    warmup: int = 50
    weight_decay: float = 0.01
    optimiser: str = "muon"
    clip: float = 1.0
    ema: float = 0.997
    precision: str = AUTO
    weighting: str = "v"
    density: str = "uniform"
    window: tuple[float, float] = (0.0, 1.0)
    reading: float = 0.0
    reader_steps: int = 1000
    echo: int = 1
    keep_all: float = Rates.keep_all
    drop_all: float = Rates.drop_all
    drop_each: float = Rates.drop_each
    text_dropout: float = Rates.text
    void: float = Rates.void
    freehand: float = Rates.freehand
    flip: float = Rates.flip
    held_out: int = 64
    seed: int = 0
    cache_latents: bool = True
    workers: int = 0
    cpu: bool = False
    log_every: int = 50
    sample_every: int = 1000
    samples: int = 6
    checkpoint_every: str = "5m"
    keep: int = 2
    half: bool = False
    push_to_hub: str | None = None
    private: bool = False
    dry_run: bool = False
    segmenter: str | None = None
    report_to: str | None = None
    prompt_boost: float | None = None

    free_on_resume: ClassVar[tuple[str, ...]] = FREE_ON_RESUME

    @property
    def rates(self) -> Rates:
        return Rates(
            self.keep_all,
            self.drop_all,
            self.drop_each,
            self.text_dropout,
            self.void,
            self.freehand,
            self.flip,
        )

    def public(self) -> dict[str, Any]:
        """All options as they are published: of a local path only its name."""
        paths = ("base", "data", "out", "init", "classes", "segmenter")
        values = asdict(self)
        local = [name for name in paths if values[name] and Path(values[name]).exists()]
        return values | {name: Path(values[name]).name for name in local}

    @property
    def column_names(self) -> dict[str, str]:
        """Column by name, from NAME=COLUMN."""
        if not all(re.fullmatch(r"[^=]+=[^=]+", pair) for pair in self.columns):
            raise InputError(f"--columns must be NAME=COLUMN, not {' '.join(self.columns)}.")
        return dict(pair.split("=") for pair in self.columns)

    @property
    def named_modalities(self) -> tuple[Modality, ...]:
        """The modalities of --modalities, () where none is named."""
        return tuple(_modality(text) for text in self.modalities)

    @property
    def checkpoint_interval(self) -> tuple[int | None, float | None]:
        """(steps, None) or (None, seconds) between two checkpoints."""
        match = re.fullmatch(r"([1-9]\d*)([sm]?)", self.checkpoint_every)
        if match is None:
            raise InputError(f"--checkpoint-every must be steps, 90s or 5m, not {self.checkpoint_every!r}.")
        number, unit = int(match[1]), match[2]
        return (number, None) if not unit else (None, number * (60.0 if unit == "m" else 1.0))


def parse(argv: Sequence[str]) -> Options:
    """Options from a command line, checked.

    Raises:
        InputError: a number out of its range. SystemExit(2) with usage: an unknown or malformed option.
    """
    options = Options(**values_of(parser(), argv))
    check(options)
    return options


def values_of(command: argparse.ArgumentParser, argv: Sequence[str]) -> dict[str, Any]:
    """What a command line says, by the names of the options."""
    values = vars(command.parse_args(argv))
    return {name: tuple(one) if isinstance(one, list) else one for name, one in values.items()}


def parser() -> argparse.ArgumentParser:
    """The command line; defaults are those of `Options`."""
    command = argparse.ArgumentParser(
        prog="python -m mcm_core train",
        description="Train a modulator on a frozen base from pairs of picture and drawing. The same command "
        "goes on where a run was stopped. On N devices: torchrun --nproc_per_node N -m mcm_core train ...",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add_data(command)
    model = add_model(command)
    model.add_argument("--preset", choices=tuple(PRESETS), help="size of the modulator")
    model.add_argument("--init", metavar="MODULATOR", help="start from a trained modulator")
    model.add_argument(
        "--prompt-boost",
        type=float,
        help="the result says that the prompt is to be guided so many times as much while it acts; try it "
        "with generate or evaluate first",
    )
    _add_objective(command)
    add_running(command)
    set_defaults(command, Options)
    return command


def set_defaults(command: argparse.ArgumentParser, kind: type[Options]) -> None:
    """The defaults of a kind of options, which --help tells, too."""
    command.set_defaults(**defaults(kind))


def defaults(kind: type[Options]) -> dict[str, Any]:
    """By the names of the options that have one."""
    return {one.name: one.default for one in fields(kind) if one.default is not MISSING}


def add_data(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("data")
    group.add_argument("--data", required=True, help="folder with metadata.jsonl, or a dataset's name")
    group.add_argument("--split", help="split of a dataset")
    group.add_argument(
        "--columns", nargs="+", metavar="NAME=COLUMN", help="where image, text, sketch, ... are"
    )
    group.add_argument(
        "--modalities", nargs="+", metavar="NAME[:CHANNELS]", help="labels, sketch, depth, pose:3, ..."
    )
    group.add_argument("--classes", help="JSON file of classes; the folder's classes.json serves unasked")
    group.add_argument("--zero-based", action="store_true", help="ids of label maps count from 0")
    group.add_argument("--size", nargs=2, type=int, metavar=("H", "W"), help="pixels; else the base's own")
    group.add_argument(
        "--aspect-buckets",
        action="store_true",
        help="cut each picture to the nearest of some shapes of that area, not all to the same one",
    )
    group.add_argument("--held-out", type=int, help="pairs kept from training for the held-out loss")
    group.add_argument(
        "--cache-latents",
        action=argparse.BooleanOptionalAction,
        help="encode all pictures once, into the out folder",
    )
    group.add_argument("--workers", type=int, help="processes that prepare batches")


def add_model(command: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """The base and the result; -> the group, for what the modulator is made from."""
    group = command.add_argument_group("model")
    group.add_argument("--base", required=True, help="the frozen model: folder, file or hub id")
    group.add_argument(
        "--out", required=True, help="result, checkpoints, samples, cache; on a disk that all processes share"
    )
    group.add_argument("--half", action="store_true", help="write the result in half precision")
    group.add_argument("--push-to-hub", metavar="REPO", help="upload the result")
    group.add_argument("--private", action="store_true", help="make the uploaded repository private")
    return group


def _add_objective(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("objective")
    group.add_argument("--weighting", choices=tuple(WEIGHTINGS), help="w(t) of the loss")
    group.add_argument("--density", choices=tuple(DENSITIES), help="how timesteps are drawn")
    group.add_argument(
        "--window",
        nargs=2,
        type=float,
        metavar=("START", "END"),
        help="part of the trajectory, 0 is all noise",
    )
    group.add_argument(
        "--reading",
        type=float,
        metavar="WEIGHT",
        help="beside the noise loss count so much that the drawing is misread in what the prediction stands "
        "for, less and less until the end; 0: not at all",
    )
    group.add_argument("--reader-steps", type=int, help="steps in which --reading learns to read, before")
    group.add_argument(
        "--echo",
        type=int,
        metavar="N",
        help="what the base says of a noised picture serves in so many steps, with other drawings each time",
    )
    add_rates(group)


def add_rates(group: argparse._ArgumentGroup) -> None:
    for name, text in (
        ("keep-all", "all modalities are kept"),
        ("drop-all", "all modalities are dropped"),
        ("drop-each", "each is dropped otherwise (one stays)"),
        ("text-dropout", "the text is dropped"),
        ("void", "regions of the label map are unpainted"),
        ("freehand", "label map and sketch are drawn less carefully"),
        ("flip", "a pair is mirrored"),
    ):
        group.add_argument(f"--{name}", type=float, help=f"how often {text}")


def add_running(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("running")
    group.add_argument("--steps", type=int, help="steps in all")
    group.add_argument("--batch-size", type=int, help="pairs per process that are computed at once")
    group.add_argument("--accumulate", type=int, help="so many batches make one step")
    group.add_argument("--lr", type=float, help="learning rate after warm-up; a cosine takes it to 0")
    group.add_argument("--warmup", type=int, help="steps of linear warm-up")
    group.add_argument("--weight-decay", type=float)
    group.add_argument("--optimiser", choices=OPTIMISERS)
    group.add_argument("--clip", type=float, help="largest norm of the gradient")
    group.add_argument("--ema", type=float, help="decay of the averaged weights, which are the result")
    group.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="auto: bf16 where the device multiplies matrices in it, else fp16 on CUDA and fp32 elsewhere",
    )
    group.add_argument("--seed", type=int)
    group.add_argument(
        "--cpu", action="store_true", help="train on the CPU even where there is an accelerator"
    )
    group.add_argument("--log-every", type=int, metavar="STEPS")
    group.add_argument(
        "--sample-every",
        type=int,
        metavar="STEPS",
        help="sheets of samples, and how far they follow their drawings; the first at step 100; 0: none",
    )
    group.add_argument(
        "--segmenter", help="segmentation model of transformers that reads the samples' classes again"
    )
    group.add_argument("--report-to", choices=TRACKERS, help="where losses and scores go, too")
    group.add_argument("--samples", type=int, help="rows of a sample sheet")
    group.add_argument("--checkpoint-every", metavar="STEPS|90s|5m")
    group.add_argument("--keep", type=int, help="checkpoints that are kept")
    group.add_argument(
        "--dry-run", action="store_true", help="check everything, say what would be done, stop"
    )


def _modality(text: str) -> Modality:
    match = re.fullmatch(r"([a-z][a-z0-9_]{0,31})(?::([13]))?", text)
    if match is None or (match[1] == LABELS and match[2]):
        raise InputError(f"--modalities must be NAME, NAME:1 or NAME:3, names in lower case, not {text!r}.")
    return Modality(match[1], "labels" if match[1] == LABELS else "image", int(match[2] or 1))


def check(options: Options) -> None:
    """Judge each option by itself. Raises InputError."""
    for name in ("steps", "batch_size", "accumulate", "log_every", "keep", "reader_steps", "echo"):
        require(getattr(options, name) >= 1, name, "at least 1")
    for name in ("warmup", "held_out", "sample_every", "samples", "workers", "seed", "weight_decay"):
        require(getattr(options, name) >= 0, name, "at least 0")
    for name in ("lr", "clip"):
        require(0 < getattr(options, name) < float("inf"), name, "more than 0")
    for name in ("keep_all", "drop_all", "drop_each", "text_dropout", "void", "freehand", "flip"):
        require(0 <= getattr(options, name) <= 1, name, "a share from 0 to 1")
    require(0 <= options.reading < float("inf"), "reading", "at least 0")
    require(options.batch_size % options.echo == 0, "batch_size", f"a multiple of --echo {options.echo}")
    require(0 <= options.ema < 1, "ema", "from 0 to below 1")
    require(options.keep_all + options.drop_all <= 1, "drop_all", "at most 1 - keep-all")
    require(0 <= options.window[0] < options.window[1] <= 1, "window", "two rising numbers in 0 to 1")
    boost = options.prompt_boost
    require(boost is None or 1 <= boost <= MAX_BOOST, "prompt_boost", f"from 1 to {MAX_BOOST:g}")
    _ = options.checkpoint_interval, options.column_names, options.named_modalities


def require(good: bool, name: str, wanted: str) -> None:
    """Refuse the option of this name unless it is good. Raises InputError."""
    if not good:
        raise InputError(f"--{name.replace('_', '-')} must be {wanted}.")
