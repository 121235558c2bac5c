"""The method's equation and the conversions around it, as pure functions of tensors.

    eps' = gamma * eps + nu                                     (Ham et al., SIGGRAPH 2023)

A base that predicts v or x0 instead of the noise is read through the forward process, in which
`sample` is x_t = alpha * x_0 + sigma * eps with alpha^2 + sigma^2 = 1 (variance preserving):

    epsilon       output = eps
    v_prediction  output = alpha * eps - sigma * x_0
    sample        output = x_0

Schedulers of the sigma family (Euler, Heun, KDPM2) hold x_t / alpha; what `scheduler.scale_model_input`
returns is x_t in the sense of this file. `alpha` and `sigma` broadcast against `sample`.
"""

from __future__ import annotations

import torch
from torch import Tensor

Scale = Tensor | float

EPSILON = "epsilon"
V_PREDICTION = "v_prediction"
SAMPLE = "sample"
PREDICTION_TYPES = (EPSILON, V_PREDICTION, SAMPLE)

PLACEMENTS = ("both", "conditional", "guided")
"""Where the modulation sits under classifier-free guidance.

`both` branches are modulated before they are combined, `conditional` modulates the prompt's branch alone
(so that guidance multiplies the correction), `guided` modulates the combined prediction.
"""

SINGULAR_ALPHA = 1e-3
"""Below this alpha the picture is pure noise (zero terminal SNR): eps and v no longer tell of each other."""


def signal_and_noise(alphas_cumprod: Tensor, timestep: Tensor | float) -> tuple[Tensor, Tensor]:
    """alpha and sigma at `timestep`, a number or a (B,) tensor, which may lie between two training timesteps.

    Between two timesteps sigma / alpha is interpolated linearly, as the Euler scheduler does.
    Returns tensors of the timestep's shape, in float32 on the device of `alphas_cumprod`.
    """
    steps = torch.as_tensor(timestep, device=alphas_cumprod.device, dtype=torch.float64)
    steps = steps.clamp(0, len(alphas_cumprod) - 1)
    below = steps.floor().long()
    if torch.equal(below.double(), steps):
        squared = alphas_cumprod.double()[below]
    else:
        ratio = ((1 - alphas_cumprod.double()) / alphas_cumprod.double()).sqrt()
        above = (below + 1).clamp(max=len(alphas_cumprod) - 1)
        squared = 1 / (1 + torch.lerp(ratio[below], ratio[above], steps - below) ** 2)
    return squared.sqrt().float(), (1 - squared).sqrt().float()


def to_epsilon(output: Tensor, sample: Tensor, alpha: Scale, sigma: Scale, prediction_type: str) -> Tensor:
    """The noise that the base's raw `output` stands for: `output` itself where the base predicts noise."""
    if prediction_type == EPSILON:
        return output
    if prediction_type == V_PREDICTION:
        return alpha * output + sigma * sample
    return (sample - alpha * output) / sigma


def from_epsilon(eps: Tensor, sample: Tensor, alpha: Scale, sigma: Scale, prediction_type: str) -> Tensor:
    """The inverse of `to_epsilon`. v and x_0 are singular at alpha = 0."""
    if prediction_type == EPSILON:
        return eps
    if prediction_type == V_PREDICTION:
        return (eps - sigma * sample) / alpha
    return (sample - sigma * eps) / alpha


def to_x0(output: Tensor, sample: Tensor, alpha: Scale, sigma: Scale, prediction_type: str) -> Tensor:
    """The estimate of the clean latents that the base's raw `output` stands for."""
    if prediction_type == EPSILON:
        return (sample - sigma * output) / alpha
    if prediction_type == V_PREDICTION:
        return alpha * sample - sigma * output
    return output


def correction(eps: Tensor, gamma: Tensor, nu: Tensor, strength: float = 1.0) -> Tensor:
    """strength * (gamma * eps + nu - eps): exactly zero for gamma = 1 and nu = 0, and for strength 0."""
    return strength * (gamma * eps + nu - eps)


def modulate(eps: Tensor, gamma: Tensor, nu: Tensor, strength: float = 1.0) -> Tensor:
    """eps + strength * (gamma * eps + nu - eps): the method's equation at strength 1, eps at strength 0."""
    return eps + correction(eps, gamma, nu, strength)


def add_to_output(output: Tensor, delta: Tensor, alpha: Scale, sigma: Scale, prediction_type: str) -> Tensor:
    """The raw output whose noise is larger by `delta`; bitwise `output` where delta is zero.

    The same as `from_epsilon(to_epsilon(output) + delta)` without the rounding of the way there and back.
    """
    if prediction_type == EPSILON:
        return output + delta
    if prediction_type == V_PREDICTION:
        return output + delta / alpha
    return output - sigma * delta / alpha


def guide(negative: Tensor, positive: Tensor, guidance_scale: float) -> Tensor:
    """Classifier-free guidance, in the order of operations of diffusers."""
    return negative + guidance_scale * (positive - negative)
