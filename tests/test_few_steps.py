"""Bases that were distilled to few steps: LCM, TCD, Turbo, and ordinary ones with such a LoRA in them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mcm_core import Base, InputError, MCMPipeline, Request, modulate
from mcm_core.base.opening import networks, open_pipeline
from mcm_core.base.schedulers import FEW_STEPS, SCHEDULERS
from mcm_core.control import prepare, undrawn
from mcm_core.drawing.conditions import Conditions
from mcm_core.fuse import main as fuse
from mcm_core.modulation import DRAWING_GUIDANCE
from mcm_core.modulator import ModulatorOutput
from mcm_core.pairs.dream import Dreaming, paint
from mcm_core.pipeline import to_uint8
from tests import tiny


@pytest.fixture(scope="module")
def lcm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_lcm(tmp_path_factory.mktemp("lcm"))


@pytest.fixture(scope="module")
def lcm(lcm_folder: Path) -> Base:
    return Base.from_pretrained(lcm_folder)


@pytest.fixture(scope="module")
def lora(sd_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_lora(sd_folder, tmp_path_factory.mktemp("lora") / "lora.safetensors")


@pytest.fixture(scope="module")
def tcd_folder(sd_folder: Path, lora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By the command, as anybody makes it: an ordinary base with a LoRA, TCD's scheduler, float32."""
    out = tmp_path_factory.mktemp("fused") / "tcd"
    options = ["--base", str(sd_folder), "--lora", f"{lora}=0.8", "--scheduler", "tcd", "--float32"]
    assert fuse([*options, "--out", str(out)]) == 0
    return out


def picture_of(pipeline: Any, **options: Any) -> np.ndarray:
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(7)
    return np.asarray(tiny.in_one_layout(pipeline)("a lake", generator=generator, **options).images[0])


# -- a latent consistency model ----------------------------------------------------------------------------


@pytest.mark.parametrize("guidance_scale", [1.0, 8.0])
@pytest.mark.parametrize("steps", [1, 4])
def test_lcm_is_bitwise_that_of_diffusers(
    lcm: Base, lcm_folder: Path, steps: int, guidance_scale: float
) -> None:
    theirs = diffusers.LatentConsistencyModelPipeline.from_pretrained(lcm_folder)
    expected = picture_of(theirs, num_inference_steps=steps, guidance_scale=guidance_scale)
    request = Request(prompt="a lake", steps=steps, guidance_scale=guidance_scale, seeds=(7,))
    assert np.array_equal(MCMPipeline(lcm)(request).images[0], expected)


def test_lcm_is_told_its_guidance_and_runs_once(lcm: Base) -> None:
    asked = Request(prompt="a lake").resolved(lcm, None)
    assert (asked.scheduler, asked.steps, asked.guidance_scale, asked.guided) == ("lcm", 4, 8.0, False)
    one, other = (
        MCMPipeline(lcm)(Request(prompt="a lake", guidance_scale=scale)).images for scale in (2.0, 12.0)
    )
    assert (one != other).any()


def test_a_modulator_acts_on_lcm(lcm: Base) -> None:
    pipeline = MCMPipeline(lcm, tiny.build_modulator(lcm))
    drawn = Request(prompt="a lake", conditions=tiny.drawing(), compare=True)
    result = pipeline(drawn)
    assert result.actions.all()
    assert (result.images != result.plain_images).any()
    assert np.array_equal(result.plain_images, MCMPipeline(lcm)(Request(prompt="a lake")).images)


def test_what_a_drawing_changes_is_multiplied_where_no_guidance_does_it(lcm: Base) -> None:
    """eps + w (m(drawing) - m(nothing)): of the paper's equation with and without the drawing."""
    modulator, size = tiny.build_modulator(lcm), (8, 8)
    on_lcm, elsewhere, empty = (
        prepare(modulator, drawn, {"labels": 0.5, "sketch": 0.5}, size, 0.0, 1.0, guides_itself=own)
        or undrawn(modulator, size)
        for drawn, own in ((tiny.drawing(), True), (tiny.drawing(), False), (Conditions(), False))
    )
    sample, output, now = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8), lcm.moment(500)
    drawn = elsewhere.correct(output, sample, now).output - output
    nothing = 0.5 * (empty.correct(output, sample, now).output - output)
    expected = output + DRAWING_GUIDANCE * (drawn - nothing)
    torch.testing.assert_close(on_lcm.correct(output, sample, now).output, expected)
    guided = on_lcm.correct(output, sample, now, negative=output)  # by whom guides it all the same
    assert torch.equal(guided.output, output + drawn)


def test_what_a_modulator_does_whatever_is_drawn_changes_nothing_on_lcm(lcm: Base) -> None:
    deaf = tiny.build_modulator(lcm)
    deaf.register_forward_hook(
        lambda _module, _inputs, said: ModulatorOutput(0 * said.gamma + 1.5, 0 * said.nu + 0.1)
    )
    drawn = Request(prompt="a lake", conditions=tiny.drawing())
    result, plain = MCMPipeline(lcm, deaf)(drawn), MCMPipeline(lcm)(Request(prompt="a lake"))
    assert result.actions.all()
    assert np.array_equal(result.images, plain.images)


def test_a_stock_lcm_pipeline_follows_a_drawing_bitwise_as_ours(lcm: Base, lcm_folder: Path) -> None:
    modulator = tiny.build_modulator(lcm)
    theirs = diffusers.LatentConsistencyModelPipeline.from_pretrained(lcm_folder)
    followed = picture_of(
        modulate(theirs, modulator, tiny.drawing()), num_inference_steps=4, guidance_scale=8.0
    )
    asked = Request(prompt="a lake", conditions=tiny.drawing(), steps=4, guidance_scale=8.0, seeds=(7,))
    assert np.array_equal(MCMPipeline(lcm, modulator)(asked).images[0], followed)


def test_lcm_has_no_negative_prompt(lcm: Base) -> None:
    with pytest.raises(InputError, match="takes no negative prompt"):
        Request(prompt="a lake", negative_prompt="fog").resolved(lcm, None)


def test_lcm_takes_no_more_steps_than_it_was_distilled_from(lcm: Base) -> None:
    assert Request(steps=50).resolved(lcm, None).steps == 50
    with pytest.raises(InputError, match="from 1 to 50"):
        Request(steps=51).resolved(lcm, None)


def test_lcm_dreams(lcm: Base) -> None:
    dreaming = Dreaming(lcm, lcm.default_size, lcm.default_steps, lcm.default_guidance_scale)
    dreaming = replace(dreaming, steps=1)  # of which no noise is added that another generator would draw
    latents = paint(dreaming, ["a lake"], [7])
    asked = Request(prompt="a lake", seeds=(7,), steps=1)
    assert np.array_equal(MCMPipeline(lcm)(asked).images[0], to_uint8(lcm.decode(latents))[0])


# -- schedulers of few steps -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FEW_STEPS)
def test_an_ordinary_base_refuses_them(base: Base, name: str) -> None:
    assert name not in base.scheduler_names
    with pytest.raises(InputError, match="mcm fuse"):
        Request(scheduler=name).resolved(base, None)


def test_turbo_is_bitwise_that_of_diffusers(sd_folder: Path, tmp_path: Path) -> None:
    """Of an ordinary layout: trailing timesteps, an ancestral scheduler, no guidance."""
    turbo = diffusers.StableDiffusionPipeline.from_pretrained(sd_folder)
    config = {**turbo.scheduler.config, "timestep_spacing": "trailing"}
    turbo.scheduler = diffusers.EulerAncestralDiscreteScheduler.from_config(config)
    turbo.save_pretrained(tmp_path / "turbo")
    options = ["--base", str(tmp_path / "turbo"), "--steps", "2", "--guidance-scale", "1", "--float32"]
    assert fuse([*options, "--out", str(tmp_path / "fused")]) == 0
    base = Base.from_pretrained(tmp_path / "fused")
    asked = Request(prompt="a lake", seeds=(7,))
    assert (asked.resolved(base, None).scheduler, base.default_steps) == ("euler-a", 2)
    assert base.guides_itself
    assert not Base.from_pretrained(sd_folder).guides_itself
    expected = picture_of(turbo, num_inference_steps=2, guidance_scale=0.0)
    assert np.array_equal(MCMPipeline(base)(asked).images[0], expected)


# -- LoRAs -------------------------------------------------------------------------------------------------


def test_a_fused_lora_paints_as_a_loaded_one(tcd_folder: Path, sd_folder: Path, lora: Path) -> None:
    theirs = diffusers.StableDiffusionPipeline.from_pretrained(sd_folder)
    theirs.load_lora_weights(lora, adapter_name="own")
    theirs.set_adapters("own", 0.8)
    theirs.scheduler = SCHEDULERS["tcd"].from_config(theirs.scheduler.config)
    expected = picture_of(theirs, num_inference_steps=4, guidance_scale=1.0, eta=0.3).astype(int)
    base = Base.from_pretrained(tcd_folder)
    asked = Request(prompt="a lake", seeds=(7,))
    resolved = asked.resolved(base, None)
    assert (resolved.scheduler, resolved.steps, resolved.guidance_scale) == ("tcd", 4, 1.0)
    drawn = MCMPipeline(base)(asked).images[0]
    assert np.abs(drawn - expected).max() <= 1, "float sums in another order"
    plain = MCMPipeline(Base.from_pretrained(sd_folder))(Request(prompt="a lake", seeds=(7,)))
    assert np.abs(plain.images[0].astype(int) - drawn).max() > 1


def test_a_fused_base_is_another_of_the_same_latents(tcd_folder: Path, base: Base) -> None:
    fused = Base.from_pretrained(tcd_folder)
    assert fused.fingerprint != base.fingerprint
    assert fused.sums is not None
    (note,) = fused.check(tiny.build_modulator(base))
    assert "may fit less well" in note


def test_it_is_written_in_half_precision(sd_folder: Path, tmp_path: Path) -> None:
    assert fuse(["--base", str(sd_folder), "--steps", "9", "--out", str(tmp_path / "half")]) == 0
    stored = load_file(tmp_path / "half" / "unet" / "diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    assert Base.from_pretrained(tmp_path / "half").default_steps == 9


def test_another_networks_lora_is_refused(sdxl_folder: Path, lora: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be used with this base"):
        fuse(["--base", str(sdxl_folder), "--lora", str(lora), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_what_is_no_lora_is_refused(sd_folder: Path, tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="cannot be used with this base"):
        fuse(["--base", str(sd_folder), "--lora", f"{tmp_path}/other.safetensors", "--out", f"{tmp_path}/o"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--lora", "lora.bin"], "pickle"),
        (["--lora", "lora.safetensors=much"], "no number"),
        (["--steps", "0"], "--steps must be"),
        (["--guidance-scale", "99"], "--guidance-scale must be"),
    ],
)
def test_wrong_options_are_told_first(options: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        fuse(["--base", "not/opened", *options, "--out", str(tmp_path / "out")])


def test_a_folder_with_something_in_it_is_kept(sd_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("words")
    with pytest.raises(InputError, match="there already"):
        fuse(["--base", str(sd_folder), "--out", str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


# -- what a base's files do not say, said once -------------------------------------------------------------


def test_a_prediction_type_is_written_down(sd_folder: Path, tmp_path: Path) -> None:
    """A checkpoint of one file does not tell it, and grey noise is what a wrong one paints."""
    out = tmp_path / "v"
    assert Base.from_pretrained(sd_folder).prediction_type == "epsilon"
    assert fuse(["--base", str(sd_folder), "--prediction-type", "v_prediction", "--out", str(out)]) == 0
    assert Base.from_pretrained(out).prediction_type == "v_prediction"


def test_a_revision_and_a_variant_of_the_hub(
    sd_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the hub's cache, where two revisions lie, of which one comes in half precision alone."""
    cached, commits = tmp_path / "hub" / "models--someone--pond", {"main": "a" * 40, "old": "b" * 40}
    for name, commit in commits.items():
        (cached / "refs").mkdir(parents=True, exist_ok=True)
        (cached / "refs" / name).write_text(commit)
    main, old = (cached / "snapshots" / commits[name] for name in ("main", "old"))
    shutil.copytree(tiny.build_stable_diffusion(tmp_path / "other", seed=1), main)
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(sd_folder, dtype=torch.float16)
    pipe.save_pretrained(old, variant="fp16")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for hub, dtype in (({"revision": "old", "variant": "fp16"}, torch.float16), ({}, torch.float32)):
        opened, _ = open_pipeline("someone/pond", **hub)
        assert {network.dtype for network in networks(opened)} == {dtype}
    out, options = tmp_path / "out", ["--revision", "old", "--variant", "fp16"]
    assert fuse(["--base", "someone/pond", *options, "--out", str(out)]) == 0
    assert Base.from_pretrained(out).fingerprint == half(sd_folder, tmp_path / "half").fingerprint


def half(folder: Path, out: Path) -> Base:
    assert fuse(["--base", str(folder), "--out", str(out)]) == 0
    return Base.from_pretrained(out)
