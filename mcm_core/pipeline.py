"""The modulated pipeline: a request in, one `Step` out per call of the base, pictures at the end.

How one picture gets from noise to latents is in `mcm_core.trajectory`:

    for each timestep t:
        eps_t = base(x_t, t, prompt)                                frozen
        gamma_t, nu_t = modulator(x_t, eps_t, t, drawing)
        x_t-1 = scheduler.step(gamma_t * eps_t + nu_t, t, x_t)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mcm_core import trajectory
from mcm_core.base import Base, Embeddings
from mcm_core.control import NotFiniteError, prepare, undrawn
from mcm_core.devices import choose_layout
from mcm_core.modulator import Modulator
from mcm_core.request import Request, Resolved
from mcm_core.traced import quicken
from mcm_core.trajectory import Setting, Trajectory


@dataclass(frozen=True, eq=False)
class Result:
    """The finished pictures of a request.

    Attributes:
        images: (B, H, W, 3) uint8, one per seed.
        plain_images: the same without the drawing, where the request compares.
        gamma_actions, nu_actions: (steps, B, h, w) float32, see `Step`.
        request: with every default and random seed filled in; running it again makes the same bytes.
        seconds: time spent computing, without the time between the steps that the caller spent.
    """

    images: np.ndarray
    plain_images: np.ndarray | None
    gamma_actions: np.ndarray
    nu_actions: np.ndarray
    request: Resolved
    seconds: float

    @property
    def actions(self) -> np.ndarray:
        """(steps, B, h, w) float32: how strongly the modulator acted, scale and shift together."""
        return self.gamma_actions + self.nu_actions


@dataclass(frozen=True, eq=False)
class Step:
    """What can be seen after one call of the base.

    Schedulers of second order (heun, kdpm2) call it twice per step, and pndm once more in all. Each call is a
    `Step` of its own, so that `total` may be larger than the steps that were asked for.

    Attributes:
        index, total: 0-based number of this call, and how many there are.
        timestep: of the base's training, in [0, num_train_timesteps).
        preview: (B, H, W, 3) uint8, the estimate of the clean pictures: of their own size where the base has
            a preview decoder, and of the latents' size where it has none.
        gamma_action, nu_action: (B, h, w) float32, |gamma - 1| |eps| and |nu|, means over the channels, times
            the strength; of the prompt's branch under guidance. 0 where the modulator did not act.
        result: the pictures, at the last step.
    """

    index: int
    total: int
    timestep: float
    preview: np.ndarray | None
    gamma_action: np.ndarray
    nu_action: np.ndarray
    result: Result | None = None


class MCMPipeline:
    """A frozen base and, optionally, a modulator for it. Keeps nothing of a request: threads may share it.

    `notes` are warnings for people on how well the two fit. With `drafts` the pictures are decoded as the
    previews are, see `Base.preview`: quickly, and less exactly.

    Raises:
        InputError: the modulator does not fit the base.
    """

    def __init__(self, base: Base, modulator: Modulator | None = None, *, drafts: bool = False) -> None:
        self.base = base
        self._decode = base.preview if drafts else base.decode
        self.notes = base.check(modulator) if modulator is not None else ()
        self.modulator = modulator
        if modulator is not None:
            modulator.to(base.device, memory_format=choose_layout(base.device))

    def quicken(self, *requests: Resolved) -> None:
        """Paint these; from then on their kind comes sooner, bitwise the same, see `traced`."""
        decoder, modulator = self.base.preview_decoder, self.modulator
        own = [modulator.trunk, *modulator.branches.values()] if modulator is not None else []
        quicken(
            lambda: [step for request in requests for step in self.paint(request)],
            self.base.unet,
            decoder and decoder.decoder,
            *own,
        )

    def __call__(self, request: Request) -> Result:
        """The pictures of a request: `stream` run to its end."""
        return next(step.result for step in self.stream(request) if step.result is not None)

    def stream(self, request: Request, should_stop: Callable[[], bool] = lambda: False) -> Generator[Step]:
        """`paint` for a request that nobody has judged yet.

        Raises:
            InputError: something is wrong with the request.
        """
        return self.paint(request.resolved(self.base, self.modulator), should_stop)

    def paint(self, request: Resolved, should_stop: Callable[[], bool] = lambda: False) -> Generator[Step]:
        """Yields a `Step` after each call of the base; the last one carries the result.

        Args:
            request: resolved for the models of this pipeline.
            should_stop: asked before every call; once it says True the stream ends, without a result.

        Raises:
            NotFiniteError: the numbers ran away.
        """
        clock, seconds = time.perf_counter(), 0.0
        setting = self._setting(request)
        pictures = [trajectory.start(setting, seed) for seed in request.seeds]
        plain = self._plain_twins(setting)
        actions = []
        for index in range(len(pictures[0])):
            for picture in [*pictures, *plain]:
                if should_stop():
                    return
                trajectory.advance(picture, index)
            step = self._step(request, pictures, index)
            actions.append((step.gamma_action, step.nu_action))
            result = self._result(request, pictures, plain, actions) if index == step.total - 1 else None
            seconds += time.perf_counter() - clock
            yield replace(step, result=replace(result, seconds=seconds)) if result else step
            clock = time.perf_counter()

    def _setting(self, request: Resolved) -> Setting:
        """Everything that is computed once per request: the texts and the drawing."""
        embeddings = self.base.encode_prompt([request.prompt])
        if request.guided:
            negative = self.base.encode_prompt([request.negative_prompt], negative=True)
            embeddings = Embeddings.cat([negative, embeddings])
        setting = Setting(self.base, request, embeddings, control=None)
        if self.modulator is None:
            return setting
        acts = (request.start, request.end, request.prompt_boost, self.base.guides_itself)
        size = setting.latent_size
        control = prepare(self.modulator, request.conditions, request.strength, size, *acts)
        return replace(
            setting, control=control, undrawn=undrawn(self.modulator, size) if request.live else None
        )

    def _plain_twins(self, setting: Setting) -> list[Trajectory]:
        """The same noise without the drawing, for a comparison; none where nothing is drawn anyway."""
        if not setting.request.compare or setting.control is None:
            return []
        plain = replace(setting, control=None)
        return [trajectory.start(plain, seed) for seed in setting.request.seeds]

    def _step(self, request: Resolved, pictures: list[Trajectory], index: int) -> Step:
        return Step(
            index=index,
            total=len(pictures[0]),
            timestep=float(pictures[0].scheduler.timesteps[index]),
            preview=self._previews(pictures) if request.previews else None,
            gamma_action=torch.cat([picture.gamma_action for picture in pictures]).float().cpu().numpy(),
            nu_action=torch.cat([picture.nu_action for picture in pictures]).float().cpu().numpy(),
        )

    def _result(
        self,
        request: Resolved,
        pictures: list[Trajectory],
        plain: list[Trajectory],
        actions: Sequence[tuple[np.ndarray, np.ndarray]],
    ) -> Result:
        images = self._images(pictures)
        twins = self._images(plain) if plain else images.copy()
        return Result(
            images=images,
            plain_images=twins if request.compare else None,
            gamma_actions=np.stack([gamma for gamma, _ in actions]),
            nu_actions=np.stack([nu for _, nu in actions]),
            request=request,
            seconds=0.0,
        )

    def _previews(self, pictures: list[Trajectory]) -> np.ndarray:
        return to_uint8(torch.cat([self.base.preview(picture.x0) for picture in pictures]))

    def _images(self, pictures: list[Trajectory]) -> np.ndarray:
        decoded = torch.cat([self._decode(picture.latents) for picture in pictures])
        if not bool(torch.isfinite(decoded).all()):
            raise NotFiniteError(
                "The autoencoder gave numbers that are not finite: open the base in float32."
            )
        return to_uint8(decoded)


def to_uint8(images: Tensor) -> np.ndarray:
    """(B, 3, H, W) in [-1, 1] -> (B, H, W, 3) uint8, with the rounding of diffusers."""
    unit = (images * 0.5 + 0.5).clamp(0, 1).cpu().permute(0, 2, 3, 1).float().numpy()
    return (unit * 255).round().astype(np.uint8)
