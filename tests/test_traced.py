"""Traced networks: the same numbers as before, sooner; whatever cannot be so goes on as it was."""

from __future__ import annotations

from dataclasses import replace

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


def known(network: nn.Module) -> list[object]:
    """What became of each kind of input that was met while it learned."""
    return list(network.forward._known.values())


@pytest.mark.parametrize("compare", [False, True])
@pytest.mark.parametrize("placement", ["both", "conditional", "guided"])
def test_pictures_and_previews_are_bitwise_the_same(tmp_path, placement, compare):
    base = Base.from_pretrained(tiny.build_stable_diffusion(tmp_path))
    pipeline = MCMPipeline(base, tiny.build_modulator(base))
    request = Request(
        "a lake", conditions=tiny.drawing(), steps=3, seeds=(1,), compare=compare, placement=placement
    )
    usual = list(pipeline.stream(request))
    pipeline.quicken(replace(request, steps=1).resolved(base, pipeline.modulator))
    quick = list(pipeline.stream(request))
    for network in (base.unet, pipeline.modulator.trunk, *pipeline.modulator.branches.values()):
        assert known(network)
        assert None not in known(network)
    for one, other in zip(usual, quick, strict=True):
        assert np.array_equal(one.preview, other.preview)
    assert np.array_equal(usual[-1].result.images, quick[-1].result.images)


def learned(network: nn.Module, *inputs: torch.Tensor) -> None:
    with torch.no_grad():
        quicken(lambda: [network(x) for x in inputs], network)


def test_weights_that_change_in_place_count():
    network, x = layers(), torch.randn(1, 3, 8, 8)
    learned(network, x)
    with torch.no_grad():
        before = network(x)
        network[0].weight.mul_(2)
        after = network(x)
        assert torch.equal(after, network.forward._call(x))
    assert None not in known(network)
    assert not torch.equal(after, before)


def test_training_and_gradients_go_the_usual_way():
    network, x = layers(), torch.randn(1, 3, 8, 8)
    learned(network, x)
    network(x).sum().backward()
    assert network[0].weight.grad is not None
    network = layers().train()
    learned(network, x)
    assert known(network) == []


def test_constants_are_told_apart_and_other_arguments_are_left_alone():
    network, x = Branching().eval(), torch.ones(2)

    def run() -> None:
        with torch.no_grad():
            assert network(x, twice=True)[0].tolist() == [2, 2]
            assert network(x, twice=False)[0].tolist() == [1, 1]
            assert network(x=x, twice=False)[0].tolist() == [1, 1]
            assert network(x, names=["a"])[0].tolist() == [1, 1]

    quicken(run, network)
    assert len(known(network)) == 3
    run()


def test_kinds_that_were_not_met_are_not_traced():
    network, plain = layers(), layers()
    learned(network, torch.randn(1, 3, 8, 8))
    x = torch.randn(1, 3, 9, 8)
    with torch.no_grad():
        assert torch.equal(network(x), plain(x))
    assert len(known(network)) == 1


def test_more_can_be_learned():
    network = layers()
    learned(network, torch.randn(1, 3, 8, 8))
    first = network.forward
    learned(network, torch.randn(1, 3, 9, 8))
    assert network.forward is first
    assert len(known(network)) == 2


def test_an_error_ends_the_learning():
    network = layers()
    with pytest.raises(ZeroDivisionError):
        quicken(lambda: 1 / 0, network)
    assert not network.forward.is_learning


def test_what_gives_other_numbers_when_traced_is_not():
    network = Moody().eval()
    learned(network, torch.zeros(3))
    assert known(network) == [None]


def test_what_cannot_be_traced_goes_on(monkeypatch):
    monkeypatch.setattr(torch.jit, "trace", lambda *args, **options: 1 / 0)
    network, plain, x = layers(), layers(), torch.randn(1, 3, 8, 8)
    learned(network, x)
    with torch.no_grad():
        assert torch.equal(network(x), plain(x))
    assert known(network) == [None]


def test_networks_on_other_devices_stay_as_they_are():
    network = layers().to("meta")
    quicken(lambda: 1 / 0, network, None)
    assert not isinstance(network.forward, Traced)


def test_large_networks_stay_as_they_are(monkeypatch):
    network = layers()
    size = sum(one.numel() for one in network.parameters())
    monkeypatch.setattr(traced, "LARGEST", size - 1)
    quicken(lambda: 1 / 0, network)
    assert not isinstance(network.forward, Traced)
    monkeypatch.setattr(traced, "LARGEST", size)
    learned(network, torch.randn(1, 3, 8, 8))
    assert None not in known(network)
