"""Every field of a request is checked in one place, and the message says what to do instead."""

from __future__ import annotations

import contextlib
import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcm_core import Base, Conditions, InputError, Modulator, Request
from mcm_core.request import MAX_SEED
from tests import tiny

NOT_A_NUMBER = [float("nan"), float("inf"), -float("inf"), "5", True, [1], None, {}, 10**400]


def refused(base: Base, modulator: Modulator | None, **fields: Any) -> str:
    with pytest.raises(InputError) as caught:
        Request(**fields).resolved(base, modulator)
    message = str(caught.value)
    assert len(message) < 300
    return message


@pytest.mark.parametrize("value", [0, -1, 500, 2.5, *(v for v in NOT_A_NUMBER if v is not None)])
def test_steps(base: Base, value: Any) -> None:
    assert "steps must be a whole number from 1 to 150" in refused(base, None, steps=value)


@pytest.mark.parametrize("value", [-0.1, 31, *(value for value in NOT_A_NUMBER if value is not None)])
def test_guidance_scale(base: Base, value: Any) -> None:
    assert "guidance_scale must be a number from 0 to 30" in refused(base, None, guidance_scale=value)


@pytest.mark.parametrize("name", ["start", "end"])
@pytest.mark.parametrize("value", [-0.01, 1.01, *NOT_A_NUMBER])
def test_the_window(base: Base, name: str, value: Any) -> None:
    assert f"{name} must be a number from 0 to 1" in refused(base, None, **{name: value})


def test_a_window_that_ends_before_it_starts(base: Base) -> None:
    assert "start before it ends" in refused(base, None, start=0.6, end=0.5)


@pytest.mark.parametrize("seed", [-2, 10**40, 2**32, 0.5, *NOT_A_NUMBER])
def test_a_seed(base: Base, seed: Any) -> None:
    assert f"from -1 to {MAX_SEED}" in refused(base, None, seeds=(seed,))


@pytest.mark.parametrize("seeds", [(), tuple(range(17)), 5, None, "12", {1: 2}])
def test_seeds(base: Base, seeds: Any) -> None:
    assert "1 to 16 whole numbers" in refused(base, None, seeds=seeds)


@pytest.mark.parametrize("name", ["width", "height"])
@pytest.mark.parametrize("value", [0, 8, 136, 65, 100, 10**9, *(v for v in NOT_A_NUMBER if v is not None)])
def test_sizes(base: Base, name: str, value: Any) -> None:
    message = refused(base, None, **{name: value})
    assert f"{name} must be a whole number from 64 to 128" in message or "multiple of 8: take" in message


def test_the_size_that_is_offered_instead_is_accepted(base: Base) -> None:
    assert "take 104" in refused(base, None, width=101)
    assert Request(width=104).resolved(base, None).width == 104


@pytest.mark.parametrize("name", ["prompt", "negative_prompt"])
def test_prompts(base: Base, name: str) -> None:
    assert "shorten" in refused(base, None, **{name: "a" * 10**6})
    for value in (None, 5, b"text", ["text"]):
        assert "must be text" in refused(base, None, **{name: value})


@pytest.mark.parametrize("value", ["magic", "", 5, ["ddim"], "x" * 10**5])
def test_schedulers(base: Base, value: Any) -> None:
    assert "ddim" in refused(base, None, scheduler=value)


@pytest.mark.parametrize("value", ["left", "", None, 5, ["both"]])
def test_placements(base: Base, value: Any) -> None:
    assert "both, conditional, guided" in refused(base, None, placement=value)


@pytest.mark.parametrize("value", [0.9, 5.1, *(value for value in NOT_A_NUMBER if value is not None)])
def test_boosts(base: Base, value: Any) -> None:
    assert "prompt_boost must be a number from 1 to 5" in refused(base, None, prompt_boost=value)


@pytest.mark.parametrize("name", ["compare", "previews"])
@pytest.mark.parametrize("value", [1, None, "yes"])
def test_flags(base: Base, name: str, value: Any) -> None:
    assert f"{name} must be true or false" in refused(base, None, **{name: value})


@pytest.mark.parametrize("value", [-0.1, 2.1, *NOT_A_NUMBER])
def test_strengths(base: Base, modulator: Modulator, value: Any) -> None:
    assert "strength of sketch must be" in refused(base, modulator, strength={"sketch": value})


def test_strengths_of_what_is_not_there(base: Base, modulator: Modulator) -> None:
    assert "takes labels, sketch" in refused(base, modulator, strength={"depth": 1.0})
    assert "is not there" in refused(base, None, strength={"labels": 1.0})
    for value in (1.0, None, [1.0]):
        assert "for each modality" in refused(base, modulator, strength=value)


def test_drawings(base: Base, modulator: Modulator) -> None:
    for value in ({"labels": []}, None):
        assert "Conditions" in refused(base, modulator, conditions=value)
    assert "no modulator" in refused(base, None, conditions=tiny.drawing())
    unknown_class = Conditions({"labels": np.full((64, 64), 9, np.uint8)})
    assert "id 9" in refused(base, modulator, conditions=unknown_class)
    unknown_modality = Conditions({"depth": np.ones((64, 64), np.uint8)})
    assert "depth" in refused(base, modulator, conditions=unknown_modality)


def test_an_empty_drawing_needs_no_modulator(base: Base) -> None:
    empty = Conditions({"labels": np.zeros((64, 64), np.uint8)})
    assert Request(conditions=empty).resolved(base, None) == Request().resolved(base, None)


def test_a_base_without_text_takes_neither_text_nor_guidance(ldm_folder: Path) -> None:
    base = Base.from_pretrained(ldm_folder)
    assert "takes no text" in refused(base, None, prompt="a lake")
    assert "takes no text" in refused(base, None, guidance_scale=2.0)
    assert Request(prompt=" ").resolved(base, None).guidance_scale == 1.0


def test_a_base_that_cannot_resize_oddly_asks_for_larger_multiples(ldm_folder: Path) -> None:
    assert "multiple of 16: take 64" in refused(Base.from_pretrained(ldm_folder), None, width=72)


# -- what is accepted --------------------------------------------------------------------------------------


def test_every_default_is_filled_in(base: Base, modulator: Modulator) -> None:
    resolved = Request().resolved(base, modulator)
    assert resolved.strength == {"labels": 1.0, "sketch": 1.0}
    assert (resolved.width, resolved.height) == (64, 64)
    assert (resolved.steps, resolved.scheduler, resolved.guidance_scale) == (20, "ddim", 7.5)
    assert resolved.prompt_boost == Request().resolved(base, None).prompt_boost == 1.0


def test_a_modulator_knows_its_boost(base: Base) -> None:
    modulator = tiny.build_modulator(base, prompt_boost=2.0)
    assert Request().resolved(base, modulator).prompt_boost == 2.0
    assert Request(prompt_boost=3).resolved(base, modulator).prompt_boost == 3.0


def test_minus_one_is_a_random_seed(base: Base) -> None:
    drawn = [Request(seeds=(-1, 3, -1)).resolved(base, None).seeds for _ in range(3)]
    assert all(seeds[1] == 3 and 0 <= min(seeds) <= max(seeds) <= MAX_SEED for seeds in drawn)
    assert len(set(drawn)) == 3


valid = st.fixed_dictionaries(
    {
        "prompt": st.text(max_size=200),
        "negative_prompt": st.text(st.characters(exclude_categories=()), max_size=50),
        "steps": st.integers(1, 150) | st.just(20.0) | st.just(np.int64(7)),
        "guidance_scale": st.none() | st.floats(0, 30) | st.integers(0, 30) | st.just(np.float32(2)),
        "seeds": st.lists(st.integers(0, MAX_SEED), min_size=1, max_size=16),
        "scheduler": st.none() | st.sampled_from(["ddim", "euler", "unipc", "heun"]),
        "width": st.none() | st.sampled_from([64, 72, 128]),
        "strength": st.dictionaries(st.sampled_from(["labels", "sketch"]), st.floats(0, 2)),
        "start": st.floats(0, 0.5),
        "end": st.floats(0.5, 1),
        "placement": st.sampled_from(["both", "conditional", "guided"]),
        "prompt_boost": st.none() | st.floats(1, 5),
        "compare": st.booleans(),
        "previews": st.booleans(),
    }
)


@given(valid)
def test_what_is_valid_stays_as_it_is(base: Base, modulator: Modulator, fields: dict[str, Any]) -> None:
    once = Request(**fields).resolved(base, modulator)
    assert once.resolved(base, modulator) == once
    assert pickle.loads(pickle.dumps(once)) == once
    assert type(once.steps) is int
    assert type(once.guidance_scale) is float
    once.prompt.encode()
    once.negative_prompt.encode()


junk = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
junk |= st.lists(junk, max_size=3) | st.dictionaries(st.text(max_size=3), junk, max_size=3)
names = [field.name for field in dataclasses.fields(Request)]


@given(st.dictionaries(st.sampled_from(names), junk, min_size=1))
def test_nothing_but_an_input_error_comes_of_junk(
    base: Base, modulator: Modulator, fields: dict[str, Any]
) -> None:
    with contextlib.suppress(InputError):
        Request(**fields).resolved(base, modulator)
