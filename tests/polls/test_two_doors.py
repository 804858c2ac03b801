"""Nobody can tell by an answer whether the express door gave it or Django."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from django.db.utils import OperationalError

from polls import express
from polls.answers import receipt_answer
from polls.domain import ballot_box
from polls.domain.ballot_box import BallotBox, OutcomeUnknownError
from polls.domain.outcomes import Outcome
from polls.domain.statements import Cast
from polls.domain.voters import issue_voter_token
from polls.domain.voting import Receipt
from polls.messages import Answer
from tests.cast import Person
from tests.polls import (
    two_doors_bodies,
    two_doors_changes,
    two_doors_codes,
    two_doors_heads,
    two_doors_polls,
    two_doors_results,
    two_doors_rungs,
    two_doors_withdrawals,
)
from tests.polls.two_doors import (
    DEVICE,
    FIRST,
    JSON,
    KEY,
    RESULTS,
    VOTES,
    Doors,
    Said,
    Text,
    said,
    two_doors,
)
from tests.polls.two_doors_rows import Row
from tests.polls.two_doors_scenes import Scene

TABLES: dict[str, list[Row]] = {
    "polls": two_doors_polls.POLLS,
    "keys": two_doors_polls.KEYS,
    "ballots": two_doors_bodies.BALLOTS,
    "types": two_doors_bodies.TYPES,
    "voters": two_doors_heads.WHO,
    "ways": two_doors_heads.WAYS,
    "replaced votes": two_doors_changes.PUTS,
    "withdrawn votes": two_doors_withdrawals.DELETES,
    "late retries": two_doors_withdrawals.LATE,
    "network caps": two_doors_rungs.CAPS,
    "secret polls": two_doors_rungs.SECRETS,
    "codes": two_doors_codes.CODES,
    "results": two_doors_results.READING,
    "caches": two_doors_results.CACHES,
    "rules": two_doors_results.RULES,
}


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    """Both doors, for the whole module."""
    with two_doors() as found:
        yield found


def _summary(answer: Said) -> str:
    """Return the status, and the code of a problem."""
    if not answer.body or answer.status < 400:
        return str(answer.status)
    return f"{answer.status} {json.loads(answer.body)['code']}"


@dataclass
class Stage:
    """An organiser whose polls both doors are asked about."""

    alice: Person
    doors: Doors
    _scenes: dict[str, list[Scene]] = field(default_factory=dict)

    def ask_both(
        self, row: Row, meanwhile: Callable[[], object] = lambda: None
    ) -> tuple[str, Said, Said]:
        """Return who answered with the express door open, that answer, and Django's.

        What is done meanwhile comes after the situation was made.
        """
        ours, theirs = self._scenes_of(row)
        meanwhile()
        sent, again = (
            scene.request(row.method, row.target, row.headers, row.body, row.host)
            for scene in (ours, theirs)
        )
        answer, door = self.doors.ask(sent, row.method)
        expected = self.doors.closed.ask(again, row.method)
        return door, said(answer, ours.names), said(expected, theirs.names)

    def _scenes_of(self, row: Row) -> list[Scene]:
        """Return two equal situations, the same again for rows that leave them as they are."""
        name = f"{row.happened}: {row.poll}"
        if not row.leaves_all_as_it_is or name not in self._scenes:
            self._scenes[name] = [Scene(self.alice, row.poll, row.happened) for _ in range(2)]
        return self._scenes[name] if row.leaves_all_as_it_is else self._scenes.pop(name)


@pytest.fixture
def stage(alice: Person, doors: Doors) -> Stage:
    """Both doors, and the polls of one test."""
    return Stage(alice, doors)


def _differences(found: Said, expected: Said) -> list[object]:
    """Return what only one of two answers says, ours first."""
    pairs = ((found, expected), (expected, found))
    headers = [[line for line in one.headers if line not in other.headers] for one, other in pairs]
    return [*headers, *((one.status, one.body) for one, other in pairs if one.body != other.body)]


@pytest.mark.parametrize("rows", TABLES.values(), ids=TABLES)
def test_both_doors_give_the_same_answer(stage: Stage, rows: list[Row]) -> None:
    doors, answers, differences = {}, {}, {}
    for row in rows:
        door, found, expected = stage.ask_both(row)
        doors[row.name], answers[row.name] = door, _summary(found)
        if found != expected:
            differences[row.name] = found, expected
    assert {name: _differences(*both) for name, both in differences.items()} == {}
    assert doors == {row.name: row.door for row in rows}
    assert answers == {row.name: row.answer for row in rows}


def test_names_of_the_table_are_its_rows() -> None:
    names = [row.name for rows in TABLES.values() for row in rows]
    assert sorted(set(names)) == sorted(names)


# -- when a vote cannot be stored ---------------------------------------------------------------


def _gone(casts: Sequence[Cast]) -> list[Outcome]:
    del casts
    raise OperationalError("server closed the connection unexpectedly")


def _unknown(casts: Sequence[Cast]) -> list[Outcome]:
    del casts
    raise OutcomeUnknownError


def _broken(casts: Sequence[Cast]) -> list[Outcome]:
    del casts
    raise ValueError("nobody has thought of this")


@pytest.mark.parametrize(
    ("box", "answer"),
    [
        (BallotBox(queue_limit=0), "503 overloaded"),
        (BallotBox(_gone), "503 unavailable"),
        (BallotBox(_unknown), "503 outcome_unknown"),
        (BallotBox(_broken), "500 internal_error"),
    ],
    ids=["queue full", "database gone", "commit without answer", "fault"],
)
def test_both_doors_tell_alike_why_a_vote_is_not_stored(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, box: BallotBox, answer: str
) -> None:
    row = Row("not stored", "express", answer)
    door, found, expected = stage.ask_both(
        row, lambda: monkeypatch.setattr(ballot_box._process, "box", box)
    )
    monkeypatch.undo()
    box.close()
    assert found == expected
    assert (door, _summary(found)) == (row.door, row.answer)


def test_both_doors_tell_alike_that_the_service_is_being_restarted(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = BallotBox()
    closed.close()
    row = Row("restart", "express", "503 unavailable")
    door, found, expected = stage.ask_both(
        row, lambda: monkeypatch.setattr(ballot_box._process, "box", closed)
    )
    assert found == expected
    assert (door, _summary(found)) == (row.door, row.answer)


# -- the other way round ------------------------------------------------------------------------


def test_what_most_people_send_never_reaches_django(alice: Person, doors: Doors) -> None:
    """A door that took nothing would give the same answers as Django, too."""
    ours, others = Scene(alice, {}, ""), Scene(alice, {"identity": "open"}, "")
    voter = (JSON, DEVICE, KEY)

    def ask(scene: Scene, *headers: Text, body: Text | None = FIRST) -> tuple[int, str]:
        method, target = ("GET", RESULTS) if body is None else ("POST", VOTES)
        answer, door = doors.ask(scene.request(method, target, headers, body, "Host: 127.0.0.1"))
        return answer.status, door

    assert [ask(others, JSON) for _ in range(3)] == [(201, "express")] * 3
    assert ask(others, JSON, KEY) == (201, "express")
    assert ask(others, JSON, KEY) == (200, "express")
    assert ask(ours, JSON, f"X-Voter-Token: {issue_voter_token()}") == (201, "express")
    page = (JSON, f"Cookie: voter={issue_voter_token()}", "Sec-Fetch-Site: same-origin")
    assert ask(ours, *page) == (201, "express")
    assert ask(ours, *voter) == (201, "express")
    assert ask(ours, *voter) == (200, "express")
    assert ask(ours, JSON, DEVICE) == (409, "express")
    assert ask(ours, *voter, body='{"choices": ["<1>"]}') == (422, "express")
    assert ask(ours, body=None) == (200, "express")
    fickle = Scene(alice, {"allow_change": True}, "voted")
    for method, headers, body, status in (
        ("PUT", (JSON, DEVICE), '{"choices": ["<1>"]}', 200),
        ("DELETE", (DEVICE,), None, 204),
        ("PUT", (JSON, DEVICE), FIRST, 200),
    ):
        sent = fickle.request(method, VOTES, headers, body, "Host: 127.0.0.1")
        answer, door = doors.ask(sent, method)
        assert (answer.status, door) == (status, "express")
    ours.name_etag()
    assert ask(ours, 'If-None-Match: "<etag>"', body=None) == (304, "express")
    ours.closed()
    assert ask(ours, JSON, f"X-Voter-Token: {issue_voter_token()}") == (410, "express")
    assert ask(ours, 'If-None-Match: "<etag>"', body=None) == (200, "express")


def test_control_answer_that_lacks_one_header_is_found_out(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_vary(receipt: Receipt) -> Answer:
        whole = receipt_answer(receipt)
        kept = tuple(header for header in whole.headers if header[0] != b"vary")
        return Answer(whole.status, kept, whole.body)

    monkeypatch.setattr(express, "receipt_answer", without_vary)
    door, found, expected = stage.ask_both(Row("plain", "express", "201"))
    vary = ("vary", "Authorization, Cookie, X-Voter-Token, X-Voter-Code")
    assert (door, _differences(found, expected)) == ("express", [[], [vary]])
