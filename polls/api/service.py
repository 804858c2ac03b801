"""What the service says of itself: its limits."""

from django.conf import settings
from django.contrib.auth.password_validation import MinimumLengthValidator
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import MAX_TOKEN_NAME, User
from polls.api import serializers
from polls.api.base import View
from polls.api.paging import NewestFirst
from polls.api.schema import operation
from polls.domain import (
    access,
    agenda,
    ballot_box,
    codes,
    deadline,
    definition,
    reset,
    tickets,
    timeline,
    vote_input,
)
from polls.domain.statements import KEPT_CHANGES
from polls.enums import NOT_AVAILABLE
from polls.strict_json import MAX_DEPTH


def limits_body() -> dict[str, object]:
    """Return every limit that a client can run into, and every value not yet available."""
    return {
        "limits": {
            "username_characters": User._meta.get_field("username").max_length,  # noqa: SLF001 - public in Django
            "email_characters": User._meta.get_field("email").max_length,  # noqa: SLF001 - the same
            "password_characters_min": MinimumLengthValidator().min_length,
            "token_name_characters": MAX_TOKEN_NAME,
            "polls_per_page": NewestFirst.page_size,
            "title_characters": definition.MAX_TITLE,
            "description_characters": definition.MAX_DESCRIPTION,
            "options_min": definition.MIN_OPTIONS,
            "options_max": definition.MAX_OPTIONS,
            "option_text_characters": definition.MAX_OPTION_TEXT,
            "network_cap_max": definition.MAX_NETWORK_CAP,
            "codes_per_call": codes.MAX_CODES_A_CALL,
            "codes_per_poll": codes.MAX_CODES,
            "embed_origins": definition.MAX_EMBED_ORIGINS,
            "poll_members": access.MAX_MEMBERS,
            "event_polls": agenda.MAX_POLLS,
            "events_per_page": NewestFirst.page_size,
            "idempotency_key_characters_min": vote_input.MIN_KEY,
            "idempotency_key_characters_max": vote_input.MAX_KEY,
            "head_bytes": settings.MAX_HEAD_BYTES,
            "head_headers": settings.MAX_HEADERS,
            "head_seconds": settings.HEAD_SECONDS,
            "vote_body_bytes": settings.MAX_VOTE_BODY_BYTES,
            "body_bytes": settings.MAX_BODY_BYTES,
            "body_seconds": settings.BODY_SECONDS,
            "json_depth": MAX_DEPTH,
            "requests_per_process": settings.DJANGO_THREADS + settings.DJANGO_QUEUE,
            "request_milliseconds": int(deadline.REQUEST_SECONDS * 1000),
            "queued_votes_per_process": ballot_box.QUEUE_LIMIT,
            "reset_marks": reset.MAX_MARKS,
            "changes_with_known_keys": KEPT_CHANGES,
            "key_retention_days": settings.KEY_RETENTION_DAYS,
            "poll_retention_days": settings.POLL_RETENTION_DAYS,
            "timeline_buckets": timeline.MAX_BUCKETS,
            "timeline_secret_ballots_min": timeline.FEW_BALLOTS,
            "ticket_seconds": int(tickets.LIFETIME.total_seconds()),
            "ticket_polls": tickets.MAX_POLLS,
            "sockets_per_process": settings.MAX_SOCKETS,
            "socket_message_bytes": settings.MAX_SOCKET_MESSAGE_BYTES,
            "socket_messages_per_10_seconds": settings.MAX_SOCKET_MESSAGES,
            "socket_polls": settings.MAX_SOCKET_POLLS,
            "tick_milliseconds": settings.TICK_MS,
        },
        "rates": {
            name: {"times": times, "seconds": seconds}
            for name, (times, seconds) in settings.RATE_LIMITS.items()
        },
        "not_available": {name: list(values) for name, values in NOT_AVAILABLE.items()},
    }


class LimitsView(View):
    """The limits."""

    authentication_classes = ()

    @operation(
        "List every limit, and the values not available yet",
        tag="service",
        answers={
            200: (
                "The limits",
                serializers.Limits,
                {
                    "limits": {"options_max": 100},
                    "rates": {"failed_logins_of_account": {"times": 10, "seconds": 300}},
                    "not_available": {"kind": ["ranked", "score"]},
                },
            )
        },
        anonymous=True,
    )
    def get(self, request: Request) -> Response:
        """List the limits."""
        del request
        response = Response(limits_body())
        response.headers["Cache-Control"] = "public, max-age=60"
        return response
