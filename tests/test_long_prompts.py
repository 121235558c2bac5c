"""Prompts of any length, and words that count for more or less, alike in generating and training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mcm_core import Base, InputError, MCMPipeline, Request
from mcm_core.base import Embeddings
from mcm_core.emphasis import Part, as_prompt, check, parts
from mcm_core.training.frozen import Frozen

WORDS = "a lake with one boat, "
LONG = WORDS * 12  # a token a letter
PLAIN = ["", "a lake", "a lake (with a boat)", "the ratio 16:9", "[red] sky", "(16:9) or (-1:-2)", "a \\( b"]


@pytest.fixture(scope="module", params=["sd_folder", "sdxl_folder"])
def base(request: pytest.FixtureRequest) -> Base:
    return Base.from_pretrained(request.getfixturevalue(request.param))


def diffusers_own(base: Base) -> Any:
    """`encode_prompt` of a stock pipeline of the same parts."""
    if base.family == "sdxl":
        return diffusers.StableDiffusionXLPipeline(**base._pipe.components).encode_prompt
    parts = base._pipe.components
    return diffusers.StableDiffusionPipeline(**parts, requires_safety_checker=False).encode_prompt


def hidden(base: Base, prompt: str) -> torch.Tensor:
    found = base.encode_prompt([prompt]).hidden
    assert found is not None
    return found


class TestReading:
    @pytest.mark.parametrize("prompt", PLAIN)
    def test_without_weights_a_prompt_is_itself(self, prompt: str) -> None:
        assert parts(prompt) == [Part(prompt)]

    @pytest.mark.parametrize(
        ("prompt", "read"),
        [
            ("a (red:1.5) boat", [Part("a "), Part("red", 1.5), Part(" boat")]),
            ("(a (red:1.5) boat:.5)", [Part("a ", 0.5), Part("red", 0.75), Part(" boat", 0.5)]),
            ("(a (red) boat: 0.5)", [Part("a (red) boat", 0.5)]),
            ("(a (b:1.3)", [Part("(a "), Part("b", 1.3)]),
            ("(a:1.3) (b:1.3)", [Part("a", 1.3), Part(" "), Part("b", 1.3)]),
            ("(a:1)", [Part("a")]),
            ("a:1.3) b", [Part("a:1.3) b")]),
            ("(:1.3)", [Part("")]),
        ],
    )
    def test_weights(self, prompt: str, read: list[Part]) -> None:
        assert parts(prompt) == read

    @given(st.text("ab (:).129-", max_size=30))
    def test_any_text_keeps_its_words_and_weights_stay_in_range(self, prompt: str) -> None:
        read = parts(prompt)
        letters = [letter for letter in prompt if letter in "ab"]
        assert [letter for part in read for letter in part.text if letter in "ab"] == letters
        assert all(0 <= part.weight <= 2 for part in read)

    @given(st.text("ab (:).129-", max_size=30))
    def test_any_caption_can_be_asked_for(self, caption: str) -> None:
        prompt = as_prompt(caption)
        check("prompt", prompt)
        assert [letter for letter in prompt if letter in "ab"] == [
            letter for letter in caption if letter in "ab"
        ]

    def test_of_a_caption_only_what_is_no_weight_changes(self) -> None:
        assert as_prompt("a (red:1.5) boat (16:9)") == "a (red:1.5) boat (16:9"
        assert as_prompt("(red boat:1.5) ((house:1.5):1.5)") == "(red boat:1.5) ((house:1.5):1.5"

    @pytest.mark.parametrize("prompt", ["a (boat:2.5)", "((boat:1.5):1.5)", "(boat:-1)"])
    def test_a_number_that_is_no_weight_is_refused_where_someone_typed_it(
        self, base: Base, prompt: str
    ) -> None:
        with pytest.raises(InputError, match="weights go from 0 to 2"):
            Request(prompt=prompt).resolved(base, None)


@pytest.mark.parametrize("prompt", [*PLAIN, WORDS * 3])
def test_a_short_plain_prompt_is_bitwise_that_of_diffusers(base: Base, prompt: str) -> None:
    theirs = diffusers_own(base)(
        prompt, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    ours = base.encode_prompt([prompt])
    assert torch.equal(ours.hidden, theirs[0])
    assert ours.pooled is None or torch.equal(ours.pooled, theirs[2])


def test_compel_encodes_what_is_short_as_diffusers_does(base: Base) -> None:
    """So that a weight of 1 and a weight of nearly 1 are neighbours."""
    theirs, ours = base.encode_prompt(["a lake"]), base._long_prompts.encode([Part("a lake")])
    torch.testing.assert_close(ours.hidden, theirs.hidden)
    if theirs.pooled is not None:
        torch.testing.assert_close(ours.pooled, theirs.pooled)
    near = hidden(base, "a (lake:1.001)")
    assert 0 < (near - theirs.hidden).abs().max() < 0.01


def test_the_end_of_a_long_prompt_counts(base: Base) -> None:
    assert len(LONG) > 77 * 2
    assert hidden(base, LONG).shape[1] > 77
    assert not torch.equal(hidden(base, LONG + "at night"), hidden(base, LONG + "at day"))


def test_more_weight_moves_further_from_nothing_and_less_from_the_rest(base: Base) -> None:
    plain, without = hidden(base, "a lake"), hidden(base, "a (lake:0)")
    ways = [(hidden(base, f"a (lake:{weight})") - plain).norm() for weight in (1.0, 1.2, 1.6)]
    assert 0 == ways[0] < ways[1] < ways[2]
    ways = [(hidden(base, f"a (lake:{weight})") - without).norm() for weight in (0.2, 0.5, 0.9)]
    assert ways[0] < ways[1] < ways[2]


def test_prompts_of_several_lengths_in_one_are_filled_up_with_nothing_said(base: Base) -> None:
    both = base.encode_prompt(["a lake", LONG])
    assert torch.equal(both.hidden[1:], hidden(base, LONG))
    assert torch.equal(both.hidden[:1, :77], hidden(base, "a lake"))
    torch.testing.assert_close(both.hidden[:1, 77:154], hidden(base, ""))


def test_no_negative_prompt_stays_zeros_in_sdxl(sdxl_folder: Path) -> None:
    base = Base.from_pretrained(sdxl_folder)
    negative = base.encode_prompt([""], negative=True)
    both = Embeddings.cat([negative, base.encode_prompt([LONG])])
    assert both.hidden is not None
    assert not both.hidden[0].any()


def test_pictures_of_long_and_weighted_prompts(base: Base) -> None:
    pipeline = MCMPipeline(base)
    made = [
        pipeline(Request(prompt=prompt, negative_prompt=negative, steps=2)).images
        for prompt, negative in (("a lake", ""), ("a (lake:1.4)", ""), (LONG, ""), ("a lake", LONG))
    ]
    assert len({images.tobytes() for images in made}) == 4


def test_training_reads_captions_as_generating_does(base: Base) -> None:
    texts = ["a lake", LONG, "a (lake:1.4)", "at 10:30 (16:9)"]
    trained = Frozen(base, "v", "uniform", (0.0, 1.0)).embedded(texts)
    assert torch.equal(trained.hidden, base.encode_prompt(texts).hidden)


ODD = st.text(st.characters() | st.sampled_from("((::))..01,'-+ <|endoftext|>"), max_size=120)


@given(ODD, st.sampled_from(["0", "0.5", "1.7"]))
@settings(max_examples=30)
def test_any_text_can_be_weighted(base: Base, text: str, weight: str) -> None:
    prompt = f"a ({text}:{weight}) lake".encode("utf-8", "replace").decode()
    assert torch.isfinite(hidden(base, prompt)).all()
