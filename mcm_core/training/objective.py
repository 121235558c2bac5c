"""What the modulator is trained to do: the equations, as pure functions of tensors.

    x_t  = a x_0 + s eps,   a = sqrt(abar_t), s = sqrt(1 - abar_t)     the noised picture (latents)
    eps' = gamma * eps_t + nu                                          the base's prediction, modulated
    loss = E_t [ w(t) || eps' - eps ||^2 ]                             for the true noise eps

abar_t is the scheduler's `alphas_cumprod`, SNR(t) = abar_t / (1 - abar_t).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mcm_core.schedule import SMALLEST_ALPHA

MIN_SNR_GAMMA = 5.0
X0_CAP = 20.0
WEIGHTINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "uniform": lambda abar: torch.ones_like(abar),
    "v": lambda abar: 1 / abar,
    "min-snr": lambda abar: (MIN_SNR_GAMMA / _snr(abar)).clamp(max=1),
    "x0": lambda abar: (1 / _snr(abar)).clamp(max=X0_CAP),
}
"""w(t) by name, up to a factor, for errors in eps.

`uniform`: the plain loss (Ho et al. 2020, equation 14). `v`: the error in v = a eps - s x_0; with x_t fixed
dv = deps / a (Salimans and Ho 2022). `min-snr`: min(SNR, 5) / SNR (Hang et al. 2023). `x0`: the error of the
x_0 estimate; dx_0 = -(s / a) deps, hence 1 / SNR, capped because it grows without bound.
"""

DENSITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "uniform": lambda u: u,
    "cubic": lambda u: 1 - u**3,
    "logit-normal": lambda u: torch.special.expit(torch.special.ndtri(u.clamp(1e-6, 1 - 1e-6))),
}
"""Where t / T falls, as a function of u ~ Uniform(0, 1): `cubic` prefers high noise, where layout is decided
(T2I-Adapter, Mou et al. 2023, section 3.4), `logit-normal` the middle (Esser et al. 2024, equation 19)."""


def allowed_timesteps(abar: Tensor, window: tuple[float, float] = (0.0, 1.0)) -> tuple[int, int]:
    """The first and one past the last timestep to draw, for `abar` (T,).

    `window` is a part of the sampling trajectory: 0 is its start (all noise, t = T), 1 the picture (t = 0).
    """
    total = len(abar)
    start, end = window
    last = min(round((1 - start) * total), int((abar >= SMALLEST_ALPHA**2).sum()))
    first = min(round((1 - end) * total), last - 1)
    return first, last


def draw_timesteps(u: Tensor, density: str, first: int, last: int) -> Tensor:
    """Timesteps (B,) long in [first, last) from uniform numbers `u` (B,) in [0, 1)."""
    span = last - first
    return first + (DENSITIES[density](u) * span).long().clamp(0, span - 1)


def stratified(u: float, count: int) -> Tensor:
    """`count` numbers, each uniform on [0, 1) and evenly spread together: (u + i / count) mod 1.

    Each batch covers all noise levels, which lowers the variance of the loss (Kingma et al. 2021, I.1).
    """
    return (u + torch.arange(count, dtype=torch.float64) / count).remainder(1).float()


def weights(weighting: str, abar: Tensor, density: str, first: int, last: int) -> Tensor:
    """w(t) (T,), scaled to the mean 1 over the drawn timesteps, so that losses and rates stay comparable."""
    table = WEIGHTINGS[weighting](abar.clamp(min=SMALLEST_ALPHA**2))
    drawn = draw_timesteps(stratified(0.5 / 4096, 4096), density, first, last)
    return table / table[drawn.to(table.device)].mean()


def errors(prediction: Tensor, noise: Tensor) -> Tensor:
    """||eps' - eps||^2 as the mean over channels and pixels: (B, C, H, W) -> (B,), in float32."""
    return (prediction.float() - noise.float()).square().mean(dim=(1, 2, 3))


def _snr(abar: Tensor) -> Tensor:
    return abar / (1 - abar)
