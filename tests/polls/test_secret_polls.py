"""Secret polls: nothing that is kept tells whose a ballot is, and all that is promised holds."""

import hashlib
import itertools
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from polls.domain import lifecycle, secrecy
from polls.domain.ballot_box import write_batch
from polls.domain.ballot_paper import BallotPaper, load_ballot_paper
from polls.domain.statements import Cast
from polls.models import (
    Ballot,
    BallotBucket,
    Participation,
    Poll,
    Selection,
    TallyBucket,
)
from tests.cast import Person, assert_problem, new_key, sign_up, texts, voter, votes_of
from tests.polls.ballots import disagreements, make_cast, new_paper, stored
from tests.polls.by_code import make_codes, vote_by
from tests.polls.kept import all_that_is_kept, assert_not_kept
from tests.polls.processes import run_at_once, start_python
from tests.polls.stacks import on_postgres_alone
from tests.polls.test_timeline import BASE, ids_of, timeline, wire
from tests.polls.threads import PATIENCE

IDENTITIES = ["open", "device", "account", "code"]
ANY_IDENTITY = pytest.mark.parametrize("identity", IDENTITIES)

Send = Callable[..., Any]  # the place of an option, and headers


def senders_of(owner: Person, poll: dict[str, Any], count: int) -> list[Send]:
    """Return by what so many voters of a poll vote."""
    match poll["identity"]:
        case "open":
            return [lambda place, **headers: Person().vote(poll, place, **headers)] * count
        case "code":
            return [
                lambda place, code=code, **headers: vote_by(code, poll, place, **headers)
                for code in make_codes(owner, poll, count)
            ]
        case "account":
            people = [sign_up(f"voter-{uuid.uuid4().hex[:8]}") for _ in range(count)]
        case _:
            people = [voter() for _ in range(count)]
    return [
        lambda place, person=person, **headers: person.vote(poll, place, **headers)
        for person in people
    ]


def close_and_shuffle(owner: Person, poll: dict[str, Any]) -> None:
    """Close a poll and do what the sweep then does."""
    assert owner.close(poll).status_code == 200
    secrecy.shuffle_closed_polls()
    lifecycle.certify_closed_polls()
    found = Poll.objects.get(id=poll["id"])
    assert found.shuffled_at is not None
    assert found.certified_at is not None


# -- what is kept ------------------------------------------------------------------------------


@ANY_IDENTITY
def test_no_table_tells_whose_a_ballot_is(alice: Person, identity: str) -> None:
    poll, keys = alice.make_poll(identity=identity, secrecy="secret"), [new_key() for _ in range(6)]
    senders = senders_of(alice, poll, 6)
    for place, (send, key) in enumerate(zip(senders, keys, strict=True)):
        assert send(place % 2, Idempotency_Key=key).status_code == 201
    for row in Participation.objects.all():
        kept = (row.ballot_id, row.first_key_hash, row.first_ballot_hash)
        assert (*kept, row.change_hashes, row.counted_at) == (None,) * 5
    assert_not_kept(*keys)
    kept_text = all_that_is_kept()
    for key in keys:
        assert hashlib.sha256(key.encode()).hexdigest() not in kept_text
    # A voter's row and a ballot's have nothing in common but the poll.
    assert kept_text.count(Participation.objects.first().voter_key.hex()) == 1  # type: ignore[union-attr]
    ids = list(Ballot.objects.values_list("id", flat=True))
    digits = [kept_text.replace("-", "").count(ballot.hex) for ballot in ids]
    assert digits == [2] * 6  # in its own row and its selection's
    assert {ballot.version for ballot in ids} == {4}
    assert votes_of(alice, poll) == [3, 3]


def test_control_confidential_polls_keep_the_link(alice: Person) -> None:
    poll, key = alice.make_poll(), new_key()
    voter().vote(poll, 0, Idempotency_Key=key)
    row = Participation.objects.get()
    assert row.ballot_id == Ballot.objects.get().id
    assert hashlib.sha256(key.encode()).hexdigest() in all_that_is_kept()


def test_ids_of_ballots_do_not_ascend(alice: Person) -> None:
    paper = new_paper(alice, secrecy="secret")
    casts = [make_cast(paper, 0) for _ in range(40)]
    ids = [cast.ballot for cast in casts]
    assert {uuid.UUID(ballot).version for ballot in ids} == {4}
    assert {uuid.UUID(ballot).variant for ballot in ids} == {uuid.RFC_4122}
    rises = sum(first < second for first, second in itertools.pairwise(ids))
    assert 5 < rises < 35


@ANY_IDENTITY
def test_secret_poll_has_no_changes(alice: Person, identity: str) -> None:
    body = {"title": "?", "options": texts("a", "b"), "identity": identity, "secrecy": "secret"}
    answer = alice.post("/api/v1/polls/", {**body, "allow_change": True})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_poll")
    assert {error["field"] for error in answer.json()["errors"]} == {"allow_change"}
    poll = alice.make_poll(identity=identity, secrecy="secret")
    assert alice.patch(poll["links"]["self"], {"allow_change": True}).status_code == 400
    (send,) = senders_of(alice, poll, 1)
    send(0, Idempotency_Key=new_key())
    frozen = alice.patch(poll["links"]["self"], {"secrecy": "confidential"})
    assert (frozen.status_code, frozen.json()["code"]) == (409, "poll_frozen")


# -- receipts ----------------------------------------------------------------------------------


@ANY_IDENTITY
def test_retry_is_known_by_voter_key_and_ballot_until_the_end(alice: Person, identity: str) -> None:
    poll, key = alice.make_poll(identity=identity, secrecy="secret"), new_key()
    send, *others = senders_of(alice, poll, 8)
    first = send(0, Idempotency_Key=key)
    assert first.status_code == 201
    for other in others:
        assert other(1, Idempotency_Key=new_key()).status_code == 201

    def hold() -> None:
        again = send(0, Idempotency_Key=key)
        assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
        assert again.json()["receipt"] == first.json()["receipt"]

    hold()
    refused = send(1, Idempotency_Key=key)
    expected = (403, "code_invalid") if identity == "code" else (409, "already_voted")
    assert_problem(refused, *expected)
    if identity != "open":  # whose key is the voter
        assert_problem(send(0), *expected)
        assert_problem(send(0, Idempotency_Key=new_key()), *expected)
    alice.close(poll)
    hold()
    secrecy.shuffle_closed_polls()
    hold()
    lifecycle.certify_closed_polls()
    hold()
    assert send(1, Idempotency_Key=key).status_code == (403 if identity == "code" else 410)
    assert votes_of(alice, poll) == [1, 7]


def test_vote_without_a_key_is_no_replay(alice: Person) -> None:
    poll = alice.make_poll(secrecy="secret")
    ann = voter()
    assert ann.vote(poll, 0).status_code == 201
    for _ in range(2):
        assert_problem(ann.vote(poll, 0), 409, "already_voted")
    alice.close(poll)
    assert_problem(ann.vote(poll, 0), 410, "poll_closed")


def test_voter_is_told_that_they_have_voted_and_no_more(alice: Person) -> None:
    poll = alice.make_poll(secrecy="secret", results_visibility="after_vote")
    ann, ben = voter(), voter()
    ann.vote(poll, 0, Idempotency_Key=new_key())
    for _ in range(2):
        assert ann.get(poll["links"]["vote"]).json() == {"voted": True}
        assert ben.get(poll["links"]["vote"]).json() == {"voted": False}
        assert ann.get(poll["links"]["results"]).status_code == 200
        if Poll.objects.get(id=poll["id"]).status == "open":
            assert ben.get(poll["links"]["results"]).status_code == 403
            close_and_shuffle(alice, poll)


def test_first_and_second_votes_of_one_batch_are_told_apart(alice: Person) -> None:
    paper = new_paper(alice, secrecy="secret")
    key, other = new_key(), new_key()
    batch = [
        make_cast(paper, 0, voter="ann", key=key),
        make_cast(paper, 0, voter="ann", key=key),
        make_cast(paper, 1, voter="ann", key=key),
        make_cast(paper, 0, voter="ann", key=other),
        make_cast(paper, 0, voter="ben", key=key),
    ]
    found = [type(outcome).__name__ for outcome in write_batch(batch)]
    assert found == ["Counted", "Replayed", "Code", "Code", "Counted"]
    after = stored(paper.poll_id)
    assert (after.ballots, disagreements(after)) == (2, [])


# -- the order of rows -------------------------------------------------------------------------

VOTERS = 60


def vote_one_by_one(
    alice: Person, count: int = VOTERS, **fields: Any
) -> tuple[BallotPaper, list[Cast]]:
    """Have voters vote in a secret poll, each in a flush of their own."""
    paper = new_paper(alice, secrecy="secret", **fields)
    casts = [make_cast(paper, n % 3, voter=f"v{n}", key=f"the key of {n:04}") for n in range(count)]
    for cast in casts:
        write_batch([cast])
    return paper, casts


def _as_they_lie(paper: BallotPaper, table: str, column: str) -> list[str]:
    """Return a column of a poll's rows in the order in which they were written."""
    postgres = connection.vendor == "postgresql"
    order = "xmin::text::bigint, ctid" if postgres else "rowid"
    poll = str(paper.poll_id) if postgres else paper.id
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {table} WHERE poll_id = %s ORDER BY {order}", [poll])
        rows = [row[0] for row in cursor.fetchall()]
    return [
        bytes(v).hex() if isinstance(v, bytes | memoryview) else uuid.UUID(str(v)).hex for v in rows
    ]


def _told_by_order(paper: BallotPaper, casts: Sequence[Cast], table: str, column: str) -> int:
    """Return of how many voters the n-th row of one table and of the other tell their ballot."""
    truth = {cast.voter_key.hex(): cast.ballot for cast in casts}
    voters = _as_they_lie(paper, "polls_participation", "voter_key")
    ballots = _as_they_lie(paper, table, column)
    assert len(voters) == len(ballots) == len(truth)
    return sum(truth[one] == ballot for one, ballot in zip(voters, ballots, strict=True))


def _told_by_transaction(paper: BallotPaper) -> int:
    """Return how many pairs of a voter and a ballot one transaction has written (PostgreSQL)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM polls_participation p JOIN polls_ballot b USING (poll_id) "
            "WHERE p.xmin = b.xmin AND poll_id = %s",
            [str(paper.poll_id)],
        )
        return int(cursor.fetchone()[0])


def _empty_pages() -> None:
    """Let rows lie in the order in which they are written: others have left room in the pages."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for table in ("participation", "ballot", "selection"):
                cursor.execute(f"VACUUM FULL polls_{table}")


def _told(paper: BallotPaper, casts: Sequence[Cast]) -> list[int]:
    found = [
        _told_by_order(paper, casts, "polls_ballot", "id"),
        _told_by_order(paper, casts, "polls_selection", "ballot_id"),
    ]
    return [*found, _told_by_transaction(paper)] if connection.vendor == "postgresql" else found


@pytest.mark.parametrize("chunk", [7, 2_000])
def test_order_of_rows_tells_nothing_after_the_shuffle(
    alice: Person, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrecy, "_CHUNK", chunk)
    _empty_pages()
    paper, casts = vote_one_by_one(alice)
    # The control: before, whoever reads the tables knows everybody's ballot.
    assert set(_told(paper, casts)) == {VOTERS}
    before = stored(paper.poll_id)
    marks = set(Selection.objects.values_list("ballot_id", "option_id"))
    receipts = {row.id: bytes(row.receipt) for row in Ballot.objects.all()}
    lifecycle.close_poll(paper.poll_id)
    secrecy.shuffle_poll(paper.poll_id)
    told = _told(paper, casts)
    assert max(told[:2]) <= 8  # by chance one, on average
    assert told[2:] in ([], [0])
    after = stored(paper.poll_id)
    assert (after.ballots, after.votes, disagreements(after)) == (VOTERS, before.votes, [])
    assert after.participations == before.participations
    assert set(Selection.objects.values_list("ballot_id", "option_id")) == marks
    assert {row.id: bytes(row.receipt) for row in Ballot.objects.all()} == receipts
    lifecycle.certify_closed_polls()
    assert Poll.objects.get(id=paper.poll_id).certified_at is not None


def test_rows_of_one_poll_alone_are_written_anew(alice: Person) -> None:
    paper, _ = vote_one_by_one(alice, 10)
    other, casts = vote_one_by_one(alice, 10)
    lifecycle.close_poll(paper.poll_id)
    before = _told(other, casts)
    secrecy.shuffle_closed_polls()
    assert _told(other, casts) == before
    assert Poll.objects.get(id=other.poll_id).shuffled_at is None


def test_secret_poll_is_certified_when_it_is_shuffled_and_not_before(alice: Person) -> None:
    paper, _ = vote_one_by_one(alice, 10)
    lifecycle.close_poll(paper.poll_id)
    lifecycle.certify_closed_polls()
    assert lifecycle.certify_poll(paper.poll_id) is True
    assert Poll.objects.get(id=paper.poll_id).certified_at is None
    secrecy.shuffle_closed_polls()
    lifecycle.certify_closed_polls()
    found = Poll.objects.get(id=paper.poll_id)
    assert found.shuffled_at is not None
    assert found.certified_at is not None
    assert found.shuffled_at <= found.certified_at


def test_open_and_confidential_polls_are_not_shuffled(alice: Person) -> None:
    confidential, (still_open, _) = new_paper(alice), vote_one_by_one(alice, 3)
    lifecycle.close_poll(confidential.poll_id)
    secrecy.shuffle_closed_polls()
    secrecy.shuffle_poll(still_open.poll_id)
    assert set(Poll.objects.values_list("shuffled_at", flat=True)) == {None}


# -- broken off --------------------------------------------------------------------------------


@pytest.mark.parametrize("fails_at", [1, 4, 9, 12])
def test_shuffle_that_breaks_off_loses_nothing_and_is_done_again(
    alice: Person, fails_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrecy, "_CHUNK", 7)
    _empty_pages()
    paper, casts = vote_one_by_one(alice, 42)
    lifecycle.close_poll(paper.poll_id)
    before = stored(paper.poll_id)
    whole, calls = secrecy._rewrite_chunk, itertools.count(1)

    def fail_in_the_middle(*arguments: Any) -> None:
        whole(*arguments)
        if next(calls) == fails_at:
            raise RuntimeError("cut")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secrecy, "_rewrite_chunk", fail_in_the_middle)
        with pytest.raises(RuntimeError, match="cut"):
            secrecy.shuffle_closed_polls()
    assert stored(paper.poll_id) == before
    lifecycle.certify_closed_polls()
    found = Poll.objects.get(id=paper.poll_id)
    assert (found.shuffled_at, found.certified_at) == (None, None)
    secrecy.shuffle_closed_polls()
    assert stored(paper.poll_id) == before
    assert Poll.objects.get(id=paper.poll_id).shuffled_at is not None
    assert max(_told(paper, casts)) <= 8


_SHUFFLE_SLOWLY = """
import time
from polls.domain import secrecy
secrecy._CHUNK = 5
whole = secrecy._rewrite_chunk
def slowly(*arguments):
    whole(*arguments)
    print("chunk", flush=True)
    time.sleep(0.2)
secrecy._rewrite_chunk = slowly
secrecy.shuffle_closed_polls()
"""


@on_postgres_alone
def test_shuffle_whose_process_is_killed_is_done_by_another(alice: Person) -> None:
    paper, casts = vote_one_by_one(alice, 40)
    lifecycle.close_poll(paper.poll_id)
    before = stored(paper.poll_id)
    with start_python(_SHUFFLE_SLOWLY) as process:
        assert process.stdout is not None
        for _ in range(3):
            assert process.stdout.readline() == "chunk\n"
        # One process at a time is at it.
        secrecy.shuffle_closed_polls()
        assert Poll.objects.get(id=paper.poll_id).shuffled_at is None
        process.kill()
    end = time.monotonic() + PATIENCE
    while Poll.objects.get(id=paper.poll_id).shuffled_at is None:  # the server lets go of its lock
        assert time.monotonic() < end
        secrecy.shuffle_closed_polls()
    assert stored(paper.poll_id) == before
    assert max(_told(paper, casts)) <= 8


_SHUFFLE = """
from polls.domain import secrecy
secrecy._CHUNK = 5
ready()
for _ in range(20):
    secrecy.shuffle_closed_polls()
print("done")
"""


@on_postgres_alone
def test_several_processes_shuffle_the_same_polls(alice: Person) -> None:
    polls = [vote_one_by_one(alice, 20) for _ in range(3)]
    for paper, _ in polls:
        lifecycle.close_poll(paper.poll_id)
    before = [stored(paper.poll_id) for paper, _ in polls]
    assert run_at_once(_SHUFFLE, count=3) == ["done\n"] * 3
    assert [stored(paper.poll_id) for paper, _ in polls] == before
    assert not Poll.objects.filter(shuffled_at=None).exists()
    lifecycle.certify_closed_polls()
    assert not Poll.objects.filter(certified_at=None).exists()


# -- votes over time ---------------------------------------------------------------------------

Second = tuple[int, int, list[int]]  # since BASE, ballots, marks of each option


def _fill(poll: dict[str, Any], seconds: Sequence[Second]) -> None:
    """Let ballots have been cast in these seconds."""
    for after, ballots, marks in seconds:
        at = datetime.fromtimestamp(BASE + after, UTC)
        BallotBucket.objects.create(poll_id=poll["id"], at=at, ballots=ballots)
        for option, votes in zip(ids_of(poll), marks, strict=True):
            if votes:
                TallyBucket.objects.create(poll_id=poll["id"], at=at, option_id=option, votes=votes)


def _read(alice: Person, poll: dict[str, Any]) -> list[tuple[str, list[int]]]:
    body = alice.get(timeline(poll)).json()
    return [
        (one["at"], [one["votes"][option] for option in ids_of(poll)]) for one in body["buckets"]
    ]


FEW: list[Second] = [
    (0, 3, [2, 1]),
    (1, 1, [0, 1]),
    (7, 1, [1, 0]),
    (8, 7, [3, 4]),
    (20, 2, [2, 0]),
    (21, 4, [1, 3]),
    (60, 1, [0, 1]),
]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (FEW, [(0, [3, 2]), (8, [3, 4]), (20, [3, 4])]),
        (FEW[:2], [(0, [2, 2])]),
        (FEW[3:4], [(8, [3, 4])]),
        (FEW[2:5], [(7, [6, 4])]),
        ([(0, 5, [5, 0]), (1, 4, [0, 4])], [(0, [5, 4])]),
        ([(0, 4, [4, 0]), (1, 5, [0, 5])], [(0, [4, 5])]),
        ([(0, 5, [5, 0]), (1, 5, [0, 5])], [(0, [5, 0]), (1, [0, 5])]),
        # Three ballots with two marks each are three.
        ([(0, 3, [3, 3]), (1, 5, [5, 0])], [(0, [8, 3])]),
    ],
)
def test_buckets_of_few_ballots_are_merged_and_stay_so_at_rest(
    alice: Person, seconds: list[Second], expected: list[tuple[int, list[int]]]
) -> None:
    poll = alice.make_poll(secrecy="secret", kind="multiple")
    _fill(poll, seconds)
    wanted = [(wire(BASE + after), marks) for after, marks in expected]
    assert _read(alice, poll) == wanted
    alice.close(poll)
    assert _read(alice, poll) == wanted
    tag = alice.get(timeline(poll)).headers["ETag"]
    secrecy.shuffle_closed_polls()
    # Who reads the tables learns no more than who asks.
    kept = BallotBucket.objects.filter(poll=poll["id"]).order_by("at")
    assert [int(row.at.timestamp()) - BASE for row in kept] == [after for after, _ in expected]
    assert sum(row.ballots for row in kept) == sum(ballots for _, ballots, _ in seconds)
    assert set(TallyBucket.objects.values_list("at", flat=True)) == {row.at for row in kept}
    assert _read(alice, poll) == wanted
    assert alice.get(timeline(poll)).headers["ETag"] != tag


def test_confidential_polls_keep_each_second(alice: Person) -> None:
    poll = alice.make_poll()
    _fill(poll, FEW)
    assert len(_read(alice, poll)) == len(FEW)
    ann = alice.make_poll(kind="multiple")
    voter().vote(ann, 0, 1)
    assert not BallotBucket.objects.filter(poll=ann["id"]).exists()


@pytest.mark.parametrize("span", [50, 280, 450, 1_700, 5_000, 400_000, 40_000_000])
def test_every_bucket_holds_five_ballots_whatever_its_width(alice: Person, span: int) -> None:
    poll, chance = alice.make_poll(secrecy="secret"), random.Random(span)
    seconds: list[Second] = []
    for after in sorted(chance.sample(range(span), 40)):
        ballots = chance.choice([1, 1, 2, 3, 6])
        first = chance.randrange(ballots + 1)
        seconds.append((after, ballots, [first, ballots - first]))
    _fill(poll, seconds)
    sums = [sum(marks[place] for _, _, marks in seconds) for place in (0, 1)]
    alice.close(poll)
    reads = []
    for _ in range(2):
        reads.append(found := _read(alice, poll))
        assert all(sum(marks) >= 5 for _, marks in found)
        assert [sum(marks[place] for _, marks in found) for place in (0, 1)] == sums
        assert [at for at, _ in found] == sorted({at for at, _ in found})
        secrecy.shuffle_closed_polls()
    # Whoever reads before and after learns nothing by the difference.
    assert reads[0] == reads[1]


def test_ballots_are_counted_to_their_second_not_their_marks(alice: Person) -> None:
    poll = alice.make_poll(secrecy="secret", kind="approval", options=texts("a", "b", "c"))
    for n in range(6):
        assert voter().vote(poll, *range(n % 3 + 1)).status_code == 201
    kept = Counter[str]()
    for row in BallotBucket.objects.filter(poll=poll["id"]):
        kept["ballots"] += row.ballots
    assert kept["ballots"] == 6
    read = _read(alice, poll)
    assert [sum(marks[place] for _, marks in read) for place in range(3)] == [6, 4, 2]
    close_and_shuffle(alice, poll)
    assert alice.get(f"{poll['links']['self']}integrity/").json()["equal"]


def test_paper_of_a_secret_poll_is_told_by_its_own_key(alice: Person) -> None:
    """Two polls have no voter and no ballot in common, whoever votes in both."""
    ann, key = voter(), new_key()
    polls = [alice.make_poll(secrecy="secret") for _ in range(2)]
    receipts = {ann.vote(poll, 0, Idempotency_Key=key).json()["receipt"] for poll in polls}
    assert len(receipts) == 2
    papers = [load_ballot_paper(Poll.objects.get(id=poll["id"])) for poll in polls]
    assert papers[0].key != papers[1].key
    assert len(set(Participation.objects.values_list("voter_key", flat=True))) == 2
