"""The network: exact identity when new, sizes as promised, its drawing's features, saving and loading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mcm_core import Base, InputError, LabelClass, Modality, Modulator
from mcm_core.modulator import SMALLEST_SCALE, Branch
from tests import tiny

MILLIONS = {"paper": (3.8, 4.1), "mini": (2.8, 3.0), "nano": (0.4, 0.5)}
WEIGHTS = "diffusion_pytorch_model.safetensors"


def identity(classes: int = 12) -> dict[str, Any]:
    return {
        "modalities": [{"name": n, "kind": k, "channels": c} for n, k, c in tiny.MODALITIES],
        "classes": [{"name": f"class {index}", "color": "#123456"} for index in range(classes)],
    }


def maps(batch: int = 1, side: int = 64) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "labels": torch.randint(0, 4, (batch, side, side), generator=generator, dtype=torch.uint8),
        "sketch": torch.randint(0, 256, (batch, side, side), generator=generator, dtype=torch.uint8),
    }


def latents(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("preset", MILLIONS)
def test_presets_have_their_size_and_start_as_the_exact_identity(preset: str) -> None:
    modulator = Modulator.preset(preset, **identity())
    low, high = MILLIONS[preset]
    assert low <= sum(parameter.numel() for parameter in modulator.parameters()) / 1e6 <= high
    features = modulator.encode(maps(), size=(8, 8))
    output = modulator(latents(1, 4, 8, 8), latents(1, 4, 8, 8), 500, 0.5, features)
    assert torch.equal(output.gamma, torch.ones(1, 4, 8, 8))
    assert torch.equal(output.nu, torch.zeros(1, 4, 8, 8))


def test_a_new_modulator_can_learn(base: Base) -> None:
    """Zero output, but not zero gradients: all of the network moves within two steps."""
    modulator = tiny.build_modulator(base, trained=False)
    optimiser = torch.optim.SGD(modulator.parameters(), lr=0.1)
    for _ in range(3):
        features = modulator.encode(maps(), {"sketch": 0.5}, size=(8, 8))
        output = modulator(latents(1, 4, 8, 8), latents(1, 4, 8, 8), 500, 0.5, features)
        loss = ((output.gamma - 2) ** 2).mean() + ((output.nu - 1) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    still = [name for name, parameter in modulator.named_parameters() if not parameter.grad.abs().any()]
    assert still == ["absent.labels"]  # the label map was there


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (1, 3), (8, 13)])
def test_any_size_of_latents(modulator: Modulator, size: tuple[int, int]) -> None:
    sample = latents(2, 4, *size)
    steps, alpha = torch.tensor([1, 999]), torch.tensor([0.999, 0.07])
    output = modulator(sample, sample, steps, alpha, modulator.encode({}, size=size, batch=2))
    assert output.gamma.shape == output.nu.shape == sample.shape


def test_a_timestep_between_two_is_not_rounded(modulator: Modulator) -> None:
    sample, features = latents(1, 4, 8, 8), modulator.encode({}, size=(8, 8))
    outputs = [modulator(sample, sample, timestep, 0.5, features).nu for timestep in (500, 500.5, 501)]
    assert not torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[1], outputs[2])


def test_the_palette_is_seen_through_the_strongest_noise(modulator: Modulator) -> None:
    """eps_t of two pictures differs by alpha there, and what the modulator says to it by as much again."""
    alpha, noise, features = 0.07, latents(1, 4, 8, 8), modulator.encode({}, size=(8, 8))
    sigma = (1 - alpha**2) ** 0.5
    said = []
    for picture in (-1.0, 1.0):
        eps = (noise - alpha * picture) / sigma
        said.append(modulator(noise, eps, 999, alpha, features).nu / alpha)
    assert (said[0] - said[1]).abs().mean() > 0.2 * said[0].abs().mean()


@pytest.mark.parametrize(("alpha", "scale"), [(0.8, 0.8), (0.07, 0.07), (0.01, SMALLEST_SCALE)])
def test_what_the_trunk_says_is_in_units_of_alpha(base: Base, alpha: float, scale: float) -> None:
    modulator = tiny.build_modulator(base, trained=False)
    torch.nn.init.ones_(modulator.trunk.conv_out.bias)
    sample, features = latents(1, 4, 8, 8), modulator.encode({}, size=(8, 8))
    output = modulator(sample, sample, 500, alpha, features)
    torch.testing.assert_close(output.gamma, torch.full_like(sample, 1 + scale))
    torch.testing.assert_close(output.nu, torch.full_like(sample, scale))


def test_a_half_precision_network_speaks_in_single_precision(base: Base) -> None:
    modulator = tiny.build_modulator(base).to(torch.bfloat16)
    features = modulator.encode({}, size=(8, 8))
    output = modulator(latents(1, 4, 8, 8), latents(1, 4, 8, 8), 500, 0.5, features)
    assert (features.dtype, output.gamma.dtype, output.nu.dtype) == (torch.bfloat16, *[torch.float32] * 2)


def test_absent_is_not_the_same_as_unpainted(modulator: Modulator) -> None:
    void = {"labels": torch.zeros(1, 64, 64, dtype=torch.uint8)}
    assert not torch.equal(modulator.encode(void, size=(8, 8)), modulator.encode({}, size=(8, 8)))


def test_presence_mixes_the_drawing_with_absence(modulator: Modulator) -> None:
    absent, whole = modulator.encode({}, size=(8, 8)), modulator.encode(maps(), size=(8, 8))
    gone = modulator.encode(maps(), {"labels": 0.0, "sketch": 0.0}, size=(8, 8))
    half = modulator.encode(maps(), {"labels": 0.5, "sketch": 0.5}, size=(8, 8))
    torch.testing.assert_close(gone, absent)
    torch.testing.assert_close(half, (absent + whole) / 2)


def test_presence_by_row(modulator: Modulator) -> None:
    rows = torch.tensor([1.0, 0.0])
    mixed = modulator.encode(maps(2), {"labels": rows, "sketch": rows}, size=(8, 8))
    torch.testing.assert_close(mixed[:1], modulator.encode(maps(2), size=(8, 8))[:1])
    torch.testing.assert_close(mixed[1:], modulator.encode({}, size=(8, 8)))


def test_a_stroke_of_one_pixel_is_seen(modulator: Modulator) -> None:
    paper, stroke = torch.zeros(2, 1, 64, 64, dtype=torch.uint8)
    stroke[..., 5, 5] = 255
    features = [modulator.encode({"sketch": drawn}, size=(8, 8)) for drawn in (paper, stroke)]
    assert not torch.equal(*features)


@pytest.mark.parametrize("classes", [18, 150, 255])
def test_any_number_of_classes_is_one_convolution_of_their_planes(classes: int) -> None:
    """With its gradients, however many classes' planes are in memory at once."""
    branch = Branch("labels", classes + 1, 8, downscale=8).double()
    ids = torch.randint(0, classes + 1, (2, 1, 32, 32))
    planes = torch.nn.functional.one_hot(ids[:, 0], classes + 1).permute(0, 3, 1, 2).double()
    branch(ids.to(torch.uint8)).square().sum().backward()
    found, branch.fold.weight.grad = branch.fold.weight.grad, None
    hidden = branch.fold(torch.nn.functional.pixel_unshuffle(planes, 8))
    for block in branch.blocks:
        hidden = block(hidden, None)
    expected = branch.out(hidden)
    torch.testing.assert_close(branch(ids.to(torch.uint8)), expected)
    expected.square().sum().backward()
    torch.testing.assert_close(found, branch.fold.weight.grad)


def test_other_modalities(base: Base) -> None:
    depth = [
        {"name": "depth", "kind": "image", "channels": 1},
        {"name": "normal", "kind": "image", "channels": 3},
    ]
    modulator = tiny.build_modulator(base, modalities=depth, classes=[])
    shapes = {"depth": (1, 64, 64), "normal": (1, 3, 64, 64)}
    given = {name: torch.zeros(shape, dtype=torch.uint8) for name, shape in shapes.items()}
    assert modulator.encode(given, size=(8, 8)).shape == (1, 16, 8, 8)


def test_drawn_maps_are_bytes(modulator: Modulator) -> None:
    with pytest.raises(TypeError, match="uint8"):
        modulator.encode({"sketch": torch.rand(1, 64, 64)}, size=(8, 8))


def test_the_training_window(base: Base) -> None:
    modulator = tiny.build_modulator(base, training_window=(600, 1000))
    assert [modulator.acts_at(t) for t in (0, 599.5, 600, 999)] == [False, False, True, True]
    assert all(tiny.build_modulator(base).acts_at(t) for t in (0, 999))


# -- saving and loading ------------------------------------------------------------------------------------


def test_saved_and_loaded_it_is_the_same(modulator: Modulator, tmp_path: Path) -> None:
    modulator.save_pretrained(tmp_path)
    loaded = Modulator.from_pretrained(tmp_path)
    assert not loaded.training
    assert loaded.state_dict().keys() == modulator.state_dict().keys()
    pairs = zip(loaded.state_dict().values(), modulator.state_dict().values(), strict=True)
    assert all(torch.equal(new, old) for new, old in pairs)
    assert loaded.classes == tuple(LabelClass(*one) for one in tiny.CLASSES) == modulator.classes
    assert loaded.modalities == tuple(Modality(*one) for one in tiny.MODALITIES)
    assert json.loads((tmp_path / "config.json").read_text())["base"] == dict(modulator.config.base)


@pytest.fixture
def saved(modulator: Modulator, tmp_path: Path) -> Path:
    modulator.save_pretrained(tmp_path)
    return tmp_path


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        Modulator.from_pretrained(folder)
    for word in words:
        assert word in str(caught.value)


def test_truncated_weights_are_refused(saved: Path) -> None:
    (saved / WEIGHTS).write_bytes((saved / WEIGHTS).read_bytes()[:-100])
    refused(saved, str(saved / WEIGHTS), "damaged")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(saved: Path, value: float) -> None:
    weights = load_file(saved / WEIGHTS)
    weights["trunk.conv_in.weight"][0] = value
    save_file(weights, saved / WEIGHTS, {"format": "pt"})
    refused(saved, str(saved), "trunk.conv_in.weight", "not finite")


def test_missing_weights_are_refused(saved: Path) -> None:
    weights = load_file(saved / WEIGHTS)
    del weights["trunk.conv_in.weight"]
    save_file(weights, saved / WEIGHTS, {"format": "pt"})
    refused(saved, str(saved), "trunk.conv_in.weight")


def test_weights_of_another_size_are_refused(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "condition_channels": 16}))
    refused(saved, str(saved))


def test_pickled_weights_are_refused(saved: Path) -> None:
    torch.save(load_file(saved / WEIGHTS), saved / "diffusion_pytorch_model.bin")
    (saved / WEIGHTS).unlink()
    refused(saved, str(saved), "convert")


def test_wrong_places_are_refused(tmp_path: Path, sd_folder: Path) -> None:
    refused(tmp_path, str(tmp_path), "config.json")
    refused(sd_folder, str(sd_folder), "config.json")
    refused(sd_folder / "unet", str(sd_folder / "unet"), "modality")
    refused(tmp_path / "nowhere", "There is no modulator")
    (tmp_path / "weights.ckpt").touch()
    refused(tmp_path / "weights.ckpt", "pickle")


def test_a_config_that_is_no_json_is_refused(saved: Path) -> None:
    (saved / "config.json").write_text("{")
    refused(saved, str(saved))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modalities": []}, "at least one modality"),
        ({"modalities": [{"name": "a", "kind": "image"}] * 2}, "name of its own"),
        ({"modalities": [{"name": "a", "kind": "text"}]}, "kind"),
        ({"modalities": [{"name": "a.b", "kind": "image"}]}, "lower-case"),
        ({"classes": []}, "classes"),
        ({"classes": [{"name": "sky", "color": "red;}"}]}, "#rrggbb"),
        ({"classes": [{"name": "", "color": "#123456"}]}, "1 to 60 characters"),
        ({"training_window": (5, 5)}, "training_window"),
        ({"training_window": (0, 1001)}, "training_window"),
    ],
)
def test_nonsense_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Modulator(**(identity() | change))


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(InputError, match="paper, mini, nano"):
        Modulator.preset("huge", **identity())
