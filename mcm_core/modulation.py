"""The method's equation, and where it sits under guidance, as pure functions of tensors.

    eps' = gamma * eps + nu                                     (Ham et al., SIGGRAPH 2023)

How a base's output tells of eps is in `mcm_core.schedule`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from torch import Tensor

Placement = Literal["both", "conditional", "guided"]
"""Where the modulation sits under classifier-free guidance.

`both` branches are modulated before they are combined, `conditional` modulates the prompt's branch alone
(so that guidance multiplies the correction), `guided` modulates the combined prediction.
"""

PLACEMENTS: tuple[Placement, ...] = get_args(Placement)


def correction(eps: Tensor, gamma: Tensor, nu: Tensor, strength: float = 1.0) -> Tensor:
    """strength * (gamma * eps + nu - eps): exactly zero for gamma = 1 and nu = 0, and for strength 0."""
    return strength * (gamma * eps + nu - eps)


def modulate(eps: Tensor, gamma: Tensor, nu: Tensor, strength: float = 1.0) -> Tensor:
    """eps + strength * (gamma * eps + nu - eps): the method's equation at strength 1, eps at strength 0."""
    return eps + correction(eps, gamma, nu, strength)


def guide(negative: Tensor, positive: Tensor, guidance_scale: float) -> Tensor:
    """Classifier-free guidance, in the order of operations of diffusers."""
    return negative + guidance_scale * (positive - negative)
