"""Voting: tokens, votes, and leave to open a socket as the voter one is."""

import uuid
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from polls.answers import receipt_answer
from polls.api import examples, serializers
from polls.api.authentication import (
    cookie_token,
    set_voter_cookie,
    token_id_of,
    voter_of,
)
from polls.api.base import View, created
from polls.api.problems import response_of
from polls.api.schema import IDEMPOTENCY_KEY, VOTER_CODE, operation
from polls.domain import tickets, voters, voting
from polls.domain.access import access_poll
from polls.domain.own_vote import find_vote
from polls.domain.statements import KEPT_CHANGES, Action
from polls.domain.vote_input import check_key, parse_vote
from polls.errors import Code, FieldError, Refusal

_IDENTITY = (
    Code.NOT_FOUND,
    Code.VOTER_TOKEN_REQUIRED,
    Code.VOTER_TOKEN_INVALID,
    Code.AUTHENTICATION_REQUIRED,
    Code.CODE_INVALID,
    Code.CSRF_FAILED,
    Code.TOO_MANY,
)


class VotersView(View):
    """Voter tokens. No account counts here, so none is asked of."""

    authentication_classes = ()

    @operation(
        "Get a voter token",
        tag="voting",
        description="Send it back as X-Voter-Token, or let the browser send the cookie. "
        "With a valid cookie it returns that cookie's token.",
        answers={201: ("The token", serializers.VoterToken, {"token": "u2Zk…"})},
        errors=[Code.CSRF_FAILED],
    )
    def post(self, request: Request) -> Response:
        """Issue a token before the vote, so that a lost answer cannot make two voters."""
        self.no_body(request)
        voter = voter_of(request)
        http = request._request  # noqa: SLF001 - DRF offers no other way
        if voter.cookie_from_elsewhere and cookie_token(http):
            raise Refusal(Code.CSRF_FAILED)
        known = voter.token if voter.token and voters.device_of(voter.token) else None
        token = known or voters.issue_voter_token()
        response = created({"token": token})
        set_voter_cookie(http, response, token)
        return response


_VOTE_EXAMPLE = {"choices": [examples.OPTION_IDS[0]]}
_CHANGE = (
    *_IDENTITY,
    Code.NO_VOTE,
    Code.CHANGE_NOT_ALLOWED,
    Code.IDEMPOTENCY_KEY_REUSED,
    Code.POLL_NOT_OPEN,
    Code.POLL_CLOSED,
    Code.OUTCOME_UNKNOWN,
)


class VotesView(View):
    """The votes of a poll; each caller sees their own alone."""

    def perform_authentication(self, request: Request) -> None:
        """Leave it to voter_of: what ails the body or the poll is told before a forged token."""

    @operation(
        "Vote",
        tag="voting",
        body=serializers.VoteInput,
        body_example=_VOTE_EXAMPLE,
        description="A retry with the same Idempotency-Key and ballot answers 200 with the first "
        "receipt, also after closing; where the vote was changed since, it says so and counts "
        "nothing.",
        parameters=[IDEMPOTENCY_KEY],
        answers={
            201: ("Committed and counted", serializers.VoteReceipt, examples.RECEIPT),
            200: (
                "The receipt of what stands, with `Idempotent-Replayed: true`",
                serializers.VoteReceipt,
                examples.RECEIPT,
            ),
        },
        errors=[
            *_IDENTITY,
            Code.INVALID_BALLOT,
            Code.IDEMPOTENCY_KEY_REUSED,
            Code.POLL_NOT_OPEN,
            Code.POLL_CLOSED,
            Code.ALREADY_VOTED,
            Code.NETWORK_CAP_REACHED,
            Code.OUTCOME_UNKNOWN,
        ],
    )
    def post(self, request: Request, poll_id: uuid.UUID) -> HttpResponse:
        """Cast a vote; the answer comes after COMMIT."""
        return self._cast(request, poll_id, Action.CAST)

    @operation(
        "Ask for your own vote",
        tag="voting",
        description="How a reloaded page, or a client after a 503, finds out. Where the poll's "
        "identity is `open`, the Idempotency-Key says who asks. A secret poll tells that a vote "
        "was cast, and no more. `withdrawn` says that there was one: the next is a PUT. Some "
        "months after closing the poll's key is destroyed; then it is `poll_closed`, for everybody "
        "alike.",
        parameters=[IDEMPOTENCY_KEY, VOTER_CODE],
        answers={
            200: (
                "Whether the caller has voted",
                serializers.OwnVote,
                {
                    "voted": True,
                    "receipt": examples.RECEIPT["receipt"],
                    "choices": [examples.OPTION_IDS[0]],
                },
            )
        },
        errors=[*_IDENTITY, Code.POLL_CLOSED],
    )
    def get(self, request: Request, poll_id: uuid.UUID) -> Response:
        """Tell a voter whether and how they have voted."""
        vote = find_vote(poll_id, voter_of(request))
        body: dict[str, Any] = {"voted": vote.voted}
        if vote.choices is not None:
            body |= {"receipt": vote.receipt, "choices": vote.choices}
        if vote.withdrawn:
            body["withdrawn"] = True
        return Response(body)

    @operation(
        "Replace your vote",
        tag="voting",
        body=serializers.VoteInput,
        body_example={"choices": [examples.OPTION_IDS[1]]},
        description="Where the poll has `allow_change`; also after the vote was withdrawn. A retry "
        "with the same Idempotency-Key and ballot changes nothing. The keys of the first vote and "
        f"of the latest {KEPT_CHANGES} changes are known.",
        parameters=[IDEMPOTENCY_KEY],
        answers={
            200: (
                "Committed and counted in the place of the vote before",
                serializers.VoteReceipt,
                examples.RECEIPT,
            )
        },
        errors=[*_CHANGE, Code.INVALID_BALLOT],
    )
    def put(self, request: Request, poll_id: uuid.UUID) -> HttpResponse:
        """Replace a vote, or cast one again that was withdrawn."""
        return self._cast(request, poll_id, Action.REPLACE)

    @operation(
        "Withdraw your vote",
        tag="voting",
        description="Where the poll has `allow_change`. That the caller took part stays known: a "
        "late retry of the vote counts nothing, and a new vote is a PUT.",
        parameters=[IDEMPOTENCY_KEY, VOTER_CODE],
        answers={204: ("It no longer counts", None, None)},
        errors=_CHANGE,
    )
    def delete(self, request: Request, poll_id: uuid.UUID) -> HttpResponse:
        """Withdraw a vote."""
        return self._cast(request, poll_id, Action.WITHDRAW)

    def _cast(self, request: Request, poll_id: uuid.UUID, action: Action) -> HttpResponse:
        voter = voter_of(request)
        check_key(voter.idempotency_key)
        if action is Action.WITHDRAW:
            self.no_body(request)
        body = {} if action is Action.WITHDRAW else parse_vote(self.body(request))
        return response_of(receipt_answer(voting.cast_vote(poll_id, body, voter, action=action)))


class TicketsView(View):
    """Live tickets."""

    @operation(
        "Get a ticket for a WebSocket",
        tag="live",
        body=serializers.TicketInput,
        body_example={"polls": [examples.POLL_ID]},
        description="Single use, for 60 s. Sent as the socket's first frame "
        '`{"type":"auth","ticket":…}`, it makes the socket see what the caller may see.',
        parameters=[VOTER_CODE],
        answers={
            201: (
                "The ticket",
                serializers.Ticket,
                {"ticket": "q1w2…", "expires_at": "2030-01-31T20:01:00Z"},
            )
        },
        errors=_IDENTITY,
    )
    def post(self, request: Request) -> Response:
        """Issue a ticket to an account, a voter or the holder of a code."""
        poll_ids = _poll_ids(self.read(request, serializers.TicketInput).validated_data["polls"])
        voter = voter_of(request)
        if voter.user_id is None and voter.code is None:
            if voter.cookie_from_elsewhere:
                raise Refusal(Code.CSRF_FAILED)
            voters.require_device(voter.token)
        polls = [access_poll(poll_id, voter.viewer()) for poll_id in poll_ids]
        viewer = voter.viewer_by_code(polls)
        if voter.code is not None and not viewer.code_voters:
            raise Refusal(Code.CODE_INVALID)
        token_id = token_id_of(request)
        signed_in_by_session = voter.user_id is not None and token_id is None
        ticket, expires_at = tickets.issue_ticket(
            viewer,
            poll_ids,
            token_id=token_id,
            session_key=request.session.session_key if signed_in_by_session else None,
            source=voter.network,
        )
        return created({"ticket": ticket, "expires_at": expires_at})


def _poll_ids(texts: list[str]) -> list[uuid.UUID]:
    """Return each id once, or raise `malformed`; an id that cannot be is an unknown poll."""
    if not 1 <= len(texts) <= tickets.MAX_POLLS:
        detail = f"A ticket is for 1 to {tickets.MAX_POLLS} polls."
        raise Refusal(Code.MALFORMED, errors=[FieldError("polls", "count", detail)])
    try:
        found = [uuid.UUID(text) for text in texts]
    except ValueError:
        raise Refusal(Code.NOT_FOUND) from None
    # Python reads more than the one form that ids have: braces, urn:uuid:, no hyphens.
    if [str(poll_id) for poll_id in found] != [text.lower() for text in texts]:
        raise Refusal(Code.NOT_FOUND)
    return list(dict.fromkeys(found))
