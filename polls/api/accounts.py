"""Accounts and tokens."""

import uuid
from typing import Any

from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import ApiToken, User
from polls import events
from polls.api import examples, serializers
from polls.api.authentication import registration_is_open, signed_in, source_of
from polls.api.base import View, created, no_content
from polls.api.export import token_bodies
from polls.api.schema import operation
from polls.domain import rate_limits
from polls.domain.rate_limits import Rate
from polls.errors import Code, FieldError, Refusal


def register(username: str, password: str, email: str = "", *, source: str) -> User:
    """Make an account, or raise `invalid_account`, `username_taken` or `too_many`.

    `source` is the network that asks for it.
    """
    rate_limits.count((Rate.SIGN_UPS_FROM_SOURCE, source))
    user = User(username=User.normalize_username(username), email=email)
    user.set_password(password)
    errors = account_errors(user, password)
    if errors:
        raise Refusal(Code.INVALID_ACCOUNT, errors=errors)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:
        detail = "Somebody has this name."
        raise Refusal(
            Code.USERNAME_TAKEN, errors=[FieldError("username", "taken", detail)]
        ) from None
    return user


def account_errors(user: User, password: str) -> list[FieldError]:
    """Return what keeps a new account from being made, but for a name that is taken."""
    found: list[FieldError] = []
    try:
        user.clean_fields(exclude=["password"])
    except ValidationError as error:
        found += [
            FieldError(name, inner.code or "invalid", " ".join(inner.messages))
            for name, inners in error.error_dict.items()
            for inner in inners
        ]
    try:
        validate_password(password, user)
    except ValidationError as error:
        found += [
            FieldError("password", inner.code or "invalid", " ".join(inner.messages))
            for inner in error.error_list
        ]
    return found


def issue_token(user: User, name: str) -> tuple[ApiToken, str]:
    """Return a new token's row and the token itself, or raise `too_many`."""
    rate_limits.count((Rate.TOKENS_OF_ACCOUNT, str(user.pk)))
    return ApiToken.issue(user, name=name)


def revoke_token(user: User, token_id: uuid.UUID) -> None:
    """Let a token of the account count no longer, on open sockets too; raises `not_found`."""
    deleted, _ = ApiToken.objects.filter(user=user, id=token_id).delete()
    if not deleted:
        raise Refusal(Code.NOT_FOUND)
    events.publish(None, events.Event.REVOKED)


class RegisterView(View):
    """New accounts."""

    authentication_classes: Any = ()

    @operation(
        "Make an account",
        tag="accounts",
        body=serializers.RegistrationInput,
        body_example={"username": "alice", "password": "correct horse battery"},
        answers={201: ("The account is made", serializers.Registered, {"username": "alice"})},
        errors=[
            Code.INVALID_ACCOUNT,
            Code.USERNAME_TAKEN,
            Code.REGISTRATION_CLOSED,
            Code.TOO_MANY,
        ],
        anonymous=True,
    )
    def post(self, request: Request) -> Response:
        """Make an account. Names are unique without regard to case."""
        if not registration_is_open():
            raise Refusal(Code.REGISTRATION_CLOSED)
        given = self.read(request, serializers.RegistrationInput).validated_data
        user = register(
            given["username"],
            given["password"],
            given.get("email", ""),
            source=source_of(request._request),  # noqa: SLF001 - DRF offers no other way
        )
        return created({"username": user.username})


class TokensView(View):
    """The caller's tokens."""

    def get_authenticators(self) -> Any:  # noqa: ANN401 - DRF's list
        """Return none for POST: its credentials are in the body, a stale cookie must not count."""
        if self.request is not None and self.request.method == "POST":
            return []
        return super().get_authenticators()

    @operation(
        "Exchange a password for a token",
        tag="accounts",
        body=serializers.TokenInput,
        body_example={"username": "alice", "password": "correct horse battery", "name": "laptop"},
        answers={
            201: ("The token, shown once", serializers.IssuedToken, examples.ISSUED_TOKEN),
        },
        errors=[Code.INVALID_CREDENTIALS, Code.TOO_MANY],
        anonymous=True,
    )
    def post(self, request: Request) -> Response:
        """Issue a token."""
        given = self.read(request, serializers.TokenInput).validated_data
        http = request._request  # noqa: SLF001 - DRF offers no other way
        user = authenticate(http, username=given["username"], password=given["password"])
        if not isinstance(user, User):
            raise Refusal(Code.INVALID_CREDENTIALS)
        row, token = issue_token(user, given["name"])
        return created({"id": row.id, "token": token, "expires_at": row.expires_at})

    @operation(
        "List your tokens",
        tag="accounts",
        answers={200: ("Without their secrets", serializers.Token(many=True), [examples.TOKEN])},
        errors=[Code.AUTHENTICATION_REQUIRED],
        public=False,
    )
    def get(self, request: Request) -> Response:
        """List tokens, newest first."""
        return Response(token_bodies(signed_in(request)))


class TokenView(View):
    """One of the caller's tokens."""

    @operation(
        "Revoke a token, at once",
        tag="accounts",
        answers={204: ("It no longer counts", None, None)},
        errors=[Code.AUTHENTICATION_REQUIRED, Code.CSRF_FAILED, Code.NOT_FOUND],
        public=False,
    )
    def delete(self, request: Request, token_id: uuid.UUID) -> Response:
        """Revoke a token."""
        user = signed_in(request)
        self.no_body(request)
        revoke_token(user, token_id)
        return no_content()
