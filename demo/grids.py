"""A row of pictures that differ in one thing: the drawing's strength or end, or the seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from mcm_core.drawing.conditions import InputError
from mcm_core.request import MAX_SEED, Resolved

from . import views
from .form import Updates
from .models import Job, Model
from .painting import Painting
from .runs import Run
from .visit import Kept, Shown, Visit, kept

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
SEEDS = 4
ENDS = (0.2, 0.4, 0.6, 0.8, 1.0)

Values = Mapping[Any, Any]


def variants(request: Resolved, over: Any) -> list[tuple[str, Resolved]]:
    """What each picture of the row is called, and its request.

    Raises:
        InputError: it cannot vary in this, or there would be nothing to see.
    """
    if over in ("strength", "end") and not request.conditions.maps:
        raise InputError("Nothing was drawn for this picture, so that the drawing can make no difference.")
    alone = replace(request, seeds=request.seeds[:1], compare=False, previews=False)
    if over == "strength":
        return [
            (f"Strength {strength:g}", replace(alone, strength=dict.fromkeys(request.strength, strength)))
            for strength in STRENGTHS
        ]
    if over == "seed":
        first = request.seeds[0]
        seeds = [(first + index) % (MAX_SEED + 1) for index in range(SEEDS)]
        return [(f"Seed {seed}", replace(alone, seeds=(seed,))) for seed in seeds]
    if over == "end":
        later = [end for end in ENDS if end > request.start]
        return [(f"Until {100 * end:.0f} %", replace(alone, end=end)) for end in later]
    raise InputError("A row can vary the strength, the seed, or until when the drawing acts.")


class Grids:
    """Handlers; the pictures of a row are painted one after the other, beside the shown one."""

    def __init__(self, painting: Painting) -> None:
        self.painting, self.page, self.models = painting, painting.page, painting.models

    def row(self, values: Values, request: gr.Request, event: gr.EventData) -> Iterator[Updates]:
        yield {self.page.viewer: gr.skip()}
        run = Run(compares=True)
        over = event._data.get("over") if isinstance(event._data, dict) else None
        paints = partial(self._row, over)
        yield from self.painting.run(request.session_hash, run, values, paints)

    def _row(self, over: Any, values: Values, run: Run) -> Iterator[Updates]:
        visit: Visit = values[self.page.visit]
        shown = visit.known()
        model, wanted = self.models[shown.model], variants(shown.request, over)
        cells: tuple[Kept, ...] = ()
        yield self._update(visit, cells, over, wanted, run, {})
        for _, request in wanted:
            for event, view in self.painting.events(Job(shown.model, request), run):
                if run.cancel.is_set():  # another picture may be shown by now
                    return
                if view is not None:
                    yield self._update(visit, cells, over, wanted, run, view)
                else:
                    cells += self._cell(shown, run, model, event)
                    visit = replace(visit, row=cells)
        yield self._update(visit, cells, over, wanted, run, {"state": "done"})

    def _cell(self, shown: Shown, run: Run, model: Model, result: Any) -> tuple[Kept, ...]:
        view = views.done(run, model, result)
        return kept(
            Shown(shown.model, result.request, view, before=shown.before), result.images, model.classes
        )

    def _update(
        self,
        visit: Visit,
        cells: tuple[Kept, ...],
        over: Any,
        wanted: list[tuple[str, Resolved]],
        run: Run,
        view: views.View,
    ) -> Updates:
        """The shown picture, with the row as far as it is painted."""
        pictures = [cell.view["pictures"][0] for cell in cells]
        names = [name for name, _ in wanted]
        row = {"over": over, "names": names, "pictures": pictures, "number": run.number}
        state = "done" if view.get("state") == "done" else "comparing"
        beside = {**view, **views.beside(visit.view(), run, state), "row": row}
        return {self.page.viewer: beside, self.page.visit: visit}
