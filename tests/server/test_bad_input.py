"""What people and programs send that is no good: pictures, numbers, text, arguments."""

from __future__ import annotations

import io
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from gradio_client import Client, handle_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mcm_core.drawing.conditions import LABELS, LabelClass
from mcm_core.drawing.palette import palette_picture
from mcm_core.record import read_png
from tests import tiny
from tests.calls import NAMES, called, generate, http, picture, posted, refusal, saved, streamed, values
from tests.pages import canvas_value, halves, until

CLASSES = tuple(LabelClass(*one) for one in tiny.CLASSES)


# -- pictures ----------------------------------------------------------------------------------------------


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
