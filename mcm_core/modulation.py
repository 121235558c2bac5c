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


DRAWING_GUIDANCE = 2.0
"""How many times a drawing counts on a base that guides itself, see `contrast`."""


def correction(eps: Tensor, gamma: Tensor, nu: Tensor, strength: float = 1.0) -> Tensor:
    """strength * (gamma * eps + nu - eps): exactly zero for gamma = 1 and nu = 0, and for strength 0."""
    return strength * (gamma * eps + nu - eps)


def contrast(drawn: Tensor, undrawn: Tensor) -> Tensor:
    """What a drawing changes on a base that guides itself (LCM, Turbo), of the corrections with and without.

    Such a base runs once a step, so that no guidance multiplies the correction as it does in the prompt's
    branch; that is done here, by `DRAWING_GUIDANCE`. What the modulator does where nothing is drawn is taken
    off: one that was trained on such a base would lead back from its guided prediction to a plain one.
    """
    return DRAWING_GUIDANCE * (drawn - undrawn)


def modulate(eps: Tensor, gamma: Tensor, nu: Tensor, strength: float = 1.0) -> Tensor:
    """eps + strength * (gamma * eps + nu - eps): the method's equation at strength 1, eps at strength 0."""
    return eps + correction(eps, gamma, nu, strength)


def boosted(
    positive: Tensor, negative: Tensor, modulated: Tensor, prompt_boost: float, strength: float
) -> Tensor:
    """The modulated prompt's branch, from which guidance leads `prompt_boost` times as far along the prompt.

    A drawing that is guided drowns what the prompt says of light and season. As with the two scales of
    InstructPix2Pix (Brooks et al. 2023), words and drawing then count differently:

        guide(negative, this, w) = negative + w * (boost * (positive - negative) + modulated - positive)

    at strength 1; at strength 0, and for a boost of 1, it is `modulated` itself.
    """
    further = strength * (prompt_boost - 1)
    return modulated + further * (positive - negative) if further else modulated


def guide(negative: Tensor, positive: Tensor, guidance_scale: float) -> Tensor:
    """Classifier-free guidance, in the order of operations of diffusers."""
    return negative + guidance_scale * (positive - negative)
