"""Who asks: bearer tokens for programs, cookies for this site's own pages, voter tokens."""

import uuid
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from accounts.models import ApiToken, User
from polls.domain import voters
from polls.domain.access import Viewer
from polls.domain.voting import Voter
from polls.errors import Code, Refusal
from polls.messages import token_of_cookie, voter_cookie_name
from polls.networks import network_of

_VOTER_COOKIE_SECONDS = 400 * 24 * 3600  # as long as browsers keep any cookie


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`. A token that does not count is refused, not ignored."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        """Return the token's user and row, None where there is no Authorization header."""
        header = request.headers.get("Authorization")
        if header is None:
            return None
        scheme, _, token = header.partition(" ")
        row = ApiToken.find(token.strip()) if scheme.lower() == "bearer" else None
        if row is None:
            raise Refusal(Code.AUTHENTICATION_REQUIRED)
        return row.user, row

    def authenticate_header(self, request: Request) -> str:
        """Name the scheme in WWW-Authenticate."""
        del request
        return "Bearer"


class CookieAuthentication(SessionAuthentication):
    """The session of a signed-in person, with a CSRF token on every write."""

    def enforce_csrf(self, request: Any) -> None:  # noqa: ANN401 - the stubs differ from DRF
        """Raise our own refusal where DRF would raise PermissionDenied."""
        http: HttpRequest = request._request  # noqa: SLF001 - DRF offers no other way
        # The token is looked for in a form first. No body here is one, and a broken one would be a
        # fault: whatever it is, it is read as JSON, or refused for not being that.
        http._post = QueryDict()  # type: ignore[attr-defined] # noqa: SLF001 - what POST returns
        try:
            super().enforce_csrf(http)  # type: ignore[arg-type] # it does with Django's own
        except PermissionDenied:
            raise Refusal(Code.CSRF_FAILED) from None


def _cookie_name(request: HttpRequest) -> str:
    return voter_cookie_name(secure=request.is_secure())


def set_voter_cookie(request: HttpRequest, response: HttpResponse, token: str) -> None:
    """Let the browser keep the voter's token."""
    response.set_cookie(
        _cookie_name(request),
        token,
        max_age=_VOTER_COOKIE_SECONDS,
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )


def cookie_token(request: HttpRequest) -> str | None:
    """Return the voter token of the cookie, None where there is none that is ours."""
    token = request.COOKIES.get(_cookie_name(request))
    return token if token and voters.device_of(token) else None


def user_of(request: Request) -> User | None:
    """Return the signed-in account, None for anybody else."""
    return request.user if isinstance(request.user, User) else None


def token_id_of(request: Request) -> uuid.UUID | None:
    """Return the id of the bearer token, None for any other way of signing in."""
    return request.auth.id if isinstance(request.auth, ApiToken) else None


def voter_of(request: Request) -> Voter:
    """Return whoever votes or asks. The header wins over the cookie.

    A cookie counts for reading always, for writing only from this origin; where it does not
    count, the voter carries that, and whoever needs a token is refused with `csrf_failed`.
    """
    refused = None
    try:
        user = user_of(request)
    except Refusal as refusal:  # only where the view leaves authentication to this call
        user, refused = None, refusal
    http: HttpRequest = request._request  # noqa: SLF001 - DRF offers no other way
    token, foreign = request.headers.get("X-Voter-Token"), False
    if token is None:
        token, foreign = token_of_cookie(
            http.COOKIES.get(_cookie_name(http)),
            method=request.method or "",
            fetch_site=request.headers.get("Sec-Fetch-Site"),
            origin=request.headers.get("Origin"),
            own_origin=f"{http.scheme}://{http.get_host()}",
        )
    return Voter(
        user_id=None if user is None else user.pk,
        token=token,
        code=request.headers.get("X-Voter-Code"),
        cookie_from_elsewhere=foreign,
        idempotency_key=request.headers.get("Idempotency-Key"),
        network=source_of(http),
        refused=refused,
    )


def viewer_of(request: Request) -> Viewer:
    """Return whoever reads."""
    return voter_of(request).viewer()


def source_of(request: HttpRequest) -> str:
    """Return the network that a request comes from; TRUSTED_PROXIES has had its say before."""
    return network_of(str(request.META.get("REMOTE_ADDR", "")))


def signed_in(request: Request) -> User:
    """Return the account, or raise `authentication_required`."""
    user = user_of(request)
    if user is None:
        raise Refusal(Code.AUTHENTICATION_REQUIRED)
    return user


def registration_is_open() -> bool:
    """Whether anybody may make an account."""
    return bool(settings.REGISTRATION == "open")
