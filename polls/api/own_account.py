"""One's own account: all that is held about it, and its erasure."""

import uuid

from django.contrib.auth import logout
from rest_framework.request import Request
from rest_framework.response import Response

from polls.api import examples, serializers
from polls.api.authentication import signed_in, token_id_of
from polls.api.base import View, no_content
from polls.api.export import account_body
from polls.api.schema import operation, parameter
from polls.domain.erasure import erase_account
from polls.errors import Code, FieldError, Refusal

_AFTER = parameter("after", "query", "where the votes go on: take it from `next`")


class AccountView(View):
    """The caller's account."""

    @operation(
        "Read all that is held about your account",
        tag="accounts",
        description="Profile, tokens without their secrets, polls, events, roles in polls of "
        "others, and the votes cast with the account: they are looked for in every poll of "
        "`identity: account` whose key is not destroyed yet. A secret poll keeps no choices. Where "
        "that takes longer than a request may, `next` tells where the votes go on.",
        parameters=[_AFTER],
        answers={200: ("The document", serializers.AccountData, examples.ACCOUNT)},
        errors=[Code.AUTHENTICATION_REQUIRED],
        public=False,
    )
    def get(self, request: Request) -> Response:
        """Export the account."""
        user = signed_in(request)
        return Response(account_body(user, after=_place(request.query_params.get("after"))))

    @operation(
        "Erase your account, at once and for ever",
        tag="accounts",
        body=serializers.ErasureInput,
        body_example={"password": "correct horse battery"},
        description="Its name, address, password, tokens, sessions, polls and events are gone. "
        "Votes that were cast with it stay counted; nothing says any more whose they were.",
        answers={204: ("It is erased", None, None)},
        errors=[
            Code.AUTHENTICATION_REQUIRED,
            Code.INVALID_CREDENTIALS,
            Code.CSRF_FAILED,
            Code.TOO_MANY,
        ],
        public=False,
    )
    def delete(self, request: Request) -> Response:
        """Erase the account."""
        user = signed_in(request)
        erase_account(user, self.read(request, serializers.ErasureInput).validated_data["password"])
        if token_id_of(request) is None:
            logout(request._request)  # noqa: SLF001 - DRF offers no other way
        return no_content()


def _place(text: str | None) -> uuid.UUID | None:
    """Return the poll after which the votes go on, or raise `malformed`."""
    if text is None:
        return None
    try:
        return uuid.UUID(text)
    except ValueError:
        detail = "Take it from `next`."
        raise Refusal(Code.MALFORMED, errors=[FieldError("after", "invalid", detail)]) from None
