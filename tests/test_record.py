"""A PNG carries the request that made it, exactly."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, PngImagePlugin

from mcm_core.base import Base
from mcm_core.drawing.conditions import LABELS, SKETCH, Conditions, InputError
from mcm_core.drawing.picture_files import open_picture
from mcm_core.models import BASE, shipped
from mcm_core.record import (
    MAX_MAPS_BYTES,
    Origin,
    Record,
    from_json,
    of_picture,
    open_recorded,
    read_png,
    read_record,
    to_json,
    write_png,
)
from mcm_core.request import Request
from tests import tiny

ORIGIN = Origin("mini", "aa-bb", "mini-modulator", "cc", "float32", "cpu")
PICTURE = np.random.default_rng(0).integers(0, 256, (16, 24, 3)).astype(np.uint8)

any_map = st.tuples(st.integers(1, 20), st.integers(1, 20)).flatmap(
    lambda size: arrays.arrays(np.uint8, size)
)
label_map = arrays.arrays(np.uint8, (9, 12), elements=st.integers(0, 4))
drawings = st.one_of(
    st.just(Conditions()),
    st.builds(lambda labels: Conditions({LABELS: labels}), label_map),
    st.builds(lambda labels: Conditions({LABELS: labels, SKETCH: (labels > 2) * np.uint8(255)}), label_map),
    st.dictionaries(st.sampled_from([LABELS, SKETCH, "depth", "pose"]), any_map, min_size=1).map(Conditions),
    st.just(Conditions({"normals": np.arange(120, dtype=np.uint8).reshape(4, 10, 3)})),
)
unit = st.floats(0, 1)
requests = st.builds(
    Request,
    prompt=st.text(st.characters(), max_size=40),
    negative_prompt=st.text(max_size=10),
    conditions=drawings,
    steps=st.integers(1, 150),
    guidance_scale=st.none() | st.floats(0, 30),
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3).map(tuple),
    scheduler=st.none() | st.sampled_from(["ddim", "euler"]),
    width=st.none() | st.integers(64, 512),
    height=st.none() | st.integers(64, 512),
    strength=st.dictionaries(st.sampled_from([LABELS, SKETCH]), unit),
    start=unit,
    end=unit,
    placement=st.sampled_from(["both", "conditional", "guided"]),
    prompt_boost=st.none() | st.floats(1, 5),
    compare=st.booleans(),
    previews=st.booleans(),
)


def content(**changes: Any) -> dict[str, Any]:
    drawn = Conditions({LABELS: np.ones((8, 8), np.uint8), "depth": np.ones((8, 8), np.uint8)})
    return json.loads(to_json(Record(Request(prompt="a lake", conditions=drawn), ORIGIN))) | changes


def test_a_record_from_before_there_was_a_boost_repeats_without_one() -> None:
    old = content()
    del old["request"]["prompt_boost"]
    assert from_json(json.dumps(old)).request.prompt_boost == 1.0


class TestRoundTrip:
    @settings(deadline=None)
    @given(requests, st.none() | st.just(ORIGIN))
    def test_json(self, request_: Request, origin: Origin | None) -> None:
        text = to_json(Record(request_, origin))
        assert text.isascii()
        assert from_json(text) == Record(request_, origin)

    @settings(deadline=None, max_examples=30)
    @given(requests)
    def test_png(self, request_: Request) -> None:
        data = write_png(PICTURE, request_, ORIGIN)
        assert read_png(data) == request_
        assert read_record(data).origin == ORIGIN
        assert np.array_equal(np.asarray(open_picture(data)), PICTURE)
        assert write_png(PICTURE, read_png(data), ORIGIN) == data

    def test_files(self, tmp_path: Path) -> None:
        (tmp_path / "out.png").write_bytes(write_png(PICTURE, Request(prompt="é 🏔 \ud800")))
        assert read_png(tmp_path / "out.png").prompt == "é 🏔 \ud800"

    def test_the_drawing_is_a_canvas_value_where_that_says_all(self) -> None:
        drawn = Conditions({LABELS: np.full((8, 8), 2, np.uint8)})
        written = json.loads(to_json(Record(Request(conditions=drawn))))
        assert written["drawing"] == {
            **{"version": 1, "width": 8, "height": 8, "labels": "2x64", "sketch": "", "revision": 0}
        }
        assert written["maps"] == {}

    def test_a_dense_large_drawing_can_be_read_again(self) -> None:
        labels = np.random.default_rng(0).integers(0, 5, (600, 600)).astype(np.uint8)
        wanted = Request(conditions=Conditions({LABELS: labels}))
        assert read_png(write_png(PICTURE, wanted)) == wanted


class TestOnePicture:
    def test_of_a_batch(self) -> None:
        batch = Request(seeds=(4, 5), compare=True, previews=False, strength={"labels": 0.5})
        assert of_picture(batch, 1) == Request(seeds=(5,), strength={"labels": 0.5})

    def test_of_the_plain_counterpart(self) -> None:
        drawn = Conditions({LABELS: np.ones((8, 8), np.uint8)})
        batch = Request(seeds=(4,), conditions=drawn, compare=True, strength={"sketch": 0.7})
        assert of_picture(batch, 0, plain=True).strength == {"labels": 0.0, "sketch": 0.0}


class TestRefusals:
    @pytest.mark.parametrize(
        "changes",
        [
            *[{"version": 2}, {"version": True}, {"version": "1"}, {"extra": 1}, {"request": None}],
            *[{"request": {}}, {"drawing": []}, {"drawing": {"version": 1}}, {"maps": None}, {"maps": []}],
            *[{"origin": {}}, {"origin": "mini"}, {"maps": {LABELS: {}}}, {"maps": {"depth": "AAAA"}}],
        ],
    )
    def test_other_entries_or_types(self, changes: dict[str, Any]) -> None:
        with pytest.raises(InputError):
            from_json(json.dumps(content(**changes)))

    @pytest.mark.parametrize(
        "change",
        [{"seeds": 7}, {"seeds": {"0": 1}}, {"strength": []}, {"steps": [20]}, {"prompt": {}}, {"other": 1}],
    )
    def test_fields_of_another_type(self, change: dict[str, Any]) -> None:
        whole = content()
        with pytest.raises(InputError):
            from_json(json.dumps({**whole, "request": {**whole["request"], **change}}))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "[]",
            "null",
            "5",
            '{"version": NaN}',
            '{"version": Infinity}',
            "[" * 100_000,
            "9" * 10_000,
        ],
    )
    def test_what_is_no_record(self, text: str) -> None:
        with pytest.raises(InputError):
            from_json(text)

    @pytest.mark.parametrize(
        "shape", [[], [8], [8, 8, 1, 1], [0, 8], [-8, -8], [8.0, 8], [9, 8], "88", [10**6] * 3]
    )
    def test_maps_of_impossible_shapes(self, shape: object) -> None:
        packed = content()["maps"]["depth"]
        with pytest.raises(InputError):
            from_json(json.dumps(content(maps={"depth": {**packed, "shape": shape}})))

    def test_a_compressed_bomb_is_not_inflated(self) -> None:
        bomb = base64.b64encode(zlib.compress(bytes(300_000_000), 9)).decode()
        text = json.dumps(content(maps={"depth": {"shape": [8, 8], "zlib": bomb}}))
        tracemalloc.start()
        with pytest.raises(InputError, match="damaged"):
            from_json(text)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
        tracemalloc.stop()

    def test_many_maps_are_refused_by_the_sum_of_their_sizes(self) -> None:
        side = 1000
        packed = {"shape": [side, side], "zlib": base64.b64encode(zlib.compress(bytes(side**2), 9)).decode()}
        maps = {f"map{index}": packed for index in range(MAX_MAPS_BYTES // side**2 + 1)}
        tracemalloc.start()
        with pytest.raises(InputError, match="maps are too large"):
            from_json(json.dumps(content(maps=maps)))
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
        tracemalloc.stop()

    def test_a_map_that_nobody_takes_is_refused_before_it_is_inflated(self) -> None:
        side = 4000
        packed = {"shape": [side, side], "zlib": base64.b64encode(zlib.compress(bytes(side**2), 9)).decode()}
        tracemalloc.start()
        with pytest.raises(InputError, match="depth map, which no model here takes"):
            from_json(json.dumps(content(maps={"depth": packed})), takes={"labels", "sketch"})
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
        tracemalloc.stop()

    @pytest.mark.parametrize("filler", ["[],", "{},", "0,"])
    def test_a_long_record_is_refused_before_it_is_parsed(self, filler: str) -> None:
        with pytest.raises(InputError, match="too long"):
            from_json(f"[{filler * 4_100_000}0]")

    @settings(deadline=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(),
            lambda x: st.lists(x) | st.dictionaries(st.text(), x),
        )
    )
    def test_any_json_is_refused(self, value: Any) -> None:
        with pytest.raises(InputError):
            from_json(json.dumps(value))

    def test_pictures_without_a_record(self) -> None:
        for form in ("PNG", "JPEG", "GIF"):
            file = io.BytesIO()
            Image.fromarray(PICTURE).save(file, form)
            with pytest.raises(InputError, match="no record"):
                read_png(file.getvalue())

    def test_a_hostile_chunk_of_another_writer(self) -> None:
        text = PngImagePlugin.PngInfo()
        text.add_text("mcm", "x" * 5_000_000, zip=True)
        file = io.BytesIO()
        Image.fromarray(PICTURE).save(file, "PNG", pnginfo=text)
        with pytest.raises(InputError):
            read_png(file.getvalue())


class TestPixels:
    """A record is of its picture only while neither the size nor a pixel has changed."""

    REQUEST = Request(width=24, height=16)

    def resaved(self, image: np.ndarray) -> bytes:
        """As an editor saves it that keeps the text of the file."""
        text, file = PngImagePlugin.PngInfo(), io.BytesIO()
        text.add_text("mcm", open_picture(write_png(PICTURE, self.REQUEST)).info["mcm"])
        Image.fromarray(image).save(file, "PNG", pnginfo=text)
        return file.getvalue()

    def test_an_unchanged_picture(self) -> None:
        image, record = open_recorded(self.resaved(PICTURE), lambda record: None)
        assert record is not None
        assert record.request == self.REQUEST
        assert record.is_of(np.asarray(image))

    def test_one_changed_pixel(self) -> None:
        edited = PICTURE.copy()
        edited[3, 4, 0] ^= 1
        image, record = open_recorded(self.resaved(edited), lambda record: None)
        assert record is not None
        assert not record.is_of(np.asarray(image))

    def test_an_older_record_says_nothing_of_the_pixels(self) -> None:
        assert from_json(json.dumps(content())).is_of(PICTURE)

    def test_another_size_is_refused_before_a_pixel_is_decoded(self) -> None:
        bomb = self.resaved(np.zeros((4096, 4096, 3), np.uint8))
        tracemalloc.start()
        with pytest.raises(InputError, match="4096 x 4096"):
            open_recorded(bomb[: len(bomb) // 2], lambda record: None)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
        tracemalloc.stop()

    def test_a_refused_record_is_refused_before_a_pixel_is_decoded(self) -> None:
        def judge(record: Record) -> None:
            raise InputError("The model takes no such map.")

        data = self.resaved(PICTURE)
        with pytest.raises(InputError, match="no such map"):
            open_recorded(data[:-100], judge)

    def test_a_picture_without_a_record(self) -> None:
        file = io.BytesIO()
        Image.fromarray(PICTURE).save(file, "PNG")
        assert open_recorded(file.getvalue(), lambda record: None)[1] is None


class TestOrigin:
    def test_of_real_models(self, sd_folder: Path) -> None:
        base = Base.from_pretrained(sd_folder, dtype=torch.bfloat16, device="cpu")
        modulator = tiny.build_modulator(base)
        origin = Origin.of(base, modulator)
        assert (origin.base_fingerprint, origin.dtype, origin.device) == (base.fingerprint, "bfloat16", "cpu")
        assert Origin.of(base, None).modulator is None
        with torch.no_grad():
            modulator.trunk.conv_out.bias[0] += 1e-6
        assert Origin.of(base, modulator).modulator_fingerprint != origin.modulator_fingerprint

    def test_no_path_of_this_machine_is_told(self, sd_folder: Path, tmp_path: Path) -> None:
        base = Base.from_pretrained(sd_folder)
        tiny.build_modulator(base).save_pretrained(tmp_path / "someones")
        modulator = type(tiny.build_modulator(base)).from_pretrained(tmp_path / "someones")
        text = to_json(Record(Request(), Origin.of(base, modulator)))
        assert '"modulator":"someones"' in text
        assert str(tmp_path.parent) not in text

    def test_differences_are_told(self) -> None:
        assert ORIGIN.differences(ORIGIN) == ()
        assert ORIGIN.differences(replace(ORIGIN, base="copy", modulator="copy")) == (), "names do not matter"
        (told,) = ORIGIN.differences(replace(ORIGIN, base="other", base_fingerprint="xx"))
        assert "the base mini" in told
        assert "other" in told
        (told,) = ORIGIN.differences(replace(ORIGIN, modulator=None, modulator_fingerprint=None))
        assert "no modulator" in told
        (told,) = ORIGIN.differences(replace(ORIGIN, dtype="float16", device="cuda"))
        assert "float16 on cuda" in told

    def test_other_files_of_the_same_unet_are_told(self) -> None:
        """Such as another autoencoder, which the fingerprint does not see."""
        mine, theirs = replace(ORIGIN, base_sums="11"), replace(ORIGIN, base_sums="22")
        assert "other files of the base mini" in mine.differences(theirs)[0]
        assert mine.differences(mine) == mine.differences(ORIGIN) == ORIGIN.differences(mine) == ()

    def test_the_shipped_base_is_named_by_all_its_files(self) -> None:
        folder = shipped(BASE)
        origin = Origin.of(Base.from_pretrained(folder), None)
        assert origin.base_sums == hashlib.sha256((folder / "SHA256SUMS").read_bytes()).hexdigest()

    def test_an_older_record_does_not_name_the_files(self) -> None:
        text = json.loads(to_json(Record(Request(), replace(ORIGIN, base_sums="11"))))
        del text["origin"]["base_sums"]
        assert from_json(json.dumps(text)).origin == ORIGIN
