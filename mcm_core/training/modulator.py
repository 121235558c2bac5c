"""`python -m mcm_core train`: a modulator for any frozen base from pairs of picture and drawing.

The result in `--out` is a diffusers folder (config.json, safetensors) with a model card and `training.json`;
`checkpoints/`, `samples/` and `cache/` stand beside it. The same command goes on where a run was stopped.
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import diffusers
import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from torch.utils.data import DataLoader

import mcm_core
from mcm_core.drawing.conditions import InputError
from mcm_core.training.batches import EXACT, Batch, Batches, Plan
from mcm_core.training.card import Facts, machine, model_card
from mcm_core.training.checkpoints import latest_checkpoint, replace_files, save_checkpoint
from mcm_core.training.data import read_pair
from mcm_core.training.frozen import Frozen
from mcm_core.training.job import Job, make_modulator, prepare, summary
from mcm_core.training.options import FREE_ON_RESUME, Options, parse
from mcm_core.training.run import (
    Run,
    TrainingError,
    averaged,
    held_out_losses,
    new_run,
    read_state,
    train_step,
    write_state,
)
from mcm_core.training.sheet import sample_sheet
from mcm_core.training.stopping import Stop

CARD = "README.md"
RECORD = "training.json"
RESULT = ["config.json", "diffusion_pytorch_model.safetensors", RECORD, CARD]
HELD_OUT_SAMPLES = 256  # noise draws behind a held-out loss
SLOWEST_PREPARATION = timedelta(
    hours=24
)  # other processes wait this long for the one that encodes the pictures


def main(argv: Sequence[str]) -> int:
    """Run the command; -> 0 done, 1 training failed, 2 bad input, 128 + N stopped by signal N."""
    try:
        return train(parse(argv))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except TrainingError as error:
        print(f"training failed: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"training failed, the last checkpoint is intact: {error}", file=sys.stderr)
        return 1


def train(options: Options) -> int:
    """Prepare, go on from the newest checkpoint, train, publish; -> an exit code as in `main`."""
    cv2.setNumThreads(1)  # maps are small, and the cores are busy with the networks
    accelerator = make_accelerator(options)
    job = prepare(options, accelerator)
    torch.manual_seed(options.seed)
    modulator = make_modulator(job)
    job.say(summary(job, modulator))
    if options.dry_run:
        return 0
    run = new_run(options, accelerator, modulator)
    _resume(job, run)
    frozen = Frozen(job.base, options.weighting, options.density, options.window)
    with Stop() as stop:
        _fit(job, run, frozen, stop)
        _checkpoint(job, run)
    if run.progress.step < options.steps:
        job.say(f"Stopped at step {run.progress.step}. The same command goes on from there.")
        return 128 + stop.signal
    if accelerator.is_main_process:
        publish(job, run, frozen)
    accelerator.wait_for_everyone()
    return 0


def make_accelerator(options: Options) -> Accelerator:
    """One process or one of several under `torchrun`, on the CPU where the options say so."""
    waiting = InitProcessGroupKwargs(timeout=SLOWEST_PREPARATION)
    return Accelerator(cpu=options.cpu, kwargs_handlers=[waiting])


# -- the loop ----------------------------------------------------------------------------------------------


def _fit(job: Job, run: Run, frozen: Frozen, stop: Stop) -> None:
    """Train until the last step or until a signal asks to stop."""
    options, progress = job.options, run.progress
    batches = Batches(job.pairs, _plan(job))
    steps = range(progress.step, options.steps)
    loader = DataLoader(
        batches, batch_size=None, sampler=steps, num_workers=options.workers, worker_init_fn=Stop.ignore
    )
    begun, saved, before = time.monotonic(), time.monotonic(), progress.seconds
    for batch in loader:
        loss = train_step(run, frozen, batch)
        progress.seconds = before + time.monotonic() - begun
        if progress.step % options.log_every == 0:
            done = progress.step - steps.start
            job.say(_progress_line(job, run, loss, done / (time.monotonic() - begun)))
        if _checkpoint_due(options, progress.step, time.monotonic() - saved):
            _checkpoint(job, run)
            saved = time.monotonic()
        if options.sample_every and (
            progress.step % options.sample_every == 0 or progress.step == options.steps
        ):
            _samples(job, run, frozen)
        if stop.asked(job.accelerator):
            break


def _plan(job: Job) -> Plan:
    return Plan(
        job.trained,
        job.options.batch_size,
        job.layout.modalities,
        job.layout.size,
        job.options.seed,
        job.accelerator.process_index,
        job.accelerator.num_processes,
        job.options.rates,
    )


def _progress_line(job: Job, run: Run, loss: float, steps_per_second: float) -> str:
    options, progress = job.options, run.progress
    left = timedelta(seconds=round((options.steps - progress.step) / steps_per_second))
    rate = steps_per_second * options.batch_size * job.accelerator.num_processes
    skipped = f"  skipped {progress.skipped}" if progress.skipped else ""
    return (
        f"step {progress.step}/{options.steps}  loss {loss:.5f}  averaged {progress.loss:.5f}  "
        f"base alone {progress.plain:.5f}  {rate:.1f} samples/s  {left} left{skipped}"
    )


def _checkpoint_due(options: Options, step: int, seconds: float) -> bool:
    every_steps, every_seconds = options.checkpoint_interval
    if every_steps is not None:
        return step % every_steps == 0
    return every_seconds is not None and seconds >= every_seconds


def _samples(job: Job, run: Run, frozen: Frozen) -> None:
    """A sheet and the held-out loss, by the main process; the others go on and wait at the next step."""
    if not job.accelerator.is_main_process:
        return
    if job.held_out:
        loss, plain = held_out_losses(run, frozen, _held_out_batches(job))
        print(f"step {run.progress.step}  held-out loss {loss:.5f}  base alone {plain:.5f}", flush=True)
    shown = [read_pair(job.rows[index], job.layout) for index in _shown(job)]
    if shown:
        sheet = sample_sheet(job.base, averaged(run), shown, job.options.seed)
        (job.out / "samples").mkdir(parents=True, exist_ok=True)
        sheet.save(job.out / "samples" / f"step-{run.progress.step:08d}.png")


def _shown(job: Job) -> tuple[int, ...]:
    """The pairs of a sample sheet: held-out ones first."""
    return (job.held_out + job.trained)[: job.options.samples]


def _held_out_batches(job: Job) -> list[Batch]:
    """The same pairs, noise and noise levels whenever this is asked."""
    size = min(job.options.batch_size, HELD_OUT_SAMPLES)
    plan = Plan(job.held_out, size, job.layout.modalities, job.layout.size, rates=EXACT)
    batches = Batches(job.pairs, plan)
    return [batches[step] for step in range(-(-HELD_OUT_SAMPLES // size))]


# -- saving and going on -----------------------------------------------------------------------------------


def _checkpoint(job: Job, run: Run) -> None:
    if job.accelerator.is_main_process:
        folder, keep = job.out / "checkpoints", job.options.keep
        save_checkpoint(folder, run.progress.step, lambda target: write_state(run, target), keep)


def _resume(job: Job, run: Run) -> None:
    """Load the newest whole checkpoint, if there is one, after a look at what it was trained with.

    Raises:
        InputError: the folder holds a run with other options or other data.
    """
    newest = latest_checkpoint(job.out / "checkpoints")
    if newest is None:
        if job.accelerator.is_main_process:
            replace_files(job.out, lambda folder: _write_record(folder, _record(job, None)))
        return
    _require_same(job)
    read_state(run, newest)
    job.say(f"Going on from step {run.progress.step}.")


def _require_same(job: Job) -> None:
    path = job.out / RECORD
    if not path.is_file():
        raise InputError(f"{path} is missing beside its checkpoints. Take another --out to start anew.")
    saved = json.loads(path.read_text(encoding="utf-8"))
    now = json.loads(json.dumps(_record(job, None)))
    for name, value in now["options"].items():
        if name not in FREE_ON_RESUME and saved["options"].get(name) != value:
            raise InputError(
                f"{job.out} holds a run with {name} = {saved['options'].get(name)}, not {value}. "
                "Take the same options to go on, or another --out to start anew."
            )
    if saved["data"] != now["data"] or saved["base"] != now["base"]:
        raise InputError(f"{job.out} holds a run with other data or another base. Take another --out.")


def _record(job: Job, facts: Facts | None) -> dict[str, Any]:
    """What training.json holds."""
    return {
        "options": job.options.public(),
        "data": job.fingerprint,
        "base": {"id": job.base.id, "fingerprint": job.base.fingerprint},
        "versions": {
            "mcm_core": mcm_core.__version__,
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
        },
        "result": None if facts is None else asdict(facts),
    }


def _write_record(folder: Path, record: dict[str, Any]) -> None:
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


# -- the result --------------------------------------------------------------------------------------------


def publish(job: Job, run: Run, frozen: Frozen) -> None:
    """Write the averaged modulator with its card and record to the out folder, and push it where asked."""
    held_out = held_out_losses(run, frozen, _held_out_batches(job)) if job.held_out else (None, None)
    facts = _facts(job, run, *held_out)
    modulator = averaged(run)
    modulator = modulator.half() if job.options.half else modulator

    def write(folder: Path) -> None:
        modulator.save_pretrained(folder)
        _write_record(folder, _record(job, facts))
        (folder / CARD).write_text(model_card(modulator, job.options.public(), facts), encoding="utf-8")

    replace_files(job.out, write)
    job.say(f"The modulator is in {job.out}.")
    if job.options.push_to_hub:
        push(job.out, job.options.push_to_hub, job.options.private)


def push(folder: Path, repo: str, private: bool) -> None:
    """Upload the result, and nothing else of the folder, to the hub in one commit."""
    import huggingface_hub

    huggingface_hub.create_repo(repo, private=private, exist_ok=True)
    huggingface_hub.upload_folder(
        repo_id=repo, folder_path=folder, allow_patterns=RESULT, commit_message="Upload modulator"
    )


def _facts(job: Job, run: Run, loss: float | None, plain_loss: float | None) -> Facts:
    progress = run.progress
    return Facts(
        pairs=len(job.trained),
        held_out=len(job.held_out),
        processes=job.accelerator.num_processes,
        step=progress.step,
        seconds=round(progress.seconds, 1),
        machine=machine(),
        loss=loss,
        plain_loss=plain_loss,
        skipped=progress.skipped,
        data_fingerprint=job.fingerprint,
    )
