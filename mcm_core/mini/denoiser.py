"""The denoiser of the embedded base: a small conditional U-Net and its text encoder, trained together."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DPMSolverMultistepScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPTextModel

from mcm_core.schedule import EPSILON, V_PREDICTION, moments
from mcm_core.training.fit import train
from mcm_core.training.objective import WEIGHTINGS, draw_timesteps, errors, stratified
from mcm_core.training.precision import AUTO, autocast, compiled

STEPS = 1000  # of the noise schedule
EMA_DECAY = 0.997
UNCONDITIONAL = 0.1  # share of empty prompts, for classifier-free guidance


def build_unet(cross_attention_dim: int = 192) -> UNet2DConditionModel:
    """15.6M parameters, 2.5 GFLOP a forward at 32 x 32; it attends at 16 x 16 and 8 x 8."""
    return UNet2DConditionModel(
        sample_size=32,
        block_out_channels=(64, 96, 160, 256),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=cross_attention_dim,
        attention_head_dim=(2, 3, 5, 8),  # diffusers takes it for the number of heads: 32 channels each
        norm_num_groups=16,
    )


def build_scheduler(prediction_type: str = V_PREDICTION) -> DPMSolverMultistepScheduler:
    """Stable Diffusion's noise schedule, ending at less signal but for epsilon; DPM-Solver++ (2M) samples.

    At Stable Diffusion's own end (alpha = 0.068) the mean colour of a picture still shows through the noise,
    so that a base expects it there, and paints greyer from pure noise (Lin et al. 2023). This one ends at
    0.0325, next to the least at which a modulator acts (`schedule.SMALLEST_ALPHA`). There a predicted eps
    would tell x_0 30 times less exactly than itself, so that a base of that kind keeps to the original.
    """
    return DPMSolverMultistepScheduler(
        beta_start=0.00085,
        beta_end=0.012 if prediction_type == EPSILON else 0.016,
        beta_schedule="scaled_linear",
        prediction_type=prediction_type,
        timestep_spacing="trailing",
        steps_offset=1,
    )


def train_denoiser(
    latents: Tensor,
    tokens: Tensor,
    empty: Tensor,
    unet: UNet2DConditionModel,
    encoder: CLIPTextModel,
    out: Path,
    *,
    steps: int,
    batch: int,
    lr: float,
    prediction_type: str = V_PREDICTION,
    precision: str = AUTO,
    seconds: float | None = None,
) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    """Train on latents (N, 4, 32, 32) and tokens (N, L), where they are; `empty` (L,) is the empty prompt.

    Resumable in `out`. -> the averaged U-Net and text encoder. The error is that of v, weighted by min-SNR.
    """
    device = latents.device
    unet = unet.to(device, memory_format=torch.channels_last)
    if device.type == "cpu":
        unet.set_attn_processor(AttnProcessor())  # there the fused one trains 1.27 times as long
    model = nn.ModuleList([unet, encoder.to(device)])
    abar = build_scheduler(prediction_type).alphas_cumprod.float().to(device)
    weight = loss_weights(abar, prediction_type)
    fused = compiled(unet, device)

    def loss(generator: torch.Generator) -> Tensor:
        which, dropped, timesteps = (drawn.to(device) for drawn in _draws(len(latents), batch, generator))
        x0, words = latents[which].float(), torch.where(dropped[:, None], empty, tokens[which])
        noise = _noise(x0, generator)
        now = moments(abar, timesteps, prediction_type)
        noisy = now.noised(x0, noise).contiguous(memory_format=torch.channels_last)
        with autocast(device, precision):
            output = fused(noisy, timesteps, encoder(words).last_hidden_state).sample
        return (weight[timesteps] * errors(output, now.target(x0, noise))).mean()

    average_unet, average_encoder = train(
        model, loss, steps=steps, out=out, lr=lr, matrices=True, ema=EMA_DECAY, seconds=seconds
    )
    return average_unet, average_encoder


def loss_weights(abar: Tensor, prediction_type: str) -> Tensor:
    """(T,) of the squared errors of outputs, by min-SNR (Hang et al. 2023)."""
    of_eps = WEIGHTINGS["min-snr"](abar)
    return of_eps if prediction_type == EPSILON else 2 * of_eps * abar  # d eps = alpha dv


def _draws(count: int, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Which pictures, whose words are dropped, and the timesteps of a batch, each (batch,)."""
    which = torch.randint(count, (batch,), generator=generator)
    dropped = torch.rand(batch, generator=generator) < UNCONDITIONAL
    shift = torch.rand((), generator=generator).item()
    return which, dropped, draw_timesteps(stratified(shift, batch), "uniform", 0, STEPS)


def _noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal, drawn where it is needed: for hundreds a CPU takes as long as a GPU for its step."""
    if like.device.type == "cpu":
        return torch.randn(like.shape, generator=generator)
    own = torch.Generator(like.device).manual_seed(int(torch.randint(2**62, (), generator=generator)))
    return torch.randn(like.shape, generator=own, device=like.device)
