"""A page that programs call: the models behind it, its address, a client, and its pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client

from demo.models import Models
from tests import pages
from tests.pages import Paced, connected, paced, until

MAX_WAITING = 16


@pytest.fixture(scope="module")
def models(sd_folder: Path) -> Models:
    return Models([pages.tiny_model(sd_folder)], max_waiting=MAX_WAITING)


@pytest.fixture(scope="module")
def url(models: Models) -> Iterator[str]:
    with pages.page(models) as url:
        yield url.rstrip("/")


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return connected(url)


@pytest.fixture(autouse=True)
def pipeline(models: Models) -> Iterator[Paced]:
    """The page's pipeline, which must be at rest after every test."""
    yield paced(models)
    paced(models).let_go()
    until(lambda: (models.engine.running, models.engine.waiting) == (0, 0))
    paced(models).calm()
