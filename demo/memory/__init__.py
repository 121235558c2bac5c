"""What outlives a reload of the page: fields, gallery and picture of this tab, in the browser; and links.

It says what the shown picture lacks, too: that it is of an earlier drawing, that the connection is lost.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ..component import Component

_NAMED = "Object.fromEntries(NAMES.map((name, index) => [name, values[index]]))"


class Memory(Component):
    """The value is a dictionary with any of these:

    - `stale`: "drawing" or "words", of which an earlier state is shown; "" where it is the newest;
    - `shown`: the file of the picture that is shown, to be kept;
    - `ids` and `kept`: those of the gallery in their order, and its new entries as `demo.visit.Kept.entry`.

    Event: `opened`, once, with what `demo.opening.Came` reads.
    """

    folder = Path(__file__).parent


def remember_script(names: Sequence[str]) -> str:
    """JavaScript (values of the named fields) -> nothing: they are kept once the page is ready."""
    return """(...values) => {
        document.dispatchEvent(new CustomEvent("mcm-fields", { detail: NAMED }));
    }""".replace("NAMED", _named(names))


def link_script(names: Sequence[str]) -> str:
    """JavaScript (drawing, values of the named fields) -> what to say: they go into the page's address."""
    return """(drawing, ...values) => new Promise((say) => {
        const detail = { drawing, fields: NAMED, say };
        document.dispatchEvent(new CustomEvent("mcm-link", { detail }));
    })""".replace("NAMED", _named(names))


def _named(names: Sequence[str]) -> str:
    return _NAMED.replace("NAMES", json.dumps(list(names)))
