"""A complete Hugging Face Space around a base and one's own modulators, ready for `hf upload`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib.metadata import requires
from pathlib import Path

from mcm_core.__main__ import page
from mcm_core.drawing.conditions import InputError
from mcm_core.files import write_whole

CARD = """---
title: {title}
emoji: 🖌️
colorFrom: indigo
colorTo: pink
sdk: gradio
sdk_version: {gradio}
python_version: "3.12.12"
app_file: app.py
short_description: Draw it, and {title} paints it
models: [{base}]
tags: [diffusion, controllable-generation, sketch, segmentation]
suggested_hardware: {hardware}
license: mit
---

Draw a map or a sketch, say what it should be, and [{base}](https://huggingface.co/{base}) paints it.
The model is as it was; a small network beside it, trained for this drawing tool, steers it at each step
(multimodal conditioning modules, Ham et al., SIGGRAPH 2023).
"""
APP = '''"""The page of this Space."""

from mcm_core.__main__ import main

main({arguments!r})
'''
MODEL_FILES = (
    "config.json",
    "diffusion_pytorch_model.safetensors",
    "SHA256SUMS",
    "README.md",
    "training.json",
)
GRADIO = "6.31.0"


def write(folder: Path, base: str, models: Mapping[str, Path], hardware: str = "zero-a10g") -> None:
    """Writes the Space: code, app, requirements, card, and models by their options of `mcm app`.

    Raises:
        InputError: the base is a folder, which no Space can fetch.
    """
    require_hub_id(base)
    folder.mkdir(parents=True, exist_ok=True)
    _copy_code(folder)
    arguments = ["app", "--base", base]
    for option, source in models.items():
        _copy_model(source, folder / option)
        arguments += [f"--{option}", option]
    title = base.rpartition("/")[2]
    card = CARD.format(title=title, gradio=GRADIO, base=base, hardware=hardware)
    write_whole(folder / "README.md", card.encode())
    write_whole(folder / "app.py", APP.format(arguments=arguments).encode())
    write_whole(folder / "requirements.txt", _requirements().encode())


def require_hub_id(base: str) -> None:
    """Raises InputError: the base is a folder, which no Space can fetch."""
    if Path(base).exists() or base.count("/") != 1:
        raise InputError(
            f"A Space fetches its base from the hub, where {base} is not: upload it, and say --space-base."
        )


def _copy_code(folder: Path) -> None:
    """The package, and the page where it lies beside it; the shipped models stay away."""
    package = Path(__file__).parent
    unwanted = shutil.ignore_patterns("__pycache__", "*.pyc", "*.pyi", "models")
    shutil.copytree(package, folder / package.name, ignore=unwanted, dirs_exist_ok=True)
    if page() == "demo":
        shutil.copytree(package.parent / "demo", folder / "demo", ignore=unwanted, dirs_exist_ok=True)


def _copy_model(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for name in MODEL_FILES:
        if (source / name).is_file():
            shutil.copy2(source / name, target / name)


def _requirements() -> str:
    """What this package needs, without its extras: as a checkout says it, else as it was installed."""
    if page() == "demo":
        needed = (Path(__file__).parents[1] / "requirements.txt").read_text(encoding="utf-8").splitlines()
    else:
        needed = [line for line in requires("mcm") or [] if "extra ==" not in line]
    return "\n".join(line for line in needed if not line.startswith("gradio")) + "\n"
