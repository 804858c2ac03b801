"""Who the voter is: tokens, cookies and headers; and what they are told of their own vote."""

from typing import Any

import pytest
from django.test import Client

from polls.domain import voters
from polls.domain.voters import device_of, issue_voter_token
from polls.models import LiveTicket
from tests.cast import Person, assert_problem, new_key, stored_rows, texts, voter, votes_of

VOTERS = "/api/v1/voters/"
HERE = {"Origin": "http://testserver"}
FOUR_HUNDRED_DAYS = 400 * 24 * 3600


class Browser(Person):
    """Somebody whose voter token is in a cookie."""

    def __init__(self, token: str = "", *, name: str = "voter") -> None:
        super().__init__()
        self.token = token or issue_voter_token()
        self.http = Client(raise_request_exception=False)
        self.http.cookies[name] = self.token


def forged(token: str) -> str:
    return token[:-1] + ("A" if token[-1] != "A" else "Q")


# -- tokens ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("secure", "name"), [(False, "voter"), (True, "__Host-voter")])
def test_voter_token_comes_as_body_and_as_cookie(name: str, *, secure: bool) -> None:
    answer = Client().generic("POST", VOTERS, secure=secure)
    token = answer.json()["token"]
    assert (answer.status_code, answer.json()) == (201, {"token": token})
    assert device_of(token) is not None
    assert list(answer.cookies) == [name]
    cookie = answer.cookies[name]
    assert cookie.value == token
    shown = {flag: value for flag, value in cookie.items() if value and flag != "expires"}
    assert shown == {
        "httponly": True,
        "max-age": FOUR_HUNDRED_DAYS,
        "path": "/",
        "samesite": "Lax",
        **({"secure": True} if secure else {}),
    }
    assert answer.headers["Cache-Control"] == "private, no-store"


def test_every_voter_has_a_token_of_their_own() -> None:
    assert len({Person().post(VOTERS).json()["token"] for _ in range(20)}) == 20


def test_page_of_a_poll_sets_the_cookie_before_the_vote(alice: Person) -> None:
    poll, browser = alice.make_poll(), Client()
    first = browser.get(poll["links"]["page"]).cookies["voter"]
    assert device_of(first.value) is not None
    assert (first["httponly"], first["samesite"]) == (True, "Lax")
    assert browser.get(poll["links"]["page"]).cookies["voter"].value == first.value
    answer = browser.generic("POST", VOTERS, headers=HERE)
    assert answer.json() == {"token": first.value}


def test_token_of_a_valid_cookie_is_returned() -> None:
    browser = Browser()
    assert browser.post(VOTERS, **HERE).json() == {"token": browser.token}


def test_token_of_the_header_is_returned_before_that_of_the_cookie() -> None:
    browser, token = Browser(), issue_voter_token()
    for origin in ("http://testserver", "https://evil.example"):
        answer = browser.post(VOTERS, X_Voter_Token=token, Origin=origin)
        assert (answer.status_code, answer.json()) == (201, {"token": token})


def test_cookie_that_was_not_issued_here_is_replaced() -> None:
    browser = Browser(forged(issue_voter_token()))
    for headers in (HERE, {}):
        token = browser.post(VOTERS, **headers).json()["token"]
        assert device_of(token) is not None
        browser.http.cookies["voter"] = browser.token


def test_plain_cookie_does_not_count_under_https(alice: Person) -> None:
    poll, browser = alice.make_poll(), Browser()
    headers = {"Origin": "https://testserver"}
    answer = browser.http.generic("POST", VOTERS, secure=True, headers=headers)
    assert answer.json()["token"] != browser.token
    choices = {"choices": [poll["options"][0]["id"]]}
    answer = Browser().http.post(
        poll["links"]["vote"], choices, content_type="application/json", secure=True
    )
    assert_problem(answer, 401, "voter_token_required")


@pytest.mark.parametrize(
    "token",
    ["", "x", "x" * 44, "x" * 5000, "\u00e9" * 44, "0" * 43 + "=", " " * 44],
)
def test_token_that_was_not_issued_here_is_refused(alice: Person, token: str) -> None:
    poll, rows = alice.make_poll(), stored_rows()
    answer = Person().vote(poll, 0, X_Voter_Token=token)
    code = "voter_token_invalid" if token else "voter_token_required"
    assert_problem(answer, 401, code)
    assert stored_rows() == {**rows}


@pytest.fixture
def other_keys(settings: Any) -> Any:
    yield settings
    voters._signing_keys.cache_clear()


def test_token_signed_with_a_retired_key_still_counts(alice: Person, other_keys: Any) -> None:
    settings = other_keys
    poll, somebody = alice.make_poll(), voter()
    somebody.vote(poll, 0)
    retired = settings.SECRET_KEY
    settings.SECRET_KEY = "another key for tests alone"
    for fallbacks, status, code in (
        ([retired], 409, "already_voted"),
        ([], 401, "voter_token_invalid"),
    ):
        settings.SECRET_KEY_FALLBACKS = fallbacks
        voters._signing_keys.cache_clear()  # as in a process that starts with these keys
        assert_problem(somebody.vote(poll, 1), status, code)


# -- cookies ---------------------------------------------------------------------------------

FROM_HERE = [
    {"Origin": "http://testserver"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"},
]
FROM_ELSEWHERE: list[dict[str, str]] = [
    {},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "https://evil.example"},
    {"Origin": "https://testserver"},
    {"Origin": "http://testserver:8000"},
    {"Origin": "http://testserver.evil.example"},
    {"Origin": "http://testserver/"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "none"},
    {"Referer": "http://testserver/"},
]


def writes(poll: dict[str, Any]) -> dict[str, tuple[str, str, Any]]:
    choices = {"choices": [poll["options"][0]["id"]]}
    return {
        "vote": ("POST", poll["links"]["vote"], choices),
        "change": ("PUT", poll["links"]["vote"], choices),
        "withdraw": ("DELETE", poll["links"]["vote"], None),
        "token": ("POST", VOTERS, None),
        "ticket": ("POST", "/api/v1/live-tickets/", {"polls": [poll["id"]]}),
    }


@pytest.mark.parametrize(
    ("write", "status"),
    [("vote", 201), ("change", 409), ("withdraw", 409), ("token", 201), ("ticket", 201)],
)
@pytest.mark.parametrize("headers", FROM_HERE, ids=str)
def test_cookie_writes_from_pages_of_this_origin(
    alice: Person, headers: dict[str, str], write: str, status: int
) -> None:
    poll = alice.make_poll()
    answer = Browser().call(*writes(poll)[write], **headers)
    assert answer.status_code == status, answer.content


@pytest.mark.parametrize("write", ["vote", "change", "withdraw", "token", "ticket"])
@pytest.mark.parametrize("headers", FROM_ELSEWHERE, ids=str)
def test_cookie_does_not_write_from_elsewhere(
    alice: Person, headers: dict[str, str], write: str
) -> None:
    poll, rows = alice.make_poll(), stored_rows()
    answer = Browser().call(*writes(poll)[write], **headers)
    assert_problem(answer, 403, "csrf_failed")
    assert "voter" not in answer.cookies
    assert stored_rows() == {**rows, "polls_poll": 1}


@pytest.mark.parametrize("headers", [*FROM_HERE, *FROM_ELSEWHERE], ids=str)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_cookie_always_reads(alice: Person, method: str, headers: dict[str, str]) -> None:
    poll, browser = alice.make_poll(results_visibility="after_vote"), Browser()
    browser.vote(poll, 1, **HERE)
    for path in (poll["links"]["vote"], poll["links"]["results"], poll["links"]["self"]):
        assert browser.call(method, path, **headers).status_code == 200
    if method == "GET":
        own = browser.get(poll["links"]["vote"], **headers).json()
        assert own["choices"] == [poll["options"][1]["id"]]


def test_header_wins_over_the_cookie(alice: Person) -> None:
    poll, browser, header = alice.make_poll(), Browser(), voter().headers
    token = header["X-Voter-Token"]
    for headers in ({}, HERE):
        status = 201 if not headers else 409
        assert browser.vote(poll, 0, X_Voter_Token=token, **headers).status_code == status
    assert browser.get(poll["links"]["vote"]).json() == {"voted": False}
    assert browser.get(poll["links"]["vote"], X_Voter_Token=token).json()["voted"] is True
    answer = browser.vote(poll, 0, X_Voter_Token=forged(token), **HERE)
    assert_problem(answer, 401, "voter_token_invalid")


def test_cookie_from_elsewhere_does_not_hinder_where_no_device_is_asked_for(
    alice: Person,
) -> None:
    browser = Browser()
    poll = alice.make_poll(identity="open")
    assert browser.vote(poll, 0, Origin="https://evil.example").status_code == 201
    poll = alice.make_poll(identity="account")
    answer = browser.vote(poll, 0, **{**alice.headers, "Origin": "https://evil.example"})
    assert answer.status_code == 201


# -- one's own vote --------------------------------------------------------------------------


@pytest.mark.parametrize("identity", ["device", "account", "open"])
def test_voter_is_told_whether_and_how_they_have_voted(alice: Person, identity: str) -> None:
    poll = alice.make_poll(identity=identity, kind="multiple", options=texts("a", "b", "c"))
    somebody = Person(alice.user, device=True)
    somebody.headers["Idempotency-Key"] = new_key()
    path = poll["links"]["vote"]
    assert somebody.get(path).json() == {"voted": False}
    receipt = somebody.vote(poll, 2, 0).json()["receipt"]
    ids = [option["id"] for option in poll["options"]]
    expected = {"voted": True, "receipt": receipt, "choices": [ids[0], ids[2]]}
    for _ in range(2):
        answer = somebody.get(path)
        assert (answer.status_code, answer.json()) == (200, expected)
        assert answer.headers["Cache-Control"] == "private, no-store"
        alice.close(poll)
    stranger = Person(device=True)
    stranger.headers["Idempotency-Key"] = new_key()
    if identity == "account":
        assert_problem(stranger.get(path), 401, "authentication_required")
    else:
        assert stranger.get(path).json() == {"voted": False}


def test_own_vote_is_told_where_results_are_hidden(alice: Person) -> None:
    poll, somebody = alice.make_poll(results_visibility="owner"), voter()
    receipt = somebody.vote(poll, 0).json()["receipt"]
    own = somebody.get(poll["links"]["vote"]).json()
    assert own == {"voted": True, "receipt": receipt, "choices": [poll["options"][0]["id"]]}


@pytest.mark.parametrize(
    ("identity", "headers", "status", "code"),
    [
        ("device", {}, 401, "voter_token_required"),
        ("device", {"X-Voter-Token": "x" * 44}, 401, "voter_token_invalid"),
        ("device", {"Authorization": "Bearer x"}, 401, "authentication_required"),
        ("account", {}, 401, "authentication_required"),
        ("account", {"Authorization": "Bearer x"}, 401, "authentication_required"),
        ("open", {}, 401, "voter_token_required"),
        ("open", {"X-Voter-Token": "{a token}"}, 401, "voter_token_required"),
    ],
    ids=str,
)
def test_whoever_cannot_be_told_apart_is_told_nothing(
    alice: Person, identity: str, headers: dict[str, str], status: int, code: str
) -> None:
    poll = alice.make_poll(identity=identity)
    headers = {
        name: text.format_map({"a token": issue_voter_token()}) for name, text in headers.items()
    }
    assert_problem(Person().get(poll["links"]["vote"], **headers), status, code)
    alice.delete(poll["links"]["self"])
    assert_problem(Person().get(poll["links"]["vote"], **headers), 404, "not_found")


def test_draft_owner_alone_may_ask_in_a_draft(alice: Person, bob: Person) -> None:
    poll = alice.make_poll(status="draft", identity="account")
    assert alice.get(poll["links"]["vote"]).json() == {"voted": False}
    for person in (bob, voter(), Person()):
        assert_problem(person.get(poll["links"]["vote"]), 404, "not_found")


# -- live tickets ----------------------------------------------------------------------------


def test_ticket_is_issued_to_accounts_and_voters_for_a_minute(alice: Person) -> None:
    polls = [alice.make_poll()["id"] for _ in range(2)]
    for person in (alice, voter()):
        answer = person.post("/api/v1/live-tickets/", {"polls": polls})
        row = LiveTicket.objects.order_by("-expires_at").first()
        assert row is not None
        expires_at = row.expires_at.isoformat().replace("+00:00", "Z")
        ticket = answer.json()["ticket"]
        assert (answer.status_code, answer.json()) == (
            201,
            {"ticket": ticket, "expires_at": expires_at},
        )
        assert row.polls == polls
        assert ticket.encode() not in bytes(row.ticket_hash)
        row.delete()


@pytest.mark.parametrize(
    ("headers", "polls", "status", "code"),
    [
        ({}, ["{poll}"], 401, "voter_token_required"),
        ({"X-Voter-Token": "x" * 44}, ["{poll}"], 401, "voter_token_invalid"),
        ({"Authorization": "Bearer x"}, ["{poll}"], 401, "authentication_required"),
        ({"X-Voter-Token": "{token}"}, ["{poll}", "{draft}"], 404, "not_found"),
        ({"X-Voter-Token": "{token}"}, ["{poll}", "{token}"], 404, "not_found"),
        ({"X-Voter-Token": "{token}"}, ["urn:uuid:{poll}"], 404, "not_found"),
        ({"X-Voter-Token": "{token}"}, [], 400, "malformed"),
        ({"X-Voter-Token": "{token}"}, ["{poll}"] * 101, 400, "malformed"),
    ],
)
def test_ticket_is_refused(
    alice: Person, headers: dict[str, str], polls: list[str], status: int, code: str
) -> None:
    names = {
        "poll": alice.make_poll()["id"],
        "draft": alice.make_poll(status="draft")["id"],
        "token": issue_voter_token(),
    }
    sent = {name: value.format(**names) for name, value in headers.items()}
    body = {"polls": [poll.format(**names) for poll in polls]}
    answer = Person().post("/api/v1/live-tickets/", body, **sent)
    count = ("polls", "count", "A ticket is for 1 to 100 polls.")
    assert_problem(answer, status, code, errors=[count] if code == "malformed" else [])
    assert not LiveTicket.objects.exists()


def test_count_is_untouched_by_everything_that_asks(alice: Person) -> None:
    poll, somebody = alice.make_poll(), voter()
    somebody.vote(poll, 0)
    before = alice.get(poll["links"]["results"]).json()
    for _ in range(2):
        somebody.get(poll["links"]["vote"])
        somebody.post("/api/v1/live-tickets/", {"polls": [poll["id"]]})
        somebody.post(VOTERS)
    assert alice.get(poll["links"]["results"]).json() == before
    assert votes_of(alice, poll) == [1, 0]
