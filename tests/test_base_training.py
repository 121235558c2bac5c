"""How the embedded base is made: budgets, words, optimiser, exact resume, and the whole chain in small."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTokenizer

from mcm_core import Base
from mcm_core import __main__ as command_line
from mcm_core.drawing.conditions import InputError
from mcm_core.landscapes import render
from mcm_core.mini import autoencoder, base_card, denoiser, latents
from mcm_core.mini import base as base_training
from mcm_core.mini.autoencoder import build_autoencoder
from mcm_core.mini.denoiser import build_unet
from mcm_core.mini.text import CONTEXT, build_text_encoder, learn_tokenizer
from mcm_core.training import TrainingError
from mcm_core.training.fit import Progress, Schedule, spent, train
from mcm_core.training.optimiser import Optimiser

CAPTIONS = [render.example(seed).text for seed in range(40)]


def flops(network: nn.Module, *inputs: Tensor) -> float:
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(*inputs)
    return counter.get_total_flops()


# -- budgets -----------------------------------------------------------------------------------------------


def test_a_forward_and_a_decode_stay_within_their_budgets() -> None:
    with torch.device("meta"):
        unet, decode = build_unet(), build_autoencoder().decode
        latents = torch.randn(1, 4, 32, 32)
        assert flops(unet, latents, torch.zeros(1), torch.randn(1, CONTEXT, 192)) <= 2.7e9
        assert flops(decode, latents) <= 23e9  # type: ignore[arg-type]


def test_all_weights_fit_in_45_megabytes() -> None:
    with torch.device("meta"):
        parts = [build_unet(), build_autoencoder(), build_text_encoder(learn_tokenizer(CAPTIONS))]
    assert 2 * sum(p.numel() for part in parts for p in part.parameters()) <= 45e6


# -- words -------------------------------------------------------------------------------------------------


def test_the_words_of_the_captions_are_one_token_each() -> None:
    tokenizer = learn_tokenizer(CAPTIONS * 3)
    for caption in CAPTIONS:
        words = caption.replace(",", " ,").replace("'", " ' ").split()
        assert len(tokenizer.tokenize(caption)) <= len(words) + 1


@pytest.mark.parametrize("text", ["", "naïve 日本 🏔", "\x00", "a" * 500, CAPTIONS[0].upper()])
def test_any_text_has_tokens_also_after_saving(text: str, tmp_path: Path) -> None:
    tokenizer = learn_tokenizer(CAPTIONS)
    tokenizer.save_pretrained(tmp_path)
    loaded = CLIPTokenizer.from_pretrained(tmp_path)
    ids = loaded(text, padding="max_length", max_length=CONTEXT, truncation=True).input_ids
    assert ids == tokenizer(text, padding="max_length", max_length=CONTEXT, truncation=True).input_ids
    assert len(ids) == CONTEXT
    assert ids[0] == loaded.bos_token_id
    assert loaded.eos_token_id in ids


def test_prompts_differ_where_their_words_do() -> None:
    tokenizer = learn_tokenizer(CAPTIONS)
    assert tokenizer("a LAKE").input_ids == tokenizer("a lake").input_ids != tokenizer("a boat").input_ids


# -- optimiser and loop ------------------------------------------------------------------------------------


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(4, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1))
    return layers.to(memory_format=torch.channels_last)


def regression(model: nn.Module, seen: list[int] | None = None, stop_at: int = -1):  # type: ignore[no-untyped-def]
    def loss(generator: torch.Generator) -> Tensor:
        if seen is not None:
            if len(seen) == stop_at:
                raise KeyboardInterrupt
            seen.append(1)
        inputs = torch.randn(2, 4, 8, 8, generator=generator)
        return (model(inputs) - inputs.repeat(1, 8, 1, 1)).square().mean()

    return loss


def test_the_learning_rate_rises_stays_and_falls_to_nearly_nothing() -> None:
    schedule = Schedule(1000)
    scales = [schedule.scale(Progress(step)) for step in range(1000)]
    assert scales[0] == 1 / 101
    assert scales[100:600] == [1.0] * 500
    assert 0 < scales[-1] < 0.01
    assert all(a >= b for a, b in pairwise(scales[600:]))


def test_a_schedule_by_the_clock_falls_with_the_time_that_is_left() -> None:
    schedule = Schedule(10**6, seconds=100.0)
    assert schedule.scale(Progress(10, seconds=90.0)) == 11 / 101  # warm-up counts steps
    assert schedule.scale(Progress(500, seconds=60.0)) == 1
    assert schedule.scale(Progress(500, seconds=80.0)) == pytest.approx(0.5)
    assert schedule.scale(Progress(500, seconds=100.0)) == pytest.approx(0, abs=1e-12)
    assert schedule.share(Progress(500, seconds=100.0)) == 1


def test_training_ends_when_its_seconds_are_over(tmp_path: Path) -> None:
    model = network()
    train(model, regression(model), steps=10**9, seconds=0.2, out=tmp_path, lr=1e-3, matrices=True)
    steps, seconds = spent(tmp_path)
    assert 0 < steps < 10**9
    assert seconds >= 0.2


def test_a_muon_step_moves_each_convolution_by_an_orthogonal_matrix() -> None:
    model = network()
    optimiser = Optimiser(model, 0.1, matrices=True)
    before = model[2].weight.detach().clone()
    model(torch.randn(2, 4, 8, 8)).square().mean().backward()
    optimiser.step(1.0)
    change = (model[2].weight.detach() - before).flatten(1)
    spread = torch.linalg.svdvals(change)
    assert (
        spread.min() > 0.5 * spread.max()
    )  # Newton-Schulz leaves them within about 0.7 to 1.2 of each other


def test_matrices_need_channels_last() -> None:
    with pytest.raises(ValueError, match="channels_last"):
        Optimiser(nn.Sequential(nn.Conv2d(32, 32, 3)), 0.1, matrices=True)


@pytest.mark.parametrize("matrices", [True, False])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(matrices: bool, tmp_path: Path) -> None:
    def run(out: Path, stop_at: int = -1) -> nn.Module:
        model = network()
        loss = regression(model, [], stop_at)
        return train(model, loss, steps=12, out=out, lr=1e-2, matrices=matrices, save_seconds=0)

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", stop_at=7)
    resumed = run(tmp_path / "parts")
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_it_learns(tmp_path: Path) -> None:
    model = network()
    loss = regression(model)
    before = loss(torch.Generator().manual_seed(1)).item()
    average = train(model, loss, steps=200, out=tmp_path, lr=1e-2, matrices=False, ema=0.9)
    assert regression(average)(torch.Generator().manual_seed(1)).item() < 0.3 * before


def test_a_loss_that_stays_infinite_ends_the_run(tmp_path: Path) -> None:
    model = network()
    loss = regression(model)
    with pytest.raises(TrainingError, match="not finite 10 steps in a row"):
        train(
            model,
            lambda generator: loss(generator) * float("nan"),
            steps=100,
            out=tmp_path,
            lr=1e-2,
            matrices=False,
        )


# -- the whole chain ---------------------------------------------------------------------------------------


FEW = ["--autoencoder-steps", "2", "--autoencoder-batch", "2", "--steps", "2", "--batch-size", "2"]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    render.main(["--count", "8", "--out", str(folder), "--styles", "all", "--processes", "1"])
    return folder


def train_base(data: Path, out: Path, *more: str) -> int:
    return base_training.main(["--data", str(data), "--out", str(out), *FEW, *more])


def test_from_an_empty_folder_to_a_stock_pipeline(
    tmp_path: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_card, "HELD_OUT_COUNT", 2)
    assert train_base(scenes, tmp_path, "--autoencoder-steps", "1", "--steps", "1") == 0
    files = [path for path in (tmp_path / "base").rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in files) < 10_000_000
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "base", torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline.tokenizer.model_max_length == CONTEXT == 77
    picture = pipeline("a lake at dawn", num_inference_steps=1, output_type="np").images[0]
    assert picture.shape == (256, 256, 3)


@pytest.fixture
def tiny_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same inputs and outputs, and quick."""

    def build_tiny_unet(width: int) -> UNet2DConditionModel:
        heads = {"cross_attention_dim": width, "attention_head_dim": 2, "norm_num_groups": 8}
        down, up = ("DownBlock2D", "CrossAttnDownBlock2D"), ("CrossAttnUpBlock2D", "UpBlock2D")
        levels = {"block_out_channels": (32, 32), "down_block_types": down, "up_block_types": up}
        return UNet2DConditionModel(sample_size=32, layers_per_block=1, **levels, **heads)

    def build_tiny_autoencoder() -> AutoencoderKL:
        levels = {
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
        }
        return AutoencoderKL(**levels, block_out_channels=(32,) * 4, norm_num_groups=4, latent_channels=4)

    monkeypatch.setattr(base_training, "build_unet", build_tiny_unet)
    monkeypatch.setattr(autoencoder, "build_autoencoder", build_tiny_autoencoder)


@pytest.mark.usefixtures("tiny_networks")
def test_a_base_is_trained_further_and_gets_a_preview_decoder(
    tmp_path: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_card, "HELD_OUT_COUNT", 2)
    first, further = tmp_path / "first", tmp_path / "further"
    assert train_base(scenes, first) == 0
    decoder = ["--base", str(first / "base"), "--data", str(scenes), "--out", str(tmp_path / "decoder")]
    assert command_line.main(["train-preview-decoder", *decoder, "--steps", "1", "--batch-size", "2"]) == 0
    assert AutoencoderTiny.from_pretrained(tmp_path / "decoder").config.latent_channels == 4
    assert train_base(scenes, further, "--init", str(first / "base"), "--steps", "1") == 0
    before, after = (
        StableDiffusionPipeline.from_pretrained(out / "base", torch_dtype=torch.float32)
        for out in (first, further)
    )
    assert changed(before.unet, after.unet)
    assert not changed(before.vae, after.vae)
    assert after.vae.config.scaling_factor == before.vae.config.scaling_factor
    assert after.tokenizer.get_vocab() == before.tokenizer.get_vocab()
    assert "trained further from | base" in (further / "base" / "README.md").read_text()


@pytest.mark.usefixtures("tiny_networks")
def test_a_base_may_predict_the_noise_on_stable_diffusions_own_schedule(
    tmp_path: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_card, "HELD_OUT_COUNT", 2)
    assert train_base(scenes, tmp_path, "--prediction-type", "epsilon") == 0
    base = Base.from_pretrained(tmp_path / "base")
    assert base.prediction_type == "epsilon"
    assert base.scheduler.alphas_cumprod[-1].sqrt().item() == pytest.approx(0.0683, abs=1e-4)
    assert "U-Net with epsilon prediction" in (tmp_path / "base" / "README.md").read_text()


@pytest.mark.parametrize(("kind", "more"), [("epsilon", 0), ("v_prediction", 1)])
def test_errors_of_both_kinds_weigh_what_diffusers_gives_them(kind: str, more: int) -> None:
    """Its scripts: min(SNR, 5) / SNR for eps, min(SNR, 5) / (SNR + 1) for v; but for a factor."""
    snr = torch.logspace(-3, 4, 50, dtype=torch.float64)
    ratio = denoiser.loss_weights(snr / (snr + 1), kind) * (snr + more) / snr.clamp(max=5)
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))


@pytest.mark.usefixtures("tiny_networks")
def test_stages_alone_end_as_all_at_once(tmp_path: Path, scenes: Path) -> None:
    together, apart = tmp_path / "together", tmp_path / "apart"
    stages = ["words", "autoencoder", "latents", "denoiser"]
    assert train_base(scenes, together, "--stage", *stages) == 0
    shutil.copytree(together / "words", apart / "words")  # equal counts of pairs leave their order open
    for stage in stages:
        assert train_base(scenes, apart, "--stage", stage) == 0
    results = [out / "denoiser" / "result" / "unet" for out in (together, apart)]
    assert not changed(*(UNet2DConditionModel.from_pretrained(result) for result in results))


@pytest.mark.usefixtures("tiny_networks")
def test_a_stage_that_ended_goes_on_to_more_steps(tmp_path: Path, scenes: Path) -> None:
    stages = ["--stage", "words", "autoencoder", "latents", "denoiser"]
    unets = []
    for steps in ("2", "3"):
        more = ["--autoencoder-steps", steps, "--steps", steps]
        assert train_base(scenes, tmp_path, *stages, *more) == 0
        unets.append(UNet2DConditionModel.from_pretrained(tmp_path / "denoiser" / "result" / "unet"))
        assert [spent(tmp_path / part)[0] for part in ("autoencoder", "denoiser")] == [int(steps)] * 2
    assert changed(*unets)


@pytest.mark.parametrize(
    ("stage", "first"), [("latents", "autoencoder"), ("denoiser", "words"), ("assemble", "denoiser")]
)
def test_a_stage_says_which_one_it_needs_first(tmp_path: Path, scenes: Path, stage: str, first: str) -> None:
    with pytest.raises(InputError, match=f"--stage {first} first"):
        train_base(scenes, tmp_path, "--stage", stage)


def test_a_training_that_cannot_go_on_is_told_in_one_line(
    tmp_path: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise TrainingError("Try a lower --lr.")

    monkeypatch.setattr(base_training, "train_autoencoder", fail)
    argv = ["train-base", "--data", str(scenes), "--out", str(tmp_path), "--stage", "autoencoder"]
    assert command_line.main(argv) == 1
    assert capsys.readouterr().err.splitlines() == ["mcm: Try a lower --lr."]


# -- latents -----------------------------------------------------------------------------------------------


def test_only_shards_of_new_scenes_or_of_another_autoencoder_are_encoded(
    tmp_path: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model, rows = build_autoencoder(), latents.read_rows(scenes)
    original, encoded = latents.encode, []

    def encode(model: AutoencoderKL, pictures: Tensor, precision: str) -> Tensor:
        encoded.append(len(pictures))
        return original(model, pictures, precision)

    def newly_encoded(count: int) -> list[int]:
        encoded.clear()
        latents.write_shards(model, scenes, rows[:count], tmp_path, "fp32")
        assert encoded[::2] == encoded[1::2]  # as they are, and mirrored
        return encoded[::2]

    monkeypatch.setattr(latents, "SHARD", 3)
    monkeypatch.setattr(latents, "encode", encode)
    assert newly_encoded(4) == [3, 1]
    assert newly_encoded(7) == [3, 1]
    assert newly_encoded(7) == []
    (tmp_path / "00001" / "latents.pt").write_bytes(b"damaged")
    with pytest.raises(InputError, match="--stage latents first"):
        latents.read_shards(tmp_path, 7)
    assert newly_encoded(7) == [3]
    pictures = latents.read_pictures(scenes, rows[:7])
    for way, seen in enumerate((pictures, pictures.flip(2))):
        alone = original(model, seen, "fp32") * model.config.scaling_factor
        read = latents.read_shards(tmp_path, 7)[:, way]
        torch.testing.assert_close(read.float(), alone, rtol=1e-2, atol=1e-3)
    model.quant_conv.bias.data += 1
    assert newly_encoded(7) == [3, 3, 1]


@pytest.mark.parametrize(
    "line", ["", "{", "[]", '{"file_name": "a.png"}', '{"file_name": "a.png", "text": 3}']
)
def test_a_folder_without_scenes_or_captions_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "metadata.jsonl").write_text(line)
    with pytest.raises(InputError, match="write it with `render`"):
        latents.read_rows(tmp_path)


def test_a_caption_may_hold_any_character(tmp_path: Path) -> None:
    row = {"file_name": "a.png", "text": "a lake\u2028at dawn"}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    assert latents.read_rows(tmp_path) == [row]


def changed(before: nn.Module, after: nn.Module) -> bool:
    pairs = zip(before.parameters(), after.parameters(), strict=True)
    return any(not torch.equal(one, other) for one, other in pairs)
