"""Traced networks: the same numbers as before, sooner; whatever cannot be so goes on as it was."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from mcm_core import Base, MCMPipeline, Request, traced
from mcm_core.traced import Traced, quicken

from . import tiny


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.SiLU(), nn.Conv2d(4, 3, 3)).eval()


class Moody(nn.Module):
    """Gives other numbers each time."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


class Branching(nn.Module):
    """What it does depends on the numbers, and on a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor, *, twice: bool = False, names: object = None) -> tuple[torch.Tensor]:
        return (x * self.weight * (2 if twice else 1),)


@pytest.mark.parametrize("compare", [False, True])
@pytest.mark.parametrize("placement", ["both", "conditional", "guided"])
def test_pictures_and_previews_are_bitwise_the_same(tmp_path, placement, compare):
    base = Base.from_pretrained(tiny.build_stable_diffusion(tmp_path))
    pipeline = MCMPipeline(base, tiny.build_modulator(base))
    request = Request(
        "a lake", conditions=tiny.drawing(), steps=3, seeds=(1,), compare=compare, placement=placement
    )
    usual = list(pipeline.stream(request))
    quick = list(pipeline.quicken().stream(request))
    kinds = [
        kind for network in (base.unet, pipeline.modulator.trunk) for kind in network.forward._known.items()
    ]
    assert len(kinds) >= 2
    assert all(one is not None for _, one in kinds)
    for one, other in zip(usual, quick, strict=True):
        assert np.array_equal(one.preview, other.preview)
    assert np.array_equal(usual[-1].result.images, quick[-1].result.images)


def test_weights_that_change_in_place_count():
    network = layers()
    quicken(network)
    x = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        before = network(x)
        assert list(network.forward._known.values()) != [None]
        network[0].weight.mul_(2)
        after = network(x)
        network.forward = network.forward._call
        assert torch.equal(after, network(x))
        assert not torch.equal(after, before)


def test_training_and_gradients_go_the_usual_way():
    network = layers()
    quicken(network)
    network(torch.randn(1, 3, 8, 8)).sum().backward()
    assert network[0].weight.grad is not None
    with torch.no_grad():
        network.train()(torch.randn(1, 3, 8, 8))
    assert not network.forward._known


def test_constants_are_told_apart_and_other_arguments_are_left_alone():
    network = Branching().eval()
    quicken(network)
    x = torch.ones(2)
    with torch.no_grad():
        assert network(x, twice=True)[0].tolist() == [2, 2]
        assert network(x=x, twice=False)[0].tolist() == [1, 1]
        assert network(x, names=["a"])[0].tolist() == [1, 1]
    assert len(network.forward._known) == 2


def test_other_shapes_are_traced_anew_up_to_a_bound():
    network, plain = layers(), layers()
    quicken(network)
    with torch.no_grad():
        for side in range(4, 4 + traced.MOST_KINDS + 2):
            x = torch.randn(1, 3, side, side)
            assert torch.equal(network(x), plain(x))
    assert len(network.forward._known) == traced.MOST_KINDS


def test_what_gives_other_numbers_when_traced_is_not():
    network = Moody().eval()
    quicken(network)
    with torch.no_grad():
        network(torch.zeros(3))
    assert list(network.forward._known.values()) == [None]


def test_what_cannot_be_traced_goes_on(monkeypatch):
    monkeypatch.setattr(torch.jit, "trace", lambda *args, **options: 1 / 0)
    network, plain = layers(), layers()
    quicken(network)
    x = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(network(x), plain(x))


def test_large_networks_and_those_on_other_devices_stay_as_they_are(monkeypatch):
    elsewhere = copy.deepcopy(layers()).to("meta")
    monkeypatch.setattr(traced, "LARGEST", 50)
    large = layers()
    quicken(large, elsewhere, None)
    assert not isinstance(large.forward, Traced)
    assert not isinstance(elsewhere.forward, Traced)


def test_twice_is_once():
    network = layers()
    quicken(network)
    first = network.forward
    quicken(network)
    assert network.forward is first
