"""The closed catalogue of errors: every `code` that any door of the service may answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote


class Code(StrEnum):
    """The `code` member of a problem (RFC 9457)."""

    MALFORMED = "malformed"
    NOT_AVAILABLE = "not_available"
    INVALID_POLL = "invalid_poll"
    INVALID_EVENT = "invalid_event"
    INVALID_MEMBER = "invalid_member"
    INVALID_BALLOT = "invalid_ballot"
    INVALID_ACCOUNT = "invalid_account"
    BAD_HOST = "bad_host"
    AUTHENTICATION_REQUIRED = "authentication_required"
    INVALID_CREDENTIALS = "invalid_credentials"
    VOTER_TOKEN_REQUIRED = "voter_token_required"  # noqa: S105 - a name, not a secret
    VOTER_TOKEN_INVALID = "voter_token_invalid"  # noqa: S105 - the same
    CODE_INVALID = "code_invalid"
    CSRF_FAILED = "csrf_failed"
    FORBIDDEN = "forbidden"
    NETWORK_CAP_REACHED = "network_cap_reached"
    RESULTS_HIDDEN = "results_hidden"
    REGISTRATION_CLOSED = "registration_closed"
    NOT_FOUND = "not_found"
    NO_VOTE = "no_vote"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REQUEST_TIMEOUT = "request_timeout"
    POLL_NOT_OPEN = "poll_not_open"
    POLL_FROZEN = "poll_frozen"
    ALREADY_VOTED = "already_voted"
    CHANGE_NOT_ALLOWED = "change_not_allowed"
    USERNAME_TAKEN = "username_taken"
    POLL_CLOSED = "poll_closed"
    BODY_TOO_LARGE = "body_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    TOO_MANY = "too_many"
    INTERNAL_ERROR = "internal_error"
    FORMAT_NOT_OFFERED = "format_not_offered"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"
    OUTCOME_UNKNOWN = "outcome_unknown"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the catalogue says of one code: HTTP status, title, and what to do about it."""

    status: int
    title: str
    remedy: str
    retry_after: int | None = None  # seconds


CATALOGUE: Mapping[Code, Entry] = {
    Code.MALFORMED: Entry(
        400,
        "The request cannot be read",
        "Send one JSON object with the documented fields, each of its documented type. "
        "Unknown fields, duplicate keys, NUL characters and deep nesting are refused.",
    ),
    Code.NOT_AVAILABLE: Entry(
        400,
        "This value is not offered yet",
        "GET /api/v1/limits/ lists the values that are not available.",
    ),
    Code.INVALID_POLL: Entry(
        400, "The poll's definition is not possible", "Mend the fields named under `errors`."
    ),
    Code.INVALID_EVENT: Entry(
        400,
        "The event is not possible",
        "Mend the fields named under `errors`. An event takes your own polls, each once, and each "
        "in one event alone.",
    ),
    Code.INVALID_MEMBER: Entry(
        400,
        "This account cannot have this role",
        "Mend the fields named under `errors`. A role is `organiser` or `viewer`, and the owner "
        "has none.",
    ),
    Code.INVALID_BALLOT: Entry(
        400,
        "The ballot does not fit this poll",
        "Choose options of this poll, each once, within min_selections and max_selections.",
    ),
    Code.INVALID_ACCOUNT: Entry(
        400, "The account cannot be made", "Mend the fields named under `errors`."
    ),
    Code.BAD_HOST: Entry(
        400,
        "The Host header names a host that this service does not answer for",
        "The operator adds it to ALLOWED_HOSTS.",
    ),
    Code.AUTHENTICATION_REQUIRED: Entry(
        401,
        "An account is needed",
        "Send `Authorization: Bearer <token>` with a token from POST /api/v1/auth/tokens/.",
    ),
    Code.INVALID_CREDENTIALS: Entry(
        401,
        "The username and password do not match",
        "Check both, or register at POST /api/v1/auth/register/.",
    ),
    Code.VOTER_TOKEN_REQUIRED: Entry(
        401,
        "This poll needs to know the voter",
        "Fetch a token from POST /api/v1/voters/ and send it as X-Voter-Token; where the poll's "
        "identity is `open`, send the vote's Idempotency-Key.",
    ),
    Code.VOTER_TOKEN_INVALID: Entry(
        401, "The voter token was not issued here", "Fetch a new one from POST /api/v1/voters/."
    ),
    Code.CODE_INVALID: Entry(
        403,
        "This code does not count",
        "It is unknown in this poll, or was used before. A retry of the same ballot with the same "
        "Idempotency-Key is answered as the first was.",
    ),
    Code.CSRF_FAILED: Entry(
        403,
        "A cookie counts only for requests from this site's own pages",
        "Programs send X-Voter-Token or a Bearer token instead; pages send the CSRF token.",
    ),
    Code.FORBIDDEN: Entry(403, "This is not allowed", "See `detail`."),
    Code.NETWORK_CAP_REACHED: Entry(
        403,
        "As many voters as may have voted from this network",
        "Vote from another network, or ask the organiser; `network_cap` tells how many it may be.",
    ),
    Code.RESULTS_HIDDEN: Entry(
        403,
        "The results are not shown to you now",
        "`detail` names the poll's rule; see `results_visibility`.",
    ),
    Code.REGISTRATION_CLOSED: Entry(
        403, "New accounts are made by the operator alone", "Ask the operator for an account."
    ),
    Code.NOT_FOUND: Entry(
        404,
        "There is nothing here",
        "Check the path, its closing slash and the id. A draft exists for those alone who run it.",
    ),
    Code.NO_VOTE: Entry(
        404, "There is no vote of yours in this poll", "POST …/votes/ casts the first one."
    ),
    Code.METHOD_NOT_ALLOWED: Entry(
        405, "This path does not take that method", "The Allow header lists those it takes."
    ),
    Code.REQUEST_TIMEOUT: Entry(
        408, "The request did not arrive in time", "Send it whole within 10 seconds."
    ),
    Code.POLL_NOT_OPEN: Entry(
        409, "The poll is not open", "Wait for its opening; `opens_at` tells when, if it is set."
    ),
    Code.POLL_FROZEN: Entry(
        409,
        "The poll has ballots, so its rules stand",
        "Title, description, visibility, embed_origins and closes_at can still be changed.",
    ),
    Code.ALREADY_VOTED: Entry(
        409,
        "You have already voted in this poll",
        "GET …/votes/ shows the vote that stands.",
    ),
    Code.CHANGE_NOT_ALLOWED: Entry(
        409, "Votes in this poll cannot be changed", "The first vote stands."
    ),
    Code.USERNAME_TAKEN: Entry(
        409, "This username is taken", "Choose another; case makes no difference."
    ),
    Code.POLL_CLOSED: Entry(
        410, "The poll is closed", "A closed poll is never reopened; make a new one."
    ),
    Code.BODY_TOO_LARGE: Entry(
        413, "The body is too long", "GET /api/v1/limits/ tells how long it may be."
    ),
    Code.UNSUPPORTED_MEDIA_TYPE: Entry(
        415, "The body is not JSON", "Send `Content-Type: application/json`, not encoded."
    ),
    Code.IDEMPOTENCY_KEY_REUSED: Entry(
        422,
        "This Idempotency-Key came with another ballot before",
        "Use a new key for a new ballot, the old key only to repeat the old one.",
    ),
    Code.TOO_MANY: Entry(
        429, "Too many at once", "Come back later; GET /api/v1/limits/ lists the limits.", 5
    ),
    Code.INTERNAL_ERROR: Entry(
        500, "Something broke here", "The operator finds the cause in the log by the id."
    ),
    Code.FORMAT_NOT_OFFERED: Entry(
        501, "The answer is not written in this format", "Ask for `format=json`."
    ),
    Code.OVERLOADED: Entry(
        503,
        "More requests are waiting than can be answered in time",
        "Nothing was done. Send it again, a vote with the same Idempotency-Key.",
        1,
    ),
    Code.UNAVAILABLE: Entry(
        503,
        "The database does not answer",
        "A vote that is answered so was not stored: send it again with the same Idempotency-Key. "
        "Read anything else before you repeat it.",
        2,
    ),
    Code.OUTCOME_UNKNOWN: Entry(
        503,
        "The database went away while it stored the vote",
        "It may or may not be counted. Send it again with the same Idempotency-Key, or ask "
        "GET …/votes/.",
        5,  # by then the database has settled what was on its way
    ),
}


@dataclass(frozen=True, slots=True)
class FieldError:
    """One entry of a problem's `errors`: which field, a code of its own, and a sentence."""

    field: str
    code: str
    detail: str


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not a fault
    """A request is answered with an entry of the catalogue; nothing was stored.

    `detail` is a sentence for this very case; the entry's remedy stands in where it is empty.
    """

    def __init__(
        self,
        code: Code,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail or CATALOGUE[code].remedy
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        retry_after = CATALOGUE[code].retry_after
        if retry_after is not None:
            self.headers.setdefault("Retry-After", str(retry_after))

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return CATALOGUE[self.code].status

    def problem(self, instance: str) -> dict[str, object]:
        """Return the body of the answer (RFC 9457) for the path `instance`."""
        body: dict[str, object] = {
            "type": f"/docs/errors#{self.code}",
            "title": CATALOGUE[self.code].title,
            "status": self.status,
            "code": str(self.code),
            "detail": self.detail,
            "instance": quote(instance, safe="/%:@!$&'()*+,;=~"),  # a URI reference
        }
        if self.errors:
            body["errors"] = [
                {"field": error.field, "code": error.code, "detail": error.detail}
                for error in self.errors
            ]
        return body
