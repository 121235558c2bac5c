"""The events that paint: Generate, Live, Stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from typing import Any

import gradio as gr

from mcm_core.drawing.conditions import Conditions
from mcm_core.engine import Cancelled, Waiting
from mcm_core.request import Request, random_seed

from . import views
from .asking import client
from .canvas import returned, revision
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

PAUSE_PER_PREVIEW = 2
"""How long no preview follows one, as a multiple of the time that the page took to make and send that."""

Values = Mapping[Any, Any]
Paints = Callable[[Values, Run], Iterator[Updates]]


class Painting:
    """Handlers; values come and go by component. `session` is Gradio's hash of one open page."""

    def __init__(self, page: Page, models: Models, runs: Runs) -> None:
        self.page, self.models, self.runs = page, models, runs

    def generate(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        run = Run()
        values = self._seeded(values, is_new=values[self.page.form.locked] is not True)
        yield from self.run(request.session_hash, run, values, self._paint)

    def roll(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        """The same with another seed."""
        run = Run(live=values[self.page.live] is True)
        values = self._seeded(values, is_new=True)
        yield {self.page.form.seed: values[self.page.form.seed]}
        yield from self.run(request.session_hash, run, values, self._follow if run.live else self._paint)

    def live(self, values: Values, request: gr.Request, event: gr.EventData) -> Iterator[Updates]:
        """The same after any change while the switch is on: a draft at once, where there are such, and the
        picture when the hand rests."""
        session, run = request.session_hash, Run(live=True, revision=revision(event))
        values = yield from self._heard(values, session, run)
        is_late = run.revision > 0 and self.runs.is_late(session, run)
        if values[self.page.live] is True and not is_late and not returned(event):
            yield from self.run(session, run, values, self._follow)

    def brought(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        """The same after something was brought onto the page, where its picture is not the shown one."""
        page, session, run = self.page, request.session_hash, Run(live=values[self.page.live] is True)
        values = yield from self._heard(values, session, run)
        visit: Visit = values[page.visit]
        if visit.owed:  # once: if it is stopped or refused, nothing is owed any more
            values = {**values, page.visit: replace(visit, owed=False)}
            yield {page.visit: values[page.visit]}
        is_shown = visit.shown is not None and not self.runs.stale(session, visit.shown.request)
        follows = run.live and values[page.canvas].maps and not is_shown
        if visit.owed or follows:
            yield from self.run(session, run, values, self._follow if run.live else self._paint)

    def move(self, values: Values, request: gr.Request, event: gr.EventData) -> Iterator[Updates]:
        """A draft while the brush moves, unless it comes after the end of its stroke."""
        yield self._unchanged()
        run = Run(live=True, moves=True, revision=revision(event))
        if values[self.page.live] is True and not self.runs.is_late(request.session_hash, run):
            yield from self.run(request.session_hash, run, values, self._move)

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
        view = values[self.page.visit].view()
        return {self.page.viewer: views.beside(view, run, "done") if is_beside else views.stopped(run)}

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        self.runs.forget(request.session_hash)

    def run(self, session: str | None, run: Run, values: Values, paints: Paints) -> Iterator[Updates]:
        """The updates of the session's new run. An error becomes one of them."""
        self.runs.begin(session, run)
        try:
            if not run.compares:
                self.runs.hear(session, self._asked(values), run.revision)
            for updates in paints(values, run):
                yield self._with_stale(updates, session)
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
        """The engine's events, each with its view; the result, which comes last, with None.

        Steps are passed over where the page is busy: after one that took it long to send it has others'
        pictures to do first.
        """
        from mcm_core.pipeline import Result

        started = pauses_until = time.monotonic()
        for event in self.models.generate(job, heard(run.cancel), client()):
            if isinstance(event, Waiting):
                started = time.monotonic()
                yield event, views.waiting(run, event.place)
            elif isinstance(event, Result):
                yield event, None
            elif not run.cancel.is_set() and (begun := time.monotonic()) >= pauses_until:
                yield event, views.running(run, event, started)
                sent = time.monotonic()
                pauses_until = sent + PAUSE_PER_PREVIEW * (sent - begun)

    # -- inside --------------------------------------------------------------------------------------------

    def _seeded(self, values: Values, is_new: bool = False) -> Values:
        """With a random seed where there is none, or where a new one is wanted."""
        field = self.page.form.seed
        return {**values, field: random_seed()} if is_new or values[field] is None else values

    def _heard(self, values: Values, session: str | None, run: Run) -> Generator[Updates, None, Values]:
        """What a change has made of the shown picture, before anything is painted. -> The values, seeded."""
        seeded = self._seeded(values)
        shown = values[self.page.visit].shown
        self.runs.hear(session, self._asked(values), run.revision)
        stale = self.runs.stale(session, shown.request if shown else None)
        seed = {} if seeded is values else {self.page.form.seed: seeded[self.page.form.seed]}
        yield {self.page.memory: {"stale": stale}, **seed}
        return seeded

    def _asked(self, values: Values) -> Request:
        """The words and the drawing, as far as the model reads them; no setting."""
        model = self.models[values[self.page.model]]
        return Request(*self.page.form.words(values, model), drawing(values, self.page, model))

    def _with_stale(self, updates: Updates, session: str | None) -> Updates:
        """What is finished may be of an earlier drawing by now."""
        memory, visit = updates.get(self.page.memory), updates.get(self.page.visit)
        if memory is None or visit is None:
            return updates
        stale = self.runs.stale(session, visit.shown.request)
        return {**updates, self.page.memory: {**memory, "stale": stale}}

    def _move(self, values: Values, run: Run) -> Iterator[Updates]:
        yield from self._draft(values, run, moving=True)

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
                updates = self._kept(visit.keeping(shown, event.images, model.classes, run.live), shown)
                if not run.cancel.is_set():  # else something else has taken its place meanwhile
                    yield updates

    def _kept(self, visit: Visit, shown: Shown) -> Updates:
        page = self.page
        strip = {page.gallery: visit.thumbnails(), page.gallery_box: gr.update(visible=True)}
        new = [kept.entry() for kept in visit.kept[: len(shown.request.seeds)]]
        file = shown.view["pictures"][0]["file"]
        memory = {"shown": file, "kept": new, "ids": [kept.id for kept in visit.kept]}
        return {page.viewer: visit.view(), **strip, page.visit: visit, page.memory: memory}

    def _unchanged(self) -> Updates:
        """Of a generator that yields nothing at all Gradio would empty every output."""
        return {self.page.viewer: gr.skip()}


def drawing(values: Values, page: Page, model: Model) -> Conditions:
    """The drawing and the maps from files, as far as the model reads them."""
    maps = {**values[page.further].maps, **values[page.canvas].maps}
    return Conditions(maps).only(modality.name for modality in model.modalities)
