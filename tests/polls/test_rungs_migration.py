"""The migration that brings caps, codes and secrecy: votes that were cast before it stay."""

import hashlib
import uuid
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import F

from polls.domain import lifecycle
from polls.domain.ballot_paper import load_ballot_paper, papers
from polls.models import LiveTicket, Option, Participation, Poll, PollKey, Selection
from tests.cast import Person, new_key, voter, votes_of
from tests.polls.ballots import disagreements, make_cast, stored
from tests.polls.by_code import make_codes, vote_by
from tests.polls.catalogue import broken_foreign_key, constraints

BEFORE = [("polls", "0003_events")]


def _forward() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes("polls"))


def _cast_as_before(poll: dict[str, Any], key: str) -> str:
    """Store a vote by the tables of the release before, and return the voter who cast it."""
    apps = MigrationExecutor(connection).loader.project_state(BEFORE).apps
    assert "network_cap" not in {
        field.name for field in apps.get_model("polls", "Poll")._meta.fields
    }
    paper_key = bytes(apps.get_model("polls", "PollKey").objects.get(poll_id=poll["id"]).key)
    option = uuid.UUID(poll["options"][1]["id"])
    ballot, who = uuid.uuid4(), "an old voter"
    names = {"poll_id": uuid.UUID(poll["id"])}
    paper = papers.get(poll["id"])
    assert paper is not None
    assert paper.key == paper_key
    cast = make_cast(paper, 1, voter=who, key=key)
    apps.get_model("polls", "Participation").objects.create(
        **names,
        voter_key=cast.voter_key,
        ballot_id=ballot,
        first_key_hash=hashlib.sha256(key.encode()).digest(),
        first_ballot_hash=cast.ballot_hash,
    )
    apps.get_model("polls", "Ballot").objects.create(**names, id=ballot, receipt=cast.receipt)
    apps.get_model("polls", "Selection").objects.create(**names, ballot_id=ballot, option_id=option)
    tallies = apps.get_model("polls", "Tally").objects
    tallies.filter(**names, option_id=option).update(votes=F("votes") + 1)
    buckets = apps.get_model("polls", "TallyBucket").objects
    buckets.create(**names, option_id=option, votes=1, at="2020-01-01T00:00:00Z")
    counts = apps.get_model("polls", "PollTally").objects
    counts.filter(**names).update(ballots=F("ballots") + 1, seq=F("seq") + 1)
    return who


def test_votes_cast_before_stay_and_every_constraint_is_there(alice: Person) -> None:
    wanted = constraints()
    poll, other = alice.make_poll(kind="multiple"), alice.make_poll(identity="code")
    ann, key, old_key = voter(), new_key(), new_key()
    receipt = ann.vote(poll, 0, 1, Idempotency_Key=key).json()["receipt"]
    MigrationExecutor(connection).migrate(BEFORE)
    try:
        assert "polls_networkcount: PRIMARY KEY (poll_id, network)" not in constraints()
        with transaction.atomic():
            old = _cast_as_before(poll, old_key)
    finally:
        _forward()
    assert constraints() == wanted
    found = stored(uuid.UUID(poll["id"]))
    assert (found.ballots, found.votes, disagreements(found)) == (2, [1, 2], [])
    row = Participation.objects.exclude(first_key_hash=hashlib.sha256(key.encode()).digest()).get()
    assert (row.change_hashes, row.counted_at) == (None, None)

    # Retries of votes cast before are known, and nobody votes again.
    again = ann.vote(poll, 0, 1, Idempotency_Key=key)
    assert (again.status_code, again.json()["receipt"]) == (200, receipt)
    assert ann.vote(poll, 0).status_code == 409
    paper = load_ballot_paper(Poll.objects.get(id=poll["id"]))
    retry = make_cast(paper, 1, voter=old, key=old_key)
    assert Participation.objects.filter(voter_key=retry.voter_key).exists()
    assert voter().vote(poll, 0).status_code == 201
    assert votes_of(alice, poll) == [2, 2]
    read = alice.read_poll(poll)
    assert (read["network_cap"], read["secrecy"]) == (None, "confidential")

    # Polls that had no key for codes may have codes, which outlive a reset.
    assert set(PollKey.objects.values_list("code_key", flat=True)) == {None}
    (code,) = make_codes(alice, other)
    assert vote_by(code, other, 0).status_code == 201
    assert alice.post(f"{other['links']['self']}reset/").status_code == 200
    assert vote_by(code, other, 0).status_code == 201
    for one in (poll, other):
        lifecycle.close_poll(uuid.UUID(one["id"]))
    lifecycle.certify_closed_polls()
    assert not Poll.objects.filter(certified_at=None).exists()


def test_process_of_the_release_before_goes_on_issuing_tickets(alice: Person) -> None:
    tickets = MigrationExecutor(connection).loader.project_state(BEFORE).apps
    names = {"polls": [alice.make_poll()["id"]], "expires_at": "2099-01-01T00:00:00Z"}
    tickets.get_model("polls", "LiveTicket").objects.create(ticket_hash=b"t" * 32, **names)
    assert LiveTicket.objects.get().code_voters == {}


@pytest.mark.parametrize("there_and_back", [False, True])
def test_composite_keys_hold_after_the_migration(alice: Person, *, there_and_back: bool) -> None:
    poll, other = alice.make_poll(), alice.make_poll()
    voter().vote(poll, 0)
    if there_and_back:
        MigrationExecutor(connection).migrate(BEFORE)
        _forward()
    elsewhere = Option.objects.filter(poll=other["id"])[0]
    ballot = Selection.objects.get(poll=poll["id"]).ballot_id
    with pytest.raises(IntegrityError):
        _mark(poll, ballot, elsewhere)
    assert votes_of(alice, poll) == [1, 0]


def _mark(poll: dict[str, Any], ballot: uuid.UUID, option: Option) -> None:
    """Let a ballot mark an option; on SQLite a broken key is only named when it is looked for."""
    with transaction.atomic():
        Selection.objects.create(poll_id=poll["id"], ballot_id=ballot, option=option)
        if broken_foreign_key("polls_selection"):
            raise IntegrityError
