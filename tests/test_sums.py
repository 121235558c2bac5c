"""Sums beside a model tell each flipped bit, changed configuration and missing file when it is opened."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path

import pytest

from mcm_core import Base, Modulator
from mcm_core.__main__ import WRONG, main
from mcm_core.drawing.conditions import InputError
from mcm_core.models import BASE, MODULATOR, shipped
from mcm_core.sums import SUMS, check_sums, digest, write_sums


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return Path(shutil.copytree(shipped(BASE), tmp_path / "mini"))


@pytest.fixture
def modulator(tmp_path: Path) -> Path:
    return Path(shutil.copytree(shipped(MODULATOR), tmp_path / "modulator"))


def flip_a_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("model", sorted(shipped(BASE).parent.iterdir()), ids=lambda path: path.name)
def test_every_shipped_weight_and_configuration_is_summed(model: Path) -> None:
    wanted = {file.relative_to(model).as_posix() for file in model.rglob("*.safetensors")}
    wanted |= {file.relative_to(model).as_posix() for file in model.rglob("*config.json")}
    assert wanted <= set(check_sums(model))


def test_the_format_is_that_of_sha256sum(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"{}")
    write_sums(tmp_path)
    assert (tmp_path / SUMS).read_text() == f"{hashlib.sha256(b'{}').hexdigest()}  config.json\n"


@pytest.mark.parametrize("part", ["vae", "text_encoder", "unet"])
def test_a_flipped_bit_of_a_base_is_refused_by_name(base: Path, part: str) -> None:
    file = sorted((base / part).glob("*.safetensors"))[0]
    flip_a_bit(file)
    with pytest.raises(InputError, match=f"{part}/{file.name} is damaged or was changed"):
        Base.from_pretrained(base)


def test_a_missing_tokenizer_is_refused(base: Path) -> None:
    (base / "tokenizer" / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"tokenizer\.json is missing"):
        Base.from_pretrained(base)


def test_classes_in_another_order_are_refused(modulator: Path) -> None:
    config = json.loads((modulator / "config.json").read_text())
    config["classes"].reverse()
    (modulator / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"config\.json is damaged or was changed"):
        Modulator.from_pretrained(modulator)


def test_a_model_without_sums_opens_as_it_is(modulator: Path) -> None:
    (modulator / SUMS).unlink()
    assert check_sums(modulator) == []
    Modulator.from_pretrained(modulator)


@pytest.mark.parametrize("line", ["no sum", f"{'0' * 64}  ../secret", f"{'0' * 64}  /etc/passwd"])
def test_damaged_sums_are_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / SUMS).write_text(line + "\n")
    with pytest.raises(InputError, match="is no sum"):
        check_sums(tmp_path)


def test_doctor_says_what_it_checked(modulator: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--model", str(modulator)]) == 0
    told = capsys.readouterr().out
    assert "2 files are as SHA256SUMS says" in told
    assert "opens as a modulator of" in told


def test_doctor_names_the_damaged_file(modulator: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip_a_bit(next(modulator.glob("*.safetensors")))
    assert main(["doctor", "--model", str(modulator)]) == WRONG
    assert "diffusion_pytorch_model.safetensors is damaged" in capsys.readouterr().err


def test_doctor_writes_the_sums_of_a_base_that_comes_without(base: Path) -> None:
    (base / SUMS).unlink()
    assert main(["doctor", "--model", str(base), "--write"]) == 0
    assert Base.from_pretrained(base).sums == digest(base) is not None
    flip_a_bit(next((base / "vae").glob("*.safetensors")))
    with pytest.raises(InputError, match="damaged or was changed"):
        Base.from_pretrained(base)


def test_checking_the_shipped_base_takes_half_a_second_at_most() -> None:
    begun = time.process_time()
    assert check_sums(shipped(BASE))
    assert time.process_time() - begun < 0.5


def test_large_files_are_left_to_doctor(modulator: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = next(modulator.glob("*.safetensors"))
    monkeypatch.setattr("mcm_core.sums.LARGE", weights.stat().st_size - 1)
    flip_a_bit(weights)
    assert weights.name not in check_sums(modulator)
    with pytest.raises(InputError, match="damaged"):
        check_sums(modulator, large=True)


@pytest.mark.parametrize(
    "changes",
    [{"base": "mini"}, {"base": {"fingerprint": 7}}, {"latent_scaling": "1"}, {"downscale": None}],
)
def test_a_tampered_configuration_is_one_line(modulator: Path, changes: dict[str, object]) -> None:
    model = Modulator.from_pretrained(modulator)
    model.register_to_config(**changes)
    with pytest.raises(InputError, match=r"config\.json is damaged"):
        Base.from_pretrained(shipped(BASE)).identity.check(model)
