"""Every call of the API, made over the wire with any body, and what bad input must not change."""

from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.cast import stored_rows_of
from tests.live import Caller, Server

VOTES = "/api/v1/polls/{poll}/votes/"
POLL = "/api/v1/polls/{poll}/"
EVENT = "/api/v1/events/{event}/"
DOORS = {
    "register": ("POST", "/api/v1/auth/register/"),
    "tokens": ("POST", "/api/v1/auth/tokens/"),
    "erase": ("DELETE", "/api/v1/auth/account/"),
    "new poll": ("POST", "/api/v1/polls/"),
    "change": ("PATCH", POLL),
    "codes": ("POST", f"{POLL}codes/"),
    "new event": ("POST", "/api/v1/events/"),
    "change of event": ("PATCH", EVENT),
    "member": ("PUT", f"{POLL}members/{{member}}/"),
    "vote": ("POST", VOTES),
    "other vote": ("PUT", VOTES),
    "ticket": ("POST", "/api/v1/live-tickets/"),
}
# Calls without a body of their own.
BODILESS = {
    "voter": ("POST", "/api/v1/voters/"),
    "open": ("POST", f"{POLL}open/"),
    "close": ("POST", f"{POLL}close/"),
    "reset": ("POST", f"{POLL}reset/"),
    "delete": ("DELETE", POLL),
    "withdraw": ("DELETE", VOTES),
    "revoke": ("DELETE", "/api/v1/auth/tokens/{token}/"),
    "list": ("GET", "/api/v1/polls/"),
    "shared list": ("GET", "/api/v1/polls/shared/"),
    "member list": ("GET", f"{POLL}members/"),
    "no member": ("DELETE", f"{POLL}members/{{member}}/"),
    "read": ("GET", POLL),
    "delete event": ("DELETE", EVENT),
    "read event": ("GET", EVENT),
    "event list": ("GET", "/api/v1/events/"),
    "results": ("GET", f"{POLL}results/"),
    "timeline": ("GET", f"{POLL}timeline/"),
    "integrity": ("GET", f"{POLL}integrity/"),
    "own vote": ("GET", VOTES),
    "join": ("GET", "/api/v1/join/{code}/"),
    "limits": ("GET", "/api/v1/limits/"),
    "export": ("GET", "/api/v1/auth/account/"),
    "token list": ("GET", "/api/v1/auth/tokens/"),
}
ANY_DOOR = pytest.mark.parametrize("door", DOORS)


@dataclass
class Stage:
    """A server with an organiser's open poll, and somebody with every right to change it."""

    server: Server
    caller: Caller
    names: dict[str, str]

    def send(
        self, door: str, body: bytes = b"", *, query: str = "", **headers: str
    ) -> requests.Response:
        method, path = {**DOORS, **BODILESS}[door]
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.request(
            method,
            self.server.url + path.format(**self.names) + query,
            data=body,
            headers={"Content-Type": "application/json", **self.caller.headers, **named},
            timeout=30,
        )

    def state(self) -> tuple[dict[str, int], Any]:
        """Return everything that bad input must leave as it is."""
        return stored_rows_of(self.server), self.caller.get(POLL.format(**self.names)).json()
