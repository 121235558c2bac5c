"""A checkpoint is whole or it is not there: kills, full disks, damage, pruning."""

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mcm_core.training import checkpoints
from mcm_core.training.checkpoints import (
    checkpoint_step,
    is_complete,
    latest_checkpoint,
    replace_files,
    save_checkpoint,
)


def write_number(number: int):
    def write(folder: Path) -> None:
        (folder / "state").mkdir()
        (folder / "state" / "number.json").write_text(json.dumps(number))

    return write


def read_number(checkpoint: Path) -> int:
    return json.loads((checkpoint / "state" / "number.json").read_text())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_was_written_is_read_back_and_the_newest_is_found(tmp_path: Path) -> None:
    for step in (5, 90, 100):
        save_checkpoint(tmp_path, step, write_number(step))
    latest = latest_checkpoint(tmp_path)
    assert latest is not None
    assert (checkpoint_step(latest), read_number(latest)) == (100, 100)


def test_a_folder_without_checkpoints_has_no_latest(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "missing") is None


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_are_kept_and_the_rest_goes(tmp_path: Path, keep: int) -> None:
    for step in range(5):
        save_checkpoint(tmp_path, step, write_number(step), keep=keep)
    assert names(tmp_path) == [f"step-{step:08d}" for step in range(5 - keep, 5)]


def test_keeping_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        save_checkpoint(tmp_path, 1, write_number(1), keep=0)


def test_a_full_disk_leaves_the_old_checkpoint_and_no_rubbish(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, write_number(1))

    def full_disk(folder: Path) -> None:
        (folder / "half").write_bytes(b"0" * 1000)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path, 2, full_disk)
    assert names(tmp_path) == ["step-00000001"]
    latest = latest_checkpoint(tmp_path)
    assert latest is not None
    assert read_number(latest) == 1


FULL = """
import resource, sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from mcm_core.training.checkpoints import save_checkpoint

tensors = {"a": torch.zeros(100_000)}
ways = {
    "torch": lambda folder: torch.save(tensors, folder / "state.pt"),
    "safetensors": lambda folder: save_file(tensors, folder / "a.safetensors"),
}
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save_checkpoint(Path(sys.argv[1]), 2, ways[sys.argv[2]])
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("way", ["torch", "safetensors"])
def test_a_write_that_torch_or_safetensors_cannot_finish_is_an_os_error(tmp_path: Path, way: str) -> None:
    save_checkpoint(tmp_path, 1, write_number(1))
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), way], capture_output=True, text=True, check=True
    )
    assert "cannot be written to" in done.stdout
    assert names(tmp_path) == ["step-00000001"]


def test_other_errors_of_what_writes_pass_through(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        save_checkpoint(tmp_path, 1, write)
    assert names(tmp_path) == []


def test_saving_flushes_by_the_rules_of_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder can be opened there, and only a handle for writing can be flushed."""
    import fcntl

    real_open, real_fsync, flushed = os.open, os.fsync, []

    def windows_open(path: Path, flags: int) -> int:
        assert not Path(path).is_dir()
        return real_open(path, flags)

    def windows_fsync(handle: int) -> None:
        assert fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
        flushed.append(handle)
        real_fsync(handle)

    monkeypatch.setattr(checkpoints, "_FOLDERS_FLUSH", False)
    monkeypatch.setattr(checkpoints.os, "open", windows_open)
    monkeypatch.setattr(checkpoints.os, "fsync", windows_fsync)
    checkpoints.write_folder(tmp_path / "made", write_number(1))
    assert len(flushed) == 2  # the file and its manifest
    assert is_complete(tmp_path / "made")


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "no manifest"])
def test_a_damaged_checkpoint_is_passed_over_and_then_replaced(tmp_path: Path, damage: str) -> None:
    save_checkpoint(tmp_path, 11, write_number(11))
    newest = save_checkpoint(tmp_path, 22, write_number(22))
    file = newest / "state" / "number.json"
    if damage == "truncate":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "flip":
        file.write_bytes(b"32")
    elif damage == "remove":
        file.unlink()
    else:
        (newest / "manifest.json").unlink()
    latest = latest_checkpoint(tmp_path)
    assert latest is not None
    assert read_number(latest) == 11
    save_checkpoint(tmp_path, 22, write_number(22))
    latest = latest_checkpoint(tmp_path)
    assert latest is not None
    assert read_number(latest) == 22


def test_a_damaged_checkpoint_never_counts_as_one_of_the_kept(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, write_number(1))
    (save_checkpoint(tmp_path, 9, write_number(9)) / "manifest.json").unlink()
    save_checkpoint(tmp_path, 2, write_number(2), keep=2)
    assert names(tmp_path) == ["step-00000001", "step-00000002"]


def test_the_same_step_twice_keeps_the_first(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 3, write_number(3))
    path = save_checkpoint(tmp_path, 3, write_number(4))
    assert read_number(path) == 3


def test_files_of_a_result_are_replaced_beside_others(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("stays")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "number.json").write_text("1")
    replace_files(tmp_path, write_number(2))
    assert read_number(tmp_path) == 2
    assert (tmp_path / "mine.txt").read_text() == "stays"
    assert names(tmp_path) == ["mine.txt", "state"]


ACTS = ("open", "os.mkdir", "os.remove", "os.rename", "os.rmdir")
"""The audit events of whatever opens, makes, removes or renames something on the disk."""


def killed(save: Callable[[], object], moment: int) -> bool:
    """Whether SIGKILL ended the process that ran `save`, sent before act number `moment` on the disk."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    acts = itertools.count()

    def kill(event: str, details: object) -> None:
        if event in ACTS and next(acts) == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        sys.addaudithook(kill)
        save()
    finally:
        os._exit(0)


def write_parts(step: int) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for part in ("a", "b", "c"):
            for _ in range(3):
                with (folder / part).open("ab") as file:
                    file.write(bytes([step]) * 1000)

    return write


def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    """Before each single act on the disk: the old or the new one is whole; the next save puts all right."""
    found = []
    for moment in itertools.count():
        folder = tmp_path / str(moment)
        save_checkpoint(folder, 1, write_parts(1))
        if not killed(lambda folder=folder: save_checkpoint(folder, 2, write_parts(2), keep=1), moment):
            break
        latest = latest_checkpoint(folder)
        assert latest is not None
        found.append(checkpoint_step(latest))
        assert {(latest / part).read_bytes() for part in "abc"} == {bytes([found[-1]]) * 3000}
        save_checkpoint(folder, 3, write_parts(3), keep=1)
        assert names(folder) == ["step-00000003"]
    assert names(folder) == ["step-00000002"]
    assert found == sorted(found)
    assert found.count(1) >= 12, "ten acts write it, further ones sum it up and flush it"
    assert found.count(2) >= 3, "some remove the old one"


def test_a_path_that_is_no_checkpoint_is_told(tmp_path: Path) -> None:
    assert not is_complete(tmp_path / "step-1")
    with pytest.raises(ValueError, match="step-NUMBER"):
        checkpoint_step(tmp_path / "samples")
