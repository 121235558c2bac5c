"""The line under the prompt: what the model does not read of it, and the words that it knows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcm_core.base import Base
from mcm_core.vocabulary import unread

from ..component import Component


class Words(Component):
    """The value is what `read` gives, or None. It listens to the fields of the page, too.

    Event: `changed` with {"revision"} (a moment after words, chips or numbers were changed by a person,
    however they came: typed, pasted, dropped, spoken). Revisions grow with those of the drawing's strokes.

    Args:
        fields: selectors of the fields and of what holds such.
        prompt: selector of the prompt's text area, where a word of the vocabulary goes that is pressed.
        at_once: selectors of what sends the words itself: a change before is not sent again.
    """

    folder = Path(__file__).parent

    def __init__(self, fields: list[str], prompt: str, at_once: list[str], **kwargs: Any) -> None:
        super().__init__(props={"fields": fields, "prompt": prompt, "at_once": at_once}, **kwargs)


def read(prompt: str, base: Base) -> Mapping[str, Any]:
    """The value of `Words` for a prompt: `unknown`, and the base's vocabulary by group or None."""
    return {
        "unknown": list(unread(prompt, base)),
        "vocabulary": dict(base.vocabulary) if base.vocabulary else None,
    }
