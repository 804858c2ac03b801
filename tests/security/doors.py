"""Every door of the service, and whether it shows counts: the table that the walks go by."""

from enum import StrEnum
from typing import get_args

from realtime import client_frames, routing
from realtime.asyncapi import document
from tests.polls.test_route_walk import routes


class Shows(StrEnum):
    """What a door shows of a poll's votes."""

    COUNTS = "counts: it asks the rule"
    NOTHING = "no counts"
    OWNERS = "nothing to anybody but the owner, and members as far as their role goes"
    STAFFS = "nothing to anybody but the operator's staff"


_POLL = "/api/v1/polls/{poll_id}/"
_DESK_POLL, _DESK_EVENT = "/desk/polls/{poll_id}", "/desk/events/{event_id}"
DOORS: dict[str, Shows] = {
    **dict.fromkeys(
        (
            _POLL,
            *(f"{_POLL}{call}/" for call in ("votes", "results", "timeline", "integrity")),
            "/api/v1/join/{code}/",
            "/p/{join_code}",
            "/p/{join_code}/results",
            "/p/{join_code}/present",
            "/embed/{join_code}",
        ),
        Shows.COUNTS,
    ),
    **dict.fromkeys(
        (
            "/api/v1/auth/register/",
            "/api/v1/auth/tokens/",
            "/api/v1/auth/tokens/{token_id}/",
            "/api/v1/events/",
            "/api/v1/events/{event_id}/",
            "/api/v1/voters/",
            "/api/v1/live-tickets/",
            "/api/v1/limits/",
            *("/", "/docs/errors", "/docs/protocol", "/oembed"),
            *("/p/{join_code}/qr.png", "/p/{join_code}/qr.svg"),
            *("/swagger/", "/swagger", "/redoc/", "/redoc"),
            *("/swagger.json", "/swagger.yaml", "/asyncapi.json"),
            *("/accounts/login", "/accounts/logout", "/accounts/signup"),
            *("/accounts/password/change", "/accounts/password/reset"),
            *("/api/v1/auth/account/", "/accounts/data", "/accounts/delete", "/accounts/deleted"),
            *("/accounts/password/reset/done", "/accounts/password/reset/key/done"),
            "/accounts/password/reset/key/…",
            "/…/",  # pages with the other ending
        ),
        Shows.NOTHING,
    ),
    **dict.fromkeys(
        (
            *("/api/v1/polls/", "/api/v1/polls/shared/"),
            *(f"{_POLL}{call}/" for call in ("open", "close", "reset", "codes")),
            *(f"{_POLL}members/", f"{_POLL}members/{{username}}/"),
            *(
                "/desk",
                "/desk/shared",
                "/desk/new",
                "/desk/events",
                "/desk/tokens",
                _DESK_POLL,
                _DESK_EVENT,
            ),
            "/desk/tokens/{token_id}/revoke",
            f"{_DESK_POLL}/members/remove",
            *(
                f"{_DESK_POLL}/{act}"
                for act in (
                    *("open", "schedule", "close", "reset", "duplicate", "delete"),
                    *("members", "codes"),
                )
            ),
            *(f"{_DESK_EVENT}/{act}" for act in ("show", "show-nothing", "up", "down", "add")),
            *(f"{_DESK_EVENT}/{act}" for act in ("take-out", "delete")),
        ),
        Shows.OWNERS,
    ),
    # One door: Django's admin lets in staff alone, whatever the path.
    "/admin/…": Shows.STAFFS,
}
SOCKETS: dict[str, Shows] = {
    "ws/polls/<uuid:poll_id>/": Shows.COUNTS,
    "ws/events/<uuid:event_id>/": Shows.COUNTS,
    "ws/": Shows.COUNTS,
    "": Shows.NOTHING,  # any other path
}
# What a client may say, by whether the answer may hold counts, and what a server may.
CLIENT_FRAMES = {
    "Ping": Shows.NOTHING,
    "Auth": Shows.COUNTS,
    "Subscribe": Shows.COUNTS,
    "Unsubscribe": Shows.NOTHING,
}
SERVER_FRAMES = {
    **dict.fromkeys(("snapshot", "hello", "tally", "closed", "heartbeat"), Shows.COUNTS),
    **dict.fromkeys(("status", "event", "error", "pong"), Shows.NOTHING),
}


def doors() -> set[str]:
    """Return every path of the URL conf, those that are patterns by what they begin with."""
    return {_named(route) for route in routes()}


def _named(route: str) -> str:
    if route.startswith("/admin/"):
        return "/admin/…"
    if route.startswith("/accounts/^"):
        return "/accounts/password/reset/key/…"
    return "/…/" if route.startswith("/^") else route


def socket_paths() -> set[str]:
    """Return every path of the sockets' routing."""
    return {str(route.pattern) for route in routing.websockets.routes}


def said_by_clients() -> set[str]:
    """Return every frame that a client may send."""
    return {frame.__name__ for frame in get_args(client_frames.ClientFrame)}


def said_by_servers() -> set[str]:
    """Return every type of frame that a server may send, by its published document."""
    messages = document(host="localhost", secure=False)["components"]["messages"]
    said = {message["name"] for message in messages.values()}
    return said - {name.lower() for name in said_by_clients()}
