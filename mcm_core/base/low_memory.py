"""For a GPU on which a base is tight: pictures are decoded in tiles, networks come only to be asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

TILE = 512
"""Pixels along the sides of what is decoded or encoded at once; tiles overlap and are blended."""


def work_in_tiles(autoencoder: Any) -> None:
    """From now on it takes the memory of one tile, whatever the picture; smaller ones stay as they were."""
    if not hasattr(autoencoder, "tile_latent_min_size"):  # VQ-VAEs are small
        return
    autoencoder.enable_slicing()
    autoencoder.enable_tiling()
    factor = 2 ** (len(autoencoder.config.block_out_channels) - 1)
    autoencoder.tile_sample_min_size, autoencoder.tile_latent_min_size = TILE, TILE // factor


@contextmanager
def visiting(networks: Sequence[nn.Module], device: torch.device) -> Iterator[None]:
    """The networks are on `device`, and in main memory afterwards."""
    try:
        for network in networks:
            network.to(device)
        yield
    finally:
        for network in networks:
            network.to("cpu")


@contextmanager
def resting(network: nn.Module, device: torch.device) -> Iterator[None]:
    """The network waits in main memory, where the device has a memory of its own, and comes back to it."""
    if not has_own_memory(device):
        yield
        return
    network.to("cpu")
    try:
        yield
    finally:
        network.to(device)


def has_own_memory(device: torch.device) -> bool:
    """Apple's GPUs share the main memory, as the CPU does."""
    return device.type not in ("cpu", "mps")
