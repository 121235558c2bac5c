"""What a modulator was trained for, and whether a base is that."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from mcm_core.drawing.conditions import InputError

if TYPE_CHECKING:
    from mcm_core.modulator import Modulator

TOLERANCE = 1e-6


@dataclass(frozen=True)
class Identity:
    """The facts about a base on which a modulator depends.

    Attributes:
        id: the hub id, or the name of the folder or file.
        fingerprint: "<latent space>-<weights>" in hex. The first half stands for latents and noise schedule,
            the second for the U-Net's weights in half precision.
        latent_channels, downscale: C, and pixels per latent along each side.
        latent_scaling, latent_shift: latents = (autoencoder's output - shift) * scaling.
        num_train_timesteps: length of the noise schedule.
    """

    id: str
    fingerprint: str
    latent_channels: int
    downscale: int
    latent_scaling: float
    latent_shift: float
    num_train_timesteps: int

    def check(self, modulator: Modulator) -> tuple[str, ...]:
        """Notes for people on how well a modulator fits, empty where it was made for exactly this base.

        Raises:
            InputError: it does not fit: other latents, another noise schedule.
        """
        config = modulator.config
        for name in ("latent_channels", "downscale", "latent_scaling", "latent_shift", "num_train_timesteps"):
            mine, its = getattr(self, name), getattr(config, name)
            if not isinstance(its, int | float):
                raise _damaged(f"its {name} is no number")
            if abs(mine - its) > TOLERANCE:
                raise self._misfit(modulator, f"its {name} is {its}, the base's is {mine}")
        trained = config.base or {}
        if not isinstance(trained, dict) or not isinstance(trained.get("fingerprint", ""), str):
            raise _damaged("its base has no fingerprint")
        latents, _, weights = trained.get("fingerprint", "").partition("-")
        my_latents, _, my_weights = self.fingerprint.partition("-")
        if latents and latents != my_latents:
            raise self._misfit(modulator, "its latents or its noise schedule are others")
        if weights and weights != my_weights:
            trained_on = trained.get("id", "another base")
            return (f"The modulator was trained on {trained_on}, not on {self.id}: it may fit less well.",)
        return ()

    def _misfit(self, modulator: Modulator, reason: str) -> InputError:
        trained_on = (modulator.config.base or {}).get("id", "another base")
        return InputError(
            f"This modulator does not fit the base {self.id}: {reason}. It was trained on {trained_on}."
        )


def _damaged(reason: str) -> InputError:
    return InputError(
        f"The modulator's config.json is damaged: {reason}. Copy or download the modulator again."
    )


def identify(pipe: Any, id: str, scaling_and_shift: tuple[float, float] | None = None) -> Identity:
    """The identity of a diffusers pipeline, whose U-Net is still as it is stored.

    `scaling_and_shift` of its latents, where the autoencoder does not tell.
    """
    autoencoder = getattr(pipe, "vae", None) or getattr(pipe, "vqvae", None)
    config = autoencoder.config if autoencoder is not None else {}
    channels = int(pipe.unet.config.out_channels)  # an inpainting U-Net takes more than its latents
    downscale = 2 ** (len(config.get("block_out_channels", (0,))) - 1)
    scaling, shift = scaling_and_shift or (
        float(config.get("scaling_factor") or 1.0),
        float(config.get("shift_factor") or 0.0),
    )
    latents = _digest_of_latents(
        [channels, downscale, shift, round(scaling, 6)], pipe.scheduler.alphas_cumprod
    )
    return Identity(
        id=id,
        fingerprint=f"{latents}-{_digest_of_weights(pipe.unet)}",
        latent_channels=channels,
        downscale=downscale,
        latent_scaling=scaling,
        latent_shift=shift,
        num_train_timesteps=int(pipe.scheduler.config.num_train_timesteps),
    )


def _digest_of_latents(facts: list[float], alphas_cumprod: Tensor) -> str:
    schedule = [round(alpha, 5) for alpha in alphas_cumprod.tolist()]
    return hashlib.sha256(json.dumps([facts, schedule]).encode()).hexdigest()[:16]


def _digest_of_weights(network: nn.Module) -> str:
    """Of the first 16 numbers of each parameter in half precision: an fp16 copy has the same digest."""
    digest = hashlib.sha256()
    for name, parameter in network.named_parameters():
        digest.update(name.encode())
        digest.update(parameter.detach().flatten()[:16].cpu().half().numpy().tobytes())
    return digest.hexdigest()[:16]
