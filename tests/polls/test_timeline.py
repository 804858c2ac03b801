"""GET …/timeline/: votes over time, in buckets that the database counts."""

import random
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from polls.domain import deadline, lifecycle
from polls.domain.database import as_stored
from polls.domain.polls import edit_poll
from polls.domain.timeline import statement
from polls.models import PollTally, TallyBucket
from tests.cast import Person, assert_problem, new_key, texts, voter
from tests.live import Server
from tests.polls.test_results import HIDDEN, PRIVATE, PUBLIC, SEEN, VIEWERS, Hall
from tests.polls.threads import beside

MINUTE, HOUR, DAY = 60, 3600, 86400
BASE = 1_893_456_000  # 2030-01-01T00:00:00Z
# The widths, written out once more.
LADDER = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, DAY]

Votes = dict[tuple[int, int], int]  # by second since 1970 and the option's place


def timeline(poll: dict[str, Any]) -> str:
    return f"{poll['links']['self']}timeline/"


def wire(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ids_of(poll: dict[str, Any]) -> list[str]:
    return [option["id"] for option in poll["options"]]


def epoch(at: str) -> int:
    return int(datetime.fromisoformat(at).timestamp())


def sums(body: dict[str, Any]) -> Counter[str]:
    found: Counter[str] = Counter()
    for bucket in body["buckets"]:
        found.update(bucket["votes"])
    return found


def fill(poll: dict[str, Any], votes: Votes) -> None:
    """Let votes have been cast in these seconds."""
    TallyBucket.objects.bulk_create(
        [
            TallyBucket(
                poll_id=poll["id"],
                option_id=poll["options"][place]["id"],
                at=datetime.fromtimestamp(second, UTC),
                votes=n,
            )
            for (second, place), n in votes.items()
        ],
        batch_size=200,
    )


def bucketed(poll: dict[str, Any], votes: Votes, width: int) -> dict[str, Any]:
    """Return the timeline that these votes make, counted row by row."""
    ids = ids_of(poll)
    buckets: dict[int, dict[str, int]] = {}
    for (second, place), n in sorted(votes.items()):
        bucket = buckets.setdefault(second // width * width, dict.fromkeys(ids, 0))
        bucket[ids[place]] += n
    shown = [{"at": wire(start), "votes": bucket} for start, bucket in buckets.items()]
    return {"bucket_seconds": width, "buckets": shown}


# -- votes -------------------------------------------------------------------------------------


def test_poll_without_votes_has_no_buckets(alice: Person) -> None:
    for fields in ({}, {"status": "draft"}, {"opens_at": "2098-01-01T00:00:00Z"}):
        answer = alice.get(timeline(alice.make_poll(**fields)))
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json() == {"bucket_seconds": 1, "buckets": []}


def test_votes_are_in_the_bucket_of_their_second_as_soon_as_they_are_acknowledged(
    live: Server,
) -> None:
    host = live.sign_up()
    poll = host.make_poll(kind="multiple", options=texts("a", "b", "c"))
    ids = ids_of(poll)
    cast: Counter[str] = Counter()
    began = int(time.time())
    for number in range(9):
        places = [(0,), (0, 2), (2,)][number % 3]
        assert live.voter().vote(poll, *places).status_code == 201
        cast.update(ids[place] for place in places)
        body = host.get(timeline(poll)).json()
        assert +sums(body) == cast
        if number % 3 == 2:
            time.sleep(1.1)
    starts = [epoch(bucket["at"]) for bucket in body["buckets"]]
    assert body["bucket_seconds"] == 1
    assert starts == sorted(set(starts))
    assert began <= starts[0] < starts[1] < starts[-1] <= time.time()
    for bucket in body["buckets"]:
        assert list(bucket["votes"]) == ids
        assert bucket["votes"][ids[1]] == 0
        assert sum(bucket["votes"].values()) > 0
    results = host.get(poll["links"]["results"]).json()
    assert sums(body) == {option["id"]: option["votes"] for option in results["options"]}


# -- widths ------------------------------------------------------------------------------------

WIDTHS = [
    # the first and the last second after BASE, and how wide the buckets between them are
    (0, 0, 1),
    (0, 1, 1),
    (0, 299, 1),  # exactly 300
    (7, 306, 1),
    (0, 300, 2),  # 301
    (0, 599, 2),
    (1, 600, 5),  # 600 s, but with a border of 2 s in their midst they would be 301
    (0, 600, 5),
    (0, 1499, 5),
    (0, 1500, 10),
    (0, 2999, 10),
    (0, 3000, 15),
    (0, HOUR, 15),
    (0, 300 * 15, 30),
    (0, 300 * 30 - 1, 30),
    (0, 300 * 30, MINUTE),
    (0, 5 * HOUR - 1, MINUTE),
    (0, 5 * HOUR, 2 * MINUTE),
    (0, 10 * HOUR, 5 * MINUTE),
    (0, 25 * HOUR, 10 * MINUTE),
    (0, 50 * HOUR, 15 * MINUTE),
    (0, 75 * HOUR, 30 * MINUTE),
    (0, 150 * HOUR, HOUR),
    (0, 300 * HOUR, 2 * HOUR),
    (0, 600 * HOUR, 3 * HOUR),
    (0, 30 * DAY, 3 * HOUR),
    (0, 60 * DAY, 6 * HOUR),
    (0, 75 * DAY, 12 * HOUR),
    (0, 150 * DAY, DAY),
    (0, 300 * DAY - 1, DAY),
    (0, 300 * DAY, 2 * DAY),
    (0, 400 * DAY, 2 * DAY),
    (0, 3 * 365 * DAY, 4 * DAY),
    (0, 30 * 365 * DAY, 37 * DAY),
]


@pytest.mark.parametrize(("first", "last", "width"), WIDTHS)
def test_buckets_are_as_wide_as_three_hundred_of_them_need(
    alice: Person, first: int, last: int, width: int
) -> None:
    poll = alice.make_poll()
    middle = (first + last) // 2
    votes = {(BASE + second, 0): 1 + second % 7 for second in (first, middle, last)}
    fill(poll, votes)
    body = alice.get(timeline(poll)).json()
    assert body == bucketed(poll, votes, width)
    starts = [epoch(bucket["at"]) for bucket in body["buckets"]]
    assert [start % width for start in starts] == [0] * len(starts)
    assert (starts[-1] - starts[0]) // width < 300


@pytest.mark.parametrize("seed", range(24))
def test_any_votes_add_up_to_the_tally_in_the_narrowest_buckets_that_do(
    alice: Person, seed: int
) -> None:
    dice = random.Random(seed)
    options = dice.choice([2, 3, 7])
    poll = alice.make_poll(kind="multiple", options=texts(*map(str, range(options))))
    span = int(10 ** dice.uniform(0, 7.4))  # up to 290 days
    began = BASE + dice.randrange(10_000_000)
    votes: Votes = {
        (began + dice.randrange(span), dice.randrange(options)): dice.randint(1, 10**6)
        for _ in range(dice.choice([1, 10, 800]))
    }
    fill(poll, votes)
    body = alice.get(timeline(poll)).json()
    seconds = [second for second, _ in votes]
    width = next(w for w in LADDER if max(seconds) // w - min(seconds) // w + 1 <= 300)
    assert body == bucketed(poll, votes, width)
    tally: Counter[str] = Counter()
    for (_, place), n in votes.items():
        tally[poll["options"][place]["id"]] += n
    assert +sums(body) == tally


def test_bucket_begins_at_the_same_time_whatever_comes_after_it(alice: Person) -> None:
    poll = alice.make_poll()
    fill(poll, {(BASE + 7, 0): 1, (BASE + 1003, 1): 2})
    before = alice.get(timeline(poll)).json()
    fill(poll, {(BASE + 1001, 0): 3, (BASE + 1300, 0): 4})
    after = alice.get(timeline(poll)).json()
    assert (before["bucket_seconds"], after["bucket_seconds"]) == (5, 5)
    assert [bucket["at"] for bucket in before["buckets"]] == [wire(BASE + 5), wire(BASE + 1000)]
    assert [bucket["at"] for bucket in after["buckets"]] == [
        *(wire(BASE + second) for second in (5, 1000, 1300))
    ]
    assert after["buckets"][0] == before["buckets"][0]


def test_buckets_without_a_ballot_are_left_out_and_options_without_a_vote_are_not(
    alice: Person,
) -> None:
    poll = alice.make_poll(options=texts("a", "b", "c"))
    a, b, c = (option["id"] for option in poll["options"])
    fill(poll, {(BASE, 2): 1, (BASE + 50, 0): 0, (BASE + 100, 1): 5, (BASE + 100, 0): 2})
    assert alice.get(timeline(poll)).json() == {
        "bucket_seconds": 1,
        "buckets": [
            {"at": "2030-01-01T00:00:00Z", "votes": {a: 0, b: 0, c: 1}},
            {"at": "2030-01-01T00:01:40Z", "votes": {a: 2, b: 5, c: 0}},
        ],
    }


def test_votes_of_another_poll_are_not_counted(alice: Person) -> None:
    poll, other = alice.make_poll(), alice.make_poll()
    fill(poll, {(BASE, 0): 1, (BASE + 2, 0): 1})
    fill(other, {(BASE - DAY, 0): 7, (BASE + 1, 1): 7, (BASE + 2, 1): 7, (BASE + DAY, 0): 7})
    votes = {(BASE, 0): 1, (BASE + 2, 0): 1}
    assert alice.get(timeline(poll)).json() == bucketed(poll, votes, 1)


# -- who may see -------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
@pytest.mark.parametrize("viewer", VIEWERS)
@pytest.mark.parametrize("visibility", SEEN)
def test_timeline_is_seen_by_exactly_those_who_see_the_results(
    alice: Person, bob: Person, visibility: str, viewer: str, *, closed: bool
) -> None:
    hall = Hall(alice, bob, results_visibility=visibility)
    if closed:
        alice.close(hall.poll)
    answer = hall.people[viewer].get(timeline(hall.poll))
    if viewer in SEEN[visibility][closed]:
        first, second = (option["id"] for option in hall.poll["options"])
        assert answer.status_code == 200
        assert sums(answer.json()) == {first: 0, second: 1}
        everybody = closed and visibility != "owner"
        assert answer.headers["Cache-Control"] == (PUBLIC if everybody else PRIVATE)
        vary = None if everybody else "Authorization, Cookie, X-Voter-Token, X-Voter-Code"
        assert answer.headers.get("Vary") == vary
    else:
        assert_problem(answer, 403, "results_hidden", detail=HIDDEN[visibility])
        assert "ETag" not in answer.headers


def test_timeline_of_unknown_deleted_and_draft_polls_is_not_found(
    alice: Person, bob: Person
) -> None:
    draft, gone = alice.make_poll(status="draft"), alice.make_poll()
    alice.delete(gone["links"]["self"])
    unknown = timeline(gone).replace(gone["id"], str(uuid.uuid4()))
    for person in (bob, voter(), Person()):
        for path in (timeline(draft), timeline(gone), unknown):
            assert_problem(person.get(path), 404, "not_found")
    assert alice.get(timeline(draft)).status_code == 200


# -- entity tags -------------------------------------------------------------------------------


def test_etag_changes_with_everything_that_raises_seq(alice: Person) -> None:
    poll = alice.make_poll(status="draft")
    path = poll["links"]["self"]
    tags = []
    for change in (
        lambda: None,
        lambda: alice.open(poll),
        lambda: voter().vote(poll, 0),
        lambda: alice.patch(path, {"title": "Dinner?"}),
        lambda: alice.close(poll),
    ):
        change()
        answer = alice.get(timeline(poll))
        tags.append(answer.headers["ETag"])
        assert answer.headers["ETag"] == alice.get(timeline(poll)).headers["ETag"]
        assert answer.headers["ETag"] != alice.get(poll["links"]["results"]).headers["ETag"]
    assert len(set(tags)) == len(tags)
    assert all(tag.startswith('"') and tag.endswith('"') for tag in tags)
    assert alice.get(timeline(alice.make_poll(status="draft"))).headers["ETag"] not in tags


def test_timeline_that_is_known_is_not_counted_again(alice: Person) -> None:
    poll = alice.make_poll()
    etag = alice.get(timeline(poll)).headers["ETag"]
    for known, status, counted in ((etag, 304, 0), ('"other"', 200, 1)):
        with meanwhile(lambda: None) as happened:
            assert alice.get(timeline(poll), If_None_Match=known).status_code == status
        assert len(happened) == counted
    voter().vote(poll, 0)
    assert alice.get(timeline(poll), If_None_Match=etag).status_code == 200


# -- votes and rules that change while it is read ----------------------------------------------


@contextmanager
def meanwhile(happening: Callable[[], object], *, times: int = 1) -> Iterator[list[str]]:
    """Let something happen, so many times, after a poll was read and before its timeline is.

    The list has an entry for each time that the timeline is read.
    """
    happened: list[str] = []

    def execute(go_on: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if sql == statement(secret=False):
            happened.append(sql)
            if len(happened) <= times:
                happening()
        return go_on(sql, *rest)

    with connection.execute_wrapper(execute):
        yield happened


def test_vote_that_comes_while_it_is_read_is_counted_under_its_own_seq(alice: Person) -> None:
    poll = alice.make_poll()
    voter().vote(poll, 0)
    before = alice.get(timeline(poll)).headers["ETag"]
    with meanwhile(lambda: voter().vote(poll, 0)) as happened:
        answer = alice.get(timeline(poll))
    assert len(happened) == 1
    again = alice.get(timeline(poll))
    assert sum(sums(answer.json()).values()) == 2
    assert answer.headers["ETag"] == again.headers["ETag"] != before
    assert answer.content == again.content


def test_poll_that_closes_while_it_is_read_is_read_again(alice: Person) -> None:
    poll = alice.make_poll()

    def vote_and_close() -> None:
        voter().vote(poll, 0)
        lifecycle.close_poll(uuid.UUID(poll["id"]))

    with meanwhile(vote_and_close) as happened:
        answer = alice.get(timeline(poll))
    assert len(happened) == 2
    assert sum(sums(answer.json()).values()) == 1
    assert answer.headers["Cache-Control"] == PUBLIC


def test_poll_that_is_hidden_or_deleted_while_it_is_read_is_not_shown(alice: Person) -> None:
    poll = alice.make_poll()
    poll_id = uuid.UUID(poll["id"])
    with meanwhile(lambda: edit_poll(poll_id, {"results_visibility": "owner"})) as happened:
        answer = Person().get(timeline(poll))
    assert len(happened) == 1
    assert_problem(answer, 403, "results_hidden", detail=HIDDEN["owner"])
    with meanwhile(lambda: lifecycle.delete_poll(poll_id)):
        assert_problem(alice.get(timeline(poll)), 404, "not_found")


def test_options_that_change_while_it_is_read_are_those_that_were_voted_for(alice: Person) -> None:
    poll = alice.make_poll()

    def replace_and_vote() -> None:
        alice.patch(poll["links"]["self"], {"options": texts("Soup", "Pho", "Ramen")})
        voter().vote(alice.read_poll(poll), 2)

    with meanwhile(replace_and_vote):
        body = alice.get(timeline(poll)).json()
    ids = [option["id"] for option in alice.read_poll(poll)["options"]]
    assert [bucket["votes"] for bucket in body["buckets"]] == [dict.fromkeys(ids, 0) | {ids[2]: 1}]


def test_poll_whose_rules_never_stand_still_is_unavailable(alice: Person) -> None:
    poll = alice.make_poll()
    poll_id = uuid.UUID(poll["id"])
    with meanwhile(lambda: edit_poll(poll_id, {"title": new_key()}), times=9) as happened:
        assert_problem(alice.get(timeline(poll)), 503, "unavailable")
    assert len(happened) == 3


def _one_by_one(poll: dict[str, Any], count: int) -> None:
    """Cast votes each of which raises seq by one."""
    for _ in range(count):
        assert voter().vote(poll, 0).status_code == 201


def _seq(answer: Any) -> int:
    return int(answer.headers["ETag"].split("-")[1])


def test_seq_of_the_etag_is_that_of_the_votes_while_they_come_in(alice: Person) -> None:
    poll = alice.make_poll()
    read = []
    with beside(lambda: _one_by_one(poll, 120)) as votes:
        while not votes.done():
            answer = alice.get(timeline(poll))
            read.append((_seq(answer), sum(sums(answer.json()).values())))
    votes.result()
    assert [(seq, n) for seq, n in read if n != seq - 1] == []
    assert len({seq for seq, _ in read}) > 2


def test_control_two_readings_would_not_agree_while_votes_come_in(alice: Person) -> None:
    poll = alice.make_poll()
    seq = PollTally.objects.get(poll_id=poll["id"]).seq
    _one_by_one(poll, 1)
    assert sum(sums(alice.get(timeline(poll)).json()).values()) != seq - 1


# -- a large poll ------------------------------------------------------------------------------

SECONDS = 1_000_000
_FILL = {
    "postgresql": (
        "SELECT %s, to_timestamp(n), (CASE WHEN n % 3 = 0 THEN %s ELSE %s END)::uuid, 1 + n % 2 "
        "FROM generate_series(%s, %s) AS n"
    ),
    "sqlite": (
        "WITH RECURSIVE s (poll, a, b, n, last) AS (SELECT %s, %s, %s, %s, %s "
        "UNION ALL SELECT poll, a, b, n + 1, last FROM s WHERE n < last) "
        "SELECT poll, datetime(n, 'unixepoch'), CASE WHEN n % 3 = 0 THEN a ELSE b END, 1 + n % 2 "
        "FROM s"
    ),
}


@pytest.fixture
def large(alice: Person) -> Iterator[dict[str, Any]]:
    """Let somebody have voted in every second of eleven days and a half."""
    poll = alice.make_poll(kind="multiple")
    keys = [as_stored(uuid.UUID(name)) for name in (poll["id"], *ids_of(poll))]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO polls_tallybucket (poll_id, at, option_id, votes) "
            + _FILL[connection.vendor].replace("% ", "%% "),
            [*keys, BASE, BASE + SECONDS - 1],
        )
    yield poll
    TallyBucket.objects.all().delete()
    _analyse()  # what the next tests find


def _analyse() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE polls_tallybucket")


def _explained(parameters: list[Any]) -> list[str]:
    """Return how the database would come by the rows of buckets, a line for each way."""
    query = statement(secret=False)
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {query}", parameters)
            lines = [str(row[3]) for row in cursor.fetchall()]
            return [line for line in lines if "marked" in line or "polls_tallybucket" in line]
        cursor.execute(query.replace("WITH", "EXPLAIN (FORMAT JSON) WITH", 1), parameters)
        plans = [cursor.fetchone()[0][0]["Plan"]]
    for plan in plans:
        plans += plan.get("Plans", [])
    return [
        f"{plan['Node Type']} {plan.get('Index Cond', '')}"
        for plan in plans
        if "polls_tallybucket" in (plan.get("Relation Name"), plan.get("Index Name", "")[:17])
    ]


def test_large_poll_is_read_by_its_key_and_counted_by_the_database(
    alice: Person, large: dict[str, Any]
) -> None:
    key = as_stored(uuid.UUID(large["id"]))
    parameters = [key, key, key, 1, "open"]
    began = time.monotonic()
    answer = alice.get(timeline(large))
    assert time.monotonic() - began < deadline.REQUEST_SECONDS
    body = answer.json()
    assert (body["bucket_seconds"], len(body["buckets"])) == (HOUR, 278)
    first, second = ids_of(large)
    votes = [(1 + n % 2, n % 3 == 0) for n in range(BASE, BASE + SECONDS)]
    thirds = sum(n for n, third in votes if third)
    assert sums(body) == {first: thirds, second: sum(n for n, _ in votes) - thirds}
    assert [epoch(bucket["at"]) for bucket in body["buckets"]] == [
        *range(BASE, BASE + SECONDS, HOUR)
    ]
    with connection.cursor() as cursor:
        cursor.execute(statement(secret=False), parameters)
        assert len(cursor.fetchall()) == 278 * 2
    # By what it takes a table to be that it knows nothing of, and then by what it knows.
    plans = [_explained(parameters)]
    _analyse()
    plans.append(_explained(parameters))
    for plan in plans:
        ranges = [line for line in plan if re.search(r"\bat >=?", line.replace("at>", "at >"))]
        assert len(ranges) == 1, plan
        for line in plan:
            assert line == "Bitmap Heap Scan " or "(poll_id" in line, plan
            assert "AUTOMATIC" not in line, plan
