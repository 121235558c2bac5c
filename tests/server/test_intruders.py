"""Who asks for what is none of theirs, and what Gradio leaves open."""

from __future__ import annotations

import base64
import io
import json
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from gradio_client import Client
from PIL import Image

from demo.guard import Guard, Uploads
from demo.models import Models
from tests.calls import called, generate, http, picture, saved, values
from tests.pages import Paced, page

ROOT = Path(__file__).parents[2]


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
