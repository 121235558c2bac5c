"""`python -m mcm_core`: what people type, what they get, and which exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mcm_core.__main__ import COMMANDS, main
from mcm_core.base import Base
from mcm_core.drawing.conditions import LABELS, SKETCH, LabelClass
from mcm_core.drawing.palette import palette_picture
from mcm_core.drawing.sketches import sketch_picture
from mcm_core.modulator import Modulator
from mcm_core.pipeline import MCMPipeline
from mcm_core.record import read_png, read_record
from tests import tiny

CLASSES = tuple(LabelClass(name, color) for name, color in tiny.CLASSES)
LAYOUT = np.repeat(np.array([1, 2, 3, 0], np.uint8), 16)[:, None].repeat(64, axis=1)
STROKES = np.eye(64, dtype=np.uint8) * 255


@pytest.fixture(scope="module")
def models(sd_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The options that name a base and a modulator."""
    folder = tmp_path_factory.mktemp("models") / "modulator"
    tiny.build_modulator(Base.from_pretrained(sd_folder)).save_pretrained(folder)
    return ["--base", str(sd_folder), "--modulator", str(folder)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a label map, a sketch and a photo."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(palette_picture(LAYOUT, CLASSES)).save("map.png")
    Image.fromarray(sketch_picture(STROKES)).save("sketch.png")
    ramp = np.hypot(*np.mgrid[-48:48, -48:48]) * 3
    Image.fromarray(np.where(ramp < 80, 40, 120 + ramp / 3).astype(np.uint8)).save("photo.jpg")
    return tmp_path


DRAWN = [
    "generate",
    "--labels",
    "map.png",
    "--sketch",
    "sketch.png",
    "--prompt",
    "hills at dusk",
    "--steps",
    "3",
]


class Told:
    """Exit code and output of one command."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *argv: object) -> None:
        capsys.readouterr()
        self.code = main([str(word) for word in argv])
        self.out, self.err = capsys.readouterr()

    @property
    def error(self) -> str:
        """The one line on stderr."""
        (line,) = self.err.splitlines()
        return line


class TestGenerate:
    def test_a_picture_of_a_drawing(
        self, here: Path, models: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        told = Told(capsys, *DRAWN, "--seed", 7, "--out", "out.png", *models)
        assert (told.code, told.out) == (0, "out.png\n")
        assert "3/3" in told.err, "the progress bar"
        request = read_png("out.png")
        assert (request.prompt, request.seeds, request.steps) == ("hills at dusk", (7,), 3)
        assert np.array_equal(request.conditions.maps[LABELS], LAYOUT)
        assert np.array_equal(request.conditions.maps[SKETCH], STROKES)
        made = MCMPipeline(Base.from_pretrained(models[1]), Modulator.from_pretrained(models[3]))(request)
        assert np.array_equal(np.asarray(Image.open("out.png")), made.images[0])

    @pytest.mark.parametrize(
        "extra", [[], ["--plain"], ["--strength", "labels=0.5", "--end", "0.7"], ["--seed", "-1"]]
    )
    def test_the_same_picture_again_from_its_file(
        self, here: Path, models: list[str], extra: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert Told(capsys, *DRAWN, "--seed", 7, "--out", "out.png", *models, *extra).code == 0
        assert Told(capsys, "generate", "--from", "out.png", "--out", "again.png", *models).code == 0
        assert Path("again.png").read_bytes() == Path("out.png").read_bytes()

    def test_options_beside_a_file_change_what_they_name(
        self, here: Path, models: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        Told(capsys, *DRAWN, "--seed", 7, "--out", "out.png", *models)
        Told(capsys, "generate", "--from", "out.png", "--seed", 8, "--out", "b.png", *models)
        Told(capsys, *DRAWN, "--seed", 8, "--out", "c.png", *models)
        assert Path("b.png").read_bytes() == Path("c.png").read_bytes() != Path("out.png").read_bytes()

    def test_a_drawing_from_a_file_is_cut_to_another_shape_and_not_stretched(
        self, here: Path, models: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        Told(capsys, *DRAWN, "--seed", 7, "--out", "out.png", *models)
        wide = ["generate", "--from", "out.png", "--width", 128, "--height", 64, "--out", "wide.png", *models]
        assert "cut to its middle" in Told(capsys, *wide).err
        assert np.array_equal(
            read_png("wide.png").conditions.maps[LABELS], np.kron(LAYOUT, np.ones((2, 2)))[32:96]
        )
        assert Told(capsys, *wide, "--fit", "stretch").code == 0
        assert np.array_equal(read_png("wide.png").conditions.maps[LABELS], LAYOUT.repeat(2, axis=1))

    def test_an_empty_picture_takes_away_what_was_drawn_and_says_so(
        self, here: Path, models: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        Image.new("RGB", (64, 64), "white").save("blank.png")
        Told(capsys, *DRAWN, "--seed", 7, "--out", "out.png", *models)
        told = Told(
            capsys, "generate", "--from", "out.png", "--sketch", "blank.png", "--out", "b.png", *models
        )
        assert "note: Nothing to draw was found in the picture for --sketch." in told.err
        assert list(read_png("b.png").conditions.maps) == [LABELS]

    def test_plain_is_the_base_and_comparing_shows_both(
        self, here: Path, models: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        Told(capsys, *DRAWN, "--seed", 7, "--out", "out.png", *models)
        Told(capsys, *DRAWN, "--seed", 7, "--out", "plain.png", "--plain", *models)
        Told(
            capsys,
            "generate",
            "--prompt",
            "hills at dusk",
            "--steps",
            3,
            "--seed",
            7,
            "--out",
            "bare.png",
            *models[:2],
        )
        both = Told(capsys, *DRAWN, "--seed", 7, "--out", "both.png", "--compare", *models)
        assert both.out.split() == ["both.png", "both-plain.png"]
        assert Path("both.png").read_bytes() == Path("out.png").read_bytes()
        assert Path("both-plain.png").read_bytes() == Path("plain.png").read_bytes()
        assert np.array_equal(np.asarray(Image.open("plain.png")), np.asarray(Image.open("bare.png")))
        assert not np.array_equal(np.asarray(Image.open("plain.png")), np.asarray(Image.open("out.png")))

    def test_several_seeds_are_several_files(
        self, here: Path, models: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        told = Told(capsys, *DRAWN, "--seed", 7, 8, "--out", "out.png", *models)
        assert told.out.split() == ["out-7.png", "out-8.png"]
        Told(capsys, *DRAWN, "--seed", 8, "--out", "single.png", *models)
        assert Path("out-8.png").read_bytes() == Path("single.png").read_bytes()

    def test_json(self, here: Path, models: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        told = Told(capsys, *DRAWN, "--seed", 7, "--out", "out.png", "--json", *models)
        report = json.loads(told.out)
        assert report["pictures"] == [{"seed": 7, "path": "out.png", "plain_path": None}]
        assert report["request"]["scheduler"] == read_png("out.png").scheduler
        assert report["request"]["conditions"] == {LABELS: [64, 64], SKETCH: [64, 64]}
        assert report["steps"] == 3
        seconds = report["seconds"]
        assert 0 < seconds["per_step"] * 3 == pytest.approx(seconds["painting"])
        assert seconds["loading"] > 0

    def test_a_photo_gives_a_sketch(
        self, here: Path, models: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        told = Told(capsys, "generate", "--photo", "photo.jpg", "--steps", 1, "--out", "out.png", *models)
        assert told.code == 0
        assert "note: Read as a photo" in told.err
        request = read_png("out.png")
        assert list(request.conditions.maps) == [SKETCH]
        assert 0 <= request.seeds[0] < 2**32, "without --seed a random one is drawn and written down"

    def test_notes_on_what_was_changed(
        self, here: Path, models: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        shades = palette_picture(LAYOUT, CLASSES)[:48, :, :3].copy()
        shades[20:30, :10] = (230, 40, 160)
        Image.fromarray(shades).save("shades.png")
        told = Told(capsys, "generate", "--labels", "shades.png", "--steps", 1, "--out", "out.png", *models)
        assert "note: 100 pixels were in a colour of no class" in told.err
        assert "note: The picture of 64 x 48 pixels was cut to its middle." in told.err

    def test_a_restore_with_other_models_says_so(
        self, here: Path, models: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        Told(capsys, "generate", "--steps", 1, "--out", "out.png", *models)
        other = tiny.build_stable_diffusion(here / "other", seed=1)
        told = Told(capsys, "generate", "--from", "out.png", "--out", "b.png", "--base", other)
        assert told.code == 0
        assert "note: out.png: it was made with the base" in told.err
        assert read_record("b.png").origin != read_record("out.png").origin


class TestErrors:
    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            ([], "say what to do: app, generate"),
            (["paint"], "no command 'paint': choose from app, generate"),
            (["generate"], "required: --out"),
            (["generate", "--out", "a.png", "--steps", "many"], "invalid int value: 'many'"),
            (["generate", "--out", "a.png", "--sides", "3"], "--sides"),
            (["generate", "--out", "a.png", "--strength", "0.5"], "not of the form NAME=VALUE"),
            (["generate", "--out", "a.png", "--plain", "--compare"], "not allowed with"),
            (["generate", "--out", "a.png", "--sketch", "sketch.png", "--photo", "photo.jpg"], "not both"),
            (["generate", "--out", "a.jpg"], "must end in .png"),
            (["generate", "--out", "nowhere/a.png"], "no folder nowhere"),
            (["generate", "--out", "a.png", "--labels", "none.png"], "no file none.png"),
            (["generate", "--out", "a.png", "--from", "sketch.png"], "no record"),
            (["generate", "--out", "a.png", "--base", "map.png"], "cannot be opened as a base"),
            (["generate", "--out", "a.png", "--base", "."], "model_index.json"),
        ],
    )
    def test_wrong_usage_is_one_line_and_2(
        self, here: Path, argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        told = Told(capsys, *argv)
        assert (told.code, told.out) == (2, "")
        assert message in told.error
        assert told.error.startswith("mcm: ")

    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (["--steps", "0"], "steps must be"),
            (["--seed", str(10**40)], "seed must be"),
            (["--guidance-scale", "nan"], "guidance_scale must be"),
            (["--strength", "labels=much"], "strength must be a number"),
            (["--strength", "depth=1"], "no modality 'depth'"),
            (["--scheduler", "abacus"], "no scheduler 'abacus'"),
            (["--device", "abacus"], "no device 'abacus'"),
            (["--prompt", "x" * 10**6], "shorten it"),
            (["--map", "depth=map.png"], "no depth map"),
            (["--start", "0.9", "--end", "0.1"], "start"),
        ],
    )
    def test_wrong_requests_too(
        self, here: Path, models: list[str], argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        told = Told(capsys, "generate", "--out", "a.png", *models, *argv)
        assert told.code == 2
        assert message in told.err.splitlines()[-1]
        assert not Path("a.png").exists()

    def test_a_drawing_for_a_base_without_a_modulator(
        self, here: Path, models: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        told = Told(capsys, *DRAWN, "--out", "a.png", *models[:2])
        assert told.code == 2
        assert "Name one: --modulator" in told.err.splitlines()[-1]
        assert Told(capsys, *DRAWN, "--plain", "--out", "a.png", *models[:2]).code == 0

    def test_missing_shipped_models(
        self, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("mcm_core.models.BASE", "not-there")
        monkeypatch.setattr("mcm_core.models.MODULATOR", "not-there")
        told = Told(capsys, "generate", "--out", "a.png")
        assert told.code == 2
        assert "assets/models/not-there" in told.error

    def test_a_failure_is_1(
        self,
        here: Path,
        models: list[str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def no_memory(*arguments: object) -> None:
            raise MemoryError

        monkeypatch.setattr(MCMPipeline, "paint", no_memory)
        told = Told(capsys, "generate", "--out", "a.png", *models)
        assert told.code == 1
        assert "not enough memory" in told.err.splitlines()[-1]

    @pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError])
    def test_a_model_that_does_not_fit_is_told_in_one_line(
        self,
        here: Path,
        error: type[Exception],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def too_large(*_: object, **__: object) -> None:
            raise error("CUDA out of memory. Tried to allocate 2.00 GiB.")

        monkeypatch.setattr("mcm_core.generate.open_models", too_large)
        told = Told(capsys, "generate", "--out", "a.png")
        assert told.code == 1
        assert "not enough memory" in told.error

    def test_a_full_disk_leaves_the_old_file(
        self,
        here: Path,
        models: list[str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def full(path: Path, data: bytes) -> None:
            path.touch()
            raise OSError(28, "No space left on device", str(path))

        Path("out.png").write_bytes(b"an old picture")
        monkeypatch.setattr(Path, "write_bytes", full)
        told = Told(capsys, "generate", "--steps", 1, "--out", "out.png", *models)
        assert told.code == 1
        assert "No space left" in told.err.splitlines()[-1]
        assert Path("out.png").read_bytes() == b"an old picture"
        assert not [name for name in os.listdir() if name.startswith(".out")]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


class TestProcess:
    def run(self, *argv: str) -> list[str]:
        return [sys.executable, "-m", "mcm_core", *argv]

    def test_help_is_quick_and_needs_no_torch(self) -> None:
        program = (
            "import sys; from mcm_core.__main__ import main; code = main(['--help']);"
            "sys.exit(code or bool({'torch', 'diffusers', 'cv2', 'numpy'} & sys.modules.keys()))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=ENVIRONMENT
        )
        assert done.returncode == 0, done.stderr
        assert all(command in done.stdout for command in COMMANDS)

    def test_help_of_a_command(self) -> None:
        done = subprocess.run(self.run("generate", "--help"), capture_output=True, text=True, env=ENVIRONMENT)
        assert done.returncode == 0
        assert "--guidance-scale" in done.stdout

    def test_exit_codes_reach_the_shell(self, here: Path) -> None:
        done = subprocess.run(
            self.run("generate", "--out", "a.jpg"), capture_output=True, text=True, env=ENVIRONMENT
        )
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1

    def test_interrupting_is_130_and_leaves_no_file(self, here: Path, models: list[str]) -> None:
        command = self.run(
            *DRAWN[:-1], "150", "--width", "128", "--height", "128", "--out", "out.png", *models
        )
        # A shell that runs the tests in the background lets them, and what they start, ignore the signal.
        heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        # The pipe is too small for all that the program has to say, so that it cannot end before the signal.
        process = subprocess.Popen(
            command, bufsize=0, stderr=subprocess.PIPE, pipesize=4096, env=ENVIRONMENT, preexec_fn=heed
        )
        assert process.stderr is not None
        seen = b""
        while b" 1/150 " not in seen:
            told = process.stderr.read(64)
            assert told, f"it ended before its first step: {seen!r}"
            seen += told
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate()
        assert process.returncode == 130
        assert b"interrupted" in rest.splitlines()[-1]
        assert sorted(os.listdir()) == ["map.png", "photo.jpg", "sketch.png"]
