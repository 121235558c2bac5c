"""`python -m mcm_core train`: a modulator for any frozen base from pairs of picture and drawing.

The result in `--out` is a diffusers folder (config.json, safetensors) with a model card and `training.json`;
`checkpoints/`, `samples/` and `cache/` stand beside it. The same command goes on where a run was stopped.
"""

import atexit
import copy
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import diffusers
import torch
from accelerate import Accelerator, InitProcessGroupKwargs, PartialState

import mcm_core
from mcm_core.drawing.conditions import InputError
from mcm_core.modulator import Modulator
from mcm_core.sums import write_sums
from mcm_core.training import TrainingError
from mcm_core.training.batches import Batches, loaded
from mcm_core.training.card import Facts, machine, model_card
from mcm_core.training.checkpoints import latest_checkpoint, replace_files
from mcm_core.training.conditioned import Conditioned, Objective, losses
from mcm_core.training.fit import Progress, Saving, Schedule, Training, fit
from mcm_core.training.frozen import Frozen
from mcm_core.training.job import Job, make_modulator, plan_of, prepare, summary
from mcm_core.training.needs import described, memory_of, needs, seconds_of_a_picture
from mcm_core.training.optimiser import Optimiser
from mcm_core.training.options import Options, defaults, parse
from mcm_core.training.precision import first_loss_scale
from mcm_core.training.reading import Reading, learned_reader, new_reader
from mcm_core.training.stopping import Stop
from mcm_core.training.watching import (
    HELD_OUT_SAMPLES,
    begin_tracking,
    end_tracking,
    held_out,
    require_tracker,
    samples_are_due,
    show,
    track,
)

CARD = "README.md"
RECORD = "training.json"
RESULT = ["config.json", "diffusion_pytorch_model.safetensors", RECORD, CARD]
SLOWEST_PREPARATION = timedelta(
    hours=24
)  # other processes wait this long for the one that encodes the pictures


def main(argv: Sequence[str]) -> int:
    """Run the command; -> as `told`."""
    return told(lambda: train(parse(argv)))


def told(run: Callable[[], int]) -> int:
    """Run a training; -> 0 done, 1 training failed, 2 bad input, 128 + N stopped by signal N."""
    try:
        return run()
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
    """Prepare, go on from the newest checkpoint, train, publish; -> an exit code as in `told`."""
    job = begin(options)
    modulator = make_modulator(job, job.options.init)
    job.say(summary(job, modulator))
    if options.dry_run:
        job.say(f"needs      {_needed(job, modulator)}")
        return 0
    return run(job, start(job, modulator), losses)


def _needed(job: Job, modulator: Modulator) -> str:
    make_reader = partial(new_reader, job) if job.options.reading else None
    options = job.options
    counted = needs(job.base, modulator, job.layout.size, job.precision, make_reader, options.echo)
    seconds = seconds_of_a_picture(job.base, counted, job.layout.size)
    memory = memory_of(job.base.device)
    return described(counted, options.steps, options.batch_size, options.accumulate, seconds, memory)


def begin(options: Options) -> Job:
    """The job of these options, with the random numbers of new weights seeded."""
    require_tracker(options)
    if options.push_to_hub:
        require_login()
    cv2.setNumThreads(1)  # maps are small, and the cores are busy with the networks
    job = prepare(options, make_accelerator(options))
    torch.manual_seed(options.seed)
    return job


def run(job: Job, training: Training[Modulator], objective: Objective) -> int:
    """Go on from the newest checkpoint, train, publish; -> an exit code as in `told`."""
    _resume(job, training)
    frozen = make_frozen(job)
    begin_tracking(job)
    with Stop(job.accelerator) as stop:
        reader = learned_reader(job, frozen, stop) if job.options.reading else None
        if reader is not None:
            objective = Reading(reader, job.options.reading, training)
        if reader is not None or not job.options.reading:
            fit_job(job, training, frozen, objective, stop)
    if training.progress.step < job.options.steps:
        job.say(f"Stopped at step {training.progress.step}. The same command goes on from there.")
        return 128 + stop.signal
    if job.accelerator.is_main_process:
        publish(job, training, frozen, objective)
    job.accelerator.wait_for_everyone()
    end_tracking(job)
    return 0


def make_frozen(job: Job) -> Frozen:
    options = job.options
    return Frozen(job.base, options.weighting, options.density, options.window)


def make_accelerator(options: Options) -> Accelerator:
    """One process or one of several under `torchrun`, on the CPU where the options say so."""
    waiting = InitProcessGroupKwargs(timeout=SLOWEST_PREPARATION)
    logs = str(Path(options.out) / "logs")
    accelerator = Accelerator(
        cpu=options.cpu, log_with=options.report_to, project_dir=logs, kwargs_handlers=[waiting]
    )
    if accelerator.num_processes > 1:  # threads of the group that outlive Python would abort the process
        atexit.register(PartialState().destroy_process_group)
    return accelerator


# -- the loop ----------------------------------------------------------------------------------------------


def start(job: Job, modulator: Modulator, target_ema: float | None = None) -> Training[Modulator]:
    """A training at step 0, on the job's device; `target_ema` as in `Training`."""
    options = job.options
    modulator.to(job.accelerator.device, memory_format=torch.channels_last)
    matrices = options.optimiser == "muon"
    optimiser = Optimiser(modulator, options.lr, matrices=matrices, weight_decay=options.weight_decay)
    schedule = Schedule(options.steps, options.warmup, cooldown=1.0)
    progress = Progress(loss_scale=first_loss_scale(job.precision))
    return Training(modulator, optimiser, schedule, options.ema, options.clip, progress, target_ema)


def _saving(job: Job, training: Training[Modulator]) -> Saving:
    """`modulator/` in a checkpoint is the averaged modulator, usable as it is."""
    steps, seconds = job.options.checkpoint_interval
    return Saving(
        job.out / "checkpoints",
        steps,
        seconds or 0.0,
        job.options.keep,
        lambda folder: training.average.save_pretrained(folder / "modulator"),
        writes=job.accelerator.is_main_process,
    )


def fit_job(
    job: Job, training: Training[Modulator], frozen: Frozen, objective: Objective, stop: Stop
) -> None:
    """Train until the last step or until a signal asks to stop."""
    options = job.options
    module = job.accelerator.prepare_model(Conditioned(training.network))
    data = Batches(job.pairs, plan_of(job))

    def after(step: int) -> None:
        if step % options.log_every == 0:
            track(job, training.progress.losses, step)
        if samples_are_due(step, options):
            show(job, training, frozen, objective)

    fit(
        training,
        lambda steps: loaded(data, steps, options.workers),
        lambda batch: objective(module, frozen, batch, job.precision),
        _saving(job, training),
        stop,
        log_every=options.log_every,
        say=job.say,
        after=after,
    )


# -- saving and going on -----------------------------------------------------------------------------------


def _resume(job: Job, training: Training[Modulator]) -> None:
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
    training.load(newest)
    job.say(f"Going on from step {training.progress.step}.")


def _require_same(job: Job) -> None:
    path = job.out / RECORD
    if not path.is_file():
        raise InputError(f"{path} is missing beside its checkpoints. Take another --out to start anew.")
    saved = json.loads(path.read_text(encoding="utf-8"))
    now = json.loads(json.dumps(_record(job, None)))
    then = json.loads(json.dumps(defaults(type(job.options)))) | saved["options"]  # older than some of them
    for name, value in now["options"].items():
        if name not in job.options.free_on_resume and then.get(name) != value:
            raise InputError(
                f"{job.out} holds a run with {name} = {then.get(name)}, not {value}. "
                "Take the same options to go on, or another --out to start anew."
            )
    if saved["pairs_per_step"] != now["pairs_per_step"]:
        raise InputError(
            f"{job.out} holds a run of {saved['pairs_per_step']} pairs a step, not {now['pairs_per_step']}: "
            "--batch-size times --accumulate times the processes. Make it the same to go on."
        )
    if saved["data"] != now["data"] or saved["base"] != now["base"]:
        raise InputError(f"{job.out} holds a run with other data or another base. Take another --out.")


def _record(job: Job, facts: Facts | None) -> dict[str, Any]:
    """What training.json holds."""
    return {
        "options": job.options.public(),
        "data": job.fingerprint,
        "pairs_per_step": job.pairs_per_step,
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


def publish(job: Job, training: Training[Modulator], frozen: Frozen, objective: Objective = losses) -> None:
    """Write the averaged modulator with its card and record to the out folder, and push it where asked."""
    if job.held_out:
        job.say(f"Measuring the held-out loss ({HELD_OUT_SAMPLES} draws).")
    told = held_out(job, training, frozen, objective) if job.held_out else {}
    facts = _facts(job, training.progress, *(tuple(told.values()) or (None, None)))
    modulator = copy.deepcopy(training.average).half() if job.options.half else training.average
    modulator.register_to_config(_name_or_path=job.out.name)  # else it would name the folder it began from

    def write(folder: Path) -> None:
        modulator.save_pretrained(folder)
        write_sums(folder)
        _write_record(folder, _record(job, facts))
        (folder / CARD).write_text(model_card(modulator, job.options.public(), facts), encoding="utf-8")

    replace_files(job.out, write)
    job.say(f"The modulator is in {job.out}.")
    if job.options.push_to_hub:
        push(job.out, job.options.push_to_hub, job.options.private)


def require_login() -> None:
    """Before the training, so that its result is not kept from the hub by what could be known.

    Raises:
        InputError: nobody is logged in, or the hub cannot be reached.
    """
    import huggingface_hub

    try:
        huggingface_hub.whoami()
    except Exception as error:  # no token, a wrong one, no network
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"--push-to-hub needs you to be logged in, by `hf auth login` or HF_TOKEN: {first_line[:200]}"
        ) from error


def push(folder: Path, repo: str, private: bool) -> None:
    """Upload the result, and nothing else of the folder, to the hub in one commit."""
    import huggingface_hub

    huggingface_hub.create_repo(repo, private=private, exist_ok=True)
    huggingface_hub.upload_folder(
        repo_id=repo, folder_path=folder, allow_patterns=RESULT, commit_message="Upload modulator"
    )


def _facts(job: Job, progress: Progress, loss: float | None, plain_loss: float | None) -> Facts:
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
