"""Drafts that are to open by themselves, and copies."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polls.domain.lifecycle import schedule_poll, settle_due_polls
from polls.domain.polls import duplicate_poll
from polls.errors import Code, Refusal
from polls.models import Poll
from tests.cast import Person, voter

AHEAD = "2098-01-01T10:00:00Z"


def schedule(poll: dict[str, Any]) -> None:
    schedule_poll(uuid.UUID(poll["id"]))


def draft(owner: Person, **fields: Any) -> dict[str, Any]:
    return owner.make_poll(status="draft", **fields)


def test_draft_that_is_scheduled_is_there_for_everybody_and_takes_no_vote(alice: Person) -> None:
    poll = draft(alice, opens_at=AHEAD)
    schedule(poll)
    read = voter().read_poll(poll)
    assert (read["status"], read["opens_at"]) == ("scheduled", AHEAD)
    assert alice.read_poll(poll)["seq"] == poll["seq"] + 1
    assert voter().vote(poll, 0).json()["code"] == "poll_not_open"
    schedule(poll)  # which changes nothing
    assert alice.read_poll(poll)["seq"] == poll["seq"] + 1


def test_draft_that_is_scheduled_opens_at_its_time(alice: Person) -> None:
    poll = draft(alice, opens_at=AHEAD)
    schedule(poll)
    passed = datetime.now(UTC) - timedelta(seconds=1)
    Poll.objects.filter(id=poll["id"]).update(opens_at=passed)
    settle_due_polls()
    assert voter().vote(poll, 0).status_code == 201


@pytest.mark.parametrize("opens_at", [None, "2001-01-01T10:00:00Z"])
def test_draft_whose_time_does_not_lie_ahead_stays_one(alice: Person, opens_at: str | None) -> None:
    poll = draft(alice, opens_at=opens_at)
    with pytest.raises(Refusal) as refused:
        schedule(poll)
    assert refused.value.code == Code.INVALID_POLL
    assert [(error.field, error.code) for error in refused.value.errors] == [("opens_at", "passed")]
    assert alice.read_poll(poll) == poll


def test_open_poll_stays_open_and_a_closed_one_closed(alice: Person) -> None:
    poll = alice.make_poll()
    schedule(poll)
    assert alice.read_poll(poll) == poll
    alice.close(poll)
    with pytest.raises(Refusal) as refused:
        schedule(poll)
    assert refused.value.code == Code.POLL_CLOSED


def test_copy_has_no_votes_and_no_times(alice: Person) -> None:
    poll = alice.make_poll(closes_at=AHEAD, kind="multiple", embed_origins=["https://a.example"])
    voter().vote(poll, 0)
    assert alice.user is not None
    copy = duplicate_poll(Poll.objects.get(id=poll["id"]), alice.user)
    read = alice.get(f"/api/v1/polls/{copy.id}/").json()
    assert (read["status"], read["ballots"], read["closes_at"]) == ("draft", 0, None)
    assert (read["kind"], read["embed_origins"]) == ("multiple", ["https://a.example"])
    assert [option["text"] for option in read["options"]] == ["Pizza", "Sushi"]
