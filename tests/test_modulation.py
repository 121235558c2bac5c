"""The equation eps' = gamma * eps + nu, and guidance."""

from __future__ import annotations

import torch

from mcm_core import modulation

SHAPE = (2, 4, 8, 8)


def test_the_equation() -> None:
    eps, gamma, nu = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(modulation.modulate(eps, gamma, nu), gamma * eps + nu)
    assert torch.equal(modulation.modulate(eps, gamma, nu, 0.0), eps)
    half = modulation.modulate(eps, gamma, nu, 0.5)
    torch.testing.assert_close(half, 0.5 * eps + 0.5 * (gamma * eps + nu))


def test_the_identity_corrects_bitwise_nothing() -> None:
    eps = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    assert not modulation.correction(eps, torch.ones_like(eps), torch.zeros_like(eps)).any()


def test_guidance_of_scale_one_is_the_prompt_and_of_scale_zero_its_absence() -> None:
    negative, positive = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(modulation.guide(negative, positive, 1.0), positive)
    assert torch.equal(modulation.guide(negative, positive, 0.0), negative)
