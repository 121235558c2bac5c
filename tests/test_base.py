"""One interface to every family, bitwise what diffusers does, and clear refusals of everything else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mcm_core import Base, InputError, MCMPipeline, Request
from mcm_core.base import Embeddings, schedulers
from mcm_core.base.opening import networks, open_autoencoder, open_pipeline
from mcm_core.base.schedulers import FEW_STEPS, SCHEDULERS
from tests import tiny
from tests.single_file import write_single_file

FAMILIES = ("sd_folder", "sd_v_folder", "sdxl_folder", "ldm_folder", "ddpm_folder")
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(params=FAMILIES)
def any_base(request: pytest.FixtureRequest) -> Base:
    return Base.from_pretrained(request.getfixturevalue(request.param))


@pytest.fixture
def copied(sd_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sd_folder, tmp_path / "base"))


def latents(base: Base, batch: int = 1) -> torch.Tensor:
    height, width = (side // base.downscale for side in base.default_size)
    generator = torch.Generator().manual_seed(0)
    return torch.randn((batch, base.latent_channels, height, width), generator=generator)


# -- the interface -----------------------------------------------------------------------------------------


def test_every_family_has_one_interface(any_base: Base) -> None:
    base, sample = any_base, latents(any_base, 2)
    height, width = base.default_size
    embeddings = base.encode_prompt(["a lake", "a hill"])
    output = base.predict(sample, torch.tensor(500), embeddings)
    images = base.decode(sample)
    preview = base.preview(sample)
    assert output.shape == sample.shape
    assert images.shape == (2, 3, height, width)
    assert base.encode(images).shape == sample.shape
    assert preview.shape == (2, 3, *sample.shape[-2:])
    assert -1 <= preview.min() < preview.max() <= 1
    assert base.parameter_count == sum(p.numel() for n in base.networks() for p in n.parameters()) > 0


def test_nothing_that_comes_out_has_a_gradient(any_base: Base) -> None:
    sample = latents(any_base).requires_grad_()
    embeddings = any_base.encode_prompt(["a lake"])
    for tensor in (
        any_base.predict(sample, 10, embeddings),
        any_base.decode(sample),
        any_base.encode(any_base.decode(sample)),
        any_base.preview(sample),
        *(part for part in (embeddings.hidden, embeddings.pooled) if part is not None),
    ):
        assert tensor.grad_fn is None


def test_what_the_families_are(request: pytest.FixtureRequest) -> None:
    bases = [Base.from_pretrained(request.getfixturevalue(name)) for name in FAMILIES]
    assert [base.family for base in bases] == ["sd", "sd", "sdxl", "ldm", "ddpm"]
    assert [base.prediction_type for base in bases] == ["epsilon", "v_prediction", *["epsilon"] * 3]
    assert [base.downscale for base in bases] == [8, 8, 8, 8, 1]
    assert [base.latent_channels for base in bases] == [4, 4, 4, 3, 3]
    assert [base.accepts_text for base in bases] == [True, True, True, False, False]
    assert [base.default_size for base in bases] == [*[(64, 64)] * 4, (16, 16)]
    assert [base.default_guidance_scale for base in bases] == [7.5, 7.5, 5.0, 1.0, 1.0]


def test_embeddings_do_not_depend_on_their_neighbours(base: Base) -> None:
    prompts = ["", "a lake", "x" * 500]
    together = base.encode_prompt(prompts)
    apart = Embeddings.cat([base.encode_prompt([prompt]) for prompt in prompts])
    assert torch.equal(together.hidden, apart.hidden)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_autoencoder_in_full_precision_beside_a_half_base(
    family: str, request: pytest.FixtureRequest
) -> None:
    """It alone is opened, so that encoding needs no second base."""
    folder = request.getfixturevalue(family)
    full, half = (Base.from_pretrained(folder, dtype=dtype) for dtype in (torch.float32, torch.bfloat16))
    precise = half.with_autoencoder(folder)
    images = torch.rand(1, 3, *full.default_size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.equal(precise.encode(images), full.encode(images))
    assert precise.unet is half.unet
    has_codebook = isinstance(half.vae, diffusers.VQModel)
    assert half.vae is None or half.vae.dtype == (torch.float32 if has_codebook else torch.bfloat16)


def test_the_callers_dtype_comes_back(sd_folder: Path) -> None:
    base = Base.from_pretrained(sd_folder, dtype=torch.bfloat16)
    assert {parameter.dtype for network in base.networks() for parameter in network.parameters()} == {
        torch.bfloat16
    }
    sample = latents(base)
    images = base.decode(sample)
    dtypes = {
        base.predict(sample, 10, base.encode_prompt([""])).dtype,
        images.dtype,
        base.encode(images).dtype,
    }
    assert dtypes == {torch.float32}


def test_bfloat16_is_deterministic_and_near_float32(sd_folder: Path, base: Base) -> None:
    request = Request(prompt="a lake", steps=4)
    half = MCMPipeline(Base.from_pretrained(sd_folder, dtype=torch.bfloat16))
    images = half(request).images
    assert np.array_equal(images, half(request).images)
    assert np.abs(images.astype(float) - MCMPipeline(base)(request).images).mean() < 8


class LinearAutoencoder(torch.nn.Module):
    """Latents that are a fixed mixture of each cell's mean colour."""

    dtype = torch.float32
    mixture = torch.tensor([[1.0, 0.5, 0.0], [0.0, -1.0, 0.3], [0.2, 0.0, 0.7], [0.1, 0.1, 0.1]])

    def encode(self, images: torch.Tensor) -> SimpleNamespace:
        colours = torch.nn.functional.avg_pool2d(images, 8)
        return SimpleNamespace(latents=torch.einsum("bchw,lc->blhw", colours, self.mixture) + 0.25)


def test_the_preview_recovers_colours_that_latents_hold(sd_folder: Path) -> None:
    base = Base.from_pretrained(sd_folder)
    base.vae = LinearAutoencoder()
    colours = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(5)) * 1.8 - 0.9
    pictures = torch.nn.functional.interpolate(colours, scale_factor=8)
    torch.testing.assert_close(base.preview(base.encode(pictures)), colours, atol=0.01, rtol=0.01)


# -- equality with diffusers -------------------------------------------------------------------------------


def test_sdxl_is_bitwise_that_of_diffusers(sdxl_folder: Path) -> None:
    theirs = tiny.in_one_layout(diffusers.StableDiffusionXLPipeline.from_pretrained(sdxl_folder))
    ours = MCMPipeline(Base.from_pretrained(sdxl_folder))
    for negative in ("", "fog"):
        request = Request(prompt="a lake", negative_prompt=negative, steps=3, seeds=(5,))
        picture = theirs(
            "a lake",
            negative_prompt=negative or None,
            num_inference_steps=3,
            generator=torch.Generator().manual_seed(5),
        ).images[0]
        assert np.array_equal(ours(request).images[0], np.asarray(picture))


def test_ldm_is_bitwise_that_of_diffusers(ldm_folder: Path) -> None:
    theirs = tiny.in_one_layout(diffusers.LDMPipeline.from_pretrained(ldm_folder))
    picture = theirs(num_inference_steps=3, generator=torch.Generator().manual_seed(5)).images[0]
    images = MCMPipeline(Base.from_pretrained(ldm_folder))(Request(steps=3, seeds=(5,))).images
    assert np.array_equal(images[0], np.asarray(picture))


def test_ddpm_is_bitwise_that_of_diffusers(ddpm_folder: Path) -> None:
    theirs = tiny.in_one_layout(diffusers.DDPMPipeline.from_pretrained(ddpm_folder))
    picture = theirs(num_inference_steps=3, generator=torch.Generator().manual_seed(5)).images[0]
    images = MCMPipeline(Base.from_pretrained(ddpm_folder))(Request(steps=3, seeds=(5,))).images
    assert np.array_equal(images[0], np.asarray(picture))


# -- schedulers --------------------------------------------------------------------------------------------


def test_the_template_is_never_stepped(base: Base) -> None:
    before = dict(base.scheduler.__dict__)
    MCMPipeline(base)(Request(steps=2))
    assert base.scheduler.__dict__.keys() == before.keys()
    assert all(base.scheduler.__dict__[name] is value for name, value in before.items())
    assert base.make_scheduler() is not base.make_scheduler()


def test_v_prediction_refuses_pndm(sd_v_folder: Path) -> None:
    base = Base.from_pretrained(sd_v_folder)
    assert set(SCHEDULERS) - set(base.scheduler_names) - set(FEW_STEPS) == {"pndm"}
    with pytest.raises(InputError, match="pndm"):
        base.make_scheduler("pndm")


def test_sample_prediction_refuses_four(tmp_path: Path) -> None:
    base = Base.from_pretrained(tiny.build_stable_diffusion(tmp_path, "sample"))
    refused = set(SCHEDULERS) - set(base.scheduler_names) - set(FEW_STEPS)
    assert refused == {"pndm", "euler-a", "kdpm2", "kdpm2-a"}


def test_zero_terminal_snr_refuses_what_cannot_rescale(tmp_path: Path) -> None:
    base = Base.from_pretrained(tiny.build_stable_diffusion(tmp_path, "v_prediction", zero_snr=True))
    assert set(base.scheduler_names) == {"ddim", "ddpm", "euler", "euler-a", "dpmsolver++", "unipc"}


def test_an_unknown_scheduler_is_refused_with_the_known_ones(base: Base) -> None:
    with pytest.raises(InputError, match=r"'magic'.*ddim.*unipc"):
        base.make_scheduler("magic")


def test_a_base_whose_own_scheduler_cannot_work_falls_back(copied: Path) -> None:
    config = copied / "scheduler" / "scheduler_config.json"
    v_prediction = {**json.loads(config.read_text()), "prediction_type": "v_prediction"}
    config.write_text(json.dumps({**v_prediction, "_class_name": "PNDMScheduler"}))
    edit_index(copied, scheduler=["diffusers", "PNDMScheduler"])
    assert Base.from_pretrained(copied).scheduler_name() == "ddim"


# -- fingerprints and unfitting modulators -----------------------------------------------------------------


def test_the_same_weights_have_the_same_fingerprint_in_half_precision(
    sd_folder: Path, tmp_path: Path
) -> None:
    halved = diffusers.StableDiffusionPipeline.from_pretrained(sd_folder, dtype=torch.float16)
    halved.save_pretrained(tmp_path)
    assert Base.from_pretrained(tmp_path).fingerprint == Base.from_pretrained(sd_folder).fingerprint


def test_a_modulator_of_this_base_fits_without_notes(base: Base) -> None:
    assert base.check(tiny.build_modulator(base)) == ()


def test_a_modulator_of_other_weights_fits_with_a_note(base: Base, tmp_path: Path) -> None:
    other = Base.from_pretrained(tiny.build_stable_diffusion(tmp_path, seed=1))
    (note,) = MCMPipeline(base, tiny.build_modulator(other)).notes
    assert other.id in note
    assert base.id in note


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"latent_channels": 3}, "latent_channels is 3, the base's is 4"),
        ({"downscale": 4}, "downscale is 4"),
        ({"latent_scaling": 0.18215}, "latent_scaling is 0.18215"),
        ({"num_train_timesteps": 500}, "num_train_timesteps is 500"),
        ({"base": {"id": "another", "fingerprint": "0123-4567"}}, "noise schedule.*another"),
    ],
)
def test_an_unfitting_modulator_is_refused(base: Base, config: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MCMPipeline(base, tiny.build_modulator(base, **config))


# -- what cannot be opened ---------------------------------------------------------------------------------


def edit_index(folder: Path, **entries: Any) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | entries))


def edit_weights(file: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    weights = load_file(file)
    change(weights)
    save_file(weights, file, {"format": "pt"})


def refused(source: Path | str, *words: str, **options: Any) -> None:
    with pytest.raises(InputError) as caught:
        Base.from_pretrained(source, **options)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("suffix", [".ckpt", ".bin", ".pt", ".pth", ".CKPT"])
def test_a_pickle_is_refused_unread(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"model{suffix}"
    file.write_bytes(b"cos\nsystem\n(S'touch /tmp/pwned'\ntR.")
    refused(file, str(file), "pickle", ".safetensors")


def test_a_folder_of_pickles_is_refused(copied: Path) -> None:
    for file in copied.rglob("*.safetensors"):
        torch.save(load_file(file), file.with_suffix(".bin"))
        file.unlink()
    refused(copied, str(copied), "convert")


def test_wrong_places_are_refused(tmp_path: Path, sd_folder: Path) -> None:
    refused(tmp_path, str(tmp_path), "model_index.json")
    refused(sd_folder / "unet", "model_index.json")
    refused(tmp_path / "nowhere", "There is no base")
    refused(sd_folder / "model_index.json", "cannot be opened as a base")
    refused("", "No base is named")


def test_an_unreachable_hub_id_is_refused() -> None:
    refused("nobody/nothing", "nobody/nothing")


@pytest.mark.parametrize("part", ["unet", "vae"])
def test_truncated_weights_are_refused(copied: Path, part: str) -> None:
    file = copied / part / WEIGHTS
    file.write_bytes(file.read_bytes()[:-100])
    refused(copied, str(file), "damaged")


@pytest.mark.parametrize("part", ["unet/" + WEIGHTS, "vae/" + WEIGHTS, "text_encoder/model.safetensors"])
def test_weights_that_are_no_numbers_are_refused(copied: Path, part: str) -> None:
    edit_weights(copied / part, lambda weights: next(iter(weights.values())).fill_(float("nan")))
    refused(copied, part.partition("/")[0], "not finite")


@pytest.mark.parametrize("part", ["unet/" + WEIGHTS, "vae/" + WEIGHTS, "text_encoder/model.safetensors"])
def test_missing_weights_are_refused(copied: Path, part: str) -> None:
    edit_weights(copied / part, lambda weights: weights.popitem())
    refused(copied, part.partition("/")[0], "missing")


def test_a_missing_tokenizer_is_refused(copied: Path) -> None:
    (copied / "tokenizer" / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"neither tokenizer\.json nor vocab\.json"):
        Base.from_pretrained(copied)


def test_weights_of_another_architecture_are_refused(copied: Path, ldm_folder: Path) -> None:
    shutil.copy(ldm_folder / "unet" / WEIGHTS, copied / "unet" / WEIGHTS)
    refused(copied, str(copied))


def test_another_family_is_refused_by_name(copied: Path) -> None:
    index = {"_class_name": "StableDiffusion3Pipeline", "transformer": ["diffusers", "SD3Transformer2DModel"]}
    (copied / "model_index.json").write_text(json.dumps(index))
    refused(copied, "StableDiffusion3Pipeline", "not supported")


def test_a_class_from_elsewhere_is_refused(copied: Path) -> None:
    edit_index(copied, unet=["os", "system"])
    refused(copied, "system", "not supported")


def test_an_unknown_scheduler_class_is_refused(copied: Path) -> None:
    edit_index(copied, scheduler=["diffusers", "AutoencoderKL"])
    refused(copied, "AutoencoderKL")


def test_flow_matching_is_refused(copied: Path) -> None:
    config = {"_class_name": "FlowMatchEulerDiscreteScheduler"}
    (copied / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    edit_index(copied, scheduler=["diffusers", "FlowMatchEulerDiscreteScheduler"])
    refused(copied, "FlowMatchEulerDiscreteScheduler", "not supported")


def test_a_pixel_base_of_one_channel_is_refused(ddpm_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(ddpm_folder, tmp_path / "grey")
    config = json.loads((tmp_path / "grey/unet/config.json").read_text())
    unet = diffusers.UNet2DModel.from_config({**config, "in_channels": 1, "out_channels": 1})
    unet.save_pretrained(tmp_path / "grey/unet")
    refused(tmp_path / "grey", "1 channels")


def test_a_codebook_is_searched_in_float32(ldm_folder: Path) -> None:
    base = Base.from_pretrained(ldm_folder, dtype="bfloat16")
    assert (base.unet.dtype, base.vae.dtype) == (torch.bfloat16, torch.float32)
    assert base.decode(torch.zeros(1, base.latent_channels, 8, 8)).isfinite().all()


@pytest.mark.parametrize("name", ["ddim", "ddpm"])
def test_no_step_is_made_behind_the_last(sd_folder: Path, name: str) -> None:
    """Rounding in diffusers gives "trailing" spacing one timestep more, -1, at 61, 103, 121 and 122 steps."""
    template = Base.from_pretrained(sd_folder).scheduler
    template.register_to_config(timestep_spacing="trailing")
    for steps in (8, 60, 61, 103, 121, 122):
        scheduler = schedulers.converted(template, name)
        schedulers.set_timesteps(scheduler, steps, torch.device("cpu"))
        assert len(scheduler.timesteps) == steps
        assert scheduler.timesteps[-1] >= 0


def test_deis_knows_nothing_of_another_schedulers_algorithm(sd_folder: Path) -> None:
    own = Base.from_pretrained(sd_folder).scheduler
    sde = diffusers.DPMSolverMultistepScheduler.from_config(own.config, algorithm_type="sde-dpmsolver++")
    scheduler = schedulers.make_scheduler(sde, "deis")
    scheduler.set_timesteps(3)
    assert len(scheduler.timesteps) == 3


def test_an_inpainting_unet_is_refused(copied: Path) -> None:
    config = json.loads((copied / "unet" / "config.json").read_text())
    unet = diffusers.UNet2DConditionModel.from_config({**config, "in_channels": 9})
    unet.save_pretrained(copied / "unet")
    refused(copied, "9 channels", "inpainting")


def test_a_safetensors_file_that_is_no_checkpoint_is_refused(sd_folder: Path) -> None:
    refused(sd_folder / "unet" / WEIGHTS, "not a whole Stable Diffusion checkpoint")


def test_a_single_file_is_the_folder_that_it_was_made_of(base: Base, sd_folder: Path, tmp_path: Path) -> None:
    file = write_single_file(sd_folder, tmp_path / "model.safetensors")
    single = Base.from_pretrained(file, config=str(sd_folder))
    assert single.fingerprint == base.fingerprint
    assert single.id == "model.safetensors"
    request = Request(prompt="a lake", steps=2)
    assert np.array_equal(MCMPipeline(single)(request).images, MCMPipeline(base)(request).images)


def test_a_single_file_without_its_configuration_says_what_to_do(sd_folder: Path, tmp_path: Path) -> None:
    refused(write_single_file(sd_folder, tmp_path / "model.safetensors"), "model.safetensors", "`config`")


@pytest.mark.parametrize(
    "part", ["model.diffusion_model.out.2.bias", "first_stage_model.decoder.conv_out.bias"]
)
def test_a_single_file_that_is_incomplete_or_damaged_is_refused(
    sd_folder: Path, tmp_path: Path, part: str
) -> None:
    file = write_single_file(sd_folder, tmp_path / "model.safetensors")
    edit_weights(file, lambda weights: weights[part].fill_(float("inf")))
    refused(file, str(file), "not finite", config=str(sd_folder))
    edit_weights(file, lambda weights: weights.pop(part))
    refused(file, str(file), "missing", config=str(sd_folder))
    file.write_bytes(file.read_bytes()[:-100])
    refused(file, str(file), "damaged", config=str(sd_folder))


def test_a_folder_of_half_precision_files_opens(sd_folder: Path, tmp_path: Path) -> None:
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(sd_folder, dtype=torch.float16)
    pipe.save_pretrained(tmp_path, variant="fp16")
    assert not (tmp_path / "unet" / WEIGHTS).exists()
    assert Base.from_pretrained(tmp_path).fingerprint == Base.from_pretrained(sd_folder).fingerprint


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float32])
def test_networks_are_opened_in_the_precision_that_they_are_stored_in(
    sd_folder: Path, tmp_path: Path, stored: torch.dtype
) -> None:
    """So that a half-precision base never takes twice its size in main memory."""
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(sd_folder, dtype=stored)
    pipe.save_pretrained(tmp_path)
    opened, _ = open_pipeline(tmp_path)
    assert {network.dtype for network in networks(opened)} == {stored}
    assert open_autoencoder(tmp_path).dtype == torch.float32
    file = write_single_file(tmp_path, tmp_path / "model.safetensors", stored)
    single, _ = open_pipeline(file, config=str(sd_folder))
    assert {network.dtype for network in networks(single)} == {stored}
    for dtype in (torch.float32, torch.bfloat16):
        ours, theirs = Base.from_pretrained(tmp_path, dtype=dtype), pipe.unet.to(dtype)
        assert all(map(torch.equal, ours.unet.parameters(), theirs.parameters()))
        pipe.unet.to(stored)


def test_of_two_precisions_the_one_that_is_opened_counts(sd_folder: Path, tmp_path: Path) -> None:
    for variant, dtype in (("fp16", torch.float16), (None, torch.float32)):
        pipe = diffusers.StableDiffusionPipeline.from_pretrained(sd_folder, dtype=dtype)
        pipe.save_pretrained(tmp_path, variant=variant)
    for options, expected in (({}, torch.float32), ({"variant": "fp16"}, torch.float16)):
        opened, _ = open_pipeline(tmp_path, **options)
        assert {network.dtype for network in networks(opened)} == {expected}


@pytest.mark.parametrize("folder", ["sd_folder", "sdxl_folder", "ldm_folder"])
def test_prompts_encoded_together_are_those_encoded_one_by_one(
    request: pytest.FixtureRequest, folder: str
) -> None:
    base, prompts = Base.from_pretrained(request.getfixturevalue(folder)), ["a lake", "hills at dusk"]
    rows = base.encode_prompt(prompts, together=True).rows(2)
    for row, prompt in zip(rows, prompts, strict=True):
        alone = base.encode_prompt([prompt])
        torch.testing.assert_close((row.hidden, row.pooled), (alone.hidden, alone.pooled))
