"""What is not kept: a poll's key some time after closing, and, where it is asked for, the poll."""

import time
import uuid
from contextlib import closing
from datetime import timedelta
from typing import Any

import psycopg2
import pytest
from django.db import connection

from polls.domain import lifecycle, retention, voters, voting
from polls.domain.ballot_paper import BallotPaper, load_ballot_paper, papers, read_papers
from polls.domain.database import clock
from polls.domain.outcomes import Counted, Outcome
from polls.domain.statements import Cast
from polls.errors import Code, Refusal
from polls.models import Poll, PollKey
from tests.cast import Person, assert_problem, new_key, voter, votes_of
from tests.live import Server
from tests.polls.ballots import disagreements, make_cast, new_paper, stored, voted
from tests.polls.by_code import make_codes
from tests.polls.entering import enter_by_any_revision
from tests.polls.processes import run_python
from tests.polls.stacks import on_postgres_alone
from tests.polls.threads import PATIENCE, boxes, outcomes, together
from tests.realtime.servers import execute

DESTROYED = "It closed long ago and its key is destroyed: whose vote was whose is known to nobody."


@pytest.fixture(autouse=True)
def _nobody_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_stuck", lifecycle.LeftAlone(60))


def close_long_ago(poll_id: Any, *, days: float = 100, certified: bool = True) -> None:
    """Close a poll, as if it had been so many days ago."""
    lifecycle.close_poll(uuid.UUID(str(poll_id)))
    if certified:
        assert lifecycle.certify_poll(uuid.UUID(str(poll_id)))
    Poll.objects.filter(id=poll_id).update(closed_at=clock() - timedelta(days=days))


def has_key(poll_id: Any) -> bool:
    poll = Poll.objects.get(id=poll_id)
    there = PollKey.objects.filter(poll=poll_id).exists()
    assert there == (poll.key_destroyed_at is None)
    return there


# -- which keys, and when ----------------------------------------------------------------------


def test_keys_of_polls_that_closed_long_ago_are_destroyed_and_no_others(
    alice: Person, settings: Any
) -> None:
    settings.KEY_RETENTION_DAYS = 90
    old, recent, uncertified, open_, draft, gone = (new_paper(alice).poll_id for _ in range(6))
    close_long_ago(old, days=90.001)
    close_long_ago(recent, days=89.999)
    close_long_ago(uncertified, certified=False)
    close_long_ago(gone)
    lifecycle.delete_poll(gone)
    before = stored(old)
    assert retention.destroy_old_keys() is False
    keyed = {poll: has_key(poll) for poll in (old, recent, uncertified, open_, draft, gone)}
    assert [poll for poll, there in keyed.items() if not there] == [old]
    assert stored(old) == before
    revision = Poll.objects.get(id=old).revision
    retention.destroy_old_keys()
    assert Poll.objects.get(id=old).revision == revision == 2


def test_without_a_number_of_days_every_key_is_kept(alice: Person, settings: Any) -> None:
    settings.KEY_RETENTION_DAYS = 0
    paper = new_paper(alice)
    close_long_ago(paper.poll_id, days=30_000)
    retention.destroy_old_keys()
    assert has_key(paper.poll_id)


def test_many_keys_go_a_few_at_a_time(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_POLLS", 2)
    polls = [new_paper(alice).poll_id for _ in range(5)]
    for poll in polls:
        close_long_ago(poll)
    assert [retention.destroy_old_keys() for _ in range(3)] == [True, True, False]
    assert not any(has_key(poll) for poll in polls)


def test_hourly_chore_goes_on_while_there_is_more_and_then_rests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, left, done = [1000.0], [True, True, False, True, False], []
    monkeypatch.setattr("polls.domain.retention.time.monotonic", lambda: now[0])

    def chore() -> bool:
        done.append(now[0])
        return left[len(done) - 1]

    do = retention.hourly(chore)
    for second in (1000.0, 1001.0, 1002.0, 1003.0, 4601.0, 4602.0, 4603.0, 4604.0):
        now[0] = second
        do()
    assert done == [1000.0, 1001.0, 1002.0, 4602.0, 4603.0]


def test_hourly_chore_that_fails_is_done_again_at_once() -> None:
    tries = []

    def chore() -> bool:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("The disk is full.")
        return False

    do = retention.hourly(chore)
    with pytest.raises(OSError, match="full"):
        do()
    for _ in range(3):
        do()
    assert len(tries) == 2


@on_postgres_alone
def test_poll_that_somebody_holds_keeps_no_other_key(alice: Person) -> None:
    held, free = (new_paper(alice).poll_id for _ in range(2))
    close_long_ago(held, days=200)
    close_long_ago(free)
    with closing(psycopg2.connect(**connection.get_connection_params())) as other:
        other.cursor().execute("SELECT 1 FROM polls_poll WHERE id = %s FOR UPDATE", [str(held)])
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
        try:
            retention.destroy_old_keys()
        finally:
            with connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout")
    assert (has_key(held), has_key(free)) == (True, False)


# -- what is known afterwards ------------------------------------------------------------------


@pytest.mark.parametrize("identity", ["device", "account", "open"])
def test_poll_without_its_key_reads_as_before_and_knows_nobody(
    alice: Person, identity: str
) -> None:
    poll = alice.make_poll(identity=identity, results_visibility="after_close")
    event = alice.make_event(poll, current=poll["id"])
    ann, stranger = Person(alice.user, device=True), Person(alice.user, device=True)
    key = {"Idempotency_Key": new_key()}
    ann.vote(poll, 0, **key)
    close_long_ago(poll["id"])
    paths = [poll["links"]["self"], poll["links"]["results"]]
    paths += [f"{poll['links']['self']}{name}/" for name in ("timeline", "integrity")]
    before = [alice.get(path).json() for path in paths]
    assert ann.vote(poll, 0, **key).status_code == 200
    retention.destroy_key(uuid.UUID(poll["id"]))
    assert [alice.get(path).json() for path in paths] == before
    assert votes_of(voter(), poll) == [1, 0]
    for person in (ann, stranger):
        for answer in (
            person.vote(poll, 0, **key),
            person.vote(poll, 1, **key),
            person.get(poll["links"]["vote"], **key),
        ):
            assert_problem(answer, 410, "poll_closed", detail=DESTROYED)
    if identity != "account":
        assert_problem(ann.vote(poll, 1), 410, "poll_closed", detail=DESTROYED)
    assert ann.http.get(poll["links"]["page"]).status_code == 200
    # An event's frame holds the poll's revision, so it is another frame now.
    assert alice.get(event["links"]["self"]).json()["seq"] == event["seq"] + 1


def test_whoever_cannot_be_told_apart_is_told_so_first(alice: Person) -> None:
    poll = alice.make_poll()
    close_long_ago(poll["id"])
    retention.destroy_key(uuid.UUID(poll["id"]))
    assert_problem(Person().vote(poll, 0), 401, "voter_token_required")
    assert_problem(Person().get(poll["links"]["vote"]), 401, "voter_token_required")


def test_code_of_a_poll_without_its_key_is_no_more_than_none(alice: Person) -> None:
    shut = alice.make_poll(identity="code", results_visibility="owner")
    other = alice.make_poll(identity="code", results_visibility="after_vote")
    (code,), (good,) = make_codes(alice, shut), make_codes(alice, other)
    close_long_ago(shut["id"])
    retention.destroy_key(uuid.UUID(shut["id"]))
    results = shut["links"]["results"]
    assert alice.get(results, X_Voter_Code=code).json()["ballots"] == 0
    hidden = Person().get(results, X_Voter_Code=code)
    assert hidden.content == Person().get(results).content
    assert hidden.json()["code"] == "results_hidden"
    for polls, status in (([shut["id"], other["id"]], 201), ([shut["id"]], 403)):
        asked = Person().post("/api/v1/live-tickets/", {"polls": polls}, X_Voter_Code=good)
        assert asked.status_code == status


# -- papers that a process still has -----------------------------------------------------------


def _replay_around_the_destruction(paper: BallotPaper) -> tuple[Outcome | Code, bool]:
    """Destroy the key when a replay has been checked and not yet flushed.

    Returns what becomes of it, and whether the process still keeps the old paper.
    """
    ann, choices = voting.Voter(token=voters.issue_voter_token()), [next(iter(paper.options))]
    ann.idempotency_key = new_key()
    with boxes() as (box,):

        def drop(cast: Cast) -> Outcome:
            return box.submit(cast).result(PATIENCE)

        voting.cast_vote(paper.poll_id, {"choices": choices}, ann, drop=drop)
        close_long_ago(paper.poll_id)
        old = load_ballot_paper(Poll.objects.get(id=paper.poll_id))
        papers.keep(old)

        def destroy_then_drop(cast: Cast) -> Outcome:
            retention.destroy_key(paper.poll_id)
            papers.keep(old)  # as a process has it in which somebody else destroyed the key
            return drop(cast)

        try:
            voting.cast_vote(paper.poll_id, {"choices": choices}, ann, drop=destroy_then_drop)
        except Refusal as refusal:
            return refusal.code, papers.get(old.name) is old
    return Code.ALREADY_VOTED, True


def test_replay_that_meets_the_destruction_is_refused_and_the_paper_dropped(alice: Person) -> None:
    paper = new_paper(alice)
    assert _replay_around_the_destruction(paper) == (Code.POLL_CLOSED, False)
    found = stored(paper.poll_id)
    assert (found.ballots, disagreements(found)) == (1, [])


def test_control_without_the_comparison_of_revisions_a_destroyed_key_still_knows_voters(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter_by_any_revision(monkeypatch)
    monkeypatch.setattr(
        "polls.domain.flush.of_poll",
        lambda cast, window: None if cast and window else Code.NOT_FOUND,
    )
    paper = new_paper(alice)
    assert _replay_around_the_destruction(paper)[0] == Code.ALREADY_VOTED  # answered, not refused


def test_replays_and_the_destruction_at_once_end_in_a_receipt_or_a_refusal(alice: Person) -> None:
    poll, key = alice.make_poll(), new_key()
    people = [voter() for _ in range(6)]
    receipts = [who.vote(poll, 0, Idempotency_Key=key).json()["receipt"] for who in people]
    close_long_ago(poll["id"])

    def work(place: int) -> list[tuple[int, str]]:
        if place == 6:
            time.sleep(0.05)
            retention.destroy_key(uuid.UUID(poll["id"]))
            return []
        answers = [people[place].vote(poll, 0, Idempotency_Key=key) for _ in range(20)]
        return [(a.status_code, a.json().get("receipt", a.json().get("code"))) for a in answers]

    for place, answers in enumerate(together(7, work)[:6]):
        assert set(answers) <= {(200, receipts[place]), (410, "poll_closed")}
        assert answers == sorted(answers)  # refused once, refused for ever
    assert stored(uuid.UUID(poll["id"])).ballots == 6


def test_paper_without_a_key_is_neither_kept_nor_handed_to_the_express_door(alice: Person) -> None:
    paper = new_paper(alice)
    close_long_ago(paper.poll_id)
    retention.destroy_key(paper.poll_id)
    assert read_papers([paper.poll_id]) == {}
    papers.keep(load_ballot_paper(Poll.objects.get(id=paper.poll_id)))
    assert papers.get(paper.name) is None


def test_process_forgets_keys_that_another_one_has_destroyed(alice: Person) -> None:
    gone, there = voted(alice, 2), voted(alice, 2)
    for paper in (gone, there):
        papers.keep(paper)
        close_long_ago(paper.poll_id)
    script = "import uuid\nfrom polls.domain import retention\n"
    run_python(f"{script}retention.destroy_key(uuid.UUID(sys.argv[1]))", str(gone.poll_id))
    assert papers.get(gone.name) is gone
    retention.forget_destroyed_keys()
    assert (papers.get(gone.name), papers.get(there.name)) == (None, there)


def test_vote_by_a_paper_of_before_is_not_counted(alice: Person) -> None:
    paper = new_paper(alice)
    close_long_ago(paper.poll_id)
    retention.destroy_key(paper.poll_id)
    with boxes() as (box,):
        (outcome,) = outcomes([box.submit(make_cast(paper, 0))])
    assert not isinstance(outcome, Counted)
    assert stored(paper.poll_id).ballots == 0


# -- old polls ---------------------------------------------------------------------------------


def test_polls_that_closed_long_ago_are_deleted_where_that_is_asked_for(
    alice: Person, settings: Any
) -> None:
    old, recent, open_ = (alice.make_poll() for _ in range(3))
    event = alice.make_event(old, recent)
    close_long_ago(old["id"], days=31, certified=False)
    close_long_ago(recent["id"], days=29)
    settings.POLL_RETENTION_DAYS = 0
    assert retention.delete_old_polls() is False
    assert Poll.objects.standing().count() == 3
    settings.POLL_RETENTION_DAYS = 30
    assert retention.delete_old_polls() is False
    assert_problem(alice.get(old["links"]["self"]), 404, "not_found")
    for poll in (recent, open_):
        assert alice.get(poll["links"]["self"]).status_code == 200
    polls = alice.get(event["links"]["self"]).json()["polls"]
    assert [poll["id"] for poll in polls] == [recent["id"]]


# -- a whole service ---------------------------------------------------------------------------


def test_service_destroys_keys_by_itself() -> None:
    with Server(KEY_RETENTION_DAYS="1") as server:
        host, ann, key = server.sign_up(), server.voter(), new_key()
        poll = host.make_poll()
        assert ann.vote(poll, 0, Idempotency_Key=key).status_code == 201
        host.post(f"{poll['links']['self']}close/")
        until = time.monotonic() + PATIENCE
        while host.get(poll["links"]["results"]).json()["certified_at"] is None:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert ann.vote(poll, 0, Idempotency_Key=key).status_code == 200
        server.stop()
        long_ago = "UPDATE polls_poll SET closed_at = '2020-01-31 20:00:00+00:00' WHERE id = %s"
        execute(server, long_ago, uuid.UUID(poll["id"]))
        server.start()
        while ann.vote(poll, 0, Idempotency_Key=key).status_code == 200:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert_problem(ann.get(poll["links"]["vote"]), 410, "poll_closed", detail=DESTROYED)
        assert host.get(poll["links"]["results"]).json()["ballots"] == 1
