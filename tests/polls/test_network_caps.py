"""Network caps: how many voters of a poll one network may have, exactly, at either door."""

import ipaddress
import random
import socket
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from django.test import Client

from polls.domain import ballot_box
from polls.domain.ballot_box import write_batch
from polls.domain.ballot_paper import BallotPaper
from polls.domain.outcomes import Counted, Outcome
from polls.domain.statements import Cast, NetworkId, Postgres
from polls.errors import Code
from polls.models import NetworkCount, Participation
from tests.cast import Person, assert_problem, new_key, stored_rows, stored_rows_of, votes_of
from tests.live import Caller, Server
from tests.polls import wire
from tests.polls.ballots import disagreements, make_cast, new_paper, stored
from tests.polls.kept import all_that_is_kept, assert_not_kept
from tests.polls.stacks import on_postgres_alone
from tests.polls.test_races import Conflicts
from tests.polls.test_reset import reset_by
from tests.polls.threads import PATIENCE, boxes, outcomes, together
from tests.polls.two_doors import vote_of

DOORS = {"express": "", "django": "?by=django"}  # the express door takes no query
HERE, THERE = "203.0.113.9", "198.51.100.7"


# -- over the wire -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service(*, on_postgres: bool) -> Iterator[Server]:
    """A server behind a proxy, of two processes where the database lets there be two."""
    workers = "2" if on_postgres else "1"
    with Server(WEB_WORKERS=workers, TRUSTED_PROXIES="127.0.0.1") as server:
        yield server


def vote_from(
    address: str, poll: dict[str, Any], ann: Caller, *, door: str = "express", place: int = 0
) -> Any:
    """Vote from an address, as the proxy names it, at one of the doors."""
    body = {"choices": [poll["options"][place]["id"]]}
    return ann.post(poll["links"]["vote"] + DOORS[door], body, X_Forwarded_For=address)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("first", "same", "other"),
    [
        ("203.0.113.9", "203.0.113.9", "203.0.113.10"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:9", "2001:db8:1:3::1"),
        ("::ffff:203.0.113.9", "203.0.113.9", "::ffff:203.0.113.10"),
    ],
    ids=["IPv4", "IPv6 by its /64", "IPv4 in IPv6's clothes"],
)
def test_network_has_as_many_voters_as_its_cap(
    service: Server, door: str, first: str, same: str, other: str
) -> None:
    host = service.sign_up()
    poll = host.make_poll(network_cap=2)
    ann, ben, cleo = service.voter(), service.voter(), service.voter()
    assert vote_from(first, poll, ann, door=door).status_code == 201
    assert vote_from(same, poll, ben, door=door).status_code == 201
    before = stored_rows_of(service)
    assert_problem(vote_from(same, poll, cleo, door=door), 403, "network_cap_reached")
    assert_problem(vote_from(first, poll, cleo, door=door), 403, "network_cap_reached")
    # Nothing of it is stored, so the voter may vote from elsewhere.
    assert stored_rows_of(service) == before
    assert cleo.get(poll["links"]["vote"]).json() == {"voted": False}
    assert vote_from(other, poll, cleo, door=door).status_code == 201
    results = host.get(poll["links"]["results"]).json()
    assert (results["ballots"], results["seq"]) == (3, poll["seq"] + 3)
    assert host.get(f"{poll['links']['self']}integrity/").json()["equal"]


@pytest.mark.parametrize(("first", "second"), [("express", "django"), ("django", "express")])
def test_both_doors_count_by_one_count(service: Server, first: str, second: str) -> None:
    poll = service.sign_up().make_poll(network_cap=1)
    for address in (HERE, "2001:db8::1"):
        assert vote_from(address, poll, service.voter(), door=first).status_code == 201
        refused = vote_from(address, poll, service.voter(), door=second)
        assert_problem(refused, 403, "network_cap_reached")


@pytest.mark.parametrize("door", DOORS)
def test_network_is_what_the_trusted_proxy_names_last(service: Server, door: str) -> None:
    """What stands before it the client may have written."""
    poll = service.sign_up().make_poll(network_cap=1)
    hops = [f"{THERE}, {HERE}", f"192.0.2.1, {HERE}", HERE]
    answers = [vote_from(hop, poll, service.voter(), door=door).status_code for hop in hops]
    assert answers == [201, 403, 403]


def _vote_by_socket(server: Server, source: str, poll: dict[str, Any], *headers: str) -> int:
    """Vote as a new voter over a connection that comes from this address."""
    token = server.voter().headers["X-Voter-Token"]
    body = b'{"choices":["%s"]}' % poll["options"][0]["id"].encode()
    with socket.create_connection(
        ("127.0.0.1", server.port), timeout=PATIENCE, source_address=(source, 0)
    ) as client:
        client.sendall(vote_of(token, body, poll["id"], *headers))
        return wire.receive(client, "POST").status


# A session is Django's to look up.
@pytest.mark.parametrize("headers", [(), ("Cookie: sessionid=none",)], ids=DOORS)
def test_without_a_trusted_proxy_the_connection_alone_tells(
    uvicorn: Server, headers: tuple[str, ...]
) -> None:
    poll = uvicorn.sign_up().make_poll(network_cap=1)
    answers = [
        _vote_by_socket(uvicorn, source, poll, f"X-Forwarded-For: 192.0.2.{place}", *headers)
        for place, source in enumerate(["127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.2"])
    ]
    assert answers == [201, 403, 201, 403]


def test_voters_of_several_networks_who_vote_at_once_over_the_wire(service: Server) -> None:
    host = service.sign_up()
    poll = host.make_poll(network_cap=5)
    people = [service.voter() for _ in range(60)]

    def vote(place: int) -> tuple[int, int]:
        network, door = place % 4, list(DOORS)[place % 3 % 2]
        answer = vote_from(f"203.0.113.{network}", poll, people[place], door=door)
        return network, answer.status_code

    found = Counter(together(60, vote))
    expected = {(n, status): count for n in range(4) for status, count in ((201, 5), (403, 10))}
    assert found == expected
    assert host.get(poll["links"]["results"]).json()["ballots"] == 20
    assert host.get(f"{poll['links']['self']}integrity/").json()["equal"]


# -- who is counted ----------------------------------------------------------------------------


class From(Person):
    """A voter whose requests come from an address."""

    def __init__(self, address: str) -> None:
        super().__init__(device=True)
        self.http = Client(raise_request_exception=False, REMOTE_ADDR=address)


def counts_of(poll: dict[str, Any]) -> list[int]:
    """Return how many voters are counted to each network."""
    return list(NetworkCount.objects.filter(poll=poll["id"]).values_list("n", flat=True))


def test_voter_is_counted_once_whatever_they_do(alice: Person) -> None:
    poll, key = alice.make_poll(network_cap=2, allow_change=True), new_key()
    ann, ben, cleo = From(HERE), From(HERE), From(HERE)
    link = poll["links"]["vote"]
    other = {"choices": [poll["options"][1]["id"]]}
    assert ann.vote(poll, 0, Idempotency_Key=key).status_code == 201
    assert ann.vote(poll, 0, Idempotency_Key=key).status_code == 200
    assert ann.vote(poll, 1, Idempotency_Key=key).status_code == 422
    assert ann.vote(poll, 0, Idempotency_Key=new_key()).status_code == 409
    assert ann.call("PUT", link, other).status_code == 200
    assert ann.delete(link).status_code == 204
    assert counts_of(poll) == [1]  # whoever withdraws keeps the place, and may come back
    assert ben.vote(poll, 0).status_code == 201
    assert_problem(cleo.vote(poll, 0), 403, "network_cap_reached")
    assert ann.call("PUT", link, other).status_code == 200
    assert ann.delete(link).status_code == 204
    assert_problem(cleo.vote(poll, 0), 403, "network_cap_reached")
    assert counts_of(poll) == [2]
    found = stored(uuid.UUID(poll["id"]))
    assert (found.participations, found.ballots, found.votes) == (2, 1, [1, 0])


def test_voter_who_moves_is_not_counted_again(alice: Person) -> None:
    poll, key = alice.make_poll(network_cap=1), new_key()
    ann = From(HERE)
    ann.vote(poll, 0, Idempotency_Key=key)
    ann.http = Client(REMOTE_ADDR=THERE)
    assert ann.vote(poll, 0, Idempotency_Key=key).status_code == 200
    assert ann.vote(poll, 0).status_code == 409
    assert counts_of(poll) == [1]
    assert From(THERE).vote(poll, 0).status_code == 201


def test_full_network_is_told_last(alice: Person) -> None:
    poll, key = alice.make_poll(network_cap=1), new_key()
    ann, ben = From(HERE), From(HERE)
    receipt = ann.vote(poll, 0, Idempotency_Key=key).json()["receipt"]
    again = ann.vote(poll, 0, Idempotency_Key=key)
    assert (again.status_code, again.json()["receipt"]) == (200, receipt)
    assert_problem(ann.vote(poll, 1, Idempotency_Key=key), 422, "idempotency_key_reused")
    assert_problem(ann.vote(poll, 0), 409, "already_voted")
    assert ben.vote(poll, 0, 1).json()["code"] == "invalid_ballot"
    assert Person().vote(poll, 0).json()["code"] == "voter_token_required"
    assert_problem(ben.vote(poll, 0, Idempotency_Key=key), 403, "network_cap_reached")
    alice.close(poll)
    assert_problem(ben.vote(poll, 0), 410, "poll_closed")
    assert ann.vote(poll, 0, Idempotency_Key=key).status_code == 200


def test_refused_vote_leaves_nothing_and_may_be_sent_again_from_elsewhere(alice: Person) -> None:
    poll, key = alice.make_poll(network_cap=1), new_key()
    From(HERE).vote(poll, 0)
    ben = From(HERE)
    before = stored_rows(), votes_of(alice, poll), alice.read_poll(poll)["seq"]
    assert_problem(ben.vote(poll, 1, Idempotency_Key=key), 403, "network_cap_reached")
    assert (stored_rows(), votes_of(alice, poll), alice.read_poll(poll)["seq"]) == before
    ben.http = Client(REMOTE_ADDR=THERE)
    assert ben.vote(poll, 1, Idempotency_Key=key).status_code == 201


# -- what is kept ------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [HERE, "2001:db8:1:2::1", f"::ffff:{HERE}"])
def test_address_is_in_no_table(alice: Person, address: str) -> None:
    poll, other = alice.make_poll(network_cap=3), alice.make_poll(network_cap=3)
    for one in (poll, other):
        assert From(address).vote(one, 0).status_code == 201
    found = ipaddress.ip_address(address)
    forms: list[str | bytes] = [address, str(found), found.exploded]
    forms += [found.packed] if len(found.packed) > 4 else []  # four bytes stand anywhere
    assert_not_kept(*forms, HERE, "2001:db8:1:2", "2001:db8:1:2::/64", "203.0.113")
    # By the same address nobody can tell that two polls were voted in from one place.
    networks = [bytes(key) for key in NetworkCount.objects.values_list("network", flat=True)]
    assert len(set(networks)) == len(networks) == 2
    assert {len(key) for key in networks} == {32}
    assert networks[0].hex() in all_that_is_kept()  # the scan finds what is there


def test_poll_without_a_cap_counts_no_network(alice: Person) -> None:
    poll = alice.make_poll()
    assert {From(HERE).vote(poll, 0).status_code for _ in range(5)} == {201}
    assert not NetworkCount.objects.exists()


def test_reset_empties_the_counts(alice: Person) -> None:
    poll = alice.make_poll(network_cap=1)
    ann, ben = From(HERE), From(HERE)
    ann.vote(poll, 0)
    assert ben.vote(poll, 0).status_code == 403
    assert reset_by(alice, poll).status_code == 200
    assert counts_of(poll) == []
    assert ben.vote(poll, 0).status_code == 201
    assert ann.vote(poll, 0).status_code == 403


# -- the definition ----------------------------------------------------------------------------


def test_cap_is_part_of_what_a_poll_reads(alice: Person) -> None:
    assert alice.make_poll()["network_cap"] is None
    assert alice.make_poll(network_cap=None)["network_cap"] is None
    assert alice.make_poll(network_cap=1_000_000)["network_cap"] == 1_000_000


def test_cap_may_change_until_there_is_a_ballot(alice: Person) -> None:
    poll = alice.make_poll(network_cap=1)
    link = poll["links"]["self"]
    assert alice.patch(link, {"network_cap": 2}).json()["network_cap"] == 2
    assert alice.patch(link, {"network_cap": None}).json()["network_cap"] is None
    assert alice.patch(link, {"network_cap": 1}).json()["network_cap"] == 1
    assert From(HERE).vote(poll, 0).status_code == 201
    for value in (2, None):
        frozen = alice.patch(link, {"network_cap": value})
        fault = ("network_cap", "frozen", "It can no longer be changed.")
        assert_problem(frozen, 409, "poll_frozen", errors=[fault])
    assert alice.patch(link, {"network_cap": 1, "title": "Dinner?"}).status_code == 200
    assert From(HERE).vote(poll, 0).status_code == 403
    reset_by(alice, poll)
    assert alice.patch(link, {"network_cap": 2}).status_code == 200


@pytest.mark.parametrize(
    ("code", "value"),
    [
        *(("invalid_poll", value) for value in (0, -1, 1_000_001, 2**31, 2**63 - 1)),
        *(("malformed", value) for value in (1.5, "3", True, [3])),
    ],
)
def test_cap_that_cannot_be_is_refused_by_name(alice: Person, code: str, value: object) -> None:
    poll = alice.make_poll()
    body = {"title": "Lunch?", "options": [{"text": "a"}, {"text": "b"}], "network_cap": value}
    for answer in (
        alice.post("/api/v1/polls/", body),
        alice.patch(poll["links"]["self"], {"network_cap": value}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (400, code)
        assert [error["field"] for error in answer.json()["errors"]] == ["network_cap"]


@pytest.mark.parametrize("identity", ["open", "code", "account"])
def test_cap_goes_with_devices_alone(alice: Person, identity: str) -> None:
    fault = ("network_cap", "identity", "A cap goes with identity `device`.")
    body = {"title": "Lunch?", "options": [{"text": "a"}, {"text": "b"}]}
    wrong = alice.post("/api/v1/polls/", {**body, "identity": identity, "network_cap": 3})
    assert_problem(wrong, 400, "invalid_poll", errors=[fault])
    poll = alice.make_poll(network_cap=3)
    wrong = alice.patch(poll["links"]["self"], {"identity": identity})
    assert_problem(wrong, 400, "invalid_poll", errors=[fault])
    both = alice.patch(poll["links"]["self"], {"identity": identity, "network_cap": None})
    assert both.status_code == 200


# -- at once -----------------------------------------------------------------------------------

NETWORKS, CAP = 4, 7


def _casts(paper: BallotPaper, count: int, networks: int = NETWORKS) -> list[Cast]:
    return [make_cast(paper, n % 3, network=f"192.0.2.{n % networks}") for n in range(count)]


def _got_in(casts: Sequence[Cast], found: Sequence[Outcome]) -> list[int]:
    """Return how many of each network got in; all others were told that it is full."""
    inside: Counter[bytes | None] = Counter({cast.network: 0 for cast in casts})
    for cast, outcome in zip(casts, found, strict=True):
        if isinstance(outcome, Counted):
            inside[cast.network] += 1
        else:
            assert outcome is Code.NETWORK_CAP_REACHED
    return sorted(inside.values())


@pytest.mark.parametrize("batch", [1, 8, 500])
def test_200_votes_at_once_fill_each_network_to_its_cap_exactly(alice: Person, batch: int) -> None:
    paper = new_paper(alice, network_cap=CAP)
    casts = _casts(paper, 200)
    with boxes(4, batch_limit=batch) as opened:
        found = together(200, lambda n: opened[n // 50].submit(casts[n]).result(PATIENCE))
    assert _got_in(casts, found) == [CAP] * NETWORKS
    after = stored(paper.poll_id)
    assert (after.ballots, disagreements(after)) == (NETWORKS * CAP, [])
    kept = NetworkCount.objects.filter(poll=paper.poll_id).values_list("n", flat=True)
    assert list(kept) == [CAP] * NETWORKS


def test_networks_with_room_lose_nobody(alice: Person) -> None:
    """Networks of any size, with retries and second votes among them."""
    paper, chance = new_paper(alice, network_cap=CAP), random.Random(2026)
    sizes = [chance.randrange(1, 3 * CAP) for _ in range(20)]
    casts = [
        make_cast(
            paper, 0, voter=f"{network}-{n}", key=f"a key of {network}-{n}", network=str(network)
        )
        for network, size in enumerate(sizes)
        for n in range(size)
    ]
    casts += [
        make_cast(paper, chance.randrange(3), voter=f"{network}-0", network=str(network))
        for network in range(len(sizes))
    ]
    chance.shuffle(casts)
    with boxes(4, batch_limit=16) as opened:
        futures = [opened[place % 4].submit(cast) for place, cast in enumerate(casts)]
        outcomes(futures)
    networks = Counter(NetworkCount.objects.filter(poll=paper.poll_id).values_list("n", flat=True))
    assert networks == Counter(min(size, CAP) for size in sizes)
    after = stored(paper.poll_id)
    assert (after.ballots, disagreements(after)) == (sum(min(size, CAP) for size in sizes), [])


def test_control_whoever_looks_first_and_votes_then_lets_more_in(alice: Person) -> None:
    paper = new_paper(alice)
    casts = _casts(paper, 200)
    inside: Counter[int] = Counter()

    with boxes(4, batch_limit=8) as opened:

        def look_and_vote(place: int) -> None:
            network = place % NETWORKS
            if inside[network] >= CAP:
                return
            outcome = opened[place // 50].submit(casts[place]).result(PATIENCE)
            inside[network] += isinstance(outcome, Counted)

        together(200, look_and_vote)
    assert Participation.objects.filter(poll=paper.poll_id).count() > NETWORKS * CAP


@on_postgres_alone  # SQLite has one writer at a time
def test_control_without_the_lock_on_its_row_a_network_has_more_voters(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_and_write_back(
        self: Postgres, wanted: Mapping[NetworkId, tuple[int, int]]
    ) -> dict[NetworkId, int]:
        del self
        found = {}
        for (poll, network), (number, cap) in wanted.items():
            of_network = NetworkCount.objects.filter(poll=uuid.UUID(poll), network=network)
            n = of_network.values_list("n", flat=True).first() or 0
            time.sleep(0.002)
            found[poll, network] = min(number, cap - n)
            row = NetworkCount(poll_id=uuid.UUID(poll), network=network, cap=cap)
            row.n = n + found[poll, network]
            NetworkCount.objects.bulk_create(
                [row],
                update_conflicts=True,
                unique_fields=["poll_id", "network"],
                update_fields=["n"],
            )
        return found

    monkeypatch.setattr(Postgres, "enter_networks", read_and_write_back)
    paper = new_paper(alice, network_cap=CAP)
    casts = _casts(paper, 200)
    with boxes(4, batch_limit=1) as opened:
        found = together(200, lambda n: opened[n // 50].submit(casts[n]).result(PATIENCE))
    assert sum(_got_in(casts, found)) > NETWORKS * CAP


# -- many networks -----------------------------------------------------------------------------

MANY, BATCH, BOXES = 60, 64, 3


def _flush_over_many_networks(alice: Person, conflicts: Conflicts, *, batches: int) -> BallotPaper:
    """Let three boxes flush votes of many networks in any order."""
    paper, chance = new_paper(alice, network_cap=40), random.Random(2026)
    casts = [
        [
            make_cast(paper, chance.randrange(3), network=str(chance.randrange(MANY)))
            for _ in range(batches * BATCH)
        ]
        for _ in range(BOXES)
    ]
    with boxes(BOXES, conflicts.write, batch_limit=BATCH) as opened:
        together(BOXES, lambda n: outcomes([opened[n].submit(cast) for cast in casts[n]]))
    return paper


def test_flushes_of_three_boxes_over_many_networks_never_deadlock(alice: Person) -> None:
    conflicts = Conflicts()
    paper = _flush_over_many_networks(alice, conflicts, batches=20)
    assert conflicts.states == []
    after = stored(paper.poll_id)
    kept = NetworkCount.objects.filter(poll=paper.poll_id).values_list("n", flat=True)
    assert (len(kept), sum(kept), disagreements(after)) == (MANY, after.ballots, [])


@on_postgres_alone  # SQLite has one writer at a time: there is no order to take locks in
def test_control_without_their_order_networks_deadlock(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter = Postgres.enter_networks

    def enter_in_any_order(
        self: Postgres, wanted: Mapping[NetworkId, tuple[int, int]]
    ) -> dict[NetworkId, int]:
        keys = random.sample(list(wanted), len(wanted))
        found = {}
        # In two statements and with a pause: meanwhile the others take their first ones.
        for half in (keys[::2], keys[1::2]):
            if half:
                found.update(enter(self, {key: wanted[key] for key in half}))
                time.sleep(0.05)
        return found

    monkeypatch.setattr(Postgres, "enter_networks", enter_in_any_order)
    monkeypatch.setattr(ballot_box, "_ATTEMPTS", 1)
    conflicts = Conflicts()
    paper = _flush_over_many_networks(alice, conflicts, batches=4)
    assert "40P01" in conflicts.states
    assert disagreements(stored(paper.poll_id)) == []


def test_batch_is_decided_as_its_votes_would_be_one_by_one(alice: Person) -> None:
    paper = new_paper(alice, network_cap=2)
    casts = [
        make_cast(paper, 0, voter="ann", key="k" * 16, network=HERE),
        make_cast(paper, 0, voter="ben", network=HERE),
        make_cast(paper, 0, voter="cleo", network=HERE),
        make_cast(paper, 1, voter="cleo", network=HERE),
        make_cast(paper, 0, voter="ann", key="k" * 16, network=THERE),
        make_cast(paper, 1, voter="ben", network=THERE),
        make_cast(paper, 1, voter="dan", network=THERE),
    ]
    found = write_batch(casts)
    assert [isinstance(outcome, Counted) for outcome in found[:2]] == [True, True]
    assert found[2:4] == [Code.NETWORK_CAP_REACHED] * 2
    assert found[4].receipt == casts[0].receipt  # type: ignore[union-attr] # a replay
    assert found[5] is Code.ALREADY_VOTED
    assert isinstance(found[6], Counted)
    assert [one.n for one in NetworkCount.objects.order_by("-n")] == [2, 1]
    assert stored(paper.poll_id).participations == 3
