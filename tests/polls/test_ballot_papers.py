"""Ballot papers that are kept: no vote reads one, and none is counted by one that has changed."""

import hmac
import json
import secrets
import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from subprocess import Popen
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from polls.domain import ballot_box, ballot_paper, voting
from polls.domain.ballot_box import BallotBox, write_batch
from polls.domain.ballot_paper import BallotPaper, KeyedHash, load_ballot_paper, papers
from polls.domain.outcomes import Outcome
from polls.domain.statements import Cast
from polls.domain.voters import issue_voter_token
from polls.models import Poll
from tests.cast import Person, texts
from tests.polls import wire
from tests.polls.ballots import stored
from tests.polls.entering import enter_by_any_revision
from tests.polls.processes import start_python
from tests.polls.two_doors import Doors, two_doors, vote_of


@pytest.mark.parametrize("length", [1, 32, 64, 65, 200])
def test_keyed_hash_is_hmac(length: int) -> None:
    for size in (0, 1, 55, 64, 300):
        key, message = secrets.token_bytes(length), secrets.token_bytes(size)
        assert KeyedHash(key).digest(message) == hmac.digest(key, message, "sha256")


# Another process that changes polls as it is told, line by line.
_CHANGER = """
import json, uuid
from polls.domain import lifecycle, polls, reset
for line in sys.stdin:
    poll, what, changes = json.loads(line)
    work = {"edit": polls.edit_poll, "close": lifecycle.close_poll,
            "delete": lifecycle.delete_poll, "reset": reset.reset_poll}
    work[what](uuid.UUID(poll), *([changes] if changes else []))
    connection.close()
    print("done", flush=True)
"""


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    """Both doors, for the whole module."""
    with two_doors() as found:
        yield found


@dataclass
class Changer:
    """The other process."""

    process: Popen[str]

    def change(self, poll: dict[str, Any], what: str, changes: Mapping[str, Any]) -> None:
        """Change a poll, and wait until it is changed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([poll["id"], what, changes]) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@pytest.fixture(scope="module")
def changer(doors: Doors) -> Iterator[Changer]:  # noqa: ARG001 - it sees the same database
    """Another process, which keeps no connection between two changes."""
    with start_python(_CHANGER) as process:
        yield Changer(process)
        process.communicate(timeout=wire.PATIENCE)
    assert process.returncode == 0


@dataclass
class Hall:
    """A poll of two choices of three, and the door by which it is voted in."""

    doors: Doors
    poll: dict[str, Any]

    def vote(self, *places: int) -> tuple[str, int, Any]:
        """Vote for these options as somebody new; return who answered, and what."""
        choices = [self.poll["options"][place]["id"] for place in places]
        body = json.dumps({"choices": choices}).encode()
        answer, door = self.doors.ask(vote_of(issue_voter_token(), body, self.poll["id"]))
        return door, answer.status, json.loads(answer.body)

    @property
    def paper(self) -> BallotPaper | None:
        return papers.get(self.poll["id"])

    def keep_paper(self) -> BallotPaper:
        """Let the paper be read, although nobody has voted."""
        paper = load_ballot_paper(Poll.objects.get(id=self.poll["id"]))
        papers.keep(paper)
        assert self.paper is paper
        return paper


@pytest.fixture
def hall(alice: Person, doors: Doors) -> Hall:
    """A poll whose paper is kept."""
    options = texts("Pizza", "Sushi", "Soup")
    found = Hall(doors, alice.make_poll(kind="multiple", options=options))
    found.keep_paper()
    return found


# -- a change that another process has made ------------------------------------------------------


def _titles(answer: Any) -> tuple[str, list[str]]:
    results = answer["results"]
    return results["title"], [option["text"] for option in results["options"]]


OLD = ("Lunch?", ["Pizza", "Sushi", "Soup"])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"title": "Supper?"}, ("Supper?", OLD[1])),
        ({"options": ["Soup", "PIZZA", "Rice"]}, (OLD[0], ["Soup", "PIZZA", "Rice"])),
        ({"results_visibility": "after_vote"}, OLD),
        ({"min_selections": 2, "max_selections": 2}, OLD),
    ],
)
def test_vote_that_the_change_allows_is_counted_and_answered_by_the_new_definition(
    hall: Hall, changer: Changer, changes: Mapping[str, Any], expected: tuple[str, list[str]]
) -> None:
    before = hall.paper
    changer.change(hall.poll, "edit", changes)
    assert hall.paper is before  # this process has not heard of it
    door, status, answer = hall.vote(0, 2)
    assert (door, status, _titles(answer)) == ("django", 201, expected)
    assert [hall.vote(0, 2)[:2] for _ in range(2)] == [("express", 201)] * 2


def test_voter_may_vote_again_once_another_process_has_reset_the_poll(
    hall: Hall, changer: Changer
) -> None:
    choices = {"choices": [hall.poll["options"][0]["id"]]}
    body, token = json.dumps(choices).encode(), issue_voter_token()

    def vote() -> tuple[str, int]:
        answer, door = hall.doors.ask(vote_of(token, body, hall.poll["id"]))
        return door, answer.status

    assert [vote(), vote()] == [("express", 201), ("express", 409)]
    changer.change(hall.poll, "reset", {})
    assert [vote(), vote()] == [("django", 201), ("express", 409)]


def test_receipt_shows_no_results_once_they_are_hidden(hall: Hall, changer: Changer) -> None:
    changer.change(hall.poll, "edit", {"results_visibility": "owner"})
    door, status, answer = hall.vote(0)
    assert (door, status, answer["seq"]) == ("django", 201, None)
    assert "results" not in answer


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("edit", {"max_selections": 1}), ("django", "invalid_ballot", ["too_many"])),
        (("edit", {"min_selections": 3}), ("django", "invalid_ballot", ["too_few"])),
        (("edit", {"kind": "single"}), ("django", "invalid_ballot", ["too_many"])),
        (
            ("edit", {"options": ["Rice", "Sushi"]}),
            ("django", "invalid_ballot", ["unknown_option"]),
        ),
        (("edit", {"identity": "account"}), ("django", "authentication_required", [])),
        (("close", {}), ("express", "poll_closed", [])),
        (("delete", {}), ("express", "not_found", [])),
    ],
)
def test_vote_that_the_change_forbids_is_refused_at_once(
    hall: Hall,
    changer: Changer,
    change: tuple[str, Mapping[str, Any]],
    expected: tuple[str, str, list[str]],
) -> None:
    before = hall.paper
    changer.change(hall.poll, *change)
    assert hall.paper is before
    door, _, answer = hall.vote(0, 1)
    fields = [error["code"] for error in answer.get("errors", [])]
    assert (door, answer["code"], fields) == expected
    assert stored(uuid.UUID(hall.poll["id"])).ballots == 0
    # It is closed by the same rules, so whoever else comes too late is told so here as well.
    assert (hall.paper is before) == (change[0] == "close")


def test_time_to_close_that_was_set_past_the_paper_is_kept(hall: Hall) -> None:
    before = hall.paper
    Poll.objects.filter(id=hall.poll["id"]).update(closes_at=timezone.now())
    assert hall.paper is before
    door, _, answer = hall.vote(0)
    assert (door, answer["code"]) == ("express", "poll_closed")
    assert stored(uuid.UUID(hall.poll["id"])).ballots == 0


def test_ballot_that_was_read_under_the_old_rules_is_not_remembered_under_the_new(
    hall: Hall, changer: Changer
) -> None:
    """The very same bytes, which are not read twice under one paper."""
    paper = hall.keep_paper()
    choices = [option["id"] for option in hall.poll["options"][:2]]
    body = json.dumps({"choices": choices}).encode()
    paper.remember(body, paper.canonical(choices))
    changer.change(hall.poll, "edit", {"max_selections": 1})
    assert hall.vote(0, 1)[2]["code"] == "invalid_ballot"
    assert hall.vote(0)[:2] == ("express", 201)
    assert hall.vote(0, 1)[2]["code"] == "invalid_ballot"


def test_control_without_the_comparison_of_revisions_a_ballot_breaks_the_new_rules(
    hall: Hall, changer: Changer, monkeypatch: pytest.MonkeyPatch
) -> None:
    changer.change(hall.poll, "edit", {"max_selections": 1})
    enter_by_any_revision(monkeypatch)
    assert hall.vote(0, 1)[:2] == ("express", 201)
    assert Poll.objects.get(id=hall.poll["id"]).max_selections == 1
    assert stored(uuid.UUID(hall.poll["id"])).votes == [1, 1, 0]  # one ballot, and two marks on it


# -- what is not read ----------------------------------------------------------------------------


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Poll]:
    """The polls whose papers have been read from the database."""
    found: list[Poll] = []

    def load(poll: Poll) -> BallotPaper:
        found.append(poll)
        return load_ballot_paper(poll)

    for module in (ballot_paper, voting):  # where the doors read them
        monkeypatch.setattr(module, "load_ballot_paper", load)
    return found


def test_first_vote_in_a_poll_reads_its_paper_and_no_other_does(
    alice: Person, doors: Doors, loaded: list[Poll]
) -> None:
    hall = Hall(doors, alice.make_poll())
    assert hall.vote(0)[:2] == ("express", 201)
    paper = hall.paper
    assert [hall.vote(place % 2)[:2] for place in range(50)] == [("express", 201)] * 50
    assert [str(poll.id) for poll in loaded] == [hall.poll["id"]]
    assert hall.paper is paper is not None


def test_hall_that_begins_to_vote_at_once_reads_its_paper_once(
    alice: Person, doors: Doors, loaded: list[Poll]
) -> None:
    """More than Django's queue holds: those who came first would fill it, and turn others away."""
    hall = Hall(doors, alice.make_poll())
    body = json.dumps({"choices": [hall.poll["options"][0]["id"]]}).encode()
    passed_on = doors.express.passed_on
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", doors.open.port)))
            for _ in range(400)
        ]
        for client in clients:
            client.sendall(vote_of(issue_voter_token(), body, hall.poll["id"]))
        answers = [wire.receive(client, "POST").status for client in clients]
    assert answers == [201] * 400
    assert doors.express.passed_on == passed_on
    assert len(loaded) < 10  # in as many readings as it took until the paper was there


def test_vote_by_a_kept_paper_reads_nothing_of_the_definition(hall: Hall) -> None:
    """Neither options nor the key, and of the poll no more than its window and revision."""
    said: list[str] = []

    def write(casts: Sequence[Cast]) -> list[Outcome]:
        with CaptureQueriesContext(connection) as queries:
            outcomes = write_batch(casts)
        said.extend(query["sql"] for query in queries)
        return outcomes

    with pytest.MonkeyPatch.context() as patch:
        box = BallotBox(write)
        patch.setattr(ballot_box._process, "box", box)
        assert [hall.vote(0)[:2] for _ in range(3)] == [("express", 201)] * 3
    box.close()
    assert said
    assert [sql for sql in said if "polls_pollkey" in sql or "title" in sql] == []


def test_second_vote_retry_and_closing_leave_the_paper_where_it_is(
    alice: Person, hall: Hall
) -> None:
    token, key = issue_voter_token(), f"Idempotency-Key: {uuid.uuid4().hex}"
    body = json.dumps({"choices": [hall.poll["options"][0]["id"]]}).encode()
    paper = hall.paper

    def vote(*headers: str) -> tuple[str, int, bool]:
        answer, door = hall.doors.ask(vote_of(token, body, hall.poll["id"], *headers))
        return door, answer.status, hall.paper is paper

    assert vote(key) == ("express", 201, True)
    assert vote(key) == ("express", 200, True)
    assert vote() == ("express", 409, True)
    assert alice.close(hall.poll).status_code == 200
    assert vote() == ("express", 410, True)
    assert vote(key) == ("express", 200, True)
