"""Who asks, for the engine's line."""

from __future__ import annotations

import ipaddress
import os

from gradio.context import LocalContext

from mcm_core.line import Client

SPACE = "SPACE_HOST"
"""The variable that holds the host name of a Hugging Face Space, where it is one."""


def client() -> Client | None:
    """Who sent the event in whose handler this is called; None outside of handlers.

    A call without a session of its own is counted with the other such calls of its address. The address is
    unknown where everybody seems to come from the same one: on this machine, and behind the proxy of a Space.
    """
    request = LocalContext.request.get(None)
    if request is None or request.request is None:
        return None
    came_from = request.request.client
    host = came_from.host if came_from else ""
    has_session = request.session_hash not in (None, LocalContext.event_id.get(None))
    session = request.session_hash if has_session else f"no session, {host}"
    return Client(session, None if _is_shared(host) else host)


def _is_shared(host: str) -> bool:
    if os.environ.get(SPACE):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True
