"""The equation eps' = gamma * eps + nu, and the conversions between what bases predict."""

from __future__ import annotations

import diffusers
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mcm_core import modulation
from mcm_core.modulation import PREDICTION_TYPES, SAMPLE, V_PREDICTION

SHAPE = (2, 4, 8, 8)
timesteps = st.integers(0, 999)
kinds = st.sampled_from(PREDICTION_TYPES)


def schedule() -> diffusers.DDPMScheduler:
    return diffusers.DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)


def noised(timestep: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """x_0, eps, and diffusers' own x_t and v."""
    generator = torch.Generator().manual_seed(timestep)
    x0, eps = torch.randn(SHAPE, generator=generator), torch.randn(SHAPE, generator=generator)
    steps = torch.tensor([timestep] * len(x0))
    return x0, eps, schedule().add_noise(x0, eps, steps), schedule().get_velocity(x0, eps, steps)


@given(timesteps)
def test_epsilon_and_x0_are_those_of_diffusers(timestep: int) -> None:
    x0, eps, sample, velocity = noised(timestep)
    alpha, sigma = modulation.signal_and_noise(schedule().alphas_cumprod, timestep)
    outputs = {"epsilon": eps, V_PREDICTION: velocity, SAMPLE: x0}
    for kind, output in outputs.items():
        # x_0 tells little of eps where there is little noise, and eps little of x_0 where there is much.
        close = {"rtol": 1e-3, "atol": 1e-5 / min(float(alpha), float(sigma))}
        torch.testing.assert_close(modulation.to_epsilon(output, sample, alpha, sigma, kind), eps, **close)
        torch.testing.assert_close(modulation.from_epsilon(eps, sample, alpha, sigma, kind), output, **close)
        torch.testing.assert_close(modulation.to_x0(output, sample, alpha, sigma, kind), x0, **close)


@given(timesteps, kinds)
def test_a_change_of_the_noise_arrives_in_the_output(timestep: int, kind: str) -> None:
    _, eps, sample, _ = noised(timestep)
    delta = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    alpha, sigma = modulation.signal_and_noise(schedule().alphas_cumprod, timestep)
    output = modulation.from_epsilon(eps, sample, alpha, sigma, kind)
    expected = modulation.from_epsilon(eps + delta, sample, alpha, sigma, kind)
    changed = modulation.add_to_output(output, delta, alpha, sigma, kind)
    torch.testing.assert_close(changed, expected, rtol=1e-3, atol=1e-3)


@given(timesteps, kinds)
def test_no_change_is_bitwise_no_change(timestep: int, kind: str) -> None:
    _, eps, sample, _ = noised(timestep)
    alpha, sigma = modulation.signal_and_noise(schedule().alphas_cumprod, timestep)
    delta = modulation.correction(eps, torch.ones_like(eps), torch.zeros_like(eps), 1.0)
    assert torch.equal(modulation.add_to_output(sample, delta, alpha, sigma, kind), sample)


def test_the_equation() -> None:
    eps, gamma, nu = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(modulation.modulate(eps, gamma, nu), gamma * eps + nu)
    assert torch.equal(modulation.modulate(eps, gamma, nu, 0.0), eps)
    half = modulation.modulate(eps, gamma, nu, 0.5)
    torch.testing.assert_close(half, 0.5 * eps + 0.5 * (gamma * eps + nu))


def test_alpha_and_sigma_of_a_batch_of_timesteps() -> None:
    alphas_cumprod = schedule().alphas_cumprod
    steps = torch.tensor([0, 500, 999])
    alpha, sigma = modulation.signal_and_noise(alphas_cumprod, steps)
    torch.testing.assert_close(alpha**2, alphas_cumprod[steps])
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(3))


@pytest.mark.parametrize("steps", [3, 7, 30])
def test_between_timesteps_alpha_and_sigma_are_those_of_the_euler_scheduler(steps: int) -> None:
    euler = diffusers.EulerDiscreteScheduler.from_config(schedule().config, timestep_spacing="linspace")
    euler.set_timesteps(steps)
    for timestep, ratio in zip(euler.timesteps, euler.sigmas, strict=False):
        alpha, sigma = modulation.signal_and_noise(schedule().alphas_cumprod, timestep.item())
        torch.testing.assert_close(sigma / alpha, ratio, rtol=1e-4, atol=1e-4)


def test_guidance_of_scale_one_is_the_prompt_and_of_scale_zero_its_absence() -> None:
    negative, positive = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(modulation.guide(negative, positive, 1.0), positive)
    assert torch.equal(modulation.guide(negative, positive, 0.0), negative)
