"""`modulate` gives a stock diffusers pipeline: the same as the plain one at strength 0, steered otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module
from PIL import Image

from mcm_core import Base, Conditions, InputError, MCMPipeline, Modulator, Request, modulate
from tests import tiny

SEED = 7


@pytest.fixture
def pipe(sd_folder: Path) -> Any:
    return tiny.in_one_layout(quiet(diffusers.StableDiffusionPipeline.from_pretrained(sd_folder)))


def quiet(pipe: Any) -> Any:
    pipe.set_progress_bar_config(disable=True)
    return pipe


def paint(pipe: Any, prompt: str = "a lake", **options: Any) -> np.ndarray:
    generator = torch.Generator().manual_seed(SEED)
    steps = {"num_inference_steps": 4, **options}
    return quiet(pipe)(prompt, generator=generator, output_type="np", **steps).images


def photo() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))


def variant(kind: Any, pipe: Any) -> Any:
    return quiet(kind(**pipe.components, requires_safety_checker=False))


def test_text_to_image_example_follows_the_drawing_and_leaves_the_pipeline_alone(
    pipe: Any, modulator: Modulator
) -> None:
    plain = paint(pipe)
    drawn = modulate(pipe, modulator, tiny.drawing())
    assert type(drawn) is type(pipe)
    assert not np.array_equal(paint(drawn), plain)
    assert np.array_equal(paint(pipe), plain)
    assert type(pipe.unet) is diffusers.UNet2DConditionModel


def test_hooks_that_move_the_unet_stay_its_own(pipe: Any, modulator: Modulator) -> None:
    """As `enable_model_cpu_offload` hangs them on it; from the wrapper nobody could take them off again."""
    expected = paint(modulate(pipe, modulator, tiny.drawing()))
    add_hook_to_module(pipe.unet, ModelHook())
    drawn = modulate(pipe, modulator, tiny.drawing())
    assert not hasattr(drawn.unet, "_hf_hook")
    assert np.array_equal(paint(drawn), expected)
    plain = paint(pipe)
    add_hook_to_module(drawn.unet, ModelHook())
    assert np.array_equal(paint(drawn), expected)
    assert np.array_equal(paint(pipe), plain)
    remove_hook_from_module(drawn.unet)
    assert np.array_equal(paint(drawn), expected)
    assert hasattr(pipe.unet, "_hf_hook")


def test_a_base_without_words_needs_nothing_said_of_guidance(ldm_folder: Path) -> None:
    modulator = tiny.build_modulator(Base.from_pretrained(ldm_folder))
    pipe = quiet(diffusers.LDMPipeline.from_pretrained(ldm_folder))

    def painted(**how: str) -> np.ndarray:
        drawn = modulate(pipe, modulator, tiny.drawing(), **how)
        return drawn(
            num_inference_steps=2, generator=torch.Generator().manual_seed(SEED), output_type="np"
        ).images

    assert np.array_equal(painted(), painted(placement="both"))


def test_image_to_image_example_follows_the_drawing(pipe: Any, modulator: Modulator) -> None:
    img2img = variant(diffusers.StableDiffusionImg2ImgPipeline, pipe)
    drawn = modulate(img2img, modulator, tiny.drawing(), strength={"labels": 1.0, "sketch": 0.5})
    plain = paint(img2img, image=photo(), strength=0.7)
    assert not np.array_equal(paint(drawn, image=photo(), strength=0.7), plain)


def test_inpainting_follows_the_drawing(pipe: Any, modulator: Modulator) -> None:
    inpainting = variant(diffusers.StableDiffusionInpaintPipeline, pipe)
    mask = Image.fromarray(np.repeat(np.repeat([[0, 255]], 64, 0), 32, 1).astype(np.uint8))
    drawn = modulate(inpainting, modulator, tiny.drawing())
    options = {"image": photo(), "mask_image": mask, "height": 64, "width": 64}
    assert not np.array_equal(paint(drawn, **options), paint(inpainting, **options))


@pytest.mark.parametrize("scale", [1.0, 7.5])
@pytest.mark.parametrize(("placement", "boost"), [("both", 1.0), ("conditional", 1.0), ("conditional", 2.3)])
def test_it_paints_what_the_pipeline_of_this_project_paints(
    pipe: Any, base: Base, modulator: Modulator, scale: float, placement: Any, boost: float
) -> None:
    drawn = modulate(pipe, modulator, tiny.drawing(), placement=placement, prompt_boost=boost)
    request = Request(
        prompt="a lake",
        conditions=tiny.drawing(),
        steps=4,
        seeds=(SEED,),
        guidance_scale=scale,
        placement=placement,
        prompt_boost=boost,
    )
    expected = MCMPipeline(base, modulator)(request).images
    painted = (paint(drawn, guidance_scale=scale) * 255).round().astype(np.uint8)
    assert np.array_equal(painted, expected)


@pytest.mark.parametrize(
    "off",
    [
        {"strength": 0.0},
        {"strength": {"labels": 0.0, "sketch": 0.0}},
        {"start": 1.0},
        {"end": 0.0},
        {"conditions": Conditions()},
    ],
)
def test_switched_off_it_is_bitwise_the_unwrapped_pipeline(
    pipe: Any, modulator: Modulator, off: dict[str, Any]
) -> None:
    options = {"conditions": tiny.drawing(), **off}
    drawn = modulate(pipe, modulator, options.pop("conditions"), **options)
    assert np.array_equal(paint(drawn), paint(pipe))


def test_an_untrained_modulator_is_bitwise_the_unwrapped_pipeline(pipe: Any, base: Base) -> None:
    untrained = tiny.build_modulator(base, trained=False)
    assert np.array_equal(paint(modulate(pipe, untrained, tiny.drawing())), paint(pipe))


def test_v_prediction_and_another_scheduler(sd_v_folder: Path) -> None:
    pipe = tiny.in_one_layout(quiet(diffusers.StableDiffusionPipeline.from_pretrained(sd_v_folder)))
    base = Base.from_pretrained(sd_v_folder)
    modulator = tiny.build_modulator(base)
    drawn = modulate(pipe, modulator, tiny.drawing())
    drawn.scheduler = diffusers.EulerDiscreteScheduler.from_config(pipe.scheduler.config)
    request = Request(prompt="a lake", conditions=tiny.drawing(), steps=4, seeds=(SEED,), scheduler="euler")
    expected = MCMPipeline(base, modulator)(request).images
    assert np.array_equal((paint(drawn) * 255).round().astype(np.uint8), expected)


def test_sdxl(sdxl_folder: Path) -> None:
    pipe = tiny.in_one_layout(quiet(diffusers.StableDiffusionXLPipeline.from_pretrained(sdxl_folder)))
    modulator = tiny.build_modulator(Base.from_pretrained(sdxl_folder))
    assert not np.array_equal(paint(modulate(pipe, modulator, tiny.drawing())), paint(pipe))
    assert np.array_equal(paint(modulate(pipe, modulator, tiny.drawing(), strength=0)), paint(pipe))


def test_a_lora_file_loads_into_the_wrapped_pipeline(pipe: Any, modulator: Modulator, tmp_path: Path) -> None:
    write_lora(pipe, tmp_path)
    drawn = modulate(pipe, modulator, tiny.drawing(), strength=0)
    without = paint(drawn)
    drawn.load_lora_weights(tmp_path, adapter_name="style")
    with_lora = paint(drawn)
    assert not np.array_equal(with_lora, without)
    drawn.set_adapters(["style"], [0.5])
    assert not np.array_equal(paint(drawn), with_lora)
    drawn.unload_lora_weights()
    assert np.array_equal(paint(drawn), without)


def write_lora(pipe: Any, folder: Path) -> None:
    """A LoRA of rank 2 on the attention of the U-Net, random, in the file layout of diffusers."""
    state = {}
    generator = torch.Generator().manual_seed(0)
    for name, layer in pipe.unet.named_modules():
        if name.endswith(("to_q", "to_v")):
            state[f"{name}.lora_A.weight"] = torch.randn(2, layer.in_features, generator=generator)
            state[f"{name}.lora_B.weight"] = torch.randn(layer.out_features, 2, generator=generator)
    type(pipe).save_lora_weights(folder, unet_lora_layers=state, safe_serialization=True)


def test_an_ip_adapter_loads_into_the_wrapped_pipeline(pipe: Any, modulator: Modulator) -> None:
    drawn = modulate(pipe, modulator, tiny.drawing())
    drawn.load_ip_adapter(ip_adapter(pipe.unet), "", "", image_encoder_folder=None)
    images = [torch.full((2, 1, 8), value) for value in (0.0, 1.0)]  # [negative, positive] embeddings
    first, second = (paint(drawn, ip_adapter_image_embeds=[image]) for image in images)
    assert not np.array_equal(first, second)
    drawn.unload_ip_adapter()
    assert np.array_equal(paint(drawn), paint(modulate(pipe, modulator, tiny.drawing())))


def ip_adapter(unet: Any) -> dict[str, dict[str, torch.Tensor]]:
    """Random weights for image embeddings of width 8, each read as four tokens."""
    torch.manual_seed(0)
    width = unet.config.cross_attention_dim
    cross = [layer for name, layer in unet.named_modules() if name.endswith("attn2")]
    attention = {
        f"{2 * index + 1}.to_{kind}_ip.weight": torch.randn(layer.to_q.out_features, width)
        for index, layer in enumerate(cross)
        for kind in "kv"
    }
    projection = {"proj.weight": torch.randn(4 * width, 8), "proj.bias": torch.randn(4 * width)}
    norm = {"norm.weight": torch.ones(width), "norm.bias": torch.zeros(width)}
    return {"image_proj": projection | norm, "ip_adapter": attention}


def test_attributes_are_read_from_and_set_on_the_unet(pipe: Any, modulator: Modulator) -> None:
    unet = modulate(pipe, modulator, tiny.drawing()).unet
    assert unet.config is pipe.unet.config
    assert unet.dtype == pipe.unet.dtype
    assert unet.attn_processors.keys() == pipe.unet.attn_processors.keys()
    marker = torch.nn.Identity()
    unet.encoder_hid_proj = marker
    assert pipe.unet.encoder_hid_proj is marker
    pipe.unet.encoder_hid_proj = None


def test_guided_placement_is_refused_by_name(pipe: Any, modulator: Modulator) -> None:
    with pytest.raises(InputError, match="guided"):
        modulate(pipe, modulator, tiny.drawing(), placement="guided")


def test_a_modulator_of_other_latents_is_refused(pipe: Any, ldm_folder: Path) -> None:
    with pytest.raises(InputError, match="latent_channels is 3, the base's is 4"):
        modulate(pipe, tiny.build_modulator(Base.from_pretrained(ldm_folder)), tiny.drawing())


def test_other_pipelines_of_the_same_parts_follow_alike(pipe: Any, modulator: Modulator) -> None:
    drawn = modulate(pipe, modulator, tiny.drawing(), placement="conditional")
    expected = paint(drawn)
    again = quiet(diffusers.StableDiffusionPipeline(**drawn.components, requires_safety_checker=False))
    from_pipe = quiet(diffusers.AutoPipelineForText2Image.from_pipe(drawn))
    unwrapped = modulate(pipe, modulator, tiny.drawing(), placement="conditional")
    del drawn
    for pipeline in (again, from_pipe, unwrapped):
        assert np.array_equal(paint(pipeline), expected)
    img2img = quiet(diffusers.AutoPipelineForImage2Image.from_pipe(again))
    direct = modulate(variant(diffusers.StableDiffusionImg2ImgPipeline, pipe), modulator, tiny.drawing())
    options = {"image": photo(), "strength": 0.7}
    assert np.array_equal(paint(img2img, **options), paint(direct, **options))


def test_both_of_two_nested_drawings_know_the_guidance(pipe: Any, modulator: Modulator) -> None:
    """With the outer one off, the inner one acts as it does alone."""
    inner = modulate(pipe, modulator, tiny.drawing(), placement="conditional")
    outer = modulate(inner, modulator, tiny.drawing(), placement="conditional", strength=0)
    assert np.array_equal(paint(outer), paint(inner))


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        (diffusers.StableDiffusionPAGPipeline, "third branch"),
        (diffusers.StableDiffusionSAGPipeline, "self-attention"),
        (diffusers.StableDiffusionInstructPix2PixPipeline, "three branches"),
        (diffusers.StableDiffusionPanoramaPipeline, "many crops"),
    ],
)
def test_pipelines_of_another_make_are_refused_by_name(
    pipe: Any, modulator: Modulator, kind: Any, named: str
) -> None:
    with pytest.raises(InputError, match=f"{kind.__name__} cannot follow a drawing: .*{named}"):
        modulate(variant(kind, pipe), modulator, tiny.drawing())


@pytest.mark.parametrize("placement", ["both", "conditional"])
def test_perturbed_attention_that_comes_later_is_refused_and_leaves_the_modulator_alone(
    pipe: Any, modulator: Modulator, placement: str
) -> None:
    before = {name: type(part).__name__ for name, part in modulator.named_modules()}
    drawn = modulate(pipe, modulator, tiny.drawing(), placement=placement)
    perturbed = quiet(diffusers.AutoPipelineForText2Image.from_pipe(drawn, enable_pag=True))
    with pytest.raises(InputError, match="cannot follow a drawing"):
        paint(perturbed, pag_scale=3.0)
    assert {name: type(part).__name__ for name, part in modulator.named_modules()} == before


def test_schedulers_without_alphas_and_pipelines_without_a_unet_are_refused_by_name(
    pipe: Any, modulator: Modulator
) -> None:
    other = variant(diffusers.StableDiffusionPipeline, pipe)
    other.scheduler = diffusers.EDMEulerScheduler()
    with pytest.raises(InputError, match="EDMEulerScheduler has no alphas_cumprod"):
        modulate(other, modulator, tiny.drawing())
    other.scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    with pytest.raises(InputError, match="FlowMatchEulerDiscreteScheduler has no alphas_cumprod"):
        modulate(other, modulator, tiny.drawing())
    with pytest.raises(InputError, match="has no U-Net"):
        modulate(diffusers.DiffusionPipeline(), modulator, tiny.drawing())


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"strength": 5.0}, "strength"),
        ({"strength": {"scetch": 1.0}}, "scetch"),
        ({"conditions": photo()}, "Conditions object"),
    ],
)
def test_values_that_cannot_be_are_refused(
    pipe: Any, modulator: Modulator, bad: dict[str, Any], told: str
) -> None:
    options = {"conditions": tiny.drawing(), **bad}
    with pytest.raises(InputError, match=told):
        modulate(pipe, modulator, options.pop("conditions"), **options)


def test_saving_says_what_to_save_instead(pipe: Any, modulator: Modulator, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Save the plain pipeline and the modulator"):
        modulate(pipe, modulator, tiny.drawing()).save_pretrained(tmp_path)


def test_saved_plain_and_opened_again_it_follows_as_before(
    pipe: Any, modulator: Modulator, tmp_path: Path
) -> None:
    drawn = modulate(pipe, modulator, tiny.drawing())
    pipe.save_pretrained(tmp_path / "pipe")
    modulator.save_pretrained(tmp_path / "modulator")
    opened = quiet(diffusers.StableDiffusionPipeline.from_pretrained(tmp_path / "pipe"))
    again = modulate(opened, Modulator.from_pretrained(tmp_path / "modulator"), tiny.drawing())
    np.testing.assert_allclose(paint(again), paint(drawn), atol=1e-5)


def test_what_a_refused_save_left_does_not_open_as_something_else(
    pipe: Any, modulator: Modulator, tmp_path: Path
) -> None:
    with pytest.raises(InputError):
        modulate(pipe, modulator, tiny.drawing()).save_pretrained(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"model_index\.json"):
        diffusers.StableDiffusionPipeline.from_pretrained(tmp_path / "pipe")


def test_a_modulator_of_few_steps_is_refused_by_name(pipe: Any, modulator: Modulator) -> None:
    live = Modulator.from_config(modulator.config)
    live.register_to_config(live={"grid": 50, "steps": [1, 2, 4], "guidance_scale": 3.0})
    assert live.live is not None
    with pytest.raises(InputError, match="made for few steps"):
        modulate(pipe, live, tiny.drawing())


def test_a_tiny_autoencoder_may_stand_in(pipe: Any, modulator: Modulator) -> None:
    """Its latents are the scaled ones that the U-Net sees; its own scaling factor is 1."""
    torch.manual_seed(0)
    pipe.vae = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4, latent_channels=4
    ).eval()
    drawn = modulate(pipe, modulator, tiny.drawing())
    assert not np.array_equal(paint(drawn), paint(pipe))
    other = Modulator.from_config({**modulator.config, "latent_channels": 3})
    with pytest.raises(InputError, match="latent_channels is 3"):
        modulate(pipe, other, tiny.drawing())
