"""Shared fixtures: the small random models of `tests/tiny.py`, built once per session, and no network."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: a second thread is of no use to models this small, and
# where another program wants its core, the first one waits for it at every operation
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import hypothesis
import pytest

from mcm_core import Base, Modulator, devices
from mcm_core.evaluation import scenes
from tests import tiny

hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

devices.multiplies_bfloat16 = lambda: False  # pictures are compared in float32 on any processor


SLOW = ("test_training.py", "test_base_training.py", "test_bad_input.py", "test_crowds.py")
"""Files without a browser that take about as long as those with one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first, so that no process is left alone with one in the end."""
    slow = {item.path for item in items if item.get_closest_marker("browser") or item.path.name in SLOW}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def sd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion in small, epsilon prediction."""
    return tiny.build_stable_diffusion(tmp_path_factory.mktemp("sd"))


@pytest.fixture(scope="session")
def sd_v_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion in small, v prediction."""
    return tiny.build_stable_diffusion(tmp_path_factory.mktemp("sd-v"), "v_prediction")


@pytest.fixture(scope="session")
def sdxl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_sdxl(tmp_path_factory.mktemp("sdxl"))


@pytest.fixture(scope="session")
def ldm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_ldm(tmp_path_factory.mktemp("ldm"))


@pytest.fixture(scope="session")
def ddpm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_ddpm(tmp_path_factory.mktemp("ddpm"))


@pytest.fixture(scope="session")
def base(sd_folder: Path) -> Base:
    """The small Stable Diffusion, opened. It is frozen, so that all tests may share it."""
    return Base.from_pretrained(sd_folder)


@pytest.fixture(scope="session")
def modulator(base: Base) -> Modulator:
    """A modulator for `base` that acts."""
    return tiny.build_modulator(base)


@pytest.fixture(scope="session")
def held_out() -> list[scenes.HeldOut]:
    """Three held-out scenes of the judge, as posters."""
    return scenes.scenes(3, "poster", (64, 64))
