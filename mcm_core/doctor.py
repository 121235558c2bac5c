"""`python -m mcm_core doctor`: whether a model's files are whole, large ones too, and whether they open."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from mcm_core.drawing.conditions import InputError
from mcm_core.sums import SUMS, check_sums, write_sums
from mcm_core.weights import ANCHORS


def main(argv: Sequence[str]) -> int:
    """Check one folder and say what was checked; raises `InputError` with what is wrong."""
    options = argparse.ArgumentParser("python -m mcm_core doctor", description=__doc__)
    options.add_argument(
        "--model", required=True, type=Path, help="folder of a base, modulator or preview decoder"
    )
    options.add_argument(
        "--write", action="store_true", help=f"write {SUMS} where there is none, once the model opens"
    )
    given = options.parse_args(argv)
    folder: Path = given.model
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}. Give the folder of a base or a modulator.")
    checked = check_sums(folder, large=True)
    print(f"{len(checked)} files are as {SUMS} says." if checked else f"There is no {SUMS} to check against.")
    from mcm_core import Base, Modulator

    if (folder / ANCHORS["base"]).is_file():
        print(f"It opens as the base {Base.from_pretrained(folder).id}.")
    elif _kind(folder) == "AutoencoderTiny":
        from mcm_core.base.preview_decoder import open_preview_decoder

        open_preview_decoder(folder)
        print("It opens as a preview decoder.")
    else:
        modalities = Modulator.from_pretrained(folder).modalities
        print(f"It opens as a modulator of {', '.join(modality.name for modality in modalities)}.")
    if given.write and not checked:
        write_sums(folder, deep=True)
        print(
            f"{folder / SUMS} is written: from now on the model is checked against it, and records name it."
        )
    return 0


def _kind(folder: Path) -> str | None:
    """The class that the configuration names, if any."""
    try:
        return json.loads((folder / "config.json").read_text(encoding="utf-8")).get("_class_name")
    except (OSError, ValueError, AttributeError):
        return None
