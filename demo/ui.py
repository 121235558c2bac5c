"""build_ui(models) -> the page as `gr.Blocks`: its components, its events, and how it is served."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from mcm_core.drawing.conditions import InputError
from mcm_core.request import random_seed

from . import api
from .component import READY
from .delivery import Delivery
from .errors import readable
from .examples import read_examples
from .form import chip_script, link_script
from .guard import Guard
from .malformed import Malformed
from .models import Models
from .offering import Offering
from .offering import lay_out as lay_out_offer
from .page import COPY_LINK, Page, lay_out
from .painting import Painting
from .restoring import Restoring
from .runs import Runs
from .theme import CSS, HEAD, theme
from .unserved import Unserved

QUEUED = 64
"""Events that may wait to be begun. Requests wait in the engine's line, which tells them their place."""
HIDDEN: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
FOCUS = "() => { document.querySelector('#offer-use:not(:disabled), #offer-cancel')?.focus(); }"
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
        title="MCM: draw it", analytics_enabled=False, delete_cache=(1800, 12 * 3600), fill_width=True
    ) as blocks:
        page = lay_out(models, examples)
        api.add(models, _on_device(models))  # first, so that the name /generate is its own
        painting = Painting(page, models, Runs())
        paints = _connect_painting(page, painting, models, blocks)
        offering = Offering(page, lay_out_offer(models.default), models)
        restoring = Restoring(page, models, examples, offering)
        _connect_restoring(page, restoring, painting, paints, blocks)
        _connect_offering(offering, painting, paints)
    return blocks.queue(api_open=False, max_size=QUEUED, default_concurrency_limit=8)


def launch_options(
    delivery: Delivery | None = None, hosts: Sequence[str] = (), auth: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """How the page is served; what matters for safety is explained in `tests/test_reliability.py`.

    Args:
        delivery: counts the streams of events; the caller may want to look at it.
        hosts: names of the page besides addresses and localhost, see `guard.Guard`.
        auth: who may come in, as name and password; nobody listed means everybody.
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
                Middleware(delivery or Delivery()),
                Middleware(Malformed),
            ],
        },
        "max_file_size": "20mb",
        "max_threads": 80,
        "state_session_capacity": 100,
        "show_error": False,
        "auth": list(auth) or None,
    }


def _on_device(models: Models) -> dict[str, Any]:
    """All events that use a model share one limit: a few more than the engine's line holds, so that it can
    refuse the rest with a message of its own."""
    return {"concurrency_id": "model", "concurrency_limit": models.engine.max_waiting + 8}


def _connect_painting(page: Page, painting: Painting, models: Models, blocks: gr.Blocks) -> dict[str, Any]:
    """-> how the events that paint are connected."""
    inputs, form = page.inputs(), page.form
    outputs = [page.viewer, form.seed, page.gallery, page.gallery_box, page.visit]
    run = {"inputs": inputs, "outputs": outputs, "trigger_mode": "multiple", **HIDDEN, **_on_device(models)}
    # One by one, because gr.on does not know the events of a component of our own.
    asked = (page.go.click, form.prompt.submit, page.canvas.generate)
    painted = [event(painting.generate, **run) for event in asked]
    changes = (
        page.canvas.stroke,
        page.live.input,
        form.styles.input,
        form.seed.input,
        *(strength.release for strength in form.strengths.values()),
    )
    lively = [event(painting.live, **run) for event in changes]
    lively.append(page.canvas.moving(painting.move, **run))
    compared = page.viewer.compare(painting.compare, **run)
    at_once: dict[str, Any] = {"inputs": inputs, "outputs": outputs, "queue": False, **HIDDEN}
    page.stop.click(painting.stop, cancels=[*painted, *lively, compared], **at_once)
    page.live.input(painting.live_off, **at_once)
    blocks.unload(painting.leave)
    return run


def _connect_restoring(
    page: Page, restoring: Restoring, painting: Painting, paints: dict[str, Any], blocks: gr.Blocks
) -> None:
    form = page.form
    boxes = [box for box in (page.maps, page.maps_box) if box is not None]
    everything = [*form.by_name().values(), page.model, page.about, page.canvas, page.viewer, page.examples]
    outputs = [*everything, page.kind, page.upload, page.visit, *boxes]
    event: dict[str, Any] = {"inputs": page.inputs(), "outputs": outputs, **HIDDEN}
    page.model.input(restoring.choose_model, **event)
    page.examples.choose(restoring.choose_example, **event).then(painting.brought, **paints)
    page.canvas.untouched(restoring.welcome, **event).then(painting.brought, **paints)
    page.gallery.choose(restoring.choose_kept, **event)
    offers: dict[str, Any] = {**event, "outputs": [*outputs, *restoring.offering.panel.parts()]}
    page.upload.upload(restoring.upload, **offers).then(None, js=FOCUS, **HIDDEN)
    page.canvas.dropped(restoring.drop, **offers).then(None, js=FOCUS, **HIDDEN)
    if page.maps is not None:
        page.maps.choose(restoring.forget_map, **event)
    chips = [form.styles, form.prompt]
    form.styles.input(None, inputs=chips, outputs=chips, js=chip_script(), **HIDDEN)
    page.dice.click(random_seed, outputs=form.seed, queue=False, **HIDDEN)
    named = form.by_name()
    copied = page.link.click(
        None, inputs=list(named.values()), outputs=page.link, js=link_script(list(named)), **HIDDEN
    )
    copied.then(None, outputs=page.link, js=AFTER_A_WHILE, **HIDDEN)
    blocks.load(restoring.load, outputs=outputs, **HIDDEN).then(None, js=READY, **HIDDEN)


def _connect_offering(offering: Offering, painting: Painting, paints: dict[str, Any]) -> None:
    page, panel = offering.page, offering.panel
    boxes = [box for box in (page.maps, page.maps_box) if box is not None]
    inputs = {*page.inputs(), panel.kind, panel.offer}
    event: dict[str, Any] = {
        "inputs": inputs,
        "outputs": [page.canvas, page.visit, *boxes, *panel.parts()],
        **HIDDEN,
    }
    panel.kind.input(offering.read_again, **event)
    panel.use.click(offering.use, **event).then(painting.brought, **paints)
    panel.cancel.click(offering.cancel, outputs=panel.parts(), **HIDDEN)
