"""What goes wrong in demos of this kind, over loopback: bad input, intruders, crowds, faults."""

from __future__ import annotations

import base64
import gc
import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import httpx
import numpy as np
import psutil
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from demo.delivery import Delivery
from demo.guard import Guard, Uploads
from demo.models import Models
from demo.ui import build_ui, launch_options
from mcm_core.drawing.conditions import LABELS, LabelClass
from mcm_core.drawing.palette import palette_picture
from mcm_core.record import read_png
from tests import pages, tiny
from tests.browser import served
from tests.pages import PATIENCE_S, Paced, canvas_value, connected, halves, paced, page, until

ROOT = Path(__file__).parents[1]
CLASSES = tuple(LabelClass(*one) for one in tiny.CLASSES)
MAX_WAITING = 16
http = httpx.Client(timeout=PATIENCE_S, limits=httpx.Limits(max_keepalive_connections=0))


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


# -- pictures ----------------------------------------------------------------------------------------------


def picture(mode: str = "RGB", size: tuple[int, int] = (64, 64), color: Any = "#8ec1ef") -> Image.Image:
    return Image.new(mode, size, color)


def saved(folder: Path, image: Image.Image, name: str = "picture.png", **options: Any) -> Any:
    image.save(folder / name, **options)
    return handle_file(folder / name)


def labels_of(client: Client, file: Any) -> np.ndarray:
    """(H, W): the label map as which a file was read."""
    return read_png(generate(client, label_map=file)[0]).conditions.maps[LABELS]


def test_an_empty_or_transparent_drawing_leaves_the_prompt_alone(client: Client, tmp_path: Path) -> None:
    clear = saved(tmp_path, picture("RGBA", color=(142, 193, 239, 0)))
    for one in ({}, {"drawing": {}}, {"label_map": clear}):
        path, _, details = generate(client, **one)
        assert "Nothing is drawn" in details["notes"][-1]
        assert not read_png(path).conditions.maps


@pytest.mark.parametrize("size", [(1, 1), (20000, 1), (4000, 8)])
def test_tiny_and_oblong_pictures_are_refused(client: Client, tmp_path: Path, size: tuple[int, int]) -> None:
    told = refusal(client, sketch=saved(tmp_path, picture(size=size)))
    assert f"{size[0]} x {size[1]}" in told


def test_every_mode_is_read_right(client: Client, tmp_path: Path) -> None:
    sky = picture()
    palette = sky.quantize(4)
    palette.info["transparency"] = 3
    for name, image in {
        "p.png": palette,
        "cmyk.tiff": sky.convert("CMYK"),
        "rgba.png": sky.convert("RGBA"),
    }.items():
        assert (labels_of(client, saved(tmp_path, image, name)) == 1).all(), name
    for name, image in {
        "la.png": Image.new("LA", (64, 64), (2, 255)).convert("L"),
        "deep.png": Image.fromarray(np.full((64, 64), 2, np.uint16)),
    }.items():
        assert (labels_of(client, saved(tmp_path, image, name)) == 2).all(), name
    bits = Image.fromarray(np.eye(64, dtype=bool))
    path = generate(client, sketch=saved(tmp_path, bits, "bits.png"))[0]
    conditions = read_png(path).conditions
    np.testing.assert_array_equal(conditions.maps["sketch"], np.eye(64) * 255)


def test_a_turned_picture_is_upright(client: Client, tmp_path: Path) -> None:
    turned = Image.fromarray(palette_picture(halves().maps[LABELS], CLASSES)[..., :3])
    exif = Image.Exif()
    exif[274] = 6  # to be turned clockwise by a quarter for looking at it
    read = labels_of(client, saved(tmp_path, turned, exif=exif))
    np.testing.assert_array_equal(read, np.rot90(halves().maps[LABELS], -1))


def test_of_an_animation_the_first_frame_counts(client: Client, tmp_path: Path) -> None:
    frames = {"save_all": True, "append_images": [picture(color="#2b5fae")]}
    assert (labels_of(client, saved(tmp_path, picture(), "film.gif", **frames)) == 1).all()


@pytest.mark.parametrize("kind", ["truncated", "text", "empty", "svg"])
def test_damaged_files_and_no_pictures_are_refused(client: Client, tmp_path: Path, kind: str) -> None:
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(whole, "PNG")
    content = {"truncated": whole.getvalue()[:2000], "text": b"no picture", "empty": b"", "svg": b"<svg/>"}
    (tmp_path / "file.png").write_bytes(content[kind])
    assert "could not be read as a picture" in refusal(client, sketch=handle_file(tmp_path / "file.png"))


def test_a_decompression_bomb_is_refused_before_it_grows(client: Client, tmp_path: Path) -> None:
    file = saved(tmp_path, Image.new("1", (13000, 13000)), optimize=True)
    assert (tmp_path / "picture.png").stat().st_size < 200_000
    with peak_memory() as grown:
        assert "million pixels" in refusal(client, label_map=file)
    assert grown() < 100


def test_a_label_map_of_another_size_is_resized_to_the_nearest_pixel(client: Client, tmp_path: Path) -> None:
    large = np.kron(halves().maps[LABELS], np.ones((3, 3), np.uint8))
    read = labels_of(client, saved(tmp_path, Image.fromarray(large, "L")))
    np.testing.assert_array_equal(read, halves().maps[LABELS])


@pytest.mark.parametrize(
    "change",
    [
        {"labels": "1x4095"}, {"labels": "4x4096"}, {"version": 2}, {"width": 10**9}, {"labels": 7},
        {"labels": "1x-1"}, {"sketch": "2x4096"}, {"more": 1}, {"revision": None}, {"width": True},
        {"labels": "1x1," * 10**6 + "1x1"},
    ],
)  # fmt: skip
def test_a_canvas_value_that_does_not_add_up_is_refused(client: Client, change: dict[str, Any]) -> None:
    assert "rawing" in refusal(client, drawing={**canvas_value(), **change})


def test_unknown_colours_go_to_the_nearest_class_and_are_counted(client: Client, tmp_path: Path) -> None:
    painted = np.asarray(picture()).copy()
    painted[:8] = (0x6A, 0xC1, 0x4C)
    _, _, details = generate(client, label_map=saved(tmp_path, Image.fromarray(painted)))
    assert details["notes"] == ["512 pixels were in a colour of no class and went to the nearest class."]


# -- numbers, text, arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, -1, 500, 1.5])
def test_impossible_steps_are_refused(client: Client, steps: float) -> None:
    assert "steps must be a whole number from 1 to 150" in refusal(client, steps=steps)


@pytest.mark.parametrize("field", ["steps", "guidance_scale", "seed", "start", "end", "width"])
@pytest.mark.parametrize("bad", ["NaN", "Infinity", '"5"', "true", "[1]", '{"a": 1}'])
def test_what_is_no_number_is_refused(url: str, field: str, bad: str) -> None:
    text = json.dumps({"data": values(**{field: "HERE"})}).replace('"HERE"', bad)
    answer = posted(url, text)
    if answer.status_code == 200:
        with streamed(url, answer) as stream:
            told = stream.read().decode()
        assert "event: error" in told
        assert "must be" in told
    else:
        assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("field", ["seed", "start", "end"])
def test_null_is_no_number_where_one_is_needed(client: Client, field: str) -> None:
    assert "must be" in refusal(client, **{field: None})


@pytest.mark.parametrize("bad", [{"labels": "x"}, {"depth": 1}, [1], "x", 3])
def test_strengths_that_are_no_numbers_are_refused(client: Client, bad: Any) -> None:
    assert "strength" in refusal(client, strength=bad)


def test_an_infinite_strength_is_refused(url: str) -> None:
    event, told = called(url, values(strength={"labels": float("inf")}))
    assert event != "complete"
    assert "strength" in json.dumps(told)


def test_seeds_have_a_range(client: Client) -> None:
    for seed in (10**40, 2**32, -2):
        assert "seed must be" in refusal(client, seed=seed).replace("A seed", "seed")
    assert generate(client, seed=2**32 - 1)[2]["request"]["seeds"] == [2**32 - 1]
    assert 0 <= generate(client, seed=-1)[2]["request"]["seeds"][0] < 2**32


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
def test_an_endless_prompt_is_refused_whatever_the_page_sends(client: Client, field: str) -> None:
    assert "shorten it" in refusal(client, **{field: "x" * 10**6})


@pytest.mark.parametrize("prompt", ["\x00", "🏔️🌅", "‏גבעות", "\ud800", "a\x00b\x1b[31m", "\u202e\ufeff"])
def test_strange_text_is_no_fault(url: str, prompt: str) -> None:
    event, told = called(url, values(prompt=prompt))
    assert event == "complete"
    assert told[2]["request"]["prompt"] == prompt.encode("utf-8", "replace").decode()


@given(st.text(alphabet=st.characters(), max_size=80))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_makes_a_picture(url: str, prompt: str) -> None:
    assert called(url, values(prompt=prompt))[0] == "complete"


def test_markup_in_an_error_is_text(client: Client) -> None:
    evil = "<img src=x onerror=alert(1)>"
    told = refusal(client, scheduler=evil)
    assert evil not in told
    assert "&lt;img" in told


@pytest.mark.parametrize("data", [[*values(), "more"], None, "x", {"prompt": "a lake"}])
def test_what_is_no_list_of_values_or_too_long_is_an_error(url: str, data: Any) -> None:
    event, told = called(url, data)
    assert (event == "error" and words(told)) or event.startswith("HTTP 4"), (event, told)


@pytest.mark.parametrize("data", [[], ["a lake"], values()[:17]])
def test_missing_arguments_take_their_defaults(url: str, data: list[Any]) -> None:
    event, told = called(url, data)
    assert event == "complete", told
    assert told[2]["request"]["prompt"] == (data[0] if data else "")


@pytest.mark.parametrize("payload", [True, 7, [], "x", {"path": None}, {"meta": 1}])
def test_what_is_no_uploaded_file_is_told_so(client: Client, url: str, payload: Any) -> None:
    event, told = called(url, values(label_map=payload))
    assert event == "error"
    assert "Something went wrong" not in told["error"]


@pytest.mark.parametrize(
    "body",
    [
        {"fn_index": 10**6, "data": [], "session_hash": "x"},
        {"fn_index": -1, "data": [], "session_hash": "x"},
        {"fn_index": 0, "data": [], "session_hash": [float("nan")]},
    ],
)
def test_unknown_events_and_nan_in_a_request_are_refused(url: str, body: Any) -> None:
    answer = http.post(
        f"{url}/gradio_api/queue/join",
        content=json.dumps(body),
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 400
    assert "view=api" in answer.json()["detail"]


def test_an_upload_without_a_name_is_refused(url: str) -> None:
    assert http.post(f"{url}/gradio_api/upload", files={"files": ("", b"x")}).status_code == 400


def test_an_event_of_the_browser_alone_has_words(url: str) -> None:
    config = http.get(f"{url}/config").json()
    alone = next(event["id"] for event in config["dependencies"] if not event["backend_fn"])
    body = {"fn_index": alone, "data": [], "session_hash": "alone"}
    assert http.post(f"{url}/gradio_api/queue/join", json=body).status_code == 200
    with http.stream("GET", f"{url}/gradio_api/queue/data?session_hash=alone") as stream:
        told = [json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line.strip()]
    ends = [message["output"]["error"] for message in told if message["msg"] == "process_completed"]
    assert ends == ["This event happens in the browser: there is nothing to ask for."]


def test_uploads_that_break_off_take_a_line_of_the_log_each(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = url.removeprefix("http://").split(":")
    head = (
        "POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
        'Content-Disposition: form-data; name="files"; filename="x.png"\r\n\r\n'
    )
    caplog.clear()
    for _ in range(20):
        with socket.create_connection((host, int(port))) as half:
            half.sendall(head.encode() + b"x" * 1000)
    until(lambda: sum("could not be read" in record.getMessage() for record in caplog.records) == 20)
    assert all(len(logging.Formatter().format(record)) < 300 for record in caplog.records)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=3), st.integers(1, len(NAMES)))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_sent_the_answer_is_a_picture_or_words(url: str, changes: Any, count: int) -> None:
    event, told = called(url, values(**changes)[:count])
    assert event == "complete" or event.startswith("HTTP 4") or words(told), (event, told)


def words(told: Any) -> bool:
    """Whether an error says something: Gradio answers {"error": null} where nobody has put it into words."""
    return isinstance(told, dict) and bool(told.get("error"))


# -- intruders, and what Gradio leaves open ----------------------------------------------------------------


def file_data(path: str, link: str | None = None) -> dict[str, Any]:
    return {"path": path, "url": link, "meta": {"_type": "gradio.FileData"}}


@pytest.fixture
def strange(tmp_path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """A good picture that nobody uploaded: its path, its link on another server, and who asked there."""
    picture().save(tmp_path / "picture.png")
    asked: list[str] = []

    class Other(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Other, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever).start()
        yield str(tmp_path / "picture.png"), f"http://127.0.0.1:{server.server_port}/picture.png", asked
        server.shutdown()


def test_an_uploaded_picture_is_opened(url: str, strange: tuple[str, str, list[str]]) -> None:
    with open(strange[0], "rb") as file:
        path = http.post(f"{url}/gradio_api/upload", files={"files": file}).json()[0]
    assert called(url, values(label_map=file_data(path)))[0] == "complete"


def test_files_of_the_server_and_of_others_are_not_opened(
    url: str, strange: tuple[str, str, list[str]]
) -> None:
    path, link, asked = strange
    paths = (path, os.path.relpath(path), f"file://{path}", link, "/etc/passwd")
    payloads = [*map(file_data, paths), *paths, file_data("x.png", link), {"path": None}, 7, [path]]
    for payload in payloads:
        event, told = called(url, values(label_map=payload))
        assert event == "error" or event.startswith("HTTP 4"), payload
        assert "root:" not in json.dumps(told)
    assert asked == []


def test_a_data_url_is_no_way_around(url: str) -> None:
    content = io.BytesIO()
    Image.new("L", (64, 64), 1).save(content, "PNG")
    link = "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
    for payload in (file_data(link), file_data("x.png", link), {"url": link}, link):
        assert called(url, values(label_map=payload))[0] != "complete"


def test_an_oversize_upload_is_refused(url: str) -> None:
    big = {"files": ("big.png", b"\0" * 21_000_000, "image/png")}
    assert http.post(f"{url}/gradio_api/upload", files=big).status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../etc/passwd",
        "/gradio_api/file=/tmp/x/../../etc/passwd",
        "/gradio_api/proxy=http://127.0.0.1:1/",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/gradio_api/openapi.json",
        "/monitoring",
        "/monitoring/summary",
        "/gradio_api/monitoring/summary",
    ],
)
def test_no_file_of_the_server_no_proxy_no_monitoring_no_documentation_pages(url: str, path: str) -> None:
    answer = http.get(url + path)
    assert answer.status_code >= 400, answer.text[:200]
    assert "root:" not in answer.text


def test_the_repository_itself_is_not_served(url: str) -> None:
    assert http.get(f"{url}/gradio_api/file={ROOT / 'app.py'}").status_code >= 400


def test_the_way_around_the_queue_is_closed(url: str, pipeline: Paced) -> None:
    for route in ("run", "api"):
        answer = http.post(f"{url}/gradio_api/{route}/generate", json={"data": values()})
        assert answer.status_code >= 400
    assert pipeline.begun == []


def test_other_origins_are_turned_away(url: str) -> None:
    evil = {"Origin": "http://evil.example"}
    answer = http.get(f"{url}/config", headers=evil)
    assert answer.headers.get("access-control-allow-origin") not in ("*", "http://evil.example")


def test_what_another_page_sends_is_turned_away(url: str, pipeline: Paced) -> None:
    address = f"{url}/gradio_api/call/generate"
    for origin in ("http://evil.example", "null", url.replace("http", "https") + "1"):
        answer = http.post(address, json={"data": values()}, headers={"Origin": origin})
        assert answer.status_code == 403, origin
    assert pipeline.begun == []
    assert http.post(address, json={"data": values()}, headers={"Origin": url}).status_code == 200


def test_a_name_that_is_not_the_pages_own_is_turned_away(url: str) -> None:
    """A foreign name that leads to this machine would make a foreign page one of the same origin."""
    port = url.rsplit(":", 1)[1]
    answer = http.get(url, headers={"Host": f"evil.example:{port}"})
    assert answer.status_code == 421
    assert "--allow-host evil.example" in answer.text
    for name in ("localhost", "127.0.0.1", "[::1]", "192.168.0.7"):
        assert http.get(url, headers={"Host": f"{name}:{port}"}).status_code == 200, name


def asked(guard: Guard, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[bytes, bytes]]:
    """Status and headers of a request to a guarded application that reads the body and says yes."""
    told: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        told.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in {"host": "localhost", **headers}.items()]
    method = "POST" if body else "GET"
    scope = {"type": "http", "method": method, "path": path, "headers": pairs, "client": ("10.0.0.1", 1)}
    anyio.run(guard, scope, receive, send)
    return told[0]["status"], dict(told[0]["headers"])


async def agreeable(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})


def test_names_that_were_allowed_and_a_spaces_own_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(Guard(agreeable, ["mcm.example"]), "/", host="MCM.example:7860")[0] == 200
    monkeypatch.setenv("SPACE_HOST", "somebody-mcm.hf.space")
    assert asked(Guard(agreeable), "/", host="somebody-mcm.hf.space")[0] == 200
    assert asked(Guard(agreeable), "/", host="mcm.example")[0] == 421
    assert asked(Guard(agreeable), "/", host="[")[0] == 421


def test_uploads_of_an_address_end_at_a_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.guard.UPLOADS_AT_MOST", 25)
    guard = Guard(agreeable)
    statuses = [asked(guard, "/gradio_api/upload", b"0123456789")[0] for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert asked(guard, "/gradio_api/queue/join", b"0123456789")[0] == 200
    monkeypatch.setattr("demo.guard.HOUR_S", -1.0)  # an hour later
    assert asked(guard, "/gradio_api/upload", b"0123456789")[0] == 200


def test_uploads_of_all_together_end_at_a_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.guard.ALL_UPLOADS_AT_MOST", 100)
    uploads = Uploads()
    for number in range(10):
        assert not uploads.are_spent("somebody new")
        uploads.add(f"10.0.0.{number}", 10)
    assert uploads.are_spent("somebody new")


def test_of_uploads_no_more_is_kept_than_a_number_a_minute_and_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uploads, now = Uploads(), 0.0
    monkeypatch.setattr("demo.guard.time.monotonic", lambda: now)
    for second in range(3 * 3600):
        now = float(second)
        uploads.add(f"10.0.{second // 256 % 256}.{second % 256}", 1)  # a new address each time
        uploads.add("192.0.2.1", 1)
        assert uploads.are_spent("192.0.2.2") is False
    assert len(uploads) <= 3600 + 61 + 60
    now += 2 * 3600
    assert not uploads.are_spent("192.0.2.1")
    assert len(uploads) == 0


def test_every_answer_says_what_may_be_loaded_and_who_may_frame_it(url: str) -> None:
    for path in ("", "/config", "/theme.css"):
        headers = http.get(url + path).headers
        assert "frame-ancestors 'self' https://huggingface.co" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_only_who_is_listed_comes_in(models: Models) -> None:
    with page(models, auth=[("ada", "secret")]) as served:
        address = served.rstrip("/")
        assert http.post(f"{address}/gradio_api/call/generate", json={"data": values()}).status_code == 401
        wrong = {"username": "ada", "password": "guess"}
        assert http.post(f"{address}/login", data=wrong).status_code == 400
        with httpx.Client(timeout=60) as ada:
            assert ada.post(f"{address}/login", data={**wrong, "password": "secret"}).status_code == 200
            answer = ada.post(f"{address}/gradio_api/call/generate", json={"data": values()})
            assert answer.status_code == 200


def test_uploaded_markup_comes_back_as_a_download(url: str) -> None:
    for name, kind in (("x.html", "text/html"), ("x.svg", "image/svg+xml")):
        files = {"files": (name, b"<svg onload=alert(1)></svg>", kind)}
        path = http.post(f"{url}/gradio_api/upload", files=files).json()[0]
        answer = http.get(f"{url}/gradio_api/file={path}")
        assert answer.headers["content-disposition"].startswith("attachment")


def test_text_in_an_uploaded_picture_does_not_come_back(client: Client, tmp_path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    secret = PngInfo()
    secret.add_text("Comment", "secret")
    path = generate(client, label_map=saved(tmp_path, picture(), pnginfo=secret))[0]
    assert set(Image.open(path).text) == {"mcm"}  # type: ignore[attr-defined]
    assert b"secret" not in Path(path).read_bytes()


# -- faults ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (MemoryError("secret"), "not enough memory"),
        (RuntimeError("secret"), "Something went wrong"),
        (KeyError("secret"), "Something went wrong"),
    ],
)
def test_after_a_fault_there_are_words_and_the_next_request_works(
    client: Client, pipeline: Paced, fault: Exception, told: str
) -> None:
    def fail() -> None:
        raise fault

    pipeline.fault = fail
    answer = refusal(client)
    assert told in answer
    assert "secret" not in answer
    pipeline.fault = lambda: None
    assert generate(client)[0]


def test_numbers_that_run_away_are_an_error_and_no_black_picture(client: Client, models: Models) -> None:
    modulator = models.default.pipeline.modulator
    assert modulator is not None
    bias = modulator.trunk.conv_out.bias
    kept = bias.detach().clone()
    bias.data.fill_(float("nan"))
    try:
        assert "not finite" in refusal(client, drawing=canvas_value())
    finally:
        bias.data.copy_(kept)
    assert generate(client, drawing=canvas_value())[0]


def test_a_request_has_a_deadline(client: Client, models: Models, pipeline: Paced) -> None:
    pipeline.pause_s, models.engine.deadline_s = 0.1, 0.3
    try:
        assert "Stopped after 0.3 seconds" in refusal(client, steps=50)
    finally:
        models.engine.deadline_s = 300.0


# -- crowds ------------------------------------------------------------------------------------------------


def test_sixteen_clients_at_once_each_get_the_picture_of_their_seed(
    url: str, models: Models, pipeline: Paced
) -> None:
    def ask(client: Client, seed: int) -> bytes:
        words = {"prompt": f"lake {seed}", "drawing": canvas_value()}
        return Path(generate(client, seed=seed, steps=4, **words)[0]).read_bytes()

    seeds = range(100, 116)
    with ThreadPoolExecutor(16) as crowd:
        clients = list(crowd.map(lambda _: connected(url), seeds))
        together = dict(zip(seeds, crowd.map(ask, clients, seeds), strict=True))
    assert pipeline.most_active == 1
    assert {seed: ask(clients[0], seed) for seed in seeds} == together
    assert len(set(together.values())) == 16


def test_beyond_the_line_a_request_is_refused_at_once_with_words(
    url: str, models: Models, pipeline: Paced
) -> None:
    pipeline.hold()
    clients = [connected(url) for _ in range(3)]
    client = clients[2]
    first = client.submit(seed=0, steps=3, api_name="/generate")
    until(lambda: models.engine.running == 1)
    line = [clients[seed % 2].submit(seed=seed, steps=1, api_name="/generate") for seed in range(MAX_WAITING)]
    until(lambda: models.engine.waiting == MAX_WAITING)
    told = [refusal(client, seed=seed) for seed in (50, 51, 52)]
    assert "steps must be" in refusal(client, steps=0), "what is wrong is refused before it would wait"
    assert pipeline.steps == 0, "they had to wait"
    assert all(f"{MAX_WAITING} requests are waiting already" in words for words in told)
    pipeline.let_go()
    assert all(job.result(timeout=PATIENCE_S)[0] for job in [first, *line])


def test_a_client_with_many_requests_does_not_keep_others_waiting(
    url: str, models: Models, pipeline: Paced
) -> None:
    pipeline.hold()
    many, other = connected(url), connected(url)
    running = many.submit(seed=0, steps=1, api_name="/generate")
    until(lambda: models.engine.running == 1)
    jobs = [many.submit(seed=seed, steps=1, api_name="/generate") for seed in range(1, 24)]
    until(lambda: sum(job.done() for job in jobs) == 23 - MAX_WAITING // 2)
    refused = [str(job.exception()) for job in jobs if job.done()]
    assert all("of your requests are waiting already" in words for words in refused)
    second = other.submit(seed=100, steps=1, api_name="/generate")
    until(lambda: models.engine.waiting == MAX_WAITING // 2 + 1)
    pipeline.let_go()
    assert second.result(timeout=PATIENCE_S)[0]
    assert running.result(timeout=PATIENCE_S)[0]
    until(lambda: len(pipeline.begun) == MAX_WAITING // 2 + 2)
    assert [request.seeds[0] for request in pipeline.begun].index(100) <= 2


def test_calls_without_a_session_are_one_client(url: str, models: Models, pipeline: Paced) -> None:
    pipeline.hold()
    for _ in range(MAX_WAITING):
        assert posted(url, json.dumps({"data": values()})).status_code == 200
    until(lambda: models.engine.waiting == MAX_WAITING // 2)
    session = connected(url).submit(seed=100, steps=1, api_name="/generate")
    until(lambda: models.engine.waiting == MAX_WAITING // 2 + 1)
    pipeline.let_go()
    assert session.result(timeout=PATIENCE_S)[0]
    assert [request.seeds[0] for request in pipeline.begun].index(100) <= 2


def test_a_waiting_request_is_told_its_place(url: str, models: Models, pipeline: Paced) -> None:
    pipeline.hold()
    client = connected(url)
    jobs = [client.submit(seed=seed, steps=2, api_name="/generate") for seed in range(3)]

    def places() -> list[list[int]]:
        told = [[details["place"] for _, _, details in job.outputs() if "place" in details] for job in jobs]
        return sorted(told)

    until(lambda: places() == [[], [1], [2]])
    pipeline.let_go(2)
    until(lambda: places() == [[], [1], [2, 1]])
    pipeline.let_go()
    assert all(job.result(timeout=PATIENCE_S)[0] for job in jobs)
    assert places() == [[], [1], [2, 1]]


def test_who_goes_away_gives_the_place_free(url: str, models: Models, pipeline: Paced) -> None:
    pipeline.pause_s = 0.2
    with streamed(url, posted(url, json.dumps({"data": values(steps=150)}))) as stream:
        next(stream.iter_lines())
        until(lambda: models.engine.running == 1)
    until(lambda: models.engine.running == 0)
    assert pipeline.steps < 150


def test_a_call_leaves_no_session_behind(models: Models) -> None:
    """Else the calls of programs would drive out what the server knows of people's visits."""
    blocks = build_ui(models)
    with served(blocks, **launch_options()) as address:
        event, told = called(address.rstrip("/"), values())
        assert event == "complete", told
        until(lambda: not blocks.state_holder.session_data)
        assert generate(connected(address))[0]
        assert len(blocks.state_holder.session_data) == 1


def test_a_run_that_nobody_reads_ends(models: Models, pipeline: Paced) -> None:
    pipeline.pause_s = 0.05
    with pages.page(models, delivery=Delivery(patience_s=0.5)) as address:
        url = address.rstrip("/")
        body = {"data": values(steps=150)}
        assert posted(url, json.dumps(body)).status_code == 200
        until(lambda: models.engine.running == 1)
        until(lambda: models.engine.running == 0)
        assert pipeline.steps < 150
        event, told = called(url, values(steps=40))
        assert event == "complete", told


def test_a_run_goes_on_while_its_session_or_its_event_is_read(models: Models, pipeline: Paced) -> None:
    pipeline.pause_s = 0.05
    with pages.page(models, delivery=Delivery(patience_s=0.3)) as address:
        url = address.rstrip("/")
        for session in ({}, {"session_hash": "of its own"}):
            answer = posted(url, json.dumps({"data": values(steps=30), **session}))
            with streamed(url, answer) as stream:
                assert "event: complete" in stream.read().decode()
        assert generate(connected(url), steps=30)[0]


# -- a long time -------------------------------------------------------------------------------------------


def test_memory_threads_and_files_are_back_after_many_runs(url: str, models: Models, pipeline: Paced) -> None:
    process = psutil.Process()

    def soak(count: int) -> None:
        for seed in range(count):
            if seed % 5 != 4:
                event, told = called(url, values(seed=seed, steps=2, drawing=canvas_value()))
                assert event == "complete", told
                continue
            body = json.dumps({"data": values(seed=seed, steps=150, drawing=canvas_value())})
            with streamed(url, posted(url, body)) as stream:
                next(stream.iter_lines())
                until(lambda: models.engine.running == 1)
            until(lambda: models.engine.running == 0)
        pipeline.calm()

    soak(30)
    gc.collect()
    before, files = process.memory_info().rss, process.num_fds()
    soak(100)
    gc.collect()
    assert (process.memory_info().rss - before) / 2**20 < 12
    assert process.num_fds() < files + 20
    assert threading.active_count() < 120


@contextmanager
def peak_memory() -> Iterator[Callable[[], float]]:
    """grown() -> by how many megabytes this process, which serves too, was larger at its largest."""
    process, ended = psutil.Process(), threading.Event()
    start = top = process.memory_info().rss

    def watch() -> None:
        nonlocal top
        while not ended.wait(0.005):
            top = max(top, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield lambda: (top - start) / 2**20
    finally:
        ended.set()
        watcher.join()


def test_on_sigterm_the_program_ends_after_the_running_picture(sd_folder: Path) -> None:
    command = [sys.executable, "app.py", "--base", str(sd_folder)]
    program = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, bufsize=1)
    try:
        assert program.stdout is not None
        address = next(line.split()[-1].rstrip("/") for line in program.stdout if "http://" in line)
        with streamed(address, posted(address, json.dumps({"data": values(steps=50)}))) as stream:
            lines = stream.iter_lines()
            assert next(lines) == "event: generating"
            program.send_signal(signal.SIGTERM)
            events = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
        assert events[-1] == "complete"
        assert program.wait(PATIENCE_S) == 0
    finally:
        program.kill()
