"""The base is frozen: bitwise unchanged by generating and by training, and no gradient is ever allocated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from mcm_core import Base, MCMPipeline, Modulator, Request
from mcm_core.modulation import modulate
from mcm_core.schedule import moments
from tests import tiny


def tensors(base: Base) -> Iterator[tuple[str, torch.Tensor]]:
    for network in base.networks():
        yield from network.named_parameters()
        yield from network.named_buffers()


def check_unchanged(base: Base, act: Callable[[], object]) -> None:
    before = [(name, tensor, tensor.clone()) for name, tensor in tensors(base)]
    assert before
    act()
    for (name, tensor, copy), (_, now) in zip(before, tensors(base), strict=True):
        assert now is tensor, f"{name} was replaced"
        assert torch.equal(now, copy), f"{name} has changed"
        assert now.grad is None, f"a gradient was allocated for {name}"
        assert not now.requires_grad, f"{name} could be trained"
    assert not any(module.training for network in base.networks() for module in network.modules())


@pytest.fixture(params=["sd_folder", "sd_v_folder", "sdxl_folder", "ldm_folder", "ddpm_folder"])
def any_base(request: pytest.FixtureRequest) -> Base:
    return Base.from_pretrained(request.getfixturevalue(request.param))


def test_generating_leaves_it_unchanged(any_base: Base) -> None:
    pipeline = MCMPipeline(any_base, tiny.build_modulator(any_base))
    request = Request(conditions=tiny.drawing(), steps=2, compare=True)
    check_unchanged(any_base, lambda: pipeline(request))


def train(base: Base, modulator: Modulator, steps: int = 2) -> None:
    """The paper's objective: eps' against the noise; the base's prediction is a constant input."""
    optimiser = torch.optim.AdamW(modulator.parameters(), lr=1e-2)
    height, width = (side // base.downscale for side in base.default_size)
    embeddings = base.encode_prompt(["a lake"])
    for step in range(steps):
        noise = torch.randn(1, base.latent_channels, height, width)
        timestep = torch.tensor([400 + step])
        now = moments(base.alphas_cumprod, timestep, base.prediction_type)
        sample = now.noised(base.encode(torch.rand(1, 3, *base.default_size) * 2 - 1), noise)
        output = base.predict(sample, timestep, embeddings)
        eps = now.eps(output, sample)
        sketch = torch.randint(0, 256, (1, *base.default_size), dtype=torch.uint8)
        features = modulator.encode({"sketch": sketch}, size=(height, width))
        change = modulator(sample, eps, timestep, now.alpha, features)
        loss = (modulate(eps, change.gamma, change.nu) - noise).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def test_training_a_modulator_leaves_it_unchanged(any_base: Base) -> None:
    modulator = tiny.build_modulator(any_base, trained=False)
    before = nn.utils.parameters_to_vector(modulator.parameters()).clone()
    check_unchanged(any_base, lambda: train(any_base, modulator))
    assert not torch.equal(nn.utils.parameters_to_vector(modulator.parameters()), before)


def test_a_gradient_that_is_asked_for_does_not_pass_through(base: Base) -> None:
    sample = torch.randn(1, 4, 8, 8, requires_grad=True)
    output = base.predict(sample, 10, base.encode_prompt([""]))
    assert output.grad_fn is None
    assert not output.requires_grad


def test_a_change_would_be_noticed(sd_folder: Path) -> None:
    """The check above can fail."""
    base = Base.from_pretrained(sd_folder)
    weight = next(iter(base.networks()[0].parameters()))
    with pytest.raises(AssertionError, match="has changed"):
        check_unchanged(base, lambda: weight.data.add_(1e-6))
