"""The wheel, built and used outside of the checkout, which it does not see; nothing is downloaded.

The environment that it is installed into borrows the other packages of the one that runs the tests.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import httpx
import pytest
from PIL import Image

import mcm_core
from demo import canvas, theme, viewer
from demo.component import bundle
from mcm_core.__main__ import COMMANDS
from mcm_core.record import read_png
from tests.pages import PATIENCE_S

ROOT = Path(__file__).parents[1]
FOLDERS = ("mcm_core", "demo", "assets")
FILES = ("pyproject.toml", "setup.py", "requirements.txt", "README.md", "LICENSE")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyi", ".gitignore", "readme", "freehand")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a wheel is built from, as building writes beside it."""
    folder = tmp_path_factory.mktemp("source")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=LEFT_OUT)
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", source, "--no-build-isolation", "--wheel-dir", folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `python` and `mcm` in an environment that the wheel was installed into."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip("--python", python, "install", wheel)
    site = printed(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    borrowed = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    (Path(site) / "borrowed.pth").write_text("\n".join(borrowed))
    return python.parent


def pip(*words: str | Path) -> None:
    """The package that words name is built or installed alone, from what is on this machine."""
    command = [sys.executable, "-m", "pip", *words, "--no-deps", "--no-index", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def environment(home: Path) -> dict[str, str]:
    """Nothing in it leads to the checkout."""
    quiet = {"HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    return {"PATH": os.environ["PATH"], "HOME": str(home), **quiet}


def printed(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, env=environment(cwd), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_every_file_of_the_package_the_page_and_the_models(source: Path, wheel: Path) -> None:
    held = {Path(name) for name in zipfile.ZipFile(wheel).namelist()}
    for name in FOLDERS:
        home = Path() if name == "mcm_core" else Path("mcm_core")
        files = {home / path.relative_to(source) for path in (source / name).rglob("*") if path.is_file()}
        assert files
        assert files <= held
    assert Path("mcm_core/py.typed") in held


def test_it_puts_one_name_into_an_environment(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert tops == {"mcm_core", f"mcm-{mcm_core.__version__}.dist-info"}


def test_it_is_the_wheel_that_is_tried_here(programs: Path, tmp_path: Path) -> None:
    home = printed(programs / "python", "-c", "import mcm_core; print(mcm_core.__file__)", cwd=tmp_path)
    assert programs.parent in Path(home).parents


@pytest.mark.parametrize("command", [["mcm"], ["python", "-m", "mcm_core"]])
def test_its_commands_answer_from_anywhere(programs: Path, tmp_path: Path, command: list[str]) -> None:
    program, *words = command
    version = printed(programs / program, *words, "--version", cwd=tmp_path)
    assert version == f"mcm {mcm_core.__version__}\n"
    assert all(name in printed(programs / program, *words, "--help", cwd=tmp_path) for name in COMMANDS)


def test_every_command_is_found(programs: Path, tmp_path: Path) -> None:
    code = (
        "from importlib.util import find_spec; from mcm_core.__main__ import COMMANDS;"
        "print([name for name, (module, _) in COMMANDS.items() if not find_spec(module)])"
    )
    assert printed(programs / "python", "-c", code, cwd=tmp_path) == "[]\n"


def test_it_paints_with_the_shipped_models(programs: Path, tmp_path: Path) -> None:
    words = ("generate", "--prompt", "a lake", "--steps", "2", "--seed", "7", "--out", "out.png")
    assert printed(programs / "mcm", *words, cwd=tmp_path) == "out.png\n"
    assert read_png(tmp_path / "out.png").steps == 2
    assert Image.open(tmp_path / "out.png").size == (256, 256)


def test_it_serves_the_page_with_scripts_styles_and_examples(programs: Path, tmp_path: Path) -> None:
    program = subprocess.Popen(
        [programs / "mcm", "app"], cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, text=True
    )
    try:
        assert program.stdout is not None
        address = next(line.split()[-1] for line in program.stdout if "http://" in line)
        config = httpx.get(f"{address}config", timeout=PATIENCE_S).json()
        properties = [component["props"] for component in config["components"]]
        scripts = [values.get("js_on_load") for values in properties]
        assert bundle(canvas.Canvas.folder / "main.js") in scripts
        assert bundle(viewer.Viewer.folder / "main.js") in scripts
        assert theme.CSS in config["css"]
        assert "Start from: Winter boat" in str(properties)
        program.send_signal(signal.SIGTERM)
        assert program.wait(PATIENCE_S) == 0
    finally:
        program.kill()
        program.wait()
