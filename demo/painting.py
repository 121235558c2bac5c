"""The events that paint: Generate, Live, Stop. What is painted beside a finished picture is in `effects`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr

from mcm_core.drawing.conditions import Conditions
from mcm_core.engine import Cancelled, Waiting

from . import views
from .asking import client
from .canvas import revision
from .delivery import heard
from .errors import message, notice
from .form import Updates
from .models import Job, Model, Models
from .page import Page
from .runs import Run, Runs
from .visit import Shown, Visit

LIVE_PAUSE_S = 0.25
"""How long a live run waits after a stroke: the next stroke may follow at once."""
REST_S = 0.6
"""How long the hand rests before a draft gives way to the whole picture."""

Values = Mapping[Any, Any]


class Painting:
    """Handlers; values come and go by component. `session` is Gradio's hash of one open page."""

    def __init__(self, page: Page, models: Models, runs: Runs) -> None:
        self.page, self.models, self.runs = page, models, runs

    def generate(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        run = Run()
        yield from self.run(request.session_hash, run, self._paint(values, run))

    def live(self, values: Values, request: gr.Request, event: gr.EventData) -> Iterator[Updates]:
        """The same after any change while the switch is on: a draft at once, where there are such, and the
        picture when the hand rests."""
        yield self._unchanged()
        run = Run(live=True, revision=revision(event))
        is_late = run.revision > 0 and self.runs.is_late(request.session_hash, run)
        if values[self.page.live] is True and not is_late:
            yield from self.run(request.session_hash, run, self._follow(values, run))

    def brought(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        """The same after an example was brought onto the page."""
        yield self._unchanged()
        if values[self.page.live] is True and values[self.page.canvas].maps:
            run = Run(live=True)
            yield from self.run(request.session_hash, run, self._follow(values, run))

    def move(self, values: Values, request: gr.Request, event: gr.EventData) -> Iterator[Updates]:
        """A draft while the brush moves, unless it comes after the end of its stroke."""
        yield self._unchanged()
        run = Run(live=True, revision=revision(event))
        if values[self.page.live] is True and not self.runs.is_late(request.session_hash, run):
            yield from self.run(request.session_hash, run, self._draft(values, run, moving=True))

    def live_off(self, values: Values, request: gr.Request) -> Updates:
        """Stops a live run when the switch is off."""
        off = values[self.page.live] is not True
        run = self.runs.stop(request.session_hash, live_only=True) if off else None
        return {self.page.viewer: views.stopped(run)} if run else self._unchanged()

    def stop(self, values: Values, request: gr.Request) -> Updates:
        """Takes effect at once; the engine follows at its next step."""
        run = self.runs.stop(request.session_hash) or Run()
        shown = values[self.page.visit].shown
        is_beside = shown is not None and run.compares
        return {
            self.page.viewer: views.beside(values[self.page.visit].view(), run, "done")
            if is_beside
            else views.stopped(run)
        }

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        self.runs.forget(request.session_hash)

    def run(self, session: str | None, run: Run, updates: Iterator[Updates]) -> Iterator[Updates]:
        """The updates of the session's new run. An error becomes one of them."""
        self.runs.begin(session, run)
        try:
            yield from updates
        except Cancelled as error:
            if not run.cancel.is_set():  # else it was stopped, or a newer run has the page
                yield {self.page.viewer: views.failed(run, str(error))}
        except gr.Error:
            raise
        except Exception as error:
            text = message(error)
            notice([text])
            yield {self.page.viewer: views.failed(run, text)}
        finally:
            self.runs.end(session, run)

    def events(self, job: Job, run: Run) -> Iterator[tuple[Any, views.View | None]]:
        """The engine's events, each with its view; the result, which comes last, with None."""
        from mcm_core.pipeline import Result

        started = time.monotonic()
        for event in self.models.generate(job, heard(run.cancel), client()):
            if isinstance(event, Waiting):
                started = time.monotonic()
                yield event, views.waiting(run, event.place)
            elif isinstance(event, Result):
                yield event, None
            elif not run.cancel.is_set():
                yield event, views.running(run, event, started)

    # -- inside --------------------------------------------------------------------------------------------

    def _follow(self, values: Values, run: Run) -> Iterator[Updates]:
        has_drafts = self.models[values[self.page.model]].drafts is not None
        yield from self._draft(values, run, moving=False)
        if not run.cancel.wait(REST_S if has_drafts else LIVE_PAUSE_S):
            yield from self._paint(values, run)

    def _draft(self, values: Values, run: Run, *, moving: bool) -> Iterator[Updates]:
        """Nothing where the model has no drafts."""
        page = self.page
        model = self.models[values[page.model]]
        if model.drafts is None:
            return
        asked = page.form.request(values, drawing(values, page, model), model, live=True)
        job = Job(model.name, model.drafts.resolved(asked, moving), drafts=True)
        for event, view in self.events(job, run):
            if view is None and not run.cancel.is_set():
                yield {page.viewer: views.draft(run, event)}

    def _paint(self, values: Values, run: Run) -> Iterator[Updates]:
        page = self.page
        model = self.models[values[page.model]]
        visit: Visit = values[page.visit]
        asked = page.form.request(values, drawing(values, page, model), model, run.live)
        job = Job(model.name, model.resolved(asked))
        yield {page.form.seed: job.request.seeds[0], page.viewer: views.waiting(run)}
        for event, view in self.events(job, run):
            if view is not None:
                yield {page.viewer: view}
            else:
                shown = Shown(model.name, event.request, views.done(run, model, event))
                yield self._kept(visit.keeping(shown, event.images, model.classes, run.live))

    def _kept(self, visit: Visit) -> Updates:
        page = self.page
        strip = {page.gallery: visit.thumbnails(), page.gallery_box: gr.update(visible=True)}
        return {page.viewer: visit.view(), **strip, page.visit: visit}

    def _unchanged(self) -> Updates:
        """Of a generator that yields nothing at all Gradio would empty every output."""
        return {self.page.viewer: gr.skip()}


def drawing(values: Values, page: Page, model: Model) -> Conditions:
    """The drawing and the maps from files, as far as the model reads them."""
    maps = {**values[page.visit].further.maps, **values[page.canvas].maps}
    return Conditions(maps).only(modality.name for modality in model.modalities)
