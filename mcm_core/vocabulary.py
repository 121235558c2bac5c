"""What a base does not read of a prompt: words that it was never taught. Of any length it reads the whole.

A base that was taught few words says which in `vocabulary.json` beside its weights: lists of words and
phrases by group. Any other base is taken to know all words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mcm_core.drawing.conditions import InputError

if TYPE_CHECKING:
    from mcm_core.base import Base

FILE = "vocabulary.json"
WORD = re.compile(r"[^\W_]*[^\W\d_][^\W_]*(?:['’][^\W_]+)*")
"""A word has a letter: the numbers of weights like "(lake:1.3)" are none."""

Vocabulary = Mapping[str, tuple[str, ...]]
"""Words and phrases by the name of their group."""


def unread(prompt: str, base: Base) -> tuple[str, ...]:
    """The words that the base never saw, as they were typed, in their order and each once."""
    if not base.accepts_text or not base.vocabulary:
        return ()
    known = _known(tuple(base.vocabulary.items()))
    words = dict.fromkeys(WORD.findall(prompt))
    return tuple(word for word in words if word.lower().replace("’", "'") not in known)


def read_vocabulary(folder: str | Path) -> Vocabulary | None:
    """The words of a base's local folder; None where it has no such file.

    Raises:
        InputError: the file is no JSON object of lists of text.
    """
    file = Path(folder) / FILE
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(file) from error
    if not isinstance(content, dict) or not all(map(_is_texts, content.values())):
        raise _damaged(file)
    return {name: tuple(texts) for name, texts in content.items()}


def write_vocabulary(folder: Path, vocabulary: Vocabulary) -> None:
    """Beside the weights of a base, before its sums are written."""
    text = json.dumps(vocabulary, indent=1, ensure_ascii=False)
    (folder / FILE).write_text(text + "\n", encoding="utf-8", newline="\n")


@cache
def _known(groups: tuple[tuple[str, tuple[str, ...]], ...]) -> frozenset[str]:
    texts: Iterable[str] = (text for _, texts in groups for text in texts)
    return frozenset(word.lower() for text in texts for word in WORD.findall(text))


def _is_texts(texts: object) -> bool:
    return isinstance(texts, list) and all(isinstance(text, str) for text in texts)


def _damaged(file: Path) -> InputError:
    return InputError(f"{file} is damaged: it must hold lists of words by group. Copy the model again.")
