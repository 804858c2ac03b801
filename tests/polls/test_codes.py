"""Voting codes: made for a poll, typed by people, each good for one vote and kept as its HMAC."""

import re
import statistics
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from polls.domain import codes, lifecycle, purge, rate_limits
from polls.domain.ballot_paper import load_ballot_paper
from polls.domain.codes import Presented, canonical_code, find_many
from polls.domain.database import clock
from polls.domain.rate_limits import Rate, guess_code
from polls.models import Participation, Poll, PollKey, VotingCode
from tests.cast import Person, assert_problem, new_key, voter, votes_of
from tests.live import Caller, Server
from tests.polls.by_code import make_codes, vote_by
from tests.polls.kept import all_that_is_kept, assert_not_kept
from tests.polls.stacks import on_postgres_alone
from tests.polls.test_rate_limits_live import Hasty, serving
from tests.polls.test_reset import reset_by
from tests.polls.threads import together
from tests.realtime.client import dashboard, error_of, results_of, snapshot_of, ticket_for
from tests.stack import STACK

UNKNOWN = "0000-0000-0000-0000"
FORMAT = re.compile(r"[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}")


def give(poll: dict[str, Any], code: str) -> None:
    """Let a poll have this very code."""
    paper = load_ballot_paper(Poll.objects.get(id=poll["id"]))
    known = canonical_code(code)
    assert known is not None
    VotingCode.objects.create(poll_id=poll["id"], code_hash=paper.code_hash(known))


# -- making them -------------------------------------------------------------------------------


def test_codes_are_made_for_the_owner(alice: Person) -> None:
    poll = alice.make_poll(identity="code")
    answer = alice.post(f"{poll['links']['self']}codes/", {"count": 3})
    assert answer.status_code == 201
    assert list(answer.json()) == ["codes"]
    assert "no-store" in answer.headers["Cache-Control"]
    made = answer.json()["codes"]
    assert len(set(made)) == 3
    assert all(FORMAT.fullmatch(code) for code in made)
    assert VotingCode.objects.filter(poll=poll["id"]).count() == 3
    # No answer shows them again.
    for link in ("", "results/", "timeline/", "integrity/", "votes/"):
        said = alice.get(f"{poll['links']['self']}{link}").content.decode()
        assert not [code for code in made if code in said or code.replace("-", "") in said]
    assert alice.get(f"{poll['links']['self']}codes/").status_code == 405


def test_codes_are_made_by_nobody_else(alice: Person, bob: Person, charlie: Person) -> None:
    poll = alice.make_poll(identity="code")
    link = f"{poll['links']['self']}codes/"
    assert_problem(bob.post(link, {"count": 1}), 404, "not_found")
    assert_problem(charlie.post(link, {"count": 1}), 401, "authentication_required")
    assert_problem(voter().post(link, {"count": 1}), 401, "authentication_required")
    unknown = f"/api/v1/polls/{uuid.uuid4()}/codes/"
    assert_problem(alice.post(unknown, {"count": 1}), 404, "not_found")
    assert not VotingCode.objects.exists()


@pytest.mark.parametrize("count", [0, -1, 10_001, 2**31, 2**63 - 1])
def test_so_many_codes_are_not_made_at_once(alice: Person, count: int) -> None:
    poll = alice.make_poll(identity="code")
    answer = alice.post(f"{poll['links']['self']}codes/", {"count": count})
    fault = ("count", "out_of_range", "It lies between 1 and 10,000.")
    assert_problem(answer, 400, "malformed", errors=[fault])
    assert not VotingCode.objects.exists()


def test_ten_thousand_codes_are_made_at_once(alice: Person) -> None:
    poll = alice.make_poll(identity="code")
    made = make_codes(alice, poll, 10_000)
    assert len(set(made)) == VotingCode.objects.count() == 10_000
    assert vote_by(made[-1], poll, 0).status_code == 201
    # Eighty random bits: any of 32 characters at any of 16 places.
    signs = [Counter(code.replace("-", "")[place] for code in made) for place in range(16)]
    assert all(len(counted) == 32 for counted in signs)
    assert all(
        200 < min(counted.values()) < 10_000 / 32 < max(counted.values()) < 430 for counted in signs
    )


def test_many_codes_lock_the_poll_for_no_more_statements_than_few(alice: Person) -> None:
    poll_id = uuid.UUID(alice.make_poll(identity="code")["id"])
    statements = []
    for count in (10, 1000):
        with CaptureQueriesContext(connection) as caught:
            assert len(codes.make_codes(poll_id, count)) == count
        statements.append(len(caught))
    assert statements[0] == statements[1]


def test_poll_has_only_so_many_codes(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "MAX_CODES", 5)
    poll = alice.make_poll(identity="code")
    make_codes(alice, poll, 3)
    answer = alice.post(f"{poll['links']['self']}codes/", {"count": 3})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_poll")
    assert [error["field"] for error in answer.json()["errors"]] == ["count"]
    make_codes(alice, poll, 2)
    assert VotingCode.objects.count() == 5


def test_limit_of_a_poll_holds_when_codes_are_made_at_once(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "MAX_CODES", 100)
    poll = alice.make_poll(identity="code")
    link = f"{poll['links']['self']}codes/"
    answers = together(8, lambda _: alice.post(link, {"count": 30}).status_code)
    assert Counter(answers) == {201: 3, 400: 5}
    assert VotingCode.objects.count() == 90


@pytest.mark.parametrize("identity", ["open", "device", "account"])
def test_other_polls_have_no_codes(alice: Person, identity: str) -> None:
    poll = alice.make_poll(identity=identity)
    answer = alice.post(f"{poll['links']['self']}codes/", {"count": 1})
    detail = "The poll does not ask for codes."
    fault = ("identity", "no_codes", detail)
    assert_problem(answer, 400, "invalid_poll", detail=detail, errors=[fault])


def test_codes_are_made_before_and_while_a_poll_is_open_and_not_after(alice: Person) -> None:
    draft = alice.make_poll(identity="code", status="draft")
    ahead = (clock() + timedelta(hours=1)).isoformat()
    scheduled = alice.make_poll(identity="code", opens_at=ahead)
    for poll in (draft, scheduled):
        (code,) = make_codes(alice, poll)
        assert alice.open(poll).status_code == 200
        assert vote_by(code, poll, 0).status_code == 201
        make_codes(alice, poll)
        alice.close(poll)
        answer = alice.post(f"{poll['links']['self']}codes/", {"count": 1})
        assert_problem(answer, 410, "poll_closed")


def test_codes_are_kept_as_their_hmac_alone(alice: Person) -> None:
    poll = alice.make_poll(identity="code", results_visibility="after_vote")
    other = alice.make_poll(identity="code")
    code, unused = make_codes(alice, poll, 2)
    give(other, code)
    assert vote_by(code, poll, 0, Idempotency_Key=new_key()).status_code == 201
    assert vote_by(code, other, 0).status_code == 201
    ticket = Person().post("/api/v1/live-tickets/", {"polls": [poll["id"]]}, X_Voter_Code=code)
    assert ticket.status_code == 201
    for one in (code, unused):
        plain = one.replace("-", "")
        assert_not_kept(one, plain, one.lower(), plain.lower(), *one.split("-"), f"code:{plain}")
    kept = {row.code_hash: row.poll_id for row in VotingCode.objects.all()}
    # The same code is another in another poll, and its hash tells nothing of who voted.
    assert len(kept) == 3
    assert {len(bytes(code_hash)) for code_hash in kept} == {32}
    voted = {bytes(row.voter_key) for row in Participation.objects.all()}
    assert not voted & {bytes(code_hash) for code_hash in kept}
    assert bytes(next(iter(kept))).hex() in all_that_is_kept()  # the scan finds what is there


# -- typing them -------------------------------------------------------------------------------

TYPED = "7Q2M-01XK-D0GH-9ABZ"


@pytest.mark.parametrize(
    "typed",
    [
        TYPED,
        TYPED.lower(),
        TYPED.replace("-", ""),
        TYPED.replace("-", " "),
        f"  {TYPED}  ",
        "7q2m01xkd0gh9abz",
        "7-Q-2-M-0-1-X-K-D-0-G-H-9-A-B-Z",
        "7Q2M-OIXK-DOGH-9ABZ",
        "7q2m-olxk-dogh-9abz",
        "7Q2M-oiXK-D0GH-9aBz",
        TYPED.replace("-", " - "),
    ],
)
def test_code_is_good_however_it_is_typed(alice: Person, typed: str) -> None:
    poll = alice.make_poll(identity="code")
    give(poll, TYPED)
    assert vote_by(typed, poll, 0).status_code == 201
    assert vote_by(TYPED, poll, 0).status_code == 403
    asked = Person().get(poll["links"]["vote"], X_Voter_Code=typed)
    assert asked.json()["voted"] is True


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "-",
        TYPED[:-1],
        TYPED + "0",
        TYPED.replace("Z", "U"),
        TYPED.replace("Z", "!"),
        TYPED.replace("0", "\N{FULLWIDTH DIGIT ZERO}"),
        TYPED.replace("K", "\N{KELVIN SIGN}"),
        TYPED.replace("-", "\N{EN DASH}"),
        TYPED.replace("-", "\t"),
        TYPED + " " * 40,
        "0" * 3000,
    ],
)
def test_what_cannot_be_a_code_is_told_like_an_unknown_one(alice: Person, typed: str) -> None:
    poll = alice.make_poll(identity="code")
    give(poll, TYPED)
    answer = vote_by(typed, poll, 0)
    assert_problem(answer, 403, "code_invalid")
    assert answer.content == vote_by(UNKNOWN, poll, 0).content


@pytest.mark.parametrize("code", [1234, None, ["A"], True])
def test_code_of_another_type_is_malformed(alice: Person, code: object) -> None:
    poll = alice.make_poll(identity="code")
    answer = Person().post(poll["links"]["vote"], {"choices": [], "code": code})
    fault = ("code", "wrong_type", "It must be a text.")
    assert_problem(answer, 400, "malformed", detail=fault[2], errors=[fault])


# -- voting with them --------------------------------------------------------------------------


@pytest.mark.parametrize("secrecy", ["confidential", "secret"])
def test_code_votes_once_and_its_retry_is_known(alice: Person, secrecy: str) -> None:
    poll = alice.make_poll(identity="code", secrecy=secrecy)
    (code,), key = make_codes(alice, poll), new_key()
    first = vote_by(code, poll, 0, Idempotency_Key=key)
    assert first.status_code == 201
    for closed in (False, True):
        if closed:
            alice.close(poll)
        again = vote_by(code.lower(), poll, 0, Idempotency_Key=key)
        assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
        assert again.json()["receipt"] == first.json()["receipt"]
        other = vote_by(code, poll, 1, Idempotency_Key=key)
        if secrecy == "secret":  # which keeps no key to tell it by
            assert_problem(other, 403, "code_invalid")
        else:
            assert_problem(other, 422, "idempotency_key_reused")
    assert votes_of(alice, poll) == [1, 0]
    assert alice.get(f"{poll['links']['self']}integrity/").json()["equal"]


@pytest.mark.parametrize("when", ["open", "closed"])
@pytest.mark.parametrize("secrecy", ["confidential", "secret"])
def test_used_and_unknown_codes_are_told_alike(alice: Person, secrecy: str, when: str) -> None:
    poll = alice.make_poll(identity="code", secrecy=secrecy)
    keyed, keyless = make_codes(alice, poll, 2)
    assert vote_by(keyed, poll, 0, Idempotency_Key=new_key()).status_code == 201
    assert vote_by(keyless, poll, 0).status_code == 201
    if when == "closed":
        alice.close(poll)
    link = poll["links"]["vote"]
    bodies: list[dict[str, Any]] = [
        {"choices": [poll["options"][0]["id"]]},
        {"choices": [poll["options"][1]["id"]]},
        {"choices": [option["id"] for option in poll["options"]]},
        {"choices": []},
        {"choices": [str(uuid.uuid4())]},
        {"choices": [["nested"]]},
        {"scores": {poll["options"][0]["id"]: 1}},
        {},
    ]
    for body in bodies:
        for headers in ({}, {"Idempotency_Key": "k" * 20}):
            answers = [
                Person().post(link, {**body, "code": code}, **headers)
                for code in (UNKNOWN, keyed, keyless)
            ]
            assert_problem(answers[0], 403, "code_invalid")
            for answer in answers[1:]:
                assert answer.content == answers[0].content, body
                assert sorted(answer.headers.items()) == sorted(answers[0].headers.items())
    assert votes_of(alice, poll) == [2, 0]


def test_unused_code_is_told_what_is_wrong(alice: Person) -> None:
    poll = alice.make_poll(identity="code")
    (code,) = make_codes(alice, poll)
    wrong = vote_by(code, poll)
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_ballot")
    alice.close(poll)
    assert_problem(vote_by(code, poll, 0), 410, "poll_closed")


def test_vote_by_code_in_a_poll_that_the_process_knows_asks_for_the_code_alone(
    alice: Person,
) -> None:
    poll = alice.make_poll(identity="code")
    first, second = make_codes(alice, poll, 2)
    assert vote_by(first, poll, 0).status_code == 201
    with CaptureQueriesContext(connection) as caught:  # the box has another connection
        assert vote_by(second, poll, 0).status_code == 201
    assert len(caught) == 2


def test_vote_without_a_code_is_refused(alice: Person) -> None:
    poll = alice.make_poll(identity="code")
    (code,) = make_codes(alice, poll)
    for person in (Person(), voter(), alice):
        assert_problem(person.vote(poll, 0), 403, "code_invalid")
    # Where there is a body, the code is in it.
    assert_problem(Person().vote(poll, 0, X_Voter_Code=code), 403, "code_invalid")
    assert vote_by(code, poll, 0).status_code == 201


def test_code_of_one_poll_is_unknown_in_another(alice: Person) -> None:
    poll, other = alice.make_poll(identity="code"), alice.make_poll(identity="code")
    (code,) = make_codes(alice, poll)
    assert vote_by(code, other, 0).content.replace(other["id"].encode(), b"") == vote_by(
        UNKNOWN, poll, 0
    ).content.replace(poll["id"].encode(), b"")
    assert vote_by(code, poll, 0).status_code == 201


@pytest.mark.parametrize("door", ["", "?by=django"])
@pytest.mark.parametrize("identity", ["open", "device"])
def test_code_where_none_is_asked_for_is_an_invalid_ballot(
    uvicorn: Server, identity: str, door: str
) -> None:
    poll = uvicorn.sign_up().make_poll(identity=identity)
    body = {"choices": [poll["options"][0]["id"]], "code": TYPED}
    answer = uvicorn.voter().post(poll["links"]["vote"] + door, body)
    detail = "This poll does not ask for a code."
    fault = ("code", "wrong_shape", detail)
    assert_problem(answer, 400, "invalid_ballot", detail=detail, errors=[fault])


@pytest.mark.parametrize("secrecy", ["confidential", "secret"])
def test_code_that_votes_at_once_is_counted_once(alice: Person, secrecy: str) -> None:
    poll = alice.make_poll(identity="code", secrecy=secrecy)
    (code,), key = make_codes(alice, poll), new_key()
    answers = together(16, lambda place: vote_by(code, poll, place % 2, Idempotency_Key=new_key()))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 403: 15}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 403} == {
        "code_invalid"
    }
    (code,) = make_codes(alice, poll)
    answers = together(16, lambda _: vote_by(code, poll, 0, Idempotency_Key=key))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 15}
    assert len({answer.json()["receipt"] for answer in answers}) == 1
    assert sum(votes_of(alice, poll)) == 2


def test_code_changes_and_withdraws_its_vote(alice: Person) -> None:
    poll = alice.make_poll(identity="code", allow_change=True)
    code, unused = make_codes(alice, poll, 2)
    link, key = poll["links"]["vote"], new_key()
    other = {"choices": [poll["options"][1]["id"]], "code": code}
    vote_by(code, poll, 0, Idempotency_Key=key)
    assert Person().call("PUT", link, other).status_code == 200
    assert votes_of(alice, poll) == [0, 1]
    assert_problem(Person().delete(link), 403, "code_invalid")
    assert_problem(Person().delete(link, X_Voter_Code=UNKNOWN), 403, "code_invalid")
    assert_problem(Person().delete(link, X_Voter_Code=unused), 404, "no_vote")
    assert Person().delete(link, X_Voter_Code=code).status_code == 204
    assert votes_of(alice, poll) == [0, 0]
    late = vote_by(code, poll, 0, Idempotency_Key=key)
    assert (late.status_code, late.json()["withdrawn"]) == (200, True)
    assert_problem(vote_by(code, poll, 0, Idempotency_Key=new_key()), 403, "code_invalid")
    unknown = Person().call("PUT", link, {**other, "code": UNKNOWN})
    assert_problem(unknown, 403, "code_invalid")
    assert Person().call("PUT", link, other).status_code == 200
    assert votes_of(alice, poll) == [0, 1]


# -- asking with them --------------------------------------------------------------------------


def test_own_vote_is_told_to_whoever_has_the_code(alice: Person) -> None:
    poll = alice.make_poll(identity="code")
    code, unused = make_codes(alice, poll, 2)
    receipt = vote_by(code, poll, 0).json()["receipt"]
    link = poll["links"]["vote"]
    answer = Person().get(link, X_Voter_Code=code.lower())
    assert "no-store" in answer.headers["Cache-Control"]
    assert answer.json() == {
        "voted": True,
        "receipt": receipt,
        "choices": [poll["options"][0]["id"]],
    }
    assert Person().get(link, X_Voter_Code=unused).json() == {"voted": False}
    assert_problem(Person().get(link), 403, "code_invalid")
    assert_problem(Person().get(link, X_Voter_Code=UNKNOWN), 403, "code_invalid")
    assert_problem(alice.get(link), 403, "code_invalid")


@pytest.mark.parametrize("secrecy", ["confidential", "secret"])
@pytest.mark.parametrize("what", ["results", "timeline"])
def test_results_after_the_vote_are_for_codes_that_have_voted(
    alice: Person, what: str, secrecy: str
) -> None:
    poll = alice.make_poll(identity="code", results_visibility="after_vote", secrecy=secrecy)
    code, unused = make_codes(alice, poll, 2)
    link = f"{poll['links']['self']}{what}/"
    hidden = Person().get(link, X_Voter_Code=code)
    assert (hidden.status_code, hidden.json()["code"]) == (403, "results_hidden")
    voted = vote_by(code, poll, 0)
    assert voted.json()["results"]["ballots"] == 1
    assert Person().get(link, X_Voter_Code=code).status_code == 200
    for headers in ({}, {"X_Voter_Code": unused}, {"X_Voter_Code": UNKNOWN}, {"X_Voter_Code": "?"}):
        assert Person().get(link, **headers).content == hidden.content
    alice.close(poll)
    assert Person().get(link).status_code == 200


def test_ticket_makes_a_socket_see_what_the_code_may_see(uvicorn: Server) -> None:
    host = uvicorn.sign_up()
    poll = host.make_poll(identity="code", results_visibility="after_vote")
    other = host.make_poll(identity="code", results_visibility="after_vote")
    code, unused = host.post(f"{poll['links']['self']}codes/", {"count": 2}).json()["codes"]
    body = {"choices": [poll["options"][0]["id"]], "code": code}
    assert Caller(uvicorn).post(poll["links"]["vote"], body).status_code == 201
    mine, idle = (Caller(uvicorn, {"X-Voter-Code": one}) for one in (code, unused))
    with dashboard(uvicorn, poll, ticket=ticket_for(mine, poll)) as screen:
        assert screen.frame() == snapshot_of(results_of(mine, poll))
    rule = "They are shown after you have voted, and to everybody after closing."
    with dashboard(uvicorn, poll, ticket=ticket_for(idle, poll)) as screen:
        assert screen.end() == ([error_of(poll, "results_hidden", rule)], 4403)
    both = mine.post("/api/v1/live-tickets/", {"polls": [poll["id"], other["id"]]})
    with dashboard(uvicorn, other, ticket=both.json()["ticket"]) as screen:
        assert screen.end() == ([error_of(other, "results_hidden", rule)], 4403)
    for headers in ({"X-Voter-Code": UNKNOWN}, {"X-Voter-Code": "?"}):
        refused = Caller(uvicorn, headers).post("/api/v1/live-tickets/", {"polls": [poll["id"]]})
        assert_problem(refused, 403, "code_invalid")


# -- guessing at them --------------------------------------------------------------------------

LIMIT, OF_POLL = 20, 30


class Strict(Hasty):
    """A server that lets few unknown codes be tried."""

    changes = (
        f'settings.RATE_LIMITS["failed_codes_from_source"] = ({LIMIT}, 60)\n'
        f'settings.RATE_LIMITS["failed_codes_of_poll"] = ({OF_POLL}, 60)'
    )


class Careless(Strict):
    """One that looks at the count first and, a while later, does not ask it again: the control."""

    changes = f"""{Strict.changes}
import time
def count_and_tell(self):
    time.sleep(0.05)
    for rate, whose in self._counted:
        rate_limits.keeper().count(rate, whose)
rate_limits.Guess.wrong = count_and_tell
"""


def _guess(service: list[Server], place: int, poll: dict[str, Any], code: str, address: str) -> int:
    body = {"choices": [poll["options"][0]["id"]], "code": code}
    caller = Caller(service[place % len(service)])
    answer = caller.post(poll["links"]["vote"], body, X_Forwarded_For=address)
    if answer.status_code == 429:
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
    return answer.status_code


def _unknown(place: int) -> str:
    return f"0000-0000-0000-{place:04}"


@pytest.mark.parametrize("processes", [1, 2] if STACK == "servers" else [1])
def test_row_18_200_guesses_at_once_over_the_limit_of_a_source_are_not_told(processes: int) -> None:
    with serving(Strict, processes=processes, TRUSTED_PROXIES="127.0.0.1") as service:
        host = service[0].sign_up()
        poll = host.make_poll(identity="code")
        made = host.post(f"{poll['links']['self']}codes/", {"count": 40}).json()["codes"]
        told = Counter(
            together(200, lambda n: _guess(service, n, poll, _unknown(n), "203.0.113.9"))
        )
        assert told == {403: LIMIT, 429: 200 - LIMIT}
        # Nor is anybody there told whether a code is right.
        assert _guess(service, 0, poll, made[0], "203.0.113.9") == 429
        assert _guess(service, 0, poll, made[0], "203.0.113.10") == 201
        # From many sources, the poll's own limit holds.
        told = Counter(
            together(200, lambda n: _guess(service, n, poll, _unknown(n), f"198.51.100.{n}"))
        )
        assert told == {403: OF_POLL - LIMIT, 429: 200 - OF_POLL + LIMIT}
        assert _guess(service, 0, poll, made[1], "192.0.2.1") == 429
        other = host.make_poll(identity="code")
        assert _guess(service, 0, other, _unknown(0), "192.0.2.1") == 403


def test_row_18_control_without_the_count_that_decides_more_are_told() -> None:
    with serving(Careless, TRUSTED_PROXIES="127.0.0.1") as service:
        poll = service[0].sign_up().make_poll(identity="code")
        told = Counter(
            together(200, lambda n: _guess(service, n, poll, _unknown(n), "203.0.113.9"))
        )
        assert told[403] > LIMIT


def test_row_18_code_that_is_right_is_not_counted(alice: Person, only: Any) -> None:
    only(Rate.FAILED_CODES_FROM_SOURCE)
    only(Rate.FAILED_CODES_OF_POLL)
    poll = alice.make_poll(identity="code", results_visibility="after_vote")
    made = make_codes(alice, poll, 10)
    for code in made:
        key = new_key()
        assert vote_by(code, poll, 0, Idempotency_Key=key).status_code == 201
        assert vote_by(code, poll, 0, Idempotency_Key=key).status_code == 200
        assert vote_by(code, poll, 0).status_code == 403  # used, but no guess
        assert Person().get(poll["links"]["results"], X_Voter_Code=code).status_code == 200
        assert Person().get(poll["links"]["vote"], X_Voter_Code=code).status_code == 200
    assert vote_by("no code at all", poll, 0).status_code == 403  # nor can this be one
    assert vote_by(UNKNOWN, poll, 0).status_code == 403
    assert vote_by(UNKNOWN, poll, 0).status_code == 429


ASKING: dict[str, Callable[[dict[str, Any], str], Any]] = {
    "vote": lambda poll, code: vote_by(code, poll, 0),
    "change": lambda poll, code: Person().call(
        "PUT", poll["links"]["vote"], {"choices": [poll["options"][0]["id"]], "code": code}
    ),
    "withdraw": lambda poll, code: Person().delete(poll["links"]["vote"], X_Voter_Code=code),
    "own vote": lambda poll, code: Person().get(poll["links"]["vote"], X_Voter_Code=code),
    "results": lambda poll, code: Person().get(poll["links"]["results"], X_Voter_Code=code),
    "timeline": lambda poll, code: Person().get(
        f"{poll['links']['self']}timeline/", X_Voter_Code=code
    ),
    "ticket": lambda poll, code: Person().post(
        "/api/v1/live-tickets/", {"polls": [poll["id"]]}, X_Voter_Code=code
    ),
}


@pytest.mark.parametrize("door", ASKING)
def test_row_18_guess_counts_at_every_door(alice: Person, only: Any, door: str) -> None:
    only(Rate.FAILED_CODES_FROM_SOURCE, 2)
    poll = alice.make_poll(identity="code", results_visibility="after_vote", allow_change=True)
    (code,) = make_codes(alice, poll)
    answers = [ASKING[door](poll, UNKNOWN) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [403, 403, 429]
    for ask in ASKING.values():
        assert ask(poll, code).status_code == 429


def test_row_18_ticket_is_one_guess_at_each_of_its_polls_that_could_know_the_code(
    alice: Person, only: Any
) -> None:
    only(Rate.FAILED_CODES_FROM_SOURCE, 3)
    polls = [alice.make_poll(identity="code")["id"] for _ in range(2)]
    mine = alice.make_poll(identity="code")
    (code,) = make_codes(alice, mine)

    def ticket(code: str, *named: str) -> int:
        body = {"polls": list(named)}
        return int(Person().post("/api/v1/live-tickets/", body, X_Voter_Code=code).status_code)

    for _ in range(5):  # right at one of them, it is no guess at the others
        assert ticket(code, mine["id"], *polls) == 201
    assert ticket(UNKNOWN, *[polls[0]] * 50, polls[0].upper()) == 403
    assert ticket(UNKNOWN, *polls) == 403
    assert ticket(UNKNOWN, *polls) == ticket(code, mine["id"]) == 429


# -- many at once ------------------------------------------------------------------------------


def _presented(poll: dict[str, Any], code: str, network: str = "203.0.113.9") -> Presented:
    paper = load_ballot_paper(Poll.objects.get(id=poll["id"]))
    plain = code.replace("-", "")
    return Presented(paper.poll_id, paper.code_hash(plain), paper.voter_key(plain), network)


def test_row_18_codes_that_come_together_are_told_apart(alice: Person, only: Any) -> None:
    only(Rate.FAILED_CODES_FROM_SOURCE)
    only(Rate.FAILED_CODES_OF_POLL, 3)
    poll, other = alice.make_poll(identity="code"), alice.make_poll(identity="code")
    keyed, keyless, unused = (_presented(poll, code) for code in make_codes(alice, poll, 3))
    foreign, unknown = _presented(other, make_codes(alice, poll)[0]), _presented(poll, UNKNOWN)
    good = _presented(other, make_codes(alice, other)[0])
    rows = [
        Participation(
            poll_id=one.poll_id,
            voter_key=one.voter_key,
            first_key_hash=key_hash,
            counted_at=clock(),
        )
        for one, key_hash in ((keyed, b"k" * 32), (keyless, None))
    ]
    Participation.objects.bulk_create(rows)
    found = find_many([keyed, keyless, unused, foreign, unknown, good])
    assert {one: (what.is_used, what.key_hash) for one, what in found.items()} == {
        keyed: (True, b"k" * 32),
        keyless: (True, None),
        unused: (False, None),
        good: (False, None),
    }
    assert found[keyed].is_retry(b"k" * 32)
    assert not any(found[one].is_retry(b"o" * 32) or found[one].is_retry(None) for one in found)
    # Where there is no more room for guesses, none is told from another.
    elsewhere = replace(unused, network="203.0.113.10")
    guess_code(keyed.poll_id, keyed.network).wrong()
    assert list(find_many([keyed, unused, elsewhere, unknown])) == [elsewhere]
    for network in ("203.0.113.20", "203.0.113.21"):
        guess_code(keyed.poll_id, network).wrong()
    assert list(find_many([elsewhere, good])) == []  # that network's, and the poll's, are used up
    elsewhere_good = replace(good, network="203.0.113.10")
    assert list(find_many([elsewhere, elsewhere_good])) == [elsewhere_good]


def test_row_09_codes_that_come_together_take_as_many_queries_whatever_they_are(
    alice: Person,
) -> None:
    poll = alice.make_poll(identity="code")
    used, *unused = make_codes(alice, poll, 100)
    assert vote_by(used, poll, 0).status_code == 201
    groups = [[used], [UNKNOWN], unused[:1], unused, [used, UNKNOWN, *unused]]
    for group in ([_presented(poll, code) for code in group] for group in groups):
        with CaptureQueriesContext(connection) as caught:
            find_many(group)
        assert len(caught) == 2


# -- what a clock tells ------------------------------------------------------------------------

PAIRS = 1000


def _differ_by(
    first: Callable[[], Any], second: Callable[[], Any], patch: pytest.MonkeyPatch, pairs: int
) -> float:
    """Return by which share of the faster one the medians of two interleaved requests differ."""
    took: tuple[list[float], list[float]] = ([], [])
    for pair in range(pairs):
        if pair % 50 == 0:  # before the limit is reached: counts are kept under another name
            name = uuid.uuid4().bytes
            patch.setattr(rate_limits, "_secret", lambda name=name: name)
        order = (0, 1) if pair % 2 else (1, 0)
        for which in order:
            began = time.perf_counter()
            answer = (first, second)[which]()
            took[which].append(time.perf_counter() - began)
            assert answer.status_code == 403
    medians = [statistics.median(times) for times in took]
    return (max(medians) - min(medians)) / min(medians)


TOLERANCE = 0.25  # on a machine with other things to do


@on_postgres_alone  # two thousand votes each, which go the same way embedded
@pytest.mark.parametrize("secrecy", ["confidential", "secret"])
def test_row_09_codes_unknown_and_used_ones_take_equally_long(
    alice: Person, secrecy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = alice.make_poll(identity="code", secrecy=secrecy)
    (used,) = make_codes(alice, poll)
    vote_by(used, poll, 0, Idempotency_Key=new_key())
    differ = _differ_by(
        lambda: vote_by(UNKNOWN, poll, 0, Idempotency_Key="k" * 20),
        lambda: vote_by(used, poll, 0, Idempotency_Key="k" * 20),
        monkeypatch,
        PAIRS,
    )
    assert differ < TOLERANCE


def test_row_09_codes_control_a_difference_is_seen(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = alice.make_poll(identity="code")
    (used,) = make_codes(alice, poll)
    vote_by(used, poll, 0)
    is_known = codes._is_known

    def look_and_linger(paper: Any, code: str) -> bool:
        known = is_known(paper, code)
        if known:
            time.sleep(0.02)
        return known

    monkeypatch.setattr(codes, "_is_known", look_and_linger)
    differ = _differ_by(
        lambda: vote_by(UNKNOWN, poll, 0), lambda: vote_by(used, poll, 0), monkeypatch, 60
    )
    assert differ > TOLERANCE


# -- what becomes of them ----------------------------------------------------------------------


@pytest.mark.parametrize("secrecy", ["confidential", "secret"])
@pytest.mark.parametrize("own_key", [True, False])
def test_reset_makes_used_codes_good_again(alice: Person, secrecy: str, *, own_key: bool) -> None:
    poll = alice.make_poll(identity="code", secrecy=secrecy)
    if not own_key:  # as polls are that were made before codes had one
        PollKey.objects.filter(poll=poll["id"]).update(code_key=None)
    used, unused = make_codes(alice, poll, 2)
    key = new_key()
    receipt = vote_by(used, poll, 0, Idempotency_Key=key).json()["receipt"]
    for _ in range(2):
        assert reset_by(alice, poll).status_code == 200
        assert Person().get(poll["links"]["vote"], X_Voter_Code=used).json() == {"voted": False}
        again = vote_by(used, poll, 0, Idempotency_Key=key)
        assert again.status_code == 201
        assert again.json()["receipt"] != receipt
    assert vote_by(unused, poll, 1).status_code == 201
    (more,) = make_codes(alice, poll)
    assert vote_by(more, poll, 1).status_code == 201
    assert votes_of(alice, poll) == [1, 2]
    assert vote_by(UNKNOWN, poll, 0).status_code == 403


def test_codes_go_with_their_poll(alice: Person) -> None:
    poll, other = alice.make_poll(identity="code"), alice.make_poll(identity="code")
    (code,), (kept,) = make_codes(alice, poll), make_codes(alice, other)
    vote_by(code, poll, 0)
    lifecycle.delete_poll(uuid.UUID(poll["id"]))
    assert_problem(vote_by(code, poll, 0), 404, "not_found")
    Poll.objects.filter(id=poll["id"]).update(deleted_at=clock() - timedelta(seconds=61))
    purge.purge_deleted_polls()
    assert not Poll.objects.filter(id=poll["id"]).exists()
    assert [row.poll_id for row in VotingCode.objects.all()] == [uuid.UUID(other["id"])]
    assert vote_by(kept, other, 0).status_code == 201
