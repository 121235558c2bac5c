"""`mcm doctor` says in plain words what a pair is and needs; a training's needs are counted, not guessed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from mcm_core import Base
from mcm_core.__main__ import WRONG, main
from mcm_core.modulator import Modulator
from mcm_core.training import cache, job
from mcm_core.training.batches import Batch
from mcm_core.training.cache import ENCODE_AT_ONCE, at_once, encode
from mcm_core.training.conditioned import Conditioned, Objective, losses
from mcm_core.training.fit import Schedule, Training
from mcm_core.training.frozen import Frozen
from mcm_core.training.needs import COPIES, LiveBytes, Needs, described, memory_of, needs
from mcm_core.training.optimiser import Optimiser
from mcm_core.training.reading import LatentReader, Reading
from tests import tiny
from tests.pairs import build_pairs

# -- what it says ------------------------------------------------------------------------------------------


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What was printed, by the word that a line begins with."""
    return {line.split()[0]: line[11:] for line in capsys.readouterr().out.splitlines()}


def test_a_fitting_pair(
    sd_folder: Path, modulator: Modulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    modulator.save_pretrained(tmp_path)
    assert main(["doctor", "--base", str(sd_folder), "--modulator", str(tmp_path)]) == 0
    said = told(capsys)
    assert said["base"].startswith("a Stable Diffusion 1.x or 2.x: ")
    assert "predicts epsilon, pictures of 64 x 64" in said["base"]
    assert said["painting"].startswith("20 steps of ddim, guidance 7.5")
    assert said["modulator"] == (
        "fits: it reads labels (3 classes), sketch in any steps; it was made for this base."
    )
    assert "with a drawing that the modulator acted on" in said["here"]
    assert "for each picture of a batch" in said["training"]


def test_a_base_alone_and_of_few_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--base", str(tiny.build_lcm(tmp_path))]) == 0
    said = told(capsys)
    assert "made for few steps" in said["base"]
    assert said["painting"].startswith("4 steps of lcm, guidance 8")
    assert "modulator" not in said


@pytest.mark.parametrize("build", [tiny.build_sdxl, tiny.build_ddpm])
def test_every_family(build: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(build)
    assert main(["doctor", "--base", str(build(tmp_path))]) == 0
    assert "for each picture of a batch" in told(capsys)["training"]


def test_a_modulator_that_does_not_fit(
    sd_folder: Path, ldm_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.build_modulator(Base.from_pretrained(ldm_folder)).save_pretrained(tmp_path)
    assert main(["doctor", "--base", str(sd_folder), "--modulator", str(tmp_path)]) == WRONG
    assert "does not fit the base" in capsys.readouterr().err


def test_numbers_that_run_away(sd_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wild = tiny.build_modulator(Base.from_pretrained(sd_folder))
    torch.nn.init.constant_(wild.trunk.conv_out.bias, 3e38)
    wild.save_pretrained(tmp_path)
    assert main(["doctor", "--base", str(sd_folder), "--modulator", str(tmp_path)]) == WRONG
    assert "paint no picture here. The modulator gave numbers that are not finite" in capsys.readouterr().err


def test_nothing_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == WRONG
    assert "Say --base" in capsys.readouterr().err


# -- what a training needs ---------------------------------------------------------------------------------


def batch_of(base: Base, modulator: Modulator, count: int) -> Batch:
    """Pictures of noise with everything drawn."""
    side = base.default_size[0]
    latents = torch.randn(count, base.latent_channels, side // base.downscale, side // base.downscale)
    return Batch(
        pictures=latents,
        encoded=True,
        texts=("",) * count,
        maps={
            kind.name: torch.ones(
                (count, side, side) if kind.kind == "labels" else (count, kind.channels, side, side),
                dtype=torch.uint8,
            )
            for kind in modulator.modalities
        },
        presence={kind.name: torch.ones(count) for kind in modulator.modalities},
        noise_seeds=tuple(range(count)),
        moments=torch.linspace(0.1, 0.9, count),
    )


@pytest.mark.parametrize("reads", [False, True])
def test_they_are_those_of_a_real_step(base: Base, reads: bool) -> None:
    """Within a tenth: what a step keeps beside its networks, as it is run, and as it was counted."""
    modulator = tiny.build_modulator(base).train()
    frozen, module = Frozen(base, "v", "uniform", (0.0, 1.0)), Conditioned(modulator)

    def make_reader() -> LatentReader:
        return LatentReader(base.latent_channels, modulator.modalities, len(modulator.classes), detail=2)

    counted = needs(base, modulator, base.default_size, "fp32", make_reader if reads else None)
    networks = base.parameter_count + COPIES * size_of(modulator)
    objective: Objective = losses
    if reads:
        reader = make_reader().eval().requires_grad_(False)
        networks += size_of(reader)
        training = Training(modulator, Optimiser(modulator, 1e-3, matrices=False), Schedule(10))
        objective = Reading(reader, 1.0, training)
    for count in (1, 4):
        batch = batch_of(base, modulator, count)
        objective(module, frozen, batch, "fp32")["loss"].backward()  # from now on there are gradients
        with LiveBytes() as live:
            objective(module, frozen, batch, "fp32")["loss"].backward()
        assert counted.step(count) - 4 * networks == pytest.approx(live.peak, rel=0.1)


def size_of(network: torch.nn.Module) -> int:
    return sum(one.numel() for one in network.parameters())


@pytest.mark.parametrize("size", [(64, 64), (512, 512)])
def test_encoding_needs_what_it_takes(base: Base, size: tuple[int, int]) -> None:
    """A few pictures at once, fewer large ones; the autoencoder stands by itself beside a half one."""
    full, half = (needs(base, tiny.build_modulator(base), size, kind) for kind in ("fp32", "bf16"))
    pictures = torch.zeros(min(ENCODE_AT_ONCE, at_once(*size)), 3, *size)
    with LiveBytes() as live:
        encode(base, pictures)
    beside = full.encoding - 4 * base.parameter_count
    assert beside == pytest.approx(pictures.nbytes + live.peak, rel=0.1)
    autoencoder = 4 * sum(one.numel() for one in base.vae.parameters())
    assert half.encoding - 2 * base.parameter_count == beside + autoencoder


def test_pixels_are_not_encoded(ddpm_folder: Path) -> None:
    base = Base.from_pretrained(ddpm_folder)
    counted = needs(base, tiny.build_modulator(base), base.default_size, "fp32")
    assert counted.encoding == 0
    assert "encode" not in described(counted, 10, 4, 1, 1.0, None)


def test_the_unet_rests_while_pictures_are_encoded(
    sd_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[bool] = []

    @contextmanager
    def noted(network: object, device: object) -> Iterator[None]:
        rests.append(True)
        yield
        rests.clear()

    seen: list[bool] = []
    monkeypatch.setattr(job, "resting", noted)
    monkeypatch.setattr(cache, "encode", lambda *given: (seen.append(bool(rests)), encode(*given))[1])
    data = build_pairs(tmp_path / "pairs", 4)
    options = ["--base", str(sd_folder), "--data", str(data), "--out", str(tmp_path / "out"), "--steps", "1"]
    assert main(["train", *options, "--preset", "nano", "--held-out", "0", "--batch-size", "2"]) == 0
    assert seen
    assert all(seen)
    assert not rests


def test_where_the_pictures_cannot_be_encoded_none_fits() -> None:
    counted = Needs(fixed=1000, picture=70, flops=1.0, base_flops=1.0, encoding=2000)
    assert (counted.largest_batch(1999), counted.largest_batch(2000)) == (0, 14)


def test_150_classes_at_512_pixels_take_at_most_150_mib_a_picture(tmp_path: Path) -> None:
    base = Base.from_pretrained(tiny.build_stable_diffusion(tmp_path, sample_size=64))
    classes = [{"name": f"class {index}", "color": "#000000"} for index in range(150)]
    modalities = [{"name": n, "kind": k, "channels": c} for n, k, c in tiny.MODALITIES]
    modulator = Modulator.preset("mini", classes=classes, modalities=modalities)
    assert needs(base, modulator, (512, 512), "bf16").picture <= 150 * 2**20


def test_the_largest_batch_fits_and_one_more_does_not() -> None:
    counted = Needs(fixed=1000, picture=70, flops=1.0, base_flops=1.0)
    assert counted.step(5) == 1350
    assert counted.largest_batch(1350) == 5
    assert counted.largest_batch(1349) == 4
    assert counted.largest_batch(0) == 0


def test_on_a_gpu_it_says_how_many_pictures_fit() -> None:
    counted = Needs(fixed=2**30, picture=2**27, flops=1.0, base_flops=1.0)
    assert "; at most 8 at once fit into its memory; " in described(counted, 10, 4, 1, 1.0, 2**31)
    assert "at once" not in described(counted, 10, 4, 1, 1.0, memory_of(torch.device("cpu")))


def test_dry_run_says_it(sd_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = build_pairs(tmp_path / "pairs", 4)
    options = ["--base", str(sd_folder), "--data", str(data), "--out", str(tmp_path / "out")]
    assert main(["train", *options, "--preset", "nano", "--held-out", "0", "--dry-run"]) == 0
    assert "for each picture of a batch" in told(capsys)["needs"]
    assert not (tmp_path / "out").exists()
