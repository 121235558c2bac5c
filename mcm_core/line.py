"""A fair line: addresses take turns, and so do the sessions of an address; a session is served in its order.

    line = Line()
    line.join(ticket, Client(session="a tab", address="192.0.2.1"))
    line.order()        # as they would start if nobody else came; a newcomer may come in before the last
    line.take(ticket)   # it starts: its session and its address go to the end of their rings

Both rings are round robins: who joins, or has just had a turn, stands at the end. So nobody starves: a ticket
that is the first of its session waits for at most one ticket of every other session of its address, each
after at most one of every other address, whatever they bring in the meantime.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar


@dataclass(frozen=True)
class Client:
    """Who asks. Without an address a session is taken for an address of its own."""

    session: Hashable
    address: str | None = None


Ticket = TypeVar("Ticket", bound=Hashable)


class Line(Generic[Ticket]):
    """Tickets in the order of their turns. Not for several threads at once."""

    def __init__(self) -> None:
        self._clients: dict[Ticket, Client] = {}
        self._rings: dict[Hashable, dict[Hashable, deque[Ticket]]] = {}
        self._order: list[Ticket] | None = []

    def __len__(self) -> int:
        return len(self._clients)

    def __contains__(self, ticket: Ticket) -> bool:
        return ticket in self._clients

    def join(self, ticket: Ticket, client: Client) -> None:
        sessions = self._rings.setdefault(_address(client), {})
        sessions.setdefault(client.session, deque()).append(ticket)
        self._clients[ticket], self._order = client, None

    def leave(self, ticket: Ticket) -> None:
        """It goes without a turn; the others keep their order.

        Raises:
            KeyError: the ticket is not in line.
        """
        client = self._clients.pop(ticket)
        self._order = None
        sessions = self._rings[_address(client)]
        sessions[client.session].remove(ticket)
        if not sessions[client.session]:
            del sessions[client.session]
        if not sessions:
            del self._rings[_address(client)]

    def take(self, ticket: Ticket) -> None:
        """It has its turn: after it come the other sessions of its address, and the other addresses.

        Raises:
            KeyError: the ticket is not in line.
        """
        client = self._clients[ticket]
        self.leave(ticket)
        sessions = self._rings.pop(_address(client), {})
        if client.session in sessions:
            sessions[client.session] = sessions.pop(client.session)
        if sessions:
            self._rings[_address(client)] = sessions

    def order(self) -> list[Ticket]:
        """All tickets as they would start from now on."""
        if self._order is None:
            turns = [_turns([list(queue) for queue in ring.values()]) for ring in self._rings.values()]
            self._order = _turns(turns)
        return self._order

    def of_session(self, client: Client) -> int:
        """How many tickets of the client's session are in line."""
        return len(self._rings.get(_address(client), {}).get(client.session, ()))

    def of_address(self, client: Client) -> int:
        """How many tickets of the client's address are in line."""
        return sum(map(len, self._rings.get(_address(client), {}).values()))


def _address(client: Client) -> Hashable:
    return ("session", client.session) if client.address is None else client.address


def _turns(queues: list[list[Ticket]]) -> list[Ticket]:
    """One of every queue, then another of every queue, until all are empty."""
    longest = max(map(len, queues), default=0)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]
