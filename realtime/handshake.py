"""Who opens a socket: where the page comes from, and whose cookies count."""

from enum import Enum, auto
from typing import Any

from django.conf import settings
from django.http import parse_cookie
from django.http.request import split_domain_port, validate_host

from polls.domain import voters
from polls.domain.access import Viewer
from realtime.admission import Asker


class Origin(Enum):
    """What the Origin header says of the page that opens a socket."""

    OWN = auto()  # this very site: its cookies count
    PROGRAM = auto()  # no page and no cookie, or a site that may connect without cookies
    REFUSED = auto()


def _headers(scope: dict[str, Any], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _is_secure(scope: dict[str, Any]) -> bool:
    return scope.get("scheme", "ws") in {"https", "wss"}  # Daphne leaves it out


def judge_origin(scope: dict[str, Any]) -> Origin:
    """Return what the handshake's Origin, Host and cookies amount to."""
    hosts, origins = _headers(scope, b"host"), _headers(scope, b"origin")
    if len(hosts) != 1 or len(origins) > 1:
        return Origin.REFUSED
    domain, _ = split_domain_port(hosts[0])
    if not validate_host(domain, settings.ALLOWED_HOSTS):
        return Origin.REFUSED
    if not origins:
        return Origin.REFUSED if _headers(scope, b"cookie") else Origin.PROGRAM
    scheme = "https" if _is_secure(scope) else "http"
    if origins[0].lower() == f"{scheme}://{hosts[0].lower()}":
        return Origin.OWN
    return Origin.PROGRAM if origins[0] in settings.CORS_ALLOWED_ORIGINS else Origin.REFUSED


def asker_of_cookies(scope: dict[str, Any]) -> Asker:
    """Return whom a socket's cookies speak for; who a session signs in is for others to ask."""
    # Read as Django reads them: another application's odd cookie must not hide ours.
    cookies = parse_cookie("; ".join(_headers(scope, b"cookie")))
    voter = cookies.get("__Host-voter" if _is_secure(scope) else "voter")
    session = cookies.get(settings.SESSION_COOKIE_NAME)
    device = None if voter is None else voters.device_of(voter)
    return Asker(Viewer(device=device), session_key=session)
