"""What a base does not read of a prompt, and that the shipped one says which words it was taught."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from mcm_core import Base, InputError
from mcm_core.landscapes.captions import vocabulary, vocabulary_groups
from mcm_core.models import shipped
from mcm_core.vocabulary import FILE, WORD, read_vocabulary, unread, write_vocabulary

GROUPS = {"Things": ("a lake", "hills", "child's"), "Time": ("at night",)}


@pytest.fixture(scope="module")
def taught(sd_folder: Path) -> Base:
    """The small base, as if it had been taught four things."""
    base = Base.from_pretrained(sd_folder)
    base.vocabulary = GROUPS
    return base


@pytest.mark.parametrize(
    ("prompt", "unknown"),
    [
        ("", ()),
        ("A Lake at NIGHT", ()),
        ("a cat, a lake; a dog and a cat", ("cat", "dog", "and")),
        ("(hills:1.3), [lake]", ()),
        ("a child’s lake, 4k", ("4k",)),
        ("ein See bei Nacht", ("ein", "See", "bei", "Nacht")),
        ("湖 hills", ("湖",)),
    ],
)
def test_words_that_it_never_saw_are_told_as_they_were_typed(
    taught: Base, prompt: str, unknown: tuple[str, ...]
) -> None:
    assert unread(prompt, taught) == unknown


def test_a_base_without_a_vocabulary_is_taken_to_know_all_words(base: Base) -> None:
    assert unread("a zebra of nowhere", base) == ()


def test_a_base_that_takes_no_text_reads_none(ldm_folder: Path) -> None:
    assert unread("a lake", Base.from_pretrained(ldm_folder)) == ()


def test_the_vocabulary_is_a_file_beside_the_weights(tmp_path: Path, sd_folder: Path) -> None:
    assert read_vocabulary(tmp_path) is None
    write_vocabulary(tmp_path, GROUPS)
    assert read_vocabulary(tmp_path) == GROUPS
    for damaged in ("[]", "{", '{"Things": "lake"}', '{"Things": [1]}'):
        (tmp_path / FILE).write_text(damaged)
        with pytest.raises(InputError, match=r"vocabulary\.json is damaged"):
            read_vocabulary(tmp_path)


def test_the_groups_hold_exactly_the_words_of_the_captions() -> None:
    words = {word for texts in vocabulary_groups().values() for text in texts for word in text.split()}
    assert {word.strip(",") for word in words} == vocabulary()


def test_the_shipped_base_was_taught_the_words_that_it_names() -> None:
    """Each is one token of its tokenizer, which was learned from its captions."""
    folder = shipped("mini")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    named = read_vocabulary(folder)
    assert named is not None
    words = {word for texts in named.values() for text in texts for word in WORD.findall(text)}
    assert len(words) > 200
    assert [word for word in words if len(tokenizer.tokenize(word.replace("'s", ""))) > 1] == []
    assert FILE in (folder / "SHA256SUMS").read_text()
    assert json.loads((folder / FILE).read_text()) == {name: [*texts] for name, texts in named.items()}
