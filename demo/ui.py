"""build_ui(models) -> the page as `gr.Blocks`: its components, its events, and how it is served."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import gradio as gr
from gradio.blocks import Block
from starlette.middleware import Middleware

from mcm_core.drawing.conditions import InputError

from . import api
from .component import READY
from .delivery import Delivery
from .effects import Effects
from .errors import readable
from .examples import read_examples
from .form import chip_script, styled, word_script
from .grids import Grids
from .guard import Guard
from .introduced import TITLE, Introduced
from .malformed import Malformed
from .memory import link_script, remember_script
from .models import Models
from .offering import ANSWERED, OFFERED, Offering
from .offering import lay_out as lay_out_offer
from .opening import Opening
from .page import COPY_LINK, Page, lay_out
from .painting import Painting
from .restoring import Restoring
from .reuse import Reuse
from .runs import Runs
from .theme import CSS, HEAD, theme
from .unserved import Unserved
from .words import read

QUEUED = 64
"""Events that may wait to be begun. Requests wait in the engine's line, which tells them their place."""
VISITS = 250
"""Of so many people the server keeps what is shown, the gallery and the row: 4 MB each where all are full."""
HIDDEN: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
CHANGED = "() => { document.dispatchEvent(new Event('mcm-changed')); }"
AFTER_A_WHILE = f"() => new Promise((end) => setTimeout(end, 2500, {COPY_LINK!r}))"


class Blocks(gr.Blocks):
    """Gradio answers null where an error is none of its own, and passes over arguments too many. Here every
    error has words, too many are refused, and those missing at the end take their defaults, so that a program
    may know fewer than there are."""

    async def process_api(self, block_fn: Any, *args: Any, **options: Any) -> dict[str, Any]:
        with readable():
            if block_fn.fn is None:
                raise InputError("This event happens in the browser: there is nothing to ask for.")
            return await super().process_api(block_fn, *args, **options)

    async def postprocess_data(self, block_fn: Any, predictions: Any, state: Any) -> list[Any]:
        """What an event leaves as it is costs nothing. Gradio would make each such component anew, and its
        configuration twice: at every step of every run, most of what a page's process has to do."""
        by_component = isinstance(predictions, dict) and all(isinstance(key, Block) for key in predictions)
        if not by_component or not predictions:
            return await super().postprocess_data(block_fn, predictions, state)
        told = {component._id for component in predictions}
        some = copy.copy(block_fn)
        some.outputs = [block for block in block_fn.outputs if block._id in told]
        if len(some.outputs) < len(told):  # one that is no output: Gradio says so
            return await super().postprocess_data(block_fn, predictions, state)
        values = iter(await super().postprocess_data(some, predictions, state))
        unchanged = {True: None, False: gr.skip()}
        return [
            next(values) if block._id in told else unchanged[bool(block.stateful)]
            for block in block_fn.outputs
        ]

    def validate_inputs(self, block_fn: Any, inputs: list[Any]) -> None:
        if len(inputs) > len(block_fn.inputs):
            raise gr.Error(
                f"This takes {len(block_fn.inputs)} values, not {len(inputs)}.", print_exception=False
            )
        inputs += [field.value for field in block_fn.inputs[len(inputs) :]]
        super().validate_inputs(block_fn, inputs)


def build_ui(models: Models) -> gr.Blocks:
    """The page for these models; nothing is launched."""
    examples = read_examples()
    with Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=(1800, 12 * 3600), fill_width=True
    ) as blocks:
        page = lay_out(models, examples)
        api.add(models, _on_device(models))  # first, so that the name /generate is its own
        runs = Runs()
        painting = Painting(page, models, runs)
        paints, beside = _connect_painting(page, painting, models, blocks)
        offering = Offering(page, lay_out_offer(models.default), models)
        restoring = Restoring(page, models, runs, examples, offering)
        event = _connect_restoring(page, restoring, Opening(page, models, restoring), painting, paints)
        _connect_pictures(page, restoring, Reuse(page, models), painting, event, paints, beside)
        _connect_offering(offering, painting, paints)
        _connect_words(page, models)
        _connect_memory(page)
    return blocks.queue(api_open=False, max_size=QUEUED, default_concurrency_limit=8)


def launch_options(
    delivery: Delivery | None = None,
    hosts: Sequence[str] = (),
    auth: Sequence[tuple[str, str]] = (),
    holds: int = 17,
) -> dict[str, Any]:
    """How the page is served; what matters for safety is explained in `tests/server/test_intruders.py`.

    Args:
        delivery: counts the streams of events; the caller may want to look at it.
        hosts: names of the page besides addresses and localhost, see `guard.Guard`.
        auth: who may come in, as name and password; nobody listed means everybody.
        holds: how many requests the engine holds, in line and on devices; each waits in a thread of its own.
    """
    return {
        "theme": theme(),
        "css": CSS,
        "head": HEAD,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "run_history": False,
        "footer_links": ["api"],
        "strict_cors": True,
        "enable_monitoring": False,
        "app_kwargs": {
            "openapi_url": None,
            "docs_url": None,
            "redoc_url": None,
            "middleware": [
                Middleware(Guard, hosts=tuple(hosts)),
                Middleware(Unserved),
                Middleware(Introduced),
                Middleware(delivery or Delivery()),
                Middleware(Malformed),
            ],
        },
        "max_file_size": "20mb",
        "max_threads": holds + 63,
        "state_session_capacity": VISITS,
        "show_error": False,
        "auth": list(auth) or None,
    }


def _on_device(models: Models) -> dict[str, Any]:
    """All events that use a model share one limit: a few more than the engine holds, so that it can refuse
    the rest with a message of its own."""
    return {"concurrency_id": "model", "concurrency_limit": models.engine.holds + 7}


def _connect_painting(
    page: Page, painting: Painting, models: Models, blocks: gr.Blocks
) -> tuple[dict[str, Any], list[Any]]:
    """-> how the events that paint are connected, and those that paint beside a finished picture."""
    inputs, form = page.inputs(), page.form
    outputs = [page.viewer, page.memory, form.seed, page.gallery, page.gallery_box, page.visit]
    run = {"inputs": inputs, "outputs": outputs, "trigger_mode": "multiple", **HIDDEN, **_on_device(models)}
    # One by one, because gr.on does not know the events of a component of our own.
    asked = (page.go.click, form.prompt.submit, page.canvas.generate)
    painted = [event(painting.generate, **run) for event in asked]
    painted.append(page.dice.click(painting.roll, **run))
    changes = (page.canvas.stroke, page.words.changed, page.live.input)
    lively = [event(painting.live, **run) for event in changes]
    lively.append(page.canvas.moving(painting.move, **run))
    effects, grids = Effects(painting), Grids(painting)
    beside = [page.viewer.compare(effects.compare, **run), page.viewer.row(grids.row, **run)]
    at_once: dict[str, Any] = {"inputs": inputs, "outputs": outputs, "queue": False, **HIDDEN}
    page.stop.click(painting.stop, cancels=[*painted, *lively, *beside], **at_once)
    page.live.input(painting.live_off, **at_once)
    blocks.unload(painting.leave)
    return run, beside


def _connect_restoring(
    page: Page, restoring: Restoring, opening: Opening, painting: Painting, paints: dict[str, Any]
) -> dict[str, Any]:
    """-> how the events that bring something onto the page are connected."""
    form = page.form
    boxes = [box for box in (page.maps, page.maps_box) if box is not None]
    everything = [*form.by_name().values(), page.model, page.about, page.canvas, page.viewer, page.examples]
    shown = [page.memory, page.live, page.gallery, page.gallery_box]
    outputs = [*everything, *shown, page.kind, page.upload, page.visit, page.further, *boxes]
    event: dict[str, Any] = {"inputs": page.inputs(), "outputs": outputs, **HIDDEN}
    last: dict[str, Any] = {"inputs": page.inputs(), "trigger_mode": "always_last", **HIDDEN}
    page.model.input(restoring.choose_model, outputs=outputs, **last).then(None, js=CHANGED, **HIDDEN)
    shaped = form.shape.input(restoring.choose_shape, outputs=page.canvas, **last)
    shaped.then(None, js=CHANGED, **HIDDEN)
    page.examples.choose(restoring.choose_example, **event).then(painting.brought, **paints)
    offers: dict[str, Any] = {**event, "outputs": [*outputs, *restoring.offering.panel.parts()]}
    page.upload.upload(restoring.upload, **offers).then(None, js=OFFERED, **HIDDEN)
    page.canvas.dropped(restoring.drop, **offers).then(None, js=OFFERED, **HIDDEN)
    if page.maps is not None:
        page.maps.choose(restoring.forget_map, **event)
    opened = page.memory.opened(opening.opened, **event)
    ready = opened.then(None, js=READY, **HIDDEN)
    named = page.named()
    ready.then(None, inputs=list(named.values()), js=remember_script(list(named)), **HIDDEN)
    ready.then(painting.brought, **paints)
    return event


def _connect_pictures(
    page: Page,
    restoring: Restoring,
    reuse: Reuse,
    painting: Painting,
    event: dict[str, Any],
    paints: dict[str, Any],
    beside: list[Any],
) -> None:
    """What is done with finished pictures. What is painted beside one ends where another takes its place."""
    page.gallery.choose(restoring.choose_kept, cancels=beside, **event).then(painting.brought, **paints)
    page.viewer.choose(restoring.choose_cell, cancels=beside, **event)
    page.viewer.reuse(reuse.onto_canvas, inputs=event["inputs"], outputs=page.canvas, **HIDDEN)
    page.viewer.enlarge(reuse.enlarge, inputs=event["inputs"], outputs=page.viewer, **HIDDEN)


def _connect_offering(offering: Offering, painting: Painting, paints: dict[str, Any]) -> None:
    page, panel = offering.page, offering.panel
    boxes = [box for box in (page.maps, page.maps_box) if box is not None]
    inputs = {*page.inputs(), panel.kind, panel.offer}
    event: dict[str, Any] = {
        "inputs": inputs,
        "outputs": [page.canvas, page.further, *boxes, *panel.parts()],
        **HIDDEN,
    }
    panel.kind.input(offering.read_again, **event)
    used = panel.use.click(offering.use, **event)
    used.success(None, js=ANSWERED, **HIDDEN)
    used.then(painting.brought, **paints)
    cancelled = panel.cancel.click(offering.cancel, outputs=panel.parts(), queue=False, **HIDDEN)
    cancelled.then(None, js=ANSWERED, **HIDDEN)


def _connect_words(page: Page, models: Models) -> None:
    """What the prompt and its chips do to each other, and what the model does not read of them."""
    form = page.form
    chips: list[Any] = [form.styles, form.prompt]
    pressed = form.styles.input(None, inputs=chips, outputs=chips, js=chip_script(), **HIDDEN)
    pressed.then(None, js=CHANGED, **HIDDEN)
    form.scheduler.input(None, js=CHANGED, **HIDDEN)
    form.prompt.change(None, inputs=chips, outputs=form.styles, js=word_script(), **HIDDEN)

    def judged(prompt: Any, styles: Any, model: Any) -> Any:
        with readable():
            return read(str(styled(prompt or "", styles)), models[model].base)

    for field in (*chips, page.model):
        field.change(
            judged,
            inputs=[*reversed(chips), page.model],
            outputs=page.words,
            queue=False,
            trigger_mode="always_last",
            **HIDDEN,
        )


def _connect_memory(page: Page) -> None:
    names, fields = list(page.named()), list(page.named().values())
    for field in fields:
        field.change(None, inputs=fields, js=remember_script(names), **HIDDEN)
    copied = page.link.click(
        None, inputs=[page.canvas, *fields], outputs=page.link, js=link_script(names), **HIDDEN
    )
    copied.then(None, outputs=page.link, js=AFTER_A_WHILE, **HIDDEN)
