"""What every door of HTTP shares: how a voter's token is read, and how answers are written."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings

from polls import compact_json
from polls.errors import Code, Refusal

# -- who asks ---------------------------------------------------------------------------------

_SAFE_METHODS = frozenset({"GET", "HEAD"})


def voter_cookie_name(*, secure: bool) -> str:
    """Return the cookie's name: the prefix makes browsers refuse one set from elsewhere."""
    return "__Host-voter" if secure else "voter"


def token_of_cookie(
    cookie: str | None,
    *,
    method: str,
    fetch_site: str | None,
    origin: str | None,
    own_origin: str,
) -> tuple[str | None, bool]:
    """Return the voter token of a cookie, and whether there is one that must not count.

    It counts for reading always, for writing only where a browser vouches, by Sec-Fetch-Site or
    Origin, that the request comes from a page of `own_origin`, its own scheme and host.
    """
    if not cookie:
        return None, False
    if method in _SAFE_METHODS or fetch_site == "same-origin" or origin == own_origin:
        return cookie, False
    return None, True


# -- answers ----------------------------------------------------------------------------------

PRIVATE = {
    "Cache-Control": "private, no-store",
    "Vary": "Authorization, Cookie, X-Voter-Token, X-Voter-Code",
}
WireHeaders = tuple[tuple[bytes, bytes], ...]


@dataclass(slots=True)
class Answer:
    """Status, headers and body of an answer, as they go over the wire (names in lower case)."""

    status: int
    headers: WireHeaders
    body: bytes


def wire_headers(headers: Mapping[str, str]) -> WireHeaders:
    """Return headers as they go over the wire."""
    return tuple((name.lower().encode(), value.encode()) for name, value in headers.items())


_API_POLICY = "default-src 'none'; frame-ancestors 'none'"


@functools.cache
def standard_headers(*, html: bool, secure: bool) -> WireHeaders:
    """Return what every answer carries that does not say otherwise, by Django's settings."""
    headers = {
        # A cache may keep what says so, and nothing else.
        "Cache-Control": PRIVATE["Cache-Control"],
        "Content-Security-Policy": (
            f"{settings.PAGE_POLICY}; frame-ancestors 'none'" if html else _API_POLICY
        ),
        "Referrer-Policy": settings.SECURE_REFERRER_POLICY,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": settings.X_FRAME_OPTIONS,
        "Cross-Origin-Opener-Policy": settings.SECURE_CROSS_ORIGIN_OPENER_POLICY,
    }
    if secure and settings.SECURE_HSTS_SECONDS:
        subdomains = "; includeSubDomains" if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS else ""
        preload = "; preload" if settings.SECURE_HSTS_PRELOAD else ""
        headers["Strict-Transport-Security"] = (
            f"max-age={settings.SECURE_HSTS_SECONDS}{subdomains}{preload}"
        )
    return wire_headers(headers)


_CHALLENGED = frozenset({Code.AUTHENTICATION_REQUIRED, Code.INVALID_CREDENTIALS})


def problem_answer(refusal: Refusal, instance: str) -> Answer:
    """Return a refusal as problem+json (RFC 9457); no cache may keep it."""
    body = compact_json.dumps(refusal.problem(instance))
    challenge = {"WWW-Authenticate": "Bearer"} if refusal.code in _CHALLENGED else {}
    headers = {
        "Content-Type": "application/problem+json",
        **PRIVATE,
        **challenge,
        **refusal.headers,
    }
    return Answer(refusal.status, wire_headers(headers), body.encode())
