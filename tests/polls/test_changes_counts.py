"""What changed votes leave of the counts: each bucket, each revision, each version."""

import uuid
from typing import Any

import pytest

from polls.domain import lifecycle
from polls.domain.ballot_paper import papers
from polls.domain.polls import edit_poll
from polls.models import Tally
from tests.cast import Person, assert_problem, voter, votes_of
from tests.polls.standing import buckets, faults, let_time_pass, timeline_of
from tests.polls.test_changes import CHANGEABLE, Change, results_of


@pytest.fixture
def poll(alice: Person) -> dict[str, Any]:
    """A poll whose votes may be changed, and may mark several options."""
    return alice.make_poll(**CHANGEABLE, kind="multiple")


# -- votes over time -------------------------------------------------------------------------------


def test_replaced_ballot_leaves_the_bucket_it_was_cast_in(
    alice: Person, poll: dict[str, Any]
) -> None:
    ann, ben = voter(), voter()
    ann.vote(poll, 0, 1)
    ben.vote(poll, 0)
    let_time_pass(poll["id"], hours=1)
    assert timeline_of(alice, poll) == [[2, 1, 0]]
    ann.replace_vote(poll, 1, 2)
    assert timeline_of(alice, poll) == [[1, 0, 0], [0, 1, 1]]
    assert faults(poll["id"]) == []
    let_time_pass(poll["id"], minutes=7)
    ann.replace_vote(poll, 0)
    assert timeline_of(alice, poll) == [[1, 0, 0], [1, 0, 0]]
    assert faults(poll["id"]) == []


def test_withdrawn_ballot_leaves_the_bucket_it_was_cast_in(
    alice: Person, poll: dict[str, Any]
) -> None:
    ann, ben = voter(), voter()
    ann.vote(poll, 0, 1)
    let_time_pass(poll["id"], hours=1)
    ben.vote(poll, 1)
    ben.replace_vote(poll, 2)
    let_time_pass(poll["id"], minutes=7)
    assert timeline_of(alice, poll) == [[1, 1, 0], [0, 0, 1]]
    ann.withdraw(poll)
    assert timeline_of(alice, poll) == [[0, 0, 1]]
    assert faults(poll["id"]) == []


def test_bucket_that_is_emptied_disappears(alice: Person, poll: dict[str, Any]) -> None:
    ann = voter()
    ann.vote(poll, 0, 1)
    let_time_pass(poll["id"], hours=1)
    before = set(buckets(poll["id"]))
    ann.replace_vote(poll, 0)
    assert len(buckets(poll["id"])) == 1
    assert not before & set(buckets(poll["id"]))
    ann.withdraw(poll)
    assert buckets(poll["id"]) == {}
    assert alice.get(f"{poll['links']['self']}timeline/").json() == {
        "bucket_seconds": 1,
        "buckets": [],
    }


def test_vote_that_is_cast_again_counts_when_it_is_cast_again(
    alice: Person, poll: dict[str, Any]
) -> None:
    ann, ben = voter(), voter()
    for person in (ann, ben):
        person.vote(poll, 0)
    let_time_pass(poll["id"], hours=1)
    ann.withdraw(poll)
    ann.replace_vote(poll, 2)
    assert timeline_of(alice, poll) == [[1, 0, 0], [0, 0, 1]]
    assert faults(poll["id"]) == []


def test_timeline_of_a_changed_vote_has_another_etag(alice: Person, poll: dict[str, Any]) -> None:
    path, ann = f"{poll['links']['self']}timeline/", voter()
    ann.vote(poll, 0)
    etags = [alice.get(path).headers["ETag"]]
    changes: list[Change] = [
        lambda: ann.replace_vote(poll, 0),
        lambda: ann.withdraw(poll),
    ]
    for change in changes:
        change()
        answer = alice.get(path, If_None_Match=etags[-1])
        assert answer.status_code == 200
        etags.append(answer.headers["ETag"])
    assert len(set(etags)) == 3


# -- versions --------------------------------------------------------------------------------------


def test_each_change_raises_seq_by_one_and_each_refusal_by_none(
    alice: Person, poll: dict[str, Any]
) -> None:
    ann, seqs = voter(), []
    ann.vote(poll, 0)
    changes: list[Change] = [
        lambda: ann.replace_vote(poll, 1),
        lambda: ann.withdraw(poll),
        lambda: ann.withdraw(poll),
        lambda: ann.vote(poll, 0),
        lambda: ann.replace_vote(poll, 1, 2),
        lambda: voter().replace_vote(poll, 0),
        lambda: ann.withdraw(poll),
    ]
    for change in changes:
        change()
        seqs.append(results_of(alice, poll)["seq"])
    assert seqs == [3, 4, 4, 4, 5, 5, 6]


@pytest.mark.parametrize("points", [None, 7])
def test_changes_leave_points_as_they_are(
    alice: Person, poll: dict[str, Any], points: int | None
) -> None:
    Tally.objects.filter(poll=poll["id"]).update(points=points)
    ann = voter()
    ann.vote(poll, 0)
    ann.replace_vote(poll, 1)
    ann.withdraw(poll)
    assert [option["points"] for option in results_of(alice, poll)["options"]] == [points] * 3


def test_closed_poll_of_changed_votes_is_certified(alice: Person, poll: dict[str, Any]) -> None:
    people = [voter() for _ in range(4)]
    for person in people:
        person.vote(poll, 0, 1)
    people[0].replace_vote(poll, 2)
    people[1].withdraw(poll)
    people[1].replace_vote(poll, 1)
    people[2].withdraw(poll)
    alice.close(poll)
    assert lifecycle.certify_poll(uuid.UUID(poll["id"]))
    assert votes_of(alice, poll) == [1, 2, 1]
    assert results_of(alice, poll)["certified_at"] is not None


# -- edits between ---------------------------------------------------------------------------------


def test_change_goes_by_the_poll_of_now(alice: Person, poll: dict[str, Any]) -> None:
    """Each edit leaves this process with the ballot paper of an older revision."""
    ann = voter()
    ann.vote(poll, 0)
    for title, place in (("Dinner?", 1), ("Supper?", 2)):
        edit_poll(uuid.UUID(poll["id"]), {"title": title})
        kept = papers.get(poll["id"])
        assert kept is not None
        assert kept.poll.title != title
        answer = ann.replace_vote(poll, place).json()
        assert answer["results"] == results_of(alice, poll)
        assert answer["results"]["title"] == title
    edit_poll(uuid.UUID(poll["id"]), {"title": "Tea?"})
    assert ann.withdraw(poll).status_code == 204
    assert votes_of(alice, poll) == [0, 0, 0]
    assert faults(poll["id"]) == []


def test_permission_to_change_is_that_of_now(alice: Person) -> None:
    poll, ann = alice.make_poll(), voter()
    ann.vote(poll, 0)  # its paper is kept now
    alice.post(f"{poll['links']['self']}reset/")
    assert alice.patch(poll["links"]["self"], {"allow_change": True}).status_code == 200
    assert_problem(ann.replace_vote(poll, 1), 404, "no_vote")
    ann.vote(poll, 0)
    assert ann.replace_vote(poll, 1).status_code == 200
    alice.post(f"{poll['links']['self']}reset/")
    assert alice.patch(poll["links"]["self"], {"allow_change": False}).status_code == 200
    ann.vote(poll, 0)
    assert_problem(ann.replace_vote(poll, 1), 409, "change_not_allowed")
    assert_problem(ann.withdraw(poll), 409, "change_not_allowed")
    assert votes_of(alice, poll) == [1, 0]


def test_withdrawn_vote_freezes_its_poll_like_one_that_stands(
    alice: Person, poll: dict[str, Any]
) -> None:
    """Whoever withdrew it may cast it again, by the rules under which they came."""
    ann = voter()
    ann.vote(poll, 0)
    ann.withdraw(poll)
    for field, value in (("allow_change", False), ("kind", "single"), ("identity", "account")):
        answer = alice.patch(poll["links"]["self"], {field: value})
        assert (answer.status_code, answer.json()["code"]) == (409, "poll_frozen")
    assert ann.replace_vote(poll, 1, 2).status_code == 200
