"""Requests as programs send them, over loopback, also those that no client would send."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from tests.pages import PATIENCE_S

http = httpx.Client(timeout=PATIENCE_S, limits=httpx.Limits(max_keepalive_connections=0))


def generate(client: Client, **values: Any) -> Any:
    return client.predict(**{"seed": 7, "steps": 1, **values}, api_name="/generate")


def refusal(client: Client, **values: Any) -> str:
    """What a person reads who sends this."""
    with pytest.raises(AppError) as caught:
        generate(client, **values)
    assert str(caught.value) not in ("", "None")
    assert "show_error" not in str(caught.value), "an error that nobody has put into words"
    return str(caught.value)


def posted(url: str, text: str) -> httpx.Response:
    return http.post(
        f"{url}/gradio_api/call/generate", content=text, headers={"content-type": "application/json"}
    )


def streamed(url: str, answer: httpx.Response) -> AbstractContextManager[httpx.Response]:
    """The events of what was posted."""
    address = f"{url}/gradio_api/call/generate/{answer.json()['event_id']}"
    return http.stream("GET", address)


def called(url: str, data: list[Any]) -> tuple[str, Any]:
    """(last event, its data) of the endpoint by plain HTTP, for what no client would send."""
    answer = posted(url, json.dumps({"data": data}))
    if answer.status_code != 200:
        return f"HTTP {answer.status_code}", answer.text
    with streamed(url, answer) as stream:
        lines = list(stream.iter_lines())
    events = [line.split(": ", 1)[1] for line in lines if line.startswith("event: ")]
    told = [line.split(": ", 1)[1] for line in lines if line.startswith("data: ")]
    return events[-1], json.loads(told[-1])


NAMES = (
    "prompt", "label_map", "sketch", "drawing", "negative_prompt", "steps", "guidance_scale", "seed",
    "scheduler", "strength", "start", "end", "placement", "compare", "width", "height", "model",
    "fit", "zero_based", "prompt_boost",
)  # fmt: skip
GOOD: dict[str, Any] = {
    **dict.fromkeys(NAMES), "prompt": "", "negative_prompt": "", "steps": 1, "seed": 7, "strength": {},
    "start": 0, "end": 1, "placement": "both", "compare": False, "fit": "crop", "zero_based": False,
}  # fmt: skip


def values(**changes: Any) -> list[Any]:
    return list({**GOOD, **changes}.values())


def picture(mode: str = "RGB", size: tuple[int, int] = (64, 64), color: Any = "#8ec1ef") -> Image.Image:
    return Image.new(mode, size, color)


def saved(folder: Path, image: Image.Image, name: str = "picture.png", **options: Any) -> Any:
    image.save(folder / name, **options)
    return handle_file(folder / name)
