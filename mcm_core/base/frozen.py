"""The frozen base: any Stable Diffusion, SDXL, unconditional latent or pixel model behind one interface.

This is the only file that knows diffusers' pipelines (`mcm_core.base.opening` opens them), and the only one
that decides on device and precision: what goes in is cast at the networks' edges, and the caller's dtype
comes back.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers import VQModel
from torch import Tensor, nn
from torch.nn import functional

from mcm_core.base import schedulers
from mcm_core.base.embeddings import Embeddings
from mcm_core.base.identity import identify
from mcm_core.base.long_prompts import LongPrompts
from mcm_core.base.low_memory import visiting, work_in_tiles
from mcm_core.base.opening import (
    Family,
    hub_options,
    networks,
    open_autoencoder,
    open_pipeline,
    recommended,
    text_encoders,
)
from mcm_core.base.preview_decoder import decode_preview, open_preview_decoder, require_fit
from mcm_core.devices import choose_device, choose_dtype, choose_layout
from mcm_core.drawing.conditions import Size
from mcm_core.drawing.sizes import buckets
from mcm_core.emphasis import parts
from mcm_core.schedule import Moment, moment
from mcm_core.sums import digest
from mcm_core.vocabulary import Vocabulary, read_vocabulary

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny

    from mcm_core.modulator import Modulator

STEPS, FEW_STEPS = 20, 4
MIN_LATENTS = 8
"""The shortest side of a picture, in latents."""
GUIDANCE: dict[Family, float] = {"sd": 7.5, "sdxl": 5.0, "ldm": 1.0, "ddpm": 1.0}
EMBEDDED_GUIDANCE = 8.0
"""Of a base that is told its guidance; diffusers' LatentConsistencyModelPipeline takes 8.5."""


def _wants_float32(autoencoder: Any, dtype: torch.dtype) -> bool:
    """Whether it overflows in half precision, as it says itself, or chooses from a codebook, of whose entries
    half precision does not tell neighbours apart."""
    if isinstance(autoencoder, VQModel):
        return True
    return dtype == torch.float16 and bool(autoencoder.config.get("force_upcast", False))


class Base:
    """A frozen diffusion model. Nothing in it changes after it was opened, and no gradient flows through it.

    Attributes:
        identity: what a modulator depends on; its fields are attributes of the base, too (`id`,
            `fingerprint`, `latent_channels`, `downscale`, `latent_scaling`, `latent_shift`,
            `num_train_timesteps`).
        family: "sd" (1.x and 2.x), "sdxl", "ldm" (unconditional, latent) or "ddpm" (unconditional, pixels).
        prediction_type: "epsilon", "v_prediction" or "sample".
        default_size: (H, W) in pixels that it was trained on.
        default_guidance_scale: what its model card recommends, or else what suits its family.
        default_steps: what its model card recommends, or else `STEPS`; `FEW_STEPS` if it was made for few.
        is_of_few_steps: it was distilled to few steps, and its own scheduler is LCM's or TCD's.
        embeds_guidance: it is told its guidance (Meng et al. 2023), as LCM's U-Nets are; it runs once a step.
        unet: the frozen network.
        vocabulary: the words that it was taught, by group; None where it is taken to know all.
        preview_decoder: a small one for previews, if any; it counts as no part of the base.
        scheduler: the base's own, a template that is never stepped.
        sums: one SHA-256 for all its files, where their sums lie beside them, see `mcm_core.sums`.
    """

    def __init__(
        self,
        pipe: Any,
        *,
        id: str,
        family: Family,
        dtype: torch.dtype,
        device: torch.device,
        guidance_scale: float | None = None,
        steps: float | None = None,
        preview_decoder: AutoencoderTiny | None = None,
        sums: str | None = None,
        vocabulary: Vocabulary | None = None,
        low_memory: bool = False,
    ) -> None:
        self._pipe = pipe
        self._visitors = text_encoders(pipe) if low_memory else []
        self._tokenizing = threading.Lock()  # the tokenizers cannot be borrowed by two threads at once
        self.family, self.dtype, self.device = family, dtype, device
        self.vocabulary = vocabulary
        self.unet = pipe.unet
        self.vae = getattr(pipe, "vae", None) or getattr(pipe, "vqvae", None)
        self.scheduler = pipe.scheduler
        self.prediction_type = schedulers.prediction_type(self.scheduler)
        self.is_of_few_steps = schedulers.is_of_few_steps(self.scheduler)
        self.embeds_guidance = self.unet.config.get("time_cond_proj_dim") is not None
        self.default_guidance_scale = self._own_guidance if guidance_scale is None else guidance_scale
        self.default_steps = self._own_steps if steps is None else max(1, round(steps))
        self.identity = identify(pipe, id)
        self.id, self.fingerprint = id, self.identity.fingerprint
        self.latent_channels, self.downscale = self.identity.latent_channels, self.identity.downscale
        self.latent_scaling, self.latent_shift = self.identity.latent_scaling, self.identity.latent_shift
        self.num_train_timesteps = self.identity.num_train_timesteps
        move: Any = nn.Module.to  # torch's own, whose stubs know no memory_format
        for network in self.networks():
            where = torch.device("cpu") if network in self._visitors else device
            move(network.requires_grad_(False).eval(), device=where, dtype=dtype)
            move(network, memory_format=choose_layout(device))
        if low_memory:
            work_in_tiles(self.vae)
        if self.vae is not None and _wants_float32(self.vae, dtype):
            nn.Module.to(self.vae, dtype=torch.float32)
        if preview_decoder is not None:
            require_fit(preview_decoder, self.identity)
            nn.Module.to(preview_decoder, device=device, dtype=dtype)
        self.preview_decoder, self.sums = preview_decoder, sums

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        dtype: torch.dtype | str | None = None,
        device: torch.device | str | None = None,
        preview_decoder: str | Path | None = None,
        low_memory: bool = False,
        **options: Any,
    ) -> Base:
        """Open a hub id, a diffusers folder, or one `.safetensors` checkpoint of Stable Diffusion or SDXL.

        Args:
            source: where it is.
            dtype, device: or their names; None for what suits the machine, see `mcm_core.devices`.
            preview_decoder: folder or hub id of an `AutoencoderTiny` for the latents of this base, so that
                `preview` gives pictures.
            low_memory: for a GPU on which it is tight, see `mcm_core.base.low_memory`.
            options: handed on to diffusers, for instance `revision`, `variant`, `local_files_only`, and for a
                single file `config` (a folder or hub id with the family's configuration).

        Raises:
            InputError: a pickle, a wrong folder, an unsupported family, damaged or non-finite weights, a
                device that is not there, a preview decoder of other latents.
        """
        device = choose_device(device)
        dtype = choose_dtype(dtype, device)
        pipe, family = open_pipeline(source, **options)
        name = Path(source).resolve().name if Path(source).exists() else str(source)
        decoder = None
        if preview_decoder is not None:
            same_hub = {key: value for key, value in hub_options(options).items() if key != "revision"}
            decoder = open_preview_decoder(preview_decoder, **same_hub)
        return cls(
            pipe,
            id=name,
            family=family,
            dtype=dtype,
            device=device,
            guidance_scale=recommended(source, "guidance_scale"),
            steps=recommended(source, "num_inference_steps"),
            preview_decoder=decoder,
            sums=digest(Path(source)),
            vocabulary=read_vocabulary(source),
            low_memory=low_memory,
        )

    def with_autoencoder(self, source: str | Path, **options: Any) -> Base:
        """This base, whose autoencoder is opened anew in float32; everything else is shared.

        Raises:
            InputError: as `from_pretrained`.
        """
        autoencoder = open_autoencoder(source, **options)
        if autoencoder is None:
            return self
        autoencoder.requires_grad_(False).eval()
        other = copy.copy(self)
        other.vae = autoencoder.to(self.device, memory_format=choose_layout(self.device))  # type: ignore[call-overload]
        return other

    # -- what it is ----------------------------------------------------------------------------------------

    @property
    def accepts_text(self) -> bool:
        return self.family in ("sd", "sdxl")

    @property
    def guides_itself(self) -> bool:
        """Whether guidance lies within its network (LCM, Turbo), so that none is done outside by default."""
        return self.accepts_text and (self.embeds_guidance or self.default_guidance_scale <= 1)

    @property
    def takes_negative_prompt(self) -> bool:
        """Whether guidance leads away from something."""
        return self.accepts_text and not self.embeds_guidance

    @property
    def default_size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        size = self.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return height * self.downscale, width * self.downscale

    @property
    def size_multiple(self) -> int:
        """What the sides of a picture must be multiples of, in pixels."""
        halvings = 0 if self.accepts_text else len(self.unet.config.block_out_channels) - 1
        return self.downscale * 2**halvings

    @property
    def least_side(self) -> int:
        """Of a picture, in pixels."""
        return MIN_LATENTS * self.downscale

    def sizes_like(self, size: Size) -> tuple[Size, ...]:
        """Sizes (H, W) of other shapes that take no more than `size`, which is one of them."""
        return buckets(size, self.size_multiple, self.least_side)

    @property
    def alphas_cumprod(self) -> Tensor:
        """(num_train_timesteps,) float32 on the CPU: alpha^2 of the forward process."""
        return self.scheduler.alphas_cumprod

    def moment(self, timestep: float) -> Moment:
        """The point of the noise schedule at a timestep, which may lie between two of the training's."""
        return moment(self.alphas_cumprod, timestep, self.prediction_type)

    @property
    def parameter_count(self) -> int:
        return sum(parameter.numel() for network in self.networks() for parameter in network.parameters())

    def networks(self) -> list[nn.Module]:
        """Every network of the base, all of them frozen."""
        return networks(self._pipe)

    def check(self, modulator: Modulator) -> tuple[str, ...]:
        """Notes for people on how well a modulator fits; raises where it does not: see `Identity.check`."""
        return self.identity.check(modulator)

    @property
    def scheduler_names(self) -> tuple[str, ...]:
        """The schedulers that work with this base."""
        return schedulers.available(self.scheduler)

    def scheduler_name(self, name: str | None = None) -> str:
        """`name` if it works with this base (InputError otherwise), the name of the base's own for None."""
        return schedulers.checked_name(self.scheduler, name)

    def most_steps(self, name: str) -> int:
        """How many steps a scheduler can take."""
        return schedulers.most_steps(self.scheduler, name)

    def make_scheduler(self, name: str | None = None) -> Any:
        """A fresh scheduler for one request: see `mcm_core.base.schedulers`."""
        return schedulers.make_scheduler(self.scheduler, name, latent=self.vae is not None)

    def live_scheduler(self, grid: int) -> Any:
        """A fresh scheduler for a modulator distilled to few steps: see `mcm_core.base.schedulers`."""
        return schedulers.live_scheduler(self.scheduler, grid)

    # -- what it does --------------------------------------------------------------------------------------

    def encode_prompt(
        self, prompts: Sequence[str], *, negative: bool = False, together: bool = False
    ) -> Embeddings:
        """Embeddings of B prompts: those of `encode_prompts` in one, filled up to the longest of them."""
        return Embeddings.cat(self.encode_prompts(prompts, negative=negative, together=together))

    @torch.no_grad()
    def encode_prompts(
        self, prompts: Sequence[str], *, negative: bool = False, together: bool = False
    ) -> list[Embeddings]:
        """Embeddings of each prompt by itself, so that it does not matter which come with it.

        Args:
            prompts: of any length, with weights where they have some, see `mcm_core.emphasis`.
            negative: they are for the other branch of guidance, where SDXL takes zeros for an empty prompt.
            together: in one call instead, which saves time on a GPU; the last bits may depend on the others.
        """
        if not self.accepts_text:
            return [Embeddings() for _ in prompts]
        with self._tokenizing, visiting(self._visitors, self.device):
            read = {prompt: parts(prompt) for prompt in prompts}
            longer = {text for text in read if self._long_prompts.are_needed_for(read[text])}
            made = {prompt: self._long_prompts.encode(read[prompt]) for prompt in longer}
            plain = [prompt for prompt in read if prompt not in longer]
            for group in [plain] if plain and together else [[prompt] for prompt in plain]:
                texts = [read[prompt][0].text for prompt in group]
                made |= zip(group, self._encode(texts, negative).rows(len(group)), strict=True)
        return [made[prompt] for prompt in prompts]

    @torch.no_grad()
    def predict(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        embeddings: Embeddings,
        guidance_scale: float | None = None,
    ) -> Tensor:
        """The network's raw output (see `prediction_type`) for x_t, both (B, C, h, w).

        `guidance_scale` is told to a base that embeds it, None for the default; others are not concerned.
        """
        text: dict[str, Any] = {}
        if embeddings.hidden is not None:
            text["encoder_hidden_states"] = embeddings.hidden
        if embeddings.pooled is not None:
            text["added_cond_kwargs"] = {
                "text_embeds": embeddings.pooled,
                "time_ids": self._time_ids(sample, embeddings.pooled.dtype),
            }
        if self.embeds_guidance:
            text["timestep_cond"] = self._guidance_embedding(guidance_scale, len(sample))
        output = self.unet(sample.to(self.device, self.dtype), timestep, **text, return_dict=False)[0]
        return output.to(sample.dtype)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> latents (B, C, h, w): the mean, where there is a distribution."""
        if self.vae is None:
            return images.to(self.device)
        encoded = self.vae.encode(images.to(self.device, self.vae.dtype))
        raw = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
        return (raw.to(images.dtype) - self.latent_shift) * self.latent_scaling

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, C, h, w) -> images (B, 3, H, W), about [-1, 1], not clipped."""
        if self.vae is None:
            return latents
        raw = latents.to(self.device) / self.latent_scaling
        if self.latent_shift:
            raw = raw + self.latent_shift
        return self.vae.decode(raw.to(self.vae.dtype), return_dict=False)[0].to(latents.dtype)

    @torch.no_grad()
    def preview(self, latents: Tensor) -> Tensor:
        """Latents (B, C, h, w) -> images in [-1, 1]: (B, 3, H, W) by the preview decoder, or without one
        small (B, 3, h, w), see `_preview_matrix`."""
        if self.vae is None:
            return latents.clamp(-1, 1)
        if self.preview_decoder is not None:
            return decode_preview(self.preview_decoder, latents)
        weights = self._preview_matrix.to(latents)
        images = torch.einsum("bchw,cr->brhw", latents, weights[:-1]) + weights[-1].reshape(1, 3, 1, 1)
        return images.clamp(-1, 1)

    # -- inside --------------------------------------------------------------------------------------------

    @cached_property
    def _preview_matrix(self) -> Tensor:
        """(C + 1, 3): the least-squares map from latents to colours, its last row the offset.

        Fitted at the first preview on the base's own autoencoder: 16 soft random colour fields of 8 x 8
        latents are encoded, and each latent is paired with the mean colour of its cell. The same in any run.
        """
        coarse = torch.rand(16, 3, 3, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
        side = 8 * self.downscale
        images = functional.interpolate(coarse, (side, side), mode="bilinear", align_corners=True)
        colours = functional.avg_pool2d(images, self.downscale).permute(0, 2, 3, 1).reshape(-1, 3)
        latents = self.encode(images).float().cpu().permute(0, 2, 3, 1).reshape(-1, self.latent_channels)
        rows = torch.cat([latents, torch.ones(len(latents), 1)], dim=1).double()
        damping = 1e-4 * len(rows) * torch.eye(rows.shape[1], dtype=torch.float64)
        return torch.linalg.solve(rows.T @ rows + damping, rows.T @ colours.double()).float()

    @property
    def _own_guidance(self) -> float:
        if self.embeds_guidance:
            return EMBEDDED_GUIDANCE
        return 1.0 if self.is_of_few_steps else GUIDANCE[self.family]

    @property
    def _own_steps(self) -> int:
        return FEW_STEPS if self.is_of_few_steps else STEPS

    def _guidance_embedding(self, guidance_scale: float | None, batch: int) -> Tensor:
        """(B, D): sines and cosines of what guidance adds, as LatentConsistencyModelPipeline makes them."""
        scale = self.default_guidance_scale if guidance_scale is None else guidance_scale
        width = self.unet.config.time_cond_proj_dim
        embedding = self._pipe.get_guidance_scale_embedding(torch.full((batch,), scale - 1), width)
        return embedding.to(self.device, self.dtype)

    @cached_property
    def _long_prompts(self) -> LongPrompts:
        return LongPrompts(self._pipe)

    def _encode(self, prompts: list[str], negative: bool) -> Embeddings:
        options = {"device": self.device, "num_images_per_prompt": 1, "do_classifier_free_guidance": False}
        if self.family == "sd":
            return Embeddings(self._pipe.encode_prompt(prompts, **options)[0])
        hidden, _, pooled, _ = self._pipe.encode_prompt(prompts, **options)
        if negative and not any(prompts) and self._pipe.config.force_zeros_for_empty_prompt:
            hidden, pooled = torch.zeros_like(hidden), torch.zeros_like(pooled)
        return Embeddings(hidden, pooled)

    def _time_ids(self, sample: Tensor, dtype: torch.dtype) -> Tensor:
        """SDXL's size conditioning (B, 6): original size, no crop, target size, in pixels."""
        height, width = (side * self.downscale for side in sample.shape[-2:])
        ids = torch.tensor([[height, width, 0, 0, height, width]], device=self.device, dtype=dtype)
        return ids.repeat(len(sample), 1)
