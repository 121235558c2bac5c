"""What a part of the drawing did: the shown pictures painted again without it, from the same noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from . import views
from .form import Updates
from .models import Job
from .painting import Painting
from .parts import ALL, without
from .runs import Run
from .visit import Visit

Values = Mapping[Any, Any]


class Effects:
    """Handlers of what is painted beside a finished picture; it waits, stops and fails as all painting."""

    def __init__(self, painting: Painting) -> None:
        self.painting, self.page, self.models = painting, painting.page, painting.models

    def compare(self, values: Values, request: gr.Request, event: gr.EventData) -> Iterator[Updates]:
        """The twins of the shown pictures without a part of their drawing."""
        yield {self.page.viewer: gr.skip()}
        run, paints = Run(compares=True), partial(self._without, part_of(event))
        yield from self.painting.run(request.session_hash, run, values, paints)

    def _without(self, part: str, values: Values, run: Run) -> Iterator[Updates]:
        visit: Visit = values[self.page.visit]
        shown = visit.known()
        model = self.models[shown.model]
        job = Job(shown.model, without(shown.request, part, shown.before))
        before = {**views.beside(visit.view(), run), "part": part}
        yield {self.page.viewer: before}
        for event, view in self.painting.events(job, run):
            if view is not None:
                yield {self.page.viewer: {**view, **before}}
            else:
                twin = views.with_twin(shown.view, run, model, event, part, shown.request.conditions)
                after = replace(visit, shown=replace(shown, view=twin))
                updates = {self.page.viewer: after.view(), self.page.visit: after}
                if not run.cancel.is_set():  # another picture may be shown by now
                    yield updates


def part_of(event: gr.EventData) -> str:
    """The key of the part that the viewer wants away; the whole drawing where it names none."""
    part = event._data.get("part") if isinstance(event._data, dict) else None
    return part if isinstance(part, str) else ALL
