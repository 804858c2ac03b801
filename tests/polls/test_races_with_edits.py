"""Votes that race a change of the poll: each counts under the rules it was checked against."""

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.db.models import Count

from polls.domain import voters, voting
from polls.domain.ballot_box import BallotBox
from polls.domain.ballot_paper import BallotPaper
from polls.domain.outcomes import Outcome
from polls.domain.polls import edit_poll
from polls.domain.statements import Cast
from polls.errors import Code, Refusal
from polls.models import Option, Participation, Poll, Selection
from tests.cast import Person
from tests.polls.ballots import disagreements, new_paper, stored
from tests.polls.entering import enter_by_any_revision
from tests.polls.threads import PATIENCE, beside, boxes, together

Changes = Mapping[str, Any]

# What may change under a ballot for the first and the second option, so that it is no longer one.
CHANGES: dict[str, Changes] = {
    "rules": {"max_selections": 1},
    "options": {"options": ("Pizza", "Bread", "Cake")},
    "kind": {"kind": "single", "max_selections": 1},
}
every_change = pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES.keys())


def _vote(paper: BallotPaper, drop: Callable[[Cast], Outcome]) -> Code | None:
    """Vote for the first two options as a new device; return the refusal."""
    chosen = list(paper.options)[:2]
    voter = voting.Voter(token=voters.issue_voter_token())
    try:
        voting.cast_vote(paper.poll_id, {"choices": chosen}, voter, drop=drop)
    except Refusal as refusal:
        return refusal.code
    return None


def _edit_under_a_checked_ballot(
    alice: Person, changes: Changes
) -> tuple[BallotPaper, Code | None]:
    """Change the poll after a ballot has been checked and before it is flushed."""
    paper = new_paper(alice, kind="multiple")
    edits = [changes]
    with boxes() as (box,):

        def edit_then_drop(cast: Cast) -> Outcome:
            while edits:
                edit_poll(paper.poll_id, edits.pop())
            return box.submit(cast).result(PATIENCE)

        return paper, _vote(paper, edit_then_drop)


@every_change
def test_ballot_is_checked_again_where_the_poll_has_changed_under_it(
    alice: Person, changes: Changes
) -> None:
    paper, refusal = _edit_under_a_checked_ballot(alice, changes)
    assert refusal == Code.INVALID_BALLOT
    assert stored(paper.poll_id).ballots == 0


def test_ballot_that_is_still_one_under_the_new_rules_is_counted(alice: Person) -> None:
    paper, refusal = _edit_under_a_checked_ballot(alice, {"title": "Dinner?", "max_selections": 2})
    assert refusal is None
    found = stored(paper.poll_id)
    assert (found.votes, disagreements(found)) == ([1, 1, 0], [])


@pytest.mark.parametrize("name", ["rules", "kind"])  # gone options the foreign key refuses
def test_control_without_the_comparison_of_revisions_a_ballot_breaks_the_new_rules(
    alice: Person, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    enter_by_any_revision(monkeypatch)
    paper, refusal = _edit_under_a_checked_ballot(alice, CHANGES[name])
    assert refusal is None
    assert Poll.objects.get(id=paper.poll_id).max_selections == 1
    assert sum(stored(paper.poll_id).votes) == 2  # one ballot, and two marks on it


def _drop_into(box: BallotBox) -> Callable[[Cast], Outcome]:
    return lambda cast: box.submit(cast).result(PATIENCE)


def _try_to_edit(poll_id: uuid.UUID, changes: Changes) -> Code | None:
    try:
        edit_poll(poll_id, changes)
    except Refusal as refusal:
        return refusal.code
    return None


@every_change
def test_either_the_votes_or_the_change_come_first(alice: Person, changes: Changes) -> None:
    """Six voters and their organiser, at the same moment, ten times."""
    with boxes(3) as opened:
        for number in range(10):
            paper = new_paper(alice, kind="multiple")

            def vote(place: int, paper: BallotPaper = paper) -> Code | None:
                return _vote(paper, _drop_into(opened[place % 3]))

            with beside(lambda: together(6, vote)) as voting_:
                time.sleep(0.003 * number)
                edit = _try_to_edit(paper.poll_id, changes)
                refusals = voting_.result(PATIENCE)
            found = stored(paper.poll_id)
            assert disagreements(found) == []
            if edit is None:  # then nobody had voted, and nobody could afterwards
                assert refusals == [Code.INVALID_BALLOT] * 6
                assert found.ballots == 0
            else:
                assert edit == Code.POLL_FROZEN
                assert refusals == [None] * 6
                assert found.votes == [6, 6, 0]


def test_no_ballot_breaks_the_rules_that_a_poll_had_when_it_was_frozen(alice: Person) -> None:
    """The rules change back and forth until the first vote freezes them."""
    with boxes(3) as opened:
        for _ in range(10):
            paper = new_paper(alice, kind="multiple")

            def vote(place: int, paper: BallotPaper = paper) -> Code | None:
                return _vote(paper, _drop_into(opened[place % 3]))

            with beside(lambda: together(6, vote)) as voting_:
                for most in (1, 3) * 10:
                    if _try_to_edit(paper.poll_id, {"max_selections": most}) is not None:
                        break
                refusals = voting_.result(PATIENCE)
            assert set(refusals) <= {None, Code.INVALID_BALLOT, Code.OVERLOADED}
            marks = Selection.objects.filter(poll=paper.poll_id).values("ballot_id")
            most_marks = [row["n"] for row in marks.annotate(n=Count("option_id"))]
            allowed = Poll.objects.get(id=paper.poll_id).max_selections
            assert all(count <= allowed for count in most_marks)
            assert len(most_marks) == refusals.count(None)
            assert Participation.objects.filter(poll=paper.poll_id).count() == refusals.count(None)
            assert Option.objects.filter(poll=paper.poll_id).count() == 3
