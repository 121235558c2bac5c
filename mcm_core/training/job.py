"""What a training run needs before its first step: base, checked data, and the modulator to be trained."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import torch
from accelerate import Accelerator

from mcm_core.base import Base
from mcm_core.base.low_memory import resting
from mcm_core.drawing.conditions import LABELS, InputError, LabelClass, Modality, Size
from mcm_core.modulator import Modulator
from mcm_core.training.batches import Plan, split
from mcm_core.training.buckets import layout_of, sizes_of
from mcm_core.training.cache import (
    FilePairs,
    Pairs,
    Selection,
    StoredPairs,
    bucketed,
    file_pairs,
    fingerprint,
    stored_pairs,
)
from mcm_core.training.coverage import Coverage, classes_in
from mcm_core.training.data import Pair, read_pair
from mcm_core.training.following import Reader
from mcm_core.training.options import Options
from mcm_core.training.precision import DTYPES, choose_precision
from mcm_core.training.rows import (
    CLASSES,
    Layout,
    Row,
    check_captions,
    default_modalities,
    open_classes,
    open_rows,
    spread,
)
from mcm_core.training.sheet import contact_sheet

SHOWN = 8
"""Rows of the sheet that shows what was understood."""
LOOKED_AT = 200
"""Label maps in which the classes are counted."""


@dataclass(frozen=True)
class Job:
    """All that stays the same during a run."""

    options: Options
    accelerator: Accelerator
    precision: str
    base: Base
    layout: Layout
    rows: Sequence[Row]
    pairs: Pairs
    fingerprint: str
    trained: tuple[int, ...]
    held_out: tuple[int, ...]
    sizes: tuple[Size, ...] = ()
    reader: Reader | None = None

    @property
    def out(self) -> Path:
        return Path(self.options.out)

    @property
    def pairs_per_step(self) -> int:
        """Of all processes, in all the batches that make a step."""
        return self.options.batch_size * self.options.accumulate * self.accelerator.num_processes

    def read(self, index: int) -> Pair:
        """One pair, of the size that it is trained at."""
        return read_pair(self.rows[index], layout_of(index, self.layout, self.sizes))

    def say(self, text: str) -> None:
        if self.accelerator.is_main_process:
            print(text, flush=True)


def prepare(options: Options, accelerator: Accelerator) -> Job:
    """Open the base and the data; check all rows and encode them where that is not done yet.

    Raises:
        InputError: whatever is wrong with base, data or options.
    """
    precision = choose_precision(options.precision, accelerator.device)
    base = Base.from_pretrained(options.base, dtype=DTYPES[precision], device=accelerator.device)
    base.unet.to(memory_format=torch.channels_last)
    layout = make_layout(options, base)
    rows = open_rows(options.data, layout, options.split)
    sizes = sizes_of(rows, layout, base) if options.aspect_buckets else ()
    out = Path(options.out)
    with accelerator.main_process_first():
        stores = options.cache_latents and not options.dry_run
        name = fingerprint(rows, layout, base, out / "cache" / "known.json" if stores else None)
        pairs = _pairs(options, base, layout, rows, sizes, name, accelerator.is_main_process)
    _check_drawings(pairs, layout)
    trained, held_out = split(len(rows), options.held_out, options.seed)
    reader = _reader(options, layout, accelerator.device) if options.segmenter else None
    job = Job(
        options, accelerator, precision, base, layout, rows, pairs, name, trained, held_out, sizes, reader
    )
    if accelerator.is_main_process and not options.dry_run:
        _show_what_was_understood(job)
    return job


def plan_of(job: Job) -> Plan:
    """What this process sees of the pairs to train on."""
    options, accelerator = job.options, job.accelerator
    return Plan(
        job.trained,
        options.batch_size,
        job.layout.modalities,
        job.layout.size,
        options.seed,
        accelerator.process_index,
        accelerator.num_processes,
        options.accumulate,
        options.rates,
        job.sizes,
        options.echo,
    )


def _reader(options: Options, layout: Layout, device: torch.device) -> Reader:
    """What reads the classes of samples again: of the pairs' own names for them, and those they take in."""
    from mcm_core.pairs.labelling import Merging, open_labeller, read_merging

    path = Path(options.classes or Path(options.data) / CLASSES)
    merging = read_merging(str(path)) if path.is_file() else Merging.of(layout.classes)
    label = open_labeller(str(options.segmenter), merging, device)
    return lambda pictures: label(pictures).labels


def make_layout(options: Options, base: Base) -> Layout:
    """How the data is read: what the options name, else what the initial modulator or the folder has."""
    columns = options.column_names
    modalities, classes = options.named_modalities, open_classes(options.data, options.classes)
    if options.init:
        start = Modulator.from_pretrained(options.init)
        modalities, classes = modalities or start.modalities, classes or start.classes
        check_layout(options.init, start, modalities, classes)
    modalities = modalities or default_modalities(options.data, columns)
    if not modalities:
        raise InputError("The data names neither labels nor sketch; say --modalities (and --columns).")
    if not classes and any(one.name == LABELS for one in modalities):
        raise InputError("Label maps need classes: put classes.json beside the data or say --classes FILE.")
    height, width = options.size or base.default_size
    multiple = base.size_multiple
    if min(height, width) < multiple or height % multiple or width % multiple:
        raise InputError(f"--size must be multiples of {multiple}, not {height} {width}.")
    return Layout((height, width), modalities, classes, columns, options.zero_based)


def check_layout(
    name: str, modulator: Modulator, modalities: tuple[Modality, ...], classes: tuple[LabelClass, ...]
) -> None:
    """Refuse the modulator `name` where it is of other drawings than those.

    Raises:
        InputError: it is.
    """
    if (modalities, classes) != (modulator.modalities, modulator.classes):
        raise InputError(f"{name} has other modalities or classes than the data; see its config.json.")


def make_modulator(job: Job, folder: str | None) -> Modulator:
    """A modulator for the base and the data: new, or the one of `folder`.

    Raises:
        InputError: that one does not fit the base.
    """
    options, base, layout = job.options, job.base, job.layout
    total = base.num_train_timesteps
    start, end = options.window
    window = None if options.window == (0.0, 1.0) else [round((1 - end) * total), round((1 - start) * total)]
    identity = {
        "latent_channels": base.latent_channels,
        "downscale": base.downscale,
        "modalities": [asdict(one) for one in layout.modalities],
        "classes": [asdict(one) for one in layout.classes],
        "base": {"id": base.id, "fingerprint": base.fingerprint},
        "latent_scaling": base.latent_scaling,
        "latent_shift": base.latent_shift,
        "num_train_timesteps": total,
        "training_window": window,
    }
    boost = {} if options.prompt_boost is None else {"prompt_boost": options.prompt_boost}
    if not folder:
        return Modulator.preset(options.preset, **identity, **boost)
    modulator = Modulator.from_pretrained(folder)
    for note in base.check(modulator):
        job.say(f"note: {note}")
    modulator.register_to_config(**identity, **boost)
    return modulator


def _pairs(
    options: Options,
    base: Base,
    layout: Layout,
    rows: Sequence[Row],
    sizes: tuple[Size, ...],
    name: str,
    speaks: bool,
) -> Pairs:
    """The pairs, ready; those of each of the `sizes`, if there are such, in a folder of their own."""
    needs_text = base.accepts_text and options.text_dropout < 1
    if needs_text:
        check_captions(any(row.captions for row in rows), options.data, layout)
    folder, space = Path(options.out) / "cache", base.fingerprint.partition("-")[0]
    encoder = cache(lambda: _encoder(options, base))

    def tell(what: str, done: int, total: int) -> None:
        if speaks and (done == total or done % 500 == 0):
            print(f"{what}: {done} of {total}", flush=True)

    def ready(rows: Sequence[Row], layout: Layout, name: str) -> StoredPairs | FilePairs:
        if options.dry_run or not options.cache_latents:
            return file_pairs(rows, layout, needs_text, tell)
        return stored_pairs(folder / name, rows, layout, encoder, needs_text, tell, space)

    def of_size(size: Size, indices: Sequence[int]) -> StoredPairs | FilePairs:
        height, width = size
        return ready(Selection(rows, indices), replace(layout, size=size), f"{name}-{height}x{width}")

    with resting(base.unet, base.device):
        return bucketed(sizes, of_size) if sizes else ready(rows, layout, name)


def _check_drawings(pairs: Pairs, layout: Layout) -> None:
    """Refuse a modality of which no pair has a drawing.

    Raises:
        InputError: there is such a modality.
    """
    for kind, count in zip(layout.modalities, pairs.available.sum(axis=0), strict=True):
        if not count:
            column = layout.columns.get(kind.name, kind.name)
            raise InputError(
                f"No pair has anything drawn for {kind.name} (column {column!r}). Name its column with "
                f"--columns {kind.name}=NAME, or leave it out of --modalities."
            )


def _show_what_was_understood(job: Job) -> None:
    """A contact sheet of pictures and drawings as they were read, spread over the data."""
    job.out.mkdir(parents=True, exist_ok=True)
    contact_sheet([job.read(index) for index in spread(len(job.rows), SHOWN)], job.layout).save(
        job.out / "understood.png"
    )


def _encoder(options: Options, base: Base) -> Base:
    """The base, its autoencoder in full precision: latents are made once, and their rounding would stay."""
    return base if base.dtype == torch.float32 else base.with_autoencoder(options.base)


def summary(job: Job, modulator: Modulator) -> str:
    options, parameters = job.options, sum(one.numel() for one in modulator.parameters())
    counts = job.pairs.available.sum(axis=0).tolist()
    named = ", ".join(f"{n} with {kind.name}" for kind, n in zip(job.layout.modalities, counts, strict=True))
    shown = "" if options.dry_run else f"; see {job.out / 'understood.png'}"
    captioned = sum(bool(captions) for captions in job.pairs.captions)
    epochs, sizes = options.steps * job.pairs_per_step / len(job.trained), _told(job.sizes)
    echo = f", the base asked about one in {options.echo}" if options.echo > 1 else ""
    return "\n".join(
        [
            f"base       {job.base.id} ({job.base.family}, {job.base.prediction_type})",
            f"machine    {job.accelerator.num_processes} x {job.accelerator.device}, {job.precision}",
            f"data       {len(job.trained)} pairs to train on, {len(job.held_out)} held out{sizes}",
            f"drawings   {named}, {captioned} with a caption{shown}{_seldom(job)}",
            f"modulator  {parameters:,} parameters, {parameters / job.base.parameter_count:.2%} of the base",
            f"training   {options.steps} steps of {job.pairs_per_step} pairs = {epochs:.1f} epochs{echo}, "
            f"{options.optimiser}",
        ]
    )


def _seldom(job: Job) -> str:
    """A line on the classes that few of the label maps show, of maps spread over the data."""
    maps = [job.pairs.get(index, flip=False)[1] for index in spread(len(job.rows), LOOKED_AT)]
    coverage = Coverage.of(classes_in(drawn[LABELS]) for drawn in maps if LABELS in drawn)
    named = coverage.seldom(job.layout.classes)
    return f"\n           few of {coverage.maps} maps show {named}" if named else ""


def _told(sizes: Sequence[Size]) -> str:
    """The buckets and how many pairs they have, the largest first."""
    counted = Counter(sizes).most_common()
    return "".join(f"\n           {width} x {height}: {count}" for (height, width), count in counted)
