"""What bases predict at a moment of the noise schedule: the noise, v, or the clean latents."""

from __future__ import annotations

import diffusers
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mcm_core.schedule import PREDICTION_TYPES, SAMPLE, SMALLEST_ALPHA, V_PREDICTION, Moment, moment, moments

SHAPE = (2, 4, 8, 8)
timesteps = st.integers(0, 999)
kinds = st.sampled_from(PREDICTION_TYPES)


def schedule() -> diffusers.DDPMScheduler:
    return diffusers.DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)


def at(timestep: float, kind: str) -> Moment:
    return moment(schedule().alphas_cumprod, timestep, kind)


def noised(timestep: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """x_0, eps, and diffusers' own x_t and v."""
    generator = torch.Generator().manual_seed(timestep)
    x0, eps = torch.randn(SHAPE, generator=generator), torch.randn(SHAPE, generator=generator)
    steps = torch.tensor([timestep] * len(x0))
    return x0, eps, schedule().add_noise(x0, eps, steps), schedule().get_velocity(x0, eps, steps)


@given(timesteps)
def test_noising_targets_and_readings_are_those_of_diffusers(timestep: int) -> None:
    x0, eps, sample, velocity = noised(timestep)
    for kind, output in {"epsilon": eps, V_PREDICTION: velocity, SAMPLE: x0}.items():
        now = at(timestep, kind)
        torch.testing.assert_close(now.noised(x0, eps), sample)
        torch.testing.assert_close(now.target(x0, eps), output)
        # x_0 tells little of eps where there is little noise, and eps little of x_0 where there is much.
        close = {"rtol": 1e-3, "atol": 1e-5 / min(now.alpha, now.sigma)}
        torch.testing.assert_close(now.eps(output, sample), eps, **close)
        torch.testing.assert_close(now.x0(output, sample), x0, **close)


@given(timesteps, kinds)
def test_a_change_of_the_noise_arrives_in_the_output(timestep: int, kind: str) -> None:
    x0, eps, sample, _ = noised(timestep)
    delta = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    now = at(timestep, kind)
    output = now.target(x0, eps)
    changed = now.shifted(output, delta)
    close = {"rtol": 1e-3, "atol": 1e-3 / min(now.alpha, now.sigma)}
    torch.testing.assert_close(now.eps(changed, sample), now.eps(output, sample) + delta, **close)


@given(timesteps, kinds)
def test_no_change_is_bitwise_no_change(timestep: int, kind: str) -> None:
    _, _, sample, _ = noised(timestep)
    assert torch.equal(at(timestep, kind).shifted(sample, torch.zeros(SHAPE)), sample)


def test_of_nothing_but_noise_the_estimate_is_finite() -> None:
    sample = torch.ones(SHAPE)
    for kind in PREDICTION_TYPES:
        now = Moment(999, SMALLEST_ALPHA / 1e6, 1.0, kind)
        assert now.x0(sample * 0.9, sample).abs().max() < 10


def test_the_moments_of_a_batch_are_those_of_each_timestep() -> None:
    alphas_cumprod = schedule().alphas_cumprod
    steps = torch.tensor([0, 500, 999])
    batch = moments(alphas_cumprod, steps, V_PREDICTION)
    single = [at(step, V_PREDICTION) for step in steps.tolist()]
    assert batch.alpha.flatten().tolist() == [now.alpha for now in single]
    assert batch.sigma.flatten().tolist() == [now.sigma for now in single]
    torch.testing.assert_close(batch.alpha.flatten() ** 2, alphas_cumprod[steps])
    torch.testing.assert_close(batch.alpha**2 + batch.sigma**2, torch.ones(3, 1, 1, 1))


@pytest.mark.parametrize("steps", [3, 7, 30])
def test_between_timesteps_alpha_and_sigma_are_those_of_the_euler_scheduler(steps: int) -> None:
    euler = diffusers.EulerDiscreteScheduler.from_config(schedule().config, timestep_spacing="linspace")
    euler.set_timesteps(steps)
    for timestep, ratio in zip(euler.timesteps, euler.sigmas, strict=False):
        now = at(timestep.item(), "epsilon")
        assert now.sigma / now.alpha == pytest.approx(ratio.item(), rel=1e-4, abs=1e-4)
