"""Polls: making, reading, changing, opening and closing them."""

import uuid
from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from drf_yasg import openapi
from rest_framework.request import Request
from rest_framework.response import Response

from polls.answers import results_answer, timeline_answer
from polls.api import examples, serializers
from polls.api.authentication import signed_in, viewer_of, voter_of
from polls.api.base import View, created, no_content
from polls.api.paging import CURSOR, NewestFirst
from polls.api.problems import response_of
from polls.api.representations import event_body, own_poll_body, poll_body
from polls.api.schema import VOTER_CODE, operation, parameter
from polls.domain import codes, lifecycle, results
from polls.domain import polls as domain
from polls.domain.access import (
    Viewer,
    access_by_code,
    access_poll,
    access_poll_for_organiser,
    access_poll_for_owner,
    anybody_may_see,
    require_results,
)
from polls.domain.current import Current, read_current
from polls.domain.definition import Definition
from polls.domain.reset import MAX_MARKS, reset_poll
from polls.domain.timeline import MAX_BUCKETS
from polls.errors import Code, Refusal
from polls.models import Event, Poll

_OWNERS = (Code.AUTHENTICATION_REQUIRED, Code.CSRF_FAILED, Code.NOT_FOUND)
# Nobody needs an account to read; a token that does not count is refused all the same.
_READERS = (Code.AUTHENTICATION_REQUIRED, Code.NOT_FOUND)
_A_POLL: Any = ("The poll", serializers.Poll, examples.POLL)
_IF_NONE_MATCH = parameter("If-None-Match", openapi.IN_HEADER, "the ETag of the count you have")
_READINGS = 3  # how often a poll is read whose rules change meanwhile


class PollsView(View):
    """The caller's polls."""

    invalid_code = Code.INVALID_POLL

    @operation(
        "List your polls, newest first",
        tag="polls",
        answers={
            200: (
                "A page of them",
                serializers.PollPage,
                {"results": [examples.POLL], "next": None, "previous": None},
            )
        },
        parameters=[CURSOR],
        errors=[Code.AUTHENTICATION_REQUIRED],
        public=False,
    )
    def get(self, request: Request) -> Response:
        """List polls by cursor."""
        owner = signed_in(request)
        lifecycle.settle_due_polls(owner.pk)
        pages = NewestFirst()
        polls = Poll.objects.standing().filter(owner=owner).select_related("owner", "tally")
        page = pages.paginate_queryset(polls.prefetch_related("options"), request, view=self)
        return pages.get_paginated_response([own_poll_body(poll) for poll in page or []])

    @operation(
        "Make a poll",
        tag="polls",
        body=serializers.PollInput,
        body_example=examples.NEW_POLL,
        description="Only `title` and `options` are needed. GET /api/v1/limits/ lists the values "
        "that are not available yet.",
        answers={201: _A_POLL},
        errors=[
            Code.AUTHENTICATION_REQUIRED,
            Code.CSRF_FAILED,
            Code.INVALID_POLL,
            Code.NOT_AVAILABLE,
            Code.TOO_MANY,
        ],
        public=False,
    )
    def post(self, request: Request) -> Response:
        """Make a poll, open unless it is to be a draft."""
        owner = signed_in(request)
        given = self.read(request, serializers.PollInput).changes()
        status = given.pop("status")
        poll = domain.create_poll(owner, Definition(**given), status=status)
        response = created(poll_body(poll, Viewer(owner.pk)))
        response.headers["Location"] = f"/api/v1/polls/{poll.id}/"
        return response


class PollView(View):
    """One poll."""

    invalid_code = Code.INVALID_POLL

    @operation("Read a poll", tag="polls", answers={200: _A_POLL}, errors=_READERS)
    def get(self, request: Request, poll_id: uuid.UUID) -> Response:
        """Read a poll; a draft exists for those alone who run it."""
        viewer = viewer_of(request)
        return Response(poll_body(access_poll(poll_id, viewer), viewer))

    @operation(
        "Change a poll",
        tag="polls",
        body=serializers.PollChanges,
        body_example={"title": "Dinner?"},
        description="Once a ballot exists, kind, options, min, max, identity, network_cap, "
        "secrecy and allow_change are frozen.",
        answers={200: _A_POLL},
        errors=[*_OWNERS, Code.INVALID_POLL, Code.NOT_AVAILABLE, Code.POLL_FROZEN],
        public=False,
    )
    def patch(self, request: Request, poll_id: uuid.UUID) -> Response:
        """Change fields of the definition."""
        viewer = viewer_of(request)
        poll = access_poll_for_organiser(poll_id, viewer)
        domain.edit_poll(poll.id, self.read(request, serializers.PollChanges).changes())
        return Response(poll_body(access_poll(poll_id, viewer), viewer))

    @operation(
        "Delete a poll, for everybody at once",
        tag="polls",
        answers={204: ("It is gone", None, None)},
        errors=_OWNERS,
        public=False,
    )
    def delete(self, request: Request, poll_id: uuid.UUID) -> Response:
        """Delete a poll."""
        poll = access_poll_for_owner(poll_id, viewer_of(request))
        self.no_body(request)
        lifecycle.delete_poll(poll.id)
        return no_content()


def _moved(
    view: View, request: Request, poll_id: uuid.UUID, move: Callable[[uuid.UUID], None]
) -> Response:
    """Move a poll on for whoever runs it and return it as it then reads."""
    viewer = viewer_of(request)
    poll = access_poll_for_organiser(poll_id, viewer)
    view.no_body(request)
    move(poll.id)
    return Response(poll_body(access_poll(poll_id, viewer), viewer))


class OpenView(View):
    """Opening."""

    @operation(
        "Open a draft or scheduled poll now",
        tag="polls",
        answers={200: _A_POLL},
        errors=[*_OWNERS, Code.INVALID_POLL, Code.POLL_CLOSED],
        public=False,
    )
    def post(self, request: Request, poll_id: uuid.UUID) -> Response:
        """Open a poll; an open one stays open, a closed one is never reopened."""
        return _moved(self, request, poll_id, lifecycle.open_poll)


class CloseView(View):
    """Closing."""

    @operation(
        "Close a poll now",
        tag="polls",
        answers={200: _A_POLL},
        errors=[*_OWNERS, Code.POLL_NOT_OPEN],
        public=False,
    )
    def post(self, request: Request, poll_id: uuid.UUID) -> Response:
        """Close a poll; the count at that moment is the count for ever."""
        return _moved(self, request, poll_id, lifecycle.close_poll)


class ResetView(View):
    """Resetting."""

    @operation(
        "Remove all votes, after a rehearsal",
        tag="polls",
        description="As if nobody had ever voted: the count is nought, old receipts are unknown, "
        "and everybody may vote again. A poll that was closed once is never reset, nor is one "
        f"whose ballots hold more than {MAX_MARKS:,} selections, or that had more voters.",
        answers={200: _A_POLL},
        errors=[*_OWNERS, Code.POLL_CLOSED, Code.POLL_FROZEN],
        public=False,
    )
    def post(self, request: Request, poll_id: uuid.UUID) -> Response:
        """Reset a poll; where nobody has voted nothing changes."""
        return _moved(self, request, poll_id, reset_poll)


class CodesView(View):
    """Voting codes."""

    @operation(
        "Make voting codes",
        tag="polls",
        body=serializers.CodesInput,
        body_example={"count": 2},
        description="Each lets one person vote once, and is shown this once. A call makes "
        f"{codes.MAX_CODES_A_CALL:,} at most, a poll has {codes.MAX_CODES:,}. They may be typed in "
        "either case, without hyphens, and O for 0, I or L for 1.",
        answers={201: ("The new codes", serializers.NewCodes, examples.CODES)},
        errors=[*_OWNERS, Code.INVALID_POLL, Code.POLL_CLOSED],
        public=False,
    )
    def post(self, request: Request, poll_id: uuid.UUID) -> Response:
        """Make codes of a poll whose identity is `code`."""
        poll = access_poll_for_organiser(poll_id, viewer_of(request))
        count = self.read(request, serializers.CodesInput).validated_data["count"]
        return created({"codes": codes.make_codes(poll.id, count)})


class JoinView(View):
    """What a join code leads to."""

    @operation(
        "Find a poll or an event by its join code",
        tag="polls",
        answers={
            200: ("What it leads to", serializers.Joined, {"type": "poll", "poll": examples.POLL})
        },
        errors=_READERS,
    )
    def get(self, request: Request, code: str) -> Response:
        """Find a poll or an event; the code may be typed in either case."""
        viewer = viewer_of(request)
        found = access_by_code(code, viewer)
        if isinstance(found, Event):
            return Response({"type": "event", "event": event_body(found, viewer)})
        return Response({"type": "poll", "poll": poll_body(found, viewer)})


def _seen(request: Request, poll_id: uuid.UUID) -> Current:
    """Return where a poll stands now, to a caller who may see its count."""
    voter = voter_of(request)
    poll = access_poll(poll_id, voter.viewer())  # which settles a poll whose time has come
    viewer = voter.viewer() if anybody_may_see(poll) else voter.viewer_by_code([poll])
    current = read_current([poll_id]).get(poll_id)
    if current is None:
        raise Refusal(Code.NOT_FOUND)
    require_results(current.poll, viewer)
    return current


class ResultsView(View):
    """The count."""

    @operation(
        "Read the results",
        tag="results",
        description="Reflects every vote that was acknowledged before the request arrived. "
        "The ETag changes with every seq; If-None-Match answers 304.",
        parameters=[_IF_NONE_MATCH, VOTER_CODE],
        answers={
            200: ("The count", serializers.Results, examples.RESULTS),
            304: ("It is the one you have", None, None),
        },
        errors=[*_READERS, Code.RESULTS_HIDDEN, Code.TOO_MANY],
    )
    def get(self, request: Request, poll_id: uuid.UUID) -> HttpResponse:
        """Read the results where the caller may see them."""
        current = _seen(request, poll_id)
        return response_of(results_answer(current, request.headers.get("If-None-Match")))


class TimelineView(View):
    """Votes over time."""

    @operation(
        "Read the votes over time",
        tag="results",
        description="How many ballots that were cast within a bucket mark each option. Buckets are "
        f"1 s wide, or as wide as it takes to have {MAX_BUCKETS} at most from the first to the "
        "last; they begin at whole multiples of their width since 1970 (`at`, in UTC). Each names "
        "every option; those without a ballot are left out. Who may see them, what they reflect "
        "and the ETag are as with the results.",
        parameters=[_IF_NONE_MATCH, VOTER_CODE],
        answers={
            200: ("The buckets, the earliest first", serializers.Timeline, examples.TIMELINE),
            304: ("It is the one you have", None, None),
        },
        errors=[*_READERS, Code.RESULTS_HIDDEN, Code.TOO_MANY],
    )
    def get(self, request: Request, poll_id: uuid.UUID) -> HttpResponse:
        """Read the timeline where the caller may see the results."""
        for _ in range(_READINGS):
            current = _seen(request, poll_id)
            answer = timeline_answer(current, request.headers.get("If-None-Match"))
            if answer is not None:
                return response_of(answer)
        raise Refusal(Code.UNAVAILABLE)


class IntegrityView(View):
    """The audit of the count."""

    @operation(
        "Set the tally beside a recount",
        tag="results",
        description="For the owner and the organisers, and for everyone who may see the results of "
        "a closed poll.",
        answers={200: ("Both, of one snapshot", serializers.Integrity, examples.INTEGRITY)},
        errors=[*_READERS, Code.RESULTS_HIDDEN],
    )
    def get(self, request: Request, poll_id: uuid.UUID) -> Response:
        """Count every selection anew and compare."""
        viewer = viewer_of(request)
        poll = access_poll(poll_id, viewer)
        if poll.is_closed:
            require_results(poll, viewer)
        else:
            access_poll_for_organiser(poll_id, viewer)
        count = results.recount(poll.id)
        return Response(
            {
                "equal": count.equal,
                "seq": count.seq,
                "tally": count.tally,
                "recount": count.recount,
            }
        )
