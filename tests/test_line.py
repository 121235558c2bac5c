"""The fair line by itself: turns, places, bounds on how long anybody waits."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mcm_core.line import Client, Line

CLIENTS = [Client(session, address) for address in ("a", "b", None) for session in ("x", "y", "z")]


def lined(*names: str) -> Line[str]:
    """A line of tickets "a1-0": address "a", session "a1"."""
    line: Line[str] = Line()
    for name in names:
        line.join(name, Client(name.split("-")[0], name[0]))
    return line


def test_a_session_is_served_first_come_first_served() -> None:
    assert lined("a1-0", "a1-1", "a1-2").order() == ["a1-0", "a1-1", "a1-2"]


def test_sessions_of_an_address_take_turns() -> None:
    assert lined("a1-0", "a1-1", "a1-2", "a2-0", "a2-1").order() == ["a1-0", "a2-0", "a1-1", "a2-1", "a1-2"]


def test_an_address_gains_nothing_by_more_sessions() -> None:
    assert lined("a1-0", "a2-0", "a3-0", "b1-0", "b1-1").order() == ["a1-0", "b1-0", "a2-0", "b1-1", "a3-0"]


def test_who_comes_again_and_again_does_not_come_first() -> None:
    line = lined("a1-0", "b1-0", "b1-1")
    for turn in range(1, 4):
        line.take(line.order()[0])
        line.join(f"a1-{turn}", Client("a1", "a"))
    assert line.order() == ["b1-1", "a1-2", "a1-3"]


class AnyOrder(RuleBasedStateMachine):
    """Tickets (client, number) that join, leave and start as they like, beside what is known of them."""

    def __init__(self) -> None:
        super().__init__()
        self.line: Line[tuple[Client, int]] = Line()
        self.here: list[tuple[Client, int]] = []
        self.number = 0
        self.waited: dict[tuple[Client, int], int] = {}
        self.longest: dict[tuple[Client, int], int] = {}

    @rule(client=st.sampled_from(CLIENTS))
    def join(self, client: Client) -> None:
        ticket = (client, self.number)
        self.number += 1
        self.line.join(ticket, client)
        self.here.append(ticket)
        # Before it at most: as many turns of every session of its address as it has itself to its turn, and
        # as many turns of every other address.
        own = sum(other == client for other, _ in self.here)
        turns = own * len({other.session for other in CLIENTS if other.address == client.address})
        addresses = len({_address(other) for other in CLIENTS})
        self.waited[ticket], self.longest[ticket] = 0, turns * addresses

    @precondition(lambda self: self.here)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.gone(data.draw(st.sampled_from(self.here)), self.line.leave)

    @precondition(lambda self: self.here)
    @rule()
    def start(self) -> None:
        first = self.line.order()[0]
        assert first == next(ticket for ticket in self.here if ticket[0] == first[0]), (
            "not its session's first"
        )
        self.gone(first, self.line.take)
        for ticket in self.here:
            self.waited[ticket] += 1

    def gone(self, ticket: tuple[Client, int], how) -> None:  # type: ignore[no-untyped-def]
        how(ticket)
        self.here.remove(ticket)

    @invariant()
    def nobody_is_lost(self) -> None:
        assert sorted(self.line.order(), key=self.here.index) == self.here
        assert len(self.line) == len(self.here)
        for client in CLIENTS:
            assert self.line.of_session(client) == sum(other == client for other, _ in self.here)
            near = [other for other, _ in self.here if _address(other) == _address(client)]
            assert self.line.of_address(client) == len(near)

    @invariant()
    def nobody_starves(self) -> None:
        assert all(self.waited[ticket] < self.longest[ticket] for ticket in self.here)

    def teardown(self) -> None:
        """Places are the truth: with nobody coming or leaving, all start in the order that was told."""
        told, started = list(self.line.order()), []
        while self.here:
            started.append(self.line.order()[0])
            self.gone(started[-1], self.line.take)
        assert started == told
        assert len(self.line) == 0


def _address(client: Client) -> object:
    return client.address or client


TestAnyOrder = AnyOrder.TestCase
