"""The network that reads pictures again: as it is used, and how it learned."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mcm_core.drawing.conditions import InputError
from mcm_core.evaluation import scenes, segmenter
from mcm_core.evaluation.scenes import HeldOut
from mcm_core.evaluation.segmenter import Segmenter
from mcm_core.landscapes.easel import CLASSES
from mcm_core.landscapes.render import render_folder
from mcm_core.mini import damage, segmenter_training
from tests.judging import SIZE, WORDS, new_network, new_segmenter


class TestSegmenter:
    def test_size_on_disk_and_in_parameters(self, tmp_path: Path) -> None:
        network = new_network()
        assert 300_000 <= network.num_parameters() <= 650_000
        segmenter_training.save(network, tmp_path)
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 2_000_000
        names = {"SHA256SUMS", "config.json", "diffusion_pytorch_model.safetensors"}
        assert {file.name for file in tmp_path.iterdir()} == names

    def test_what_is_loaded_reads_as_what_was_saved(self, tmp_path: Path, held_out: list[HeldOut]) -> None:
        network = new_network()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(parameter.half())
        saved, pictures = Segmenter(network), np.stack([scene.picture for scene in held_out])
        before = saved.read(pictures)
        segmenter_training.save(network, tmp_path)
        loaded = segmenter.load(tmp_path)
        after = loaded.read(pictures)
        assert np.array_equal(before.labels, after.labels)
        assert before.features == pytest.approx(after.features, abs=1e-4)
        assert loaded.classes == CLASSES
        assert loaded.fingerprint != new_segmenter(1).fingerprint

    @pytest.mark.parametrize("size", [(64, 64), (72, 96), (50, 37)])
    def test_any_size(self, size: tuple[int, int]) -> None:
        pictures = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
        labels = new_segmenter()(pictures)
        assert labels.shape == (2, *size)
        assert labels.dtype == np.uint8
        assert labels.min() >= 1
        assert labels.max() <= len(CLASSES)

    def test_a_picture_reads_the_same_in_any_company(self, held_out: list[HeldOut]) -> None:
        model = new_segmenter()
        pictures = np.stack([scene.picture for scene in held_out])
        alone = model.read(pictures[1:2])
        assert np.array_equal(model(pictures)[1:2], alone.labels)
        assert model.read(pictures).features[1:2] == pytest.approx(alone.features, abs=1e-4)

    def test_a_folder_of_something_else_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="segmenter"):
            segmenter.load(tmp_path)

    def test_damaged_weights_are_refused(self, tmp_path: Path) -> None:
        segmenter_training.save(new_network(), tmp_path)
        file = next(tmp_path.glob("*.safetensors"))
        file.write_bytes(file.read_bytes()[:5000])
        with pytest.raises(InputError, match="damaged"):
            segmenter.load(tmp_path)


class TestSegmenterTraining:
    def renders(self, count: int) -> segmenter_training.Renders:
        drawn = [scenes.held_out(index, "poster", SIZE) for index in range(count)]
        attributes = {
            name: torch.tensor([words.index(each.asked[name]) for each in drawn])
            for name, words in WORDS.items()
        }
        pictures, labels = (
            torch.from_numpy(np.stack(each))
            for each in zip(*((d.picture, d.labels) for d in drawn), strict=True)
        )
        return segmenter_training.Renders(pictures, labels, attributes)

    def test_it_learns(self, tmp_path: Path) -> None:
        renders = self.renders(4)
        trained = segmenter_training.train(renders, tmp_path, steps=40, batch=4, lr=5e-3)
        before = segmenter_training.figures(new_segmenter(), renders)
        after = segmenter_training.figures(Segmenter(trained), renders)
        assert after["mIoU"] > max(0.15, 3 * before["mIoU"])
        assert after["time"] > 0.6

    def test_rare_classes_count_more_and_pixels_count_one(self) -> None:
        labels = torch.tensor([[1] * 90 + [2] * 10])
        weights = segmenter_training.class_weights(labels, 2)
        assert weights[1] > weights[0]
        assert (0.9 * weights[0] + 0.1 * weights[1]).item() == pytest.approx(1)

    def test_mirrored_pairs_stay_pairs(self) -> None:
        renders = self.renders(2)
        turned = segmenter_training.mirrored(renders)
        assert torch.equal(turned.pictures[0, :, 0], renders.pictures[0, :, -1])
        assert torch.equal(turned.labels[0, :, 0], renders.labels[0, :, -1])

    def test_the_command(self, tmp_path: Path) -> None:
        data, out = tmp_path / "data", tmp_path / "out"
        render_folder(4, data, 0, ("poster", "pixel art"), 1.0, 1)
        options = ["--data", str(data), "--out", str(out), "--steps", "2", "--batch-size", "2"]
        assert segmenter_training.main(options) == 0
        assert segmenter.load(out).classes == CLASSES
        told = json.loads((out / "figures.json").read_text())
        assert 0 <= told["mIoU"] <= 1

    def test_a_folder_without_renders_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="render"):
            segmenter_training.main(["--data", str(tmp_path), "--out", str(tmp_path)])


class TestDamage:
    def test_the_same_seed_does_the_same(self) -> None:
        pictures = torch.rand(4, 3, 32, 32) * 2 - 1
        one, other = (damage.damaged(pictures, torch.Generator().manual_seed(5)) for _ in range(2))
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
        assert one[0].abs().max() <= 1

    def test_softness_tells_how_much_detail_is_gone(self) -> None:
        checks = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * 1.0 - 0.5
        pictures = checks.expand(64, 3, 64, 64)
        soft, softness = damage.damaged(pictures, torch.Generator().manual_seed(1))
        detail = soft.diff(dim=-1).abs().mean((1, 2, 3))
        assert 0.3 < (softness > 0).float().mean() < 0.9
        assert torch.corrcoef(torch.stack([detail, softness]))[0, 1] < -0.8
