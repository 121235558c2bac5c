"""Where a base is tight: the same pictures, with less in memory at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mcm_core import Base, MCMPipeline, Request
from mcm_core.base import low_memory
from mcm_core.training.needs import LiveBytes


@pytest.mark.parametrize("family", ["sd_folder", "sdxl_folder", "ldm_folder", "ddpm_folder"])
def test_pictures_of_a_tile_or_less_stay_the_same(family: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(family)
    images = [
        MCMPipeline(Base.from_pretrained(folder, low_memory=low))(Request(steps=2, seeds=(7,))).images
        for low in (False, True)
    ]
    assert np.array_equal(*images)


def test_prompts_of_any_length_are_read_by_visiting_encoders(sdxl_folder: Path) -> None:
    prompts = ["a lake", "a (lake:1.3)", "a lake, " * 40]
    ample, tight = (Base.from_pretrained(sdxl_folder, low_memory=low) for low in (False, True))
    for prompt in prompts:
        one, other = ample.encode_prompt([prompt]), tight.encode_prompt([prompt])
        assert torch.equal(one.hidden, other.hidden)
        assert torch.equal(one.pooled, other.pooled)


def test_larger_pictures_take_the_memory_of_a_tile(sd_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(low_memory, "TILE", 64)
    ample, tight = (Base.from_pretrained(sd_folder, low_memory=low) for low in (False, True))
    latents = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    peaks, decoded = [], []
    for base in (ample, tight):
        with LiveBytes() as live:
            decoded.append(base.decode(latents))
        peaks.append(live.peak)
    assert peaks[1] < peaks[0] / 3
    whole, tiled = (image.flatten() for image in decoded)  # a network of noise looks about far
    assert torch.corrcoef(torch.stack([whole, tiled]))[0, 1] > 0.7


class Traveller(torch.nn.Module):
    """A network that notes where it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.moves: list[str] = []

    def to(self, where: object) -> Traveller:  # type: ignore[override]
        self.moves.append(str(where))
        return self


def test_encoders_go_back_whatever_happens() -> None:
    network = Traveller()

    def ask() -> None:
        with low_memory.visiting([network], torch.device("cuda")):
            assert network.moves == ["cuda"]
            raise ValueError("a prompt that cannot be read")

    with pytest.raises(ValueError, match="a prompt"):
        ask()
    assert network.moves == ["cuda", "cpu"]


@pytest.mark.parametrize(("device", "moves"), [("cuda:1", ["cpu", "cuda:1"]), ("mps", []), ("cpu", [])])
def test_a_network_rests_where_that_frees_memory(device: str, moves: list[str]) -> None:
    network = Traveller()

    def encode() -> None:
        with low_memory.resting(network, torch.device(device)):
            assert network.moves == moves[:1]
            raise ValueError("a picture that cannot be read")

    with pytest.raises(ValueError, match="a picture"):
        encode()
    assert network.moves == moves
