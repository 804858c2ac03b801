"""The express door: votes and results straight from the event loop, without Django's threads.

It takes a request only where it can give exactly the answer that the DRF view would give, by the
same functions. Anything else goes on to Django, its body included: whatever would be refused
before it reaches the database, whoever names an account, polls that are not being voted in, and
codes that are unknown or have voted.
"""

import asyncio
import functools
import re
import uuid
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.http.cookie import parse_cookie

from polls.answers import receipt_answer, results_answer
from polls.domain.access import anybody_may_see
from polls.domain.ballot_box import ballot_box
from polls.domain.ballot_paper import BallotPaper, CanonicalBallot, papers, read_papers
from polls.domain.codes import Presented, find_many
from polls.domain.current import Current, read_current
from polls.domain.outcomes import Outcome, Replayed
from polls.domain.reading_desk import ReadingDesk
from polls.domain.replies import LoopReplies
from polls.domain.statements import Action, Cast
from polls.domain.vote_input import check_key, parse_vote, read_ballot
from polls.domain.voting import (
    NO_BALLOT,
    Voter,
    conclude,
    make_cast,
    replayed,
    require_identity,
)
from polls.errors import Code, Refusal
from polls.messages import Answer, problem_answer, token_of_cookie, voter_cookie_name
from polls.networks import network_of
from polls.strict_json import loads_object

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
Scope = Any
Headers = Mapping[bytes, bytes]

_BEFORE_ID, _VOTES, _RESULTS = "/api/v1/polls/", "/votes/", "/results/"
_ID_LENGTH = 36
_VOTES_LENGTH = len(_BEFORE_ID) + _ID_LENGTH + len(_VOTES)
_RESULTS_LENGTH = len(_BEFORE_ID) + _ID_LENGTH + len(_RESULTS)
_JSON = frozenset({b"application/json", b"application/json; charset=utf-8"})
_ACTIONS = {"POST": Action.CAST, "PUT": Action.REPLACE, "DELETE": Action.WITHDRAW}


class Express:
    """The door of one process."""

    def __init__(self) -> None:
        self.taken = 0  # requests that were answered here
        self._session_cookie = settings.SESSION_COOKIE_NAME.encode()
        self._csrf_cookie = settings.CSRF_COOKIE_NAME.encode()
        # A token that is none is replaced by a new one in the answer.
        self._csrf_token = re.compile(
            rb"(?:^|; )%b=[A-Za-z0-9]{32}(?:[A-Za-z0-9]{32})?(?:;|$)" % re.escape(self._csrf_cookie)
        )
        self._https_only: bool = settings.SECURE_SSL_REDIRECT
        self._readings = _Readings(read_current)
        self._papers = _Readings(read_papers)
        self._codes = _Readings(find_many)
        self._outcomes: LoopReplies[Outcome] | None = None

    async def answer(
        self, scope: Scope, headers: Headers, body: bytes, until: float
    ) -> Answer | None:
        """Return the answer by this time of `time.monotonic()`, None where Django must give it."""
        path: str = scope["path"]
        if not path.startswith(_BEFORE_ID) or not self._is_plain(scope, headers):
            return None
        found = None
        action = _ACTIONS.get(scope["method"])
        if action is not None and len(path) == _VOTES_LENGTH and path.endswith(_VOTES):
            found = await self._vote(scope, headers, body, until, action)
        elif (
            scope["method"] == "GET"
            and len(path) == _RESULTS_LENGTH
            and path.endswith(_RESULTS)
            and not body
        ):
            found = await self._results(path, headers, until)
        self.taken += found is not None
        return found

    def _is_plain(self, scope: Scope, headers: Headers) -> bool:
        """Whether nothing of a request's head could change its answer but what is read here."""
        if scope["query_string"] or scope.get("root_path"):
            return False
        if b"authorization" in headers or b"content-encoding" in headers:
            return False
        cookie = headers.get(b"cookie")
        if cookie is not None and not self._is_plain_cookie(cookie):
            return False
        if self._https_only and scope["scheme"] != "https":
            return False
        return _is_allowed(headers.get(b"host", b""))

    def _is_plain_cookie(self, cookie: bytes) -> bool:
        """Whether Django's sessions and its CSRF protection have nothing to say about it."""
        if self._session_cookie in cookie or not cookie.isascii():
            return False
        return self._csrf_cookie not in cookie or bool(self._csrf_token.search(cookie))

    def close(self) -> None:
        """End what answers."""
        self._readings.close()
        self._papers.close()
        self._codes.close()

    # -- votes --------------------------------------------------------------------------------

    async def _vote(
        self, scope: Scope, headers: Headers, body: bytes, until: float, action: Action
    ) -> Answer | None:
        path: str = scope["path"]
        if not _has_plain_body(headers, body, action):
            return None
        name = path[len(_BEFORE_ID) : -len(_VOTES)]
        paper = papers.get(name) or await self._read_paper(name, until)
        if paper is None or not (action is Action.CAST or paper.poll.allow_change):
            return None
        try:
            voter = _voter(scope, headers)
            check_key(voter.idempotency_key)
            ballot, code = _read_ballot(paper, body, action)
            if action is not Action.WITHDRAW:
                voter.code = code
            identity = require_identity(paper.poll, voter)
        except Refusal:
            return None  # perhaps by rules that have changed since
        if paper.poll.network_cap is not None or paper.asks_for_codes:
            client = scope["client"]  # a pair; None on a Unix socket
            voter.network = _network(client[0] if client else "")
        cast = make_cast(paper, identity, voter, ballot, action)
        try:
            if identity is not None and paper.asks_for_codes:
                code_hash = paper.code_hash(identity)
                presented = Presented(paper.poll_id, code_hash, cast.voter_key, voter.network)
                if not await self._is_good(presented, cast, until):
                    return None
            outcome = await self._outcome(cast, until)
            receipt = conclude(paper, cast, outcome, voter)
            if receipt is None and isinstance(outcome, Replayed):
                reading = await self._readings.of(paper.poll_id, until)
                current = reading if isinstance(reading, Current) else None
                receipt = replayed(paper, cast, outcome, current, voter)
        except Refusal as refusal:
            return problem_answer(refusal, path)
        return None if receipt is None else receipt_answer(receipt)

    async def _read_paper(self, name: str, until: float) -> BallotPaper | None:
        """Have the ballot paper read; all who open a poll's voting together wait for one reading.

        None where there is none, or it cannot be read: Django will say why.
        """
        poll_id = _uuid(name)
        try:
            paper = None if poll_id is None else await self._papers.of(poll_id, until)
        except Exception:  # noqa: BLE001 - the desk has logged it; perhaps another poll's paper
            return None
        return paper if isinstance(paper, BallotPaper) else None

    async def _is_good(self, presented: Presented, cast: Cast, until: float) -> bool:
        """Whether a code may vote so; those that come at the same time are looked up together.

        Raises `unavailable`.
        """
        found = await self._codes.of(presented, until)
        if isinstance(found, Code):
            raise Refusal(found)
        if found is None:
            return False
        return not found.is_used or cast.action is not Action.CAST or found.is_retry(cast.key_hash)

    async def _outcome(self, cast: Cast, until: float) -> Outcome:
        """Drop a vote into the ballot box and wait for what becomes of it."""
        if self._outcomes is None or self._outcomes.loop is not asyncio.get_running_loop():
            self._outcomes = LoopReplies(late=Code.OVERLOADED, unknown=Code.OUTCOME_UNKNOWN)
        reply = self._outcomes.new(until)
        ballot_box().submit_for(cast, reply, until)
        return await reply.future

    # -- results ------------------------------------------------------------------------------

    async def _results(self, path: str, headers: Headers, until: float) -> Answer | None:
        poll_id = _uuid(path[len(_BEFORE_ID) : -len(_RESULTS)])
        if poll_id is None:
            return None
        reading = await self._readings.of(poll_id, until)
        if isinstance(reading, Code):
            return problem_answer(Refusal(reading), path)
        if reading is None or reading.due or not anybody_may_see(reading.poll):
            return None
        return results_answer(reading, headers.get(b"if-none-match", b"").decode("latin-1"))


class _Readings(Generic[K, T]):
    """A reading desk, asked from the event loop."""

    def __init__(self, read: Callable[[set[K]], Mapping[K, T]]) -> None:
        self._desk = ReadingDesk(read)
        self._replies: LoopReplies[T | Code | None] | None = None

    async def of(self, about: K, until: float) -> T | Code | None:
        """Return what is read about something, None where there is nothing, or `unavailable`."""
        if self._replies is None or self._replies.loop is not asyncio.get_running_loop():
            self._replies = LoopReplies(late=Code.UNAVAILABLE, unknown=Code.UNAVAILABLE)
        reply = self._replies.new(until)
        self._desk.ask(about, reply, until)
        return await reply.future

    def close(self) -> None:
        """End the desk."""
        self._desk.close()


# -- what is taken here ------------------------------------------------------------------------


def _has_plain_body(headers: Headers, body: bytes, action: Action) -> bool:
    """Whether a vote comes as JSON, and a withdrawal without anything."""
    if action is Action.WITHDRAW:
        return not body
    return headers.get(b"content-type", b"").lower() in _JSON


def _read_ballot(
    paper: BallotPaper, body: bytes, action: Action
) -> tuple[CanonicalBallot, str | None]:
    """Return the ballot of a body and its code; in a hall, thousands without one send the same."""
    if action is Action.WITHDRAW:
        return NO_BALLOT, None
    ballot = paper.remembered(body)
    if ballot is not None:
        return ballot, None
    parsed = parse_vote(loads_object(body))
    ballot, code = read_ballot(paper, parsed), parsed.get("code")
    if code is None:
        paper.remember(body, ballot)
    return ballot, code


# -- what a head says --------------------------------------------------------------------------


@functools.lru_cache(256)
def _is_allowed(host: bytes) -> bool:
    """Whether the service answers for this host, by Django's own rule."""
    request = HttpRequest()
    request.META = {"HTTP_HOST": host.decode("latin-1")}
    try:
        return bool(request.get_host())
    except (DisallowedHost, KeyError):  # KeyError: there is no Host header
        return False


_network = functools.lru_cache(4096)(network_of)


@functools.lru_cache(4096)
def _uuid(text: str) -> uuid.UUID | None:
    """Return the id that a path names in the one form that ids have."""
    try:
        found = uuid.UUID(text)
    except ValueError:
        return None
    return found if str(found) == text else None


def _voter(scope: Scope, headers: Headers) -> Voter:
    """Return whoever votes, as the DRF view would find them without an account."""
    token = _text(headers, b"x-voter-token")
    foreign = False
    cookie = headers.get(b"cookie")
    if token is None and cookie is not None:
        scheme: str = scope["scheme"]
        cookies = parse_cookie(cookie.decode())
        token, foreign = token_of_cookie(
            cookies.get(voter_cookie_name(secure=scheme == "https")),
            method=scope["method"],
            fetch_site=_text(headers, b"sec-fetch-site"),
            origin=_text(headers, b"origin"),
            own_origin=f"{scheme}://{headers[b'host'].decode()}",
        )
    return Voter(
        token=token,
        code=_text(headers, b"x-voter-code"),
        cookie_from_elsewhere=foreign,
        idempotency_key=_text(headers, b"idempotency-key"),
    )


def _text(headers: Headers, name: bytes) -> str | None:
    """Return a header as WSGI would."""
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")
