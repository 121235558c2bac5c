"""Errors and notices that people read: short, saying what to do, and never as markup."""

from __future__ import annotations

import html
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import gradio as gr
from pydantic import ValidationError

from mcm_core.drawing.conditions import InputError
from mcm_core.engine import EngineError

NO_FILE = "A file must be uploaded first, as handle_file of gradio_client does; null stands for none."
"""Gradio's own data models are of files alone."""
BROKEN = "Something went wrong; the server's log has the details. Try again."

log = logging.getLogger(__name__)


def message(error: Exception) -> str:
    """What people read of an error. One that nobody foresaw goes to the log."""
    if isinstance(error, InputError | EngineError):
        return str(error)
    if isinstance(error, ValidationError):
        return NO_FILE
    log.error("An event failed", exc_info=error)
    return BROKEN


@contextmanager
def readable() -> Iterator[None]:
    """Every error inside becomes a `gr.Error` that people can read."""
    try:
        yield
    except gr.Error:
        raise
    except Exception as error:
        raise gr.Error(html.escape(message(error), quote=False), print_exception=False) from error


def told(text: str) -> None:
    """A message that passes by itself."""
    gr.Info(html.escape(text, quote=False))


def notice(notes: Iterable[str]) -> None:
    """Warnings that pass by themselves."""
    for note in notes:
        gr.Warning(html.escape(note, quote=False))
