"""Small random models in the real diffusers layout: seeded, a few hundred kilobytes, no network.

Each `build_*` function writes a folder that `diffusers.DiffusionPipeline.from_pretrained` opens, and
returns it. Latents are 8x8 and pictures 64x64 (8 pixels per latent), unless the arguments say otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffusers
import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler, UNet2DConditionModel, UNet2DModel
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from mcm_core.drawing.conditions import Conditions

if TYPE_CHECKING:
    from mcm_core.base import Base
    from mcm_core.modulator import Modulator

TEXT_WIDTH = 16
CLASSES = (("sky", "#8ec1ef"), ("hill", "#6a9a4c"), ("water", "#2b5fae"))
MODALITIES = (("labels", "labels", 1), ("sketch", "image", 1))


def build_stable_diffusion(
    folder: Path | str,
    prediction_type: str = "epsilon",
    *,
    seed: int = 0,
    latent_channels: int = 4,
    sample_size: int = 8,
    zero_snr: bool = False,
) -> Path:
    """Stable Diffusion 1.x/2.x in small; `zero_snr` rescales the betas to zero terminal signal-to-noise."""
    torch.manual_seed(seed)
    pipeline = diffusers.StableDiffusionPipeline(
        vae=_autoencoder(latent_channels),
        text_encoder=CLIPTextModel(_text_config()).eval(),
        tokenizer=_tokenizer(),
        unet=_text_unet(latent_channels, sample_size, TEXT_WIDTH),
        scheduler=_scheduler(prediction_type, zero_snr),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return _save(pipeline, folder)


def build_lcm(folder: Path | str, *, seed: int = 0) -> Path:
    """A latent consistency model in small: a U-Net that is told its guidance, and LCM's own scheduler."""
    torch.manual_seed(seed)
    ordinary = _scheduler("epsilon", False)
    pipeline = diffusers.LatentConsistencyModelPipeline(
        vae=_autoencoder(4),
        text_encoder=CLIPTextModel(_text_config()).eval(),
        tokenizer=_tokenizer(),
        unet=_text_unet(4, 8, TEXT_WIDTH, time_cond_proj_dim=16),
        scheduler=diffusers.LCMScheduler.from_config(ordinary.config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return _save(pipeline, folder)


def build_lora(base: Path | str, file: Path, *, seed: int = 0) -> Path:
    """A LoRA for a U-Net in small, as its trainers save it; it acts."""
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(base)
    torch.manual_seed(seed)
    targets = ["to_q", "to_k", "to_v", "to_out.0"]
    pipeline.unet.add_adapter(LoraConfig(r=2, init_lora_weights="gaussian", target_modules=targets))
    for name, parameter in pipeline.unet.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    layers = diffusers.utils.convert_state_dict_to_diffusers(get_peft_model_state_dict(pipeline.unet))
    diffusers.StableDiffusionPipeline.save_lora_weights(file.parent, layers, weight_name=file.name)
    return file


def build_sdxl(folder: Path | str, *, seed: int = 0, sample_size: int = 8) -> Path:
    """SDXL in small: two text encoders, pooled text and size embeddings, `force_upcast`."""
    torch.manual_seed(seed)
    extra: dict[str, Any] = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 6 * 8 + TEXT_WIDTH,
    }
    pipeline = diffusers.StableDiffusionXLPipeline(
        vae=_autoencoder(4, force_upcast=True),
        text_encoder=CLIPTextModel(_text_config()).eval(),
        text_encoder_2=CLIPTextModelWithProjection(_text_config()).eval(),
        tokenizer=_tokenizer(),
        tokenizer_2=_tokenizer(),
        unet=_text_unet(4, sample_size, 2 * TEXT_WIDTH, **extra),
        scheduler=_scheduler("epsilon", False),
    )
    return _save(pipeline, folder)


def build_ldm(folder: Path | str, *, seed: int = 0, latent_channels: int = 3, sample_size: int = 8) -> Path:
    """An unconditional latent diffusion model with a vector-quantised autoencoder (`LDMPipeline`)."""
    torch.manual_seed(seed)
    vqvae = diffusers.VQModel(
        block_out_channels=(8,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=latent_channels,
        num_vq_embeddings=32,
        norm_num_groups=4,
    )
    unet = _plain_unet(latent_channels, sample_size)
    pipeline = diffusers.LDMPipeline(vqvae=vqvae.eval(), unet=unet, scheduler=_scheduler("epsilon", False))
    return _save(pipeline, folder)


def build_ddpm(
    folder: Path | str, prediction_type: str = "epsilon", *, seed: int = 0, sample_size: int = 16
) -> Path:
    """An unconditional model of 16x16 pixels without an autoencoder (`DDPMPipeline`)."""
    torch.manual_seed(seed)
    scheduler = DDPMScheduler(prediction_type=prediction_type)
    pipeline = diffusers.DDPMPipeline(unet=_plain_unet(3, sample_size), scheduler=scheduler)
    return _save(pipeline, folder)


def build_modulator(base: Base, /, *, trained: bool = True, seed: int = 0, **config: Any) -> Modulator:
    """A small modulator for `base`; `trained` fills what starts at zero with noise, so that it acts."""
    from mcm_core.modulator import Modulator

    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "latent_channels": base.latent_channels,
        "downscale": base.downscale,
        "modalities": [{"name": n, "kind": k, "channels": c} for n, k, c in MODALITIES],
        "classes": [{"name": name, "color": color} for name, color in CLASSES],
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "attention_levels": (1,),
        "condition_channels": 8,
        "norm_num_groups": 4,
        "base": {"id": base.id, "fingerprint": base.fingerprint},
        "latent_scaling": base.latent_scaling,
        "latent_shift": base.latent_shift,
    }
    modulator = Modulator(**(settings | config)).eval()
    if trained:
        torch.nn.init.normal_(modulator.trunk.conv_out.weight, std=0.05)
        torch.nn.init.normal_(modulator.trunk.conv_out.bias, std=0.05)
        for absent in modulator.absent.values():
            torch.nn.init.normal_(absent)
    return modulator


def drawing(side: int = 64) -> Conditions:
    """Sky above, water below, unpainted between, and a horizon as a sketch, for `build_modulator`."""
    labels, sketch = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)
    labels[: side // 2], labels[-side // 3 :] = 1, 3
    sketch[side // 2, side // 8 : -side // 8] = 255
    return Conditions({"labels": labels, "sketch": sketch})


def _save(pipeline: diffusers.DiffusionPipeline, folder: Path | str) -> Path:
    pipeline.save_pretrained(folder, safe_serialization=True)
    return Path(folder)


def _tokenizer() -> CLIPTokenizer:
    """A byte-level tokenizer without merges: one token per byte, 77 tokens at most."""
    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def _text_config() -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=514,
        hidden_size=TEXT_WIDTH,
        intermediate_size=32,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )


def _autoencoder(latent_channels: int, **config: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=latent_channels,
        norm_num_groups=4,
        sample_size=64,
        scaling_factor=0.5,
        **config,
    ).eval()


def _text_unet(channels: int, sample_size: int, text_width: int, **config: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=sample_size,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=text_width,
        attention_head_dim=4,
        norm_num_groups=4,
        **config,
    ).eval()


def _plain_unet(channels: int, sample_size: int) -> UNet2DModel:
    return UNet2DModel(
        sample_size=sample_size,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
    ).eval()


def _scheduler(prediction_type: str, zero_snr: bool) -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction_type,
        rescale_betas_zero_snr=zero_snr,
        timestep_spacing="trailing" if zero_snr else "leading",
    )


def build_segformer(folder: Path, names: tuple[str, ...], found: str) -> Path:
    """A small semantic model of transformers that calls everything `found`, and is sure of it."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessorPil

    config = SegformerConfig(
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[4, 2],
        hidden_sizes=[8, 16],
        patch_sizes=[7, 3],
        strides=[4, 2],
        num_attention_heads=[1, 2],
        mlp_ratios=[2, 2],
        decoder_hidden_size=16,
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
    )
    torch.manual_seed(0)
    model = SegformerForSemanticSegmentation(config)
    with torch.no_grad():
        model.decode_head.classifier.weight.zero_()
        model.decode_head.classifier.bias.copy_(torch.tensor([4.0 * (name == found) for name in names]))
    model.save_pretrained(folder)
    SegformerImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


def build_oneformer(folder: Path, names: tuple[str, ...]) -> Path:
    """A universal model at random, which is told in words what it is to do."""
    from transformers import (
        OneFormerConfig,
        OneFormerForUniversalSegmentation,
        OneFormerImageProcessorPil,
        OneFormerProcessor,
        SwinConfig,
    )

    backbone = SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 1, 1],
        window_size=2,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    widths = ("hidden_dim", "mask_dim", "conv_dim", "dim_feedforward", "encoder_feedforward_dim")
    config = OneFormerConfig(
        backbone_config=backbone,
        num_queries=4,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        text_encoder_width=TEXT_WIDTH,
        text_encoder_num_layers=1,
        text_encoder_vocab_size=514,
        text_encoder_n_ctx=2,
        **dict.fromkeys(widths, 32),
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
    )
    torch.manual_seed(0)
    OneFormerForUniversalSegmentation(config).save_pretrained(folder)
    pictures = OneFormerImageProcessorPil(size={"height": 64, "width": 64}, num_labels=len(names), num_text=2)
    OneFormerProcessor(pictures, _tokenizer()).save_pretrained(folder)
    return folder


def in_one_layout(pipe: Any) -> Any:
    """The pipeline of diffusers with its networks in the layout that `Base` gives them: convolutions in
    another one sum in another order, which shows in the last bits."""
    for name in ("unet", "vae", "vqvae"):
        if getattr(pipe, name, None) is not None:
            getattr(pipe, name).to(memory_format=torch.channels_last)
    return pipe
