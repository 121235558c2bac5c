"""Devices and precisions by name, or what suits the machine."""

from __future__ import annotations

import importlib.util
import platform

import pytest
import torch

from mcm_core import InputError, devices
from mcm_core.devices import choose_device, choose_dtype, is_here
from mcm_core.training.precision import AUTO, choose_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["abacus", "cpu!", "cuda:99", "CPU", "\0"])
def test_a_device_that_is_not_here_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no device"):
        choose_device(name)
    assert not is_here(name)


def test_the_quickest_device_that_is_here_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device(None) == choose_device("cpu") == CPU
    for there in (torch.backends.mps, torch.cuda):  # asked for, though this machine may lack them
        monkeypatch.setattr(there, "is_available", lambda: True)
        monkeypatch.setattr(torch, "empty", lambda *_, device: device)
        assert choose_device(None).type == ("cuda" if there is torch.cuda else "mps")


def test_each_process_under_torchrun_gets_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch, "empty", lambda *_, device: device)
    numbers = []
    for rank in range(4):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        numbers.append(choose_device(None).index)
    assert numbers == [0, 1, 0, 1]
    assert choose_device("cpu") == CPU


def test_training_is_in_bf16_only_where_the_card_multiplies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turing and Volta, of compute capability 7, emulate it."""
    card = torch.device("cuda")
    for capability, expected in (((7, 0), "fp16"), ((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, told=capability: told)
        assert choose_precision(AUTO, card) == expected
        assert choose_precision("fp32", card) == "fp32"


def test_precision_follows_device_and_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    for able, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(devices, "multiplies_bfloat16", lambda able=able: able)
        assert choose_dtype(None, CPU) == expected
        assert choose_dtype("float32", CPU) == choose_dtype(torch.float32, CPU) == torch.float32
        assert choose_dtype(None, torch.device("cuda")) == torch.float16
        assert choose_dtype(None, torch.device("mps")) == torch.float32


def test_a_version_of_torch_that_does_not_tell_of_its_processor_means_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = importlib.util.find_spec("mcm_core.devices")  # anew: tests/conftest.py has replaced the function
    untouched = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(untouched)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    asked = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    for able in (*asked, None):
        for name in asked:
            monkeypatch.setattr(torch.cpu, name, lambda here=name == able: here)
        assert untouched.multiplies_bfloat16() is (able is not None)
    for name in asked:
        monkeypatch.delattr(torch.cpu, name)
    assert untouched.multiplies_bfloat16() is False


@pytest.mark.parametrize("name", ["float64", "int8", ""])
def test_an_unknown_precision_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="float32, bfloat16, float16"):
        choose_dtype(name, CPU)
