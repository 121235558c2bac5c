"""The small decoder of previews: how it is trained, saved, opened and used in place of the colours."""

from __future__ import annotations

import base64
import io
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from demo import views
from demo.app import parse
from demo.models import Job, Models, open_models
from demo.runs import Run
from mcm_core import Base, MCMPipeline
from mcm_core import models as door
from mcm_core.__main__ import main
from mcm_core.drawing.conditions import InputError
from mcm_core.mini.autoencoder import reconstruction_loss
from mcm_core.mini.preview_decoder import (
    build_preview_decoder,
    paired_crops,
    save_preview_decoder,
    train_preview_decoder,
)
from mcm_core.pipeline import Step
from mcm_core.request import Request
from mcm_core.sums import SUMS, check_sums
from tests import tiny

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


# -- in a base ---------------------------------------------------------------------------------------------

WEIGHTS = "diffusion_pytorch_model.safetensors"


def build(folder: Path, **config: Any) -> Path:
    """A random decoder that differs from the project's own in `config`."""
    settings = {"decoder_block_out_channels": (8,) * 4, "num_decoder_blocks": (1, 0, 0, 0), **config}
    torch.manual_seed(0)
    AutoencoderTiny(
        encoder_block_out_channels=(4,) * 4, num_encoder_blocks=(0,) * 4, **settings
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def decoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("decoder"))


@pytest.fixture(scope="module")
def seeing(sd_folder: Path, decoder_folder: Path) -> Base:
    """The small Stable Diffusion with a preview decoder."""
    return Base.from_pretrained(sd_folder, preview_decoder=decoder_folder)


def test_a_preview_is_what_the_decoder_makes_of_the_scaled_latents(
    seeing: Base, decoder_folder: Path
) -> None:
    latents = torch.randn(2, 4, 8, 6)
    theirs = AutoencoderTiny.from_pretrained(decoder_folder)
    with torch.no_grad():
        wanted = theirs.decode(latents).sample.clamp(-1, 1)
    preview = seeing.preview(latents)
    assert preview.shape == (2, 3, 64, 48)
    assert preview.grad_fn is None
    torch.testing.assert_close(preview, wanted, atol=1e-5, rtol=0)


def test_a_scaling_factor_is_used_as_in_the_pipelines_of_diffusers(
    sd_folder: Path, decoder_folder: Path, seeing: Base, tmp_path: Path
) -> None:
    scaled = Base.from_pretrained(sd_folder, preview_decoder=build(tmp_path, scaling_factor=0.5))
    latents = torch.randn(1, 4, 8, 8)
    torch.testing.assert_close(scaled.preview(latents), seeing.preview(latents / 0.5), atol=1e-5, rtol=0)


def test_the_base_stays_what_it_is_with_a_decoder(seeing: Base, base: Base) -> None:
    assert seeing.identity == base.identity
    assert seeing.parameter_count == base.parameter_count
    decoder = seeing.preview_decoder
    assert not decoder.training
    assert not any(parameter.requires_grad for parameter in decoder.parameters())
    request = Request(steps=2, seeds=(3,))
    assert np.array_equal(MCMPipeline(seeing)(request).images, MCMPipeline(base)(request).images)


def test_it_works_in_the_precision_of_the_base(sd_folder: Path, decoder_folder: Path) -> None:
    half = Base.from_pretrained(sd_folder, dtype="bfloat16", preview_decoder=decoder_folder)
    assert half.preview_decoder.dtype == torch.bfloat16
    assert half.preview(torch.randn(1, 4, 8, 8)).dtype == torch.float32


def refused(sd_folder: Path, decoder: Path | str, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        Base.from_pretrained(sd_folder, preview_decoder=decoder)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"latent_channels": 16}, ["channels of the latents are 16, not 4", "does not fit the base"]),
        (
            {"decoder_block_out_channels": (8,) * 3, "num_decoder_blocks": (1, 0, 0)},
            ["pixels per latent along each side are 4, not 8"],
        ),
        ({"out_channels": 4}, ["channels of the pictures are 4, not 3"]),
        ({"scaling_factor": 0.0}, ["scaling_factor is 0.0"]),
        ({"scaling_factor": None}, ["scaling_factor is None"]),
        ({"shift_factor": float("inf")}, ["shift_factor is inf"]),
    ],
)
def test_a_decoder_of_other_latents_is_refused(
    sd_folder: Path, tmp_path: Path, config: dict[str, Any], words: list[str]
) -> None:
    refused(sd_folder, build(tmp_path, **config), *words)


def test_a_base_that_paints_pixels_takes_no_decoder(ddpm_folder: Path, decoder_folder: Path) -> None:
    refused(ddpm_folder, decoder_folder, "does not fit the base")


def test_what_is_no_decoder_is_refused(sd_folder: Path, tmp_path: Path) -> None:
    refused(sd_folder, sd_folder / "vae", "AutoencoderKL", "AutoencoderTiny")
    refused(sd_folder, sd_folder, "is no preview decoder")
    refused(sd_folder, tmp_path / "nowhere", "There is no preview decoder")
    refused(sd_folder, "", "No preview decoder is named")
    (tmp_path / "taesd.pth").write_bytes(b"")
    refused(sd_folder, tmp_path / "taesd.pth", "pickle")


def test_damaged_weights_are_refused(sd_folder: Path, tmp_path: Path) -> None:
    file = build(tmp_path) / WEIGHTS
    whole = load_file(file)
    name = next(name for name in whole if name.startswith("decoder."))
    save_file({**whole, name: torch.full_like(whole[name], torch.nan)}, file, {"format": "pt"})
    refused(sd_folder, tmp_path, name, "not finite")
    save_file({key: value for key, value in whole.items() if key != name}, file, {"format": "pt"})
    refused(sd_folder, tmp_path, name, "missing keys")
    (tmp_path / SUMS).write_text(f"{'0' * 64}  {WEIGHTS}\n")
    refused(sd_folder, tmp_path, "damaged or was changed")
    (tmp_path / SUMS).unlink()
    file.rename(file.with_suffix(".bin"))
    refused(sd_folder, tmp_path, ".safetensors")


def test_doctor_knows_a_decoder(decoder_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--model", str(decoder_folder)]) == 0
    assert "opens as a preview decoder" in capsys.readouterr().out


# -- in the pipeline and on the page -----------------------------------------------------------------------


def test_each_step_shows_pictures_of_their_own_size(seeing: Base) -> None:
    request = Request(steps=2, seeds=(1, 2), width=80, height=64)
    steps = list(MCMPipeline(seeing, tiny.build_modulator(seeing)).stream(request))
    assert [step.preview.shape for step in steps] == [(2, 64, 80, 3)] * 2
    assert steps[0].gamma_action.shape == (2, 8, 10)
    assert steps[-1].result.images.shape == (2, 64, 80, 3)


def test_the_page_opens_a_decoder_for_the_first_base_and_sends_what_it_shows(
    sd_folder: Path, ldm_folder: Path, decoder_folder: Path
) -> None:
    options = parse(["--base", str(sd_folder), str(ldm_folder), "--preview-decoder", str(decoder_folder)])
    models = Models(open_models(options.base, preview_decoder=options.preview_decoder))
    model, other = models.by_name.values()
    assert other.base.preview_decoder is None
    job = Job(model.name, model.resolved(Request(steps=2, seeds=(1,))))
    steps = [event for event in models.generate(job, threading.Event()) if isinstance(event, Step)]
    for step in steps:
        (sent,) = views.running(Run(), step, 0.0)["previews"]
        assert np.array_equal(seen(sent), step.preview[0])
        assert step.preview.shape == (1, 64, 64, 3)


def seen(url: str) -> np.ndarray:
    """(H, W, 3) uint8: the picture of a data URL."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def test_the_page_opens_with_the_shipped_models_their_decoder_where_it_is_there(
    sd_folder: Path, base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / door.BASE).symlink_to(sd_folder)
    tiny.build_modulator(base).save_pretrained(tmp_path / "models" / door.MODULATOR)
    monkeypatch.setattr(door, "assets", lambda: tmp_path)
    assert door.open_models().base.preview_decoder is None
    decoder = build(tmp_path / "models" / door.PREVIEW_DECODER)
    assert all(
        pipeline.base.preview_decoder is not None for pipeline in [door.open_models(), *door.open_all()]
    )
    assert door.open_models(str(tmp_path / "models" / door.BASE)).base.preview_decoder is not None
    config = json.loads((decoder / "config.json").read_text())
    (decoder / "config.json").write_text(json.dumps({**config, "latent_channels": 3}))
    with pytest.raises(InputError, match="preview-decoder"):
        door.open_models()


def test_large_previews_are_sent_as_jpegs_of_bounded_size() -> None:
    ramp = np.linspace(0, 255, 1024).astype(np.uint8)
    picture = np.stack([np.broadcast_to(ramp, (768, 1024))] * 3, axis=-1)
    step = Step(0, 1, 0.0, picture[None], np.zeros((1, 1, 1)), np.zeros((1, 1, 1)))
    (sent,) = views.previews(step)
    assert sent.startswith("data:image/jpeg;base64,")
    shown = seen(sent)
    assert shown.shape == (384, 512, 3)
    assert np.abs(shown[:, :, 0].astype(int) - ramp[::2]).max() < 8
