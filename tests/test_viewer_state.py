"""Which view the page shows, as a machine: whatever the order in which the views of many requests arrive."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from demo.viewer import Viewer

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytest_plugins = ["tests.chromium"]
pytestmark = pytest.mark.browser

GOING_ON = ("draft", "waiting", "running", "comparing")
Views = list[dict[str, Any]]
Show = Callable[[Views], Views]


@pytest.fixture(scope="module")
def blank(chromium: Any) -> Page:
    return chromium.new_page()


@pytest.fixture(scope="module")
def show(blank: Page) -> Show:
    """What is shown after each of the views, by the page's own module."""
    module = re.sub(r"^export ", "", (Viewer.folder / "state.js").read_text(), flags=re.MULTILINE)
    fold = "let shown = NOTHING; return views.map((view) => (shown = shownAfter(shown, view)));"
    program = f"(views) => {{ {module}\n{fold} }}"

    def run(views: Views) -> Views:
        return blank.evaluate(program, views)

    return run


@st.composite
def turns(draw: st.DrawFn) -> list[Views]:
    """Requests of one page, each with the views that Python sends of it, in their order."""
    requests: list[Views] = []
    for turn in range(1, draw(st.integers(1, 5)) + 1):
        of = {"run": turn, "turn": turn, "live": draw(st.booleans())}
        steps = draw(st.integers(0, 4))
        views = [{**of, "state": "draft", "draft": f"draft {turn}"}] if draw(st.booleans()) else []
        views += [{**of, "state": "waiting"}]
        views += [{**of, "state": "running", "step": step, "total": 4} for step in range(steps)]
        end = draw(st.sampled_from(["done", "stopped", "failed", None]))
        requests.append([*views, {**of, "state": end}] if end else views)
    return requests


@st.composite
def arrivals(draw: st.DrawFn) -> Views:
    """Their views in any order, some more than once."""
    views = [view for request in draw(turns()) for view in request]
    again = draw(st.lists(st.sampled_from(views), max_size=3))
    return draw(st.permutations([*views, *again]))


quick = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(arrivals())
def test_turns_and_steps_never_go_back_and_an_end_is_final(show: Show, views: Views) -> None:
    before: dict[str, Any] = {"turn": 0, "state": "idle"}
    for shown in show(views):
        assert shown["turn"] >= before["turn"]
        if shown["turn"] == before["turn"]:
            assert before["state"] in GOING_ON or shown["state"] == before["state"]
            assert shown.get("step", 9) >= before.get("step", 0) or shown["state"] not in GOING_ON
        before = shown
    assert before["turn"] == max(view["turn"] for view in views)


@quick
@given(arrivals())
def test_a_finished_picture_stays_until_another_is_there(show: Show, views: Views) -> None:
    painted = None
    for shown in show(views):
        if shown["state"] == "done":
            painted = shown["run"]
        elif painted is not None:
            assert shown["last"]["run"] == painted


@quick
@given(arrivals())
def test_a_draft_is_seen_until_a_picture_is_finished(show: Show, views: Views) -> None:
    before: dict[str, Any] = {"draft": None}
    for shown in show(views):
        if shown["state"] == "done":
            assert shown["draft"] is None
        elif shown["state"] != "draft":
            assert shown["draft"] == before["draft"]
        before = shown


@given(turns())
@quick
def test_in_their_own_order_the_last_view_is_shown(show: Show, requests: list[Views]) -> None:
    views = [view for request in requests for view in request]
    shown = show(views)[-1]
    assert {name: shown[name] for name in views[-1]} == views[-1]


def test_the_plain_picture_beside_a_finished_one(show: Show) -> None:
    done = {"run": 1, "turn": 1, "live": False, "state": "done", "pictures": ["a"]}
    comparing = {**done, "turn": 2, "state": "comparing"}
    stopped = {**done, "turn": 2}
    assert [view["state"] for view in show([done, comparing, stopped, comparing])] == [
        "done",
        "comparing",
        "done",
        "done",
    ]
    failed = {"run": 2, "turn": 2, "live": False, "state": "failed", "message": "No room"}
    assert show([done, comparing, failed])[-1]["last"]["pictures"] == ["a"]


@quick
@given(arrivals(), st.data())
def test_the_last_row_stays_until_there_is_another(show: Show, views: Views, data: st.DataObject) -> None:
    for view in views:
        if view["state"] == "done" and data.draw(st.booleans()):
            view["row"] = view["turn"]
    before: dict[str, Any] = {"turn": 0, "row": None}
    for shown, view in zip(show(views), views, strict=True):
        is_shown = (shown["turn"], shown["state"]) == (view["turn"], view["state"])
        assert shown["row"] in (
            {before["row"], view["row"]} if is_shown and "row" in view else {before["row"]}
        )
        before = shown


def test_a_file_that_is_sent_to_be_saved_changes_nothing(show: Show) -> None:
    done = {"run": 1, "turn": 1, "live": False, "state": "done", "pictures": ["a"]}
    shown = show([done, {"larger": {"url": "a"}, "number": 2}])
    assert shown[0] == shown[1]
