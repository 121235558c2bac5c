"""The small decoder of previews: how it is trained, saved, opened and used in place of the colours."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from mcm_core.mini.autoencoder import reconstruction_loss
from mcm_core.mini.preview_decoder import (
    build_preview_decoder,
    paired_crops,
    save_preview_decoder,
    train_preview_decoder,
)
from mcm_core.sums import check_sums

# -- training ----------------------------------------------------------------------------------------------


def coloured(count: int, side: int) -> tuple[Tensor, Tensor]:
    """Latents (count, 4, side, side) whose first three channels are the colours of their 8 x 8 pixels."""
    latents = torch.rand(count, 4, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    pixels = ((latents[:, :3] + 1) * 127.5).round().byte().permute(0, 2, 3, 1)
    return latents, pixels.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)


def loss_of(model: AutoencoderTiny, latents: Tensor, pictures: Tensor) -> float:
    with torch.no_grad():
        output = model.decode(latents).sample
    return reconstruction_loss(output, pictures.permute(0, 3, 1, 2) / 127.5 - 1).item()


def test_it_learns_and_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    latents, pictures = coloured(count=4, side=6)

    def train(steps: int) -> AutoencoderTiny:
        return train_preview_decoder(
            latents.half(), pictures, tmp_path, steps=steps, batch=2, lr=5e-3, size=32, precision="fp32"
        )

    first = loss_of(train(20), latents, pictures)
    assert loss_of(train(60), latents, pictures) < 0.8 * first
    assert [path.name for path in sorted(tmp_path.glob("step-*"))] == ["step-00000020", "step-00000060"]


def test_a_crop_of_latents_comes_with_its_own_pixels() -> None:
    latents, pictures = coloured(count=3, side=7)
    cut, images = paired_crops(latents, pictures, 3, 16, torch.Generator().manual_seed(1))
    assert cut.shape == (16, 4, 3, 3)
    torch.testing.assert_close(images[:, :, ::8, ::8], cut[:, :3], atol=0.005, rtol=0)
    torch.testing.assert_close(images[:, :, 7::8, 7::8], cut[:, :3], atol=0.005, rtol=0)
    whole, _ = paired_crops(latents, pictures, 7, 1, torch.Generator().manual_seed(1))
    assert any(torch.equal(whole[0], image) for image in latents)


def test_what_is_saved_is_opened_by_diffusers_and_has_its_sums(tmp_path: Path) -> None:
    model = build_preview_decoder()
    save_preview_decoder(model, tmp_path)
    opened = AutoencoderTiny.from_pretrained(tmp_path, use_safetensors=True, torch_dtype=torch.float32)
    latents = torch.randn(1, 4, 4, 6)
    with torch.no_grad():
        decoded, wanted = opened.decode(latents).sample, model.decode(latents).sample
    assert decoded.shape == (1, 3, 32, 48)
    torch.testing.assert_close(decoded, wanted, atol=0.01, rtol=0)
    assert check_sums(tmp_path) == ["config.json", "diffusion_pytorch_model.safetensors"]
