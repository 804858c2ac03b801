"""GET …/integrity/: the kept tally beside a recount, of one snapshot."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from polls.models import Ballot, PollTally, Selection, Tally
from tests.cast import Person, assert_problem, texts, voter

HIDDEN = "They are shown to its organisers and viewers alone."


def audit(poll: dict[str, Any]) -> str:
    return f"{poll['links']['self']}integrity/"


def counts(poll: dict[str, Any], *votes: int) -> dict[str, int]:
    return {option["id"]: n for option, n in zip(poll["options"], votes, strict=True)}


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
def test_tally_and_recount_agree(alice: Person, *, closed: bool) -> None:
    poll = alice.make_poll(kind="approval", options=texts("a", "b", "c"))
    for places in ((0,), (0, 2), (2,)):
        voter().vote(poll, *places)
    if closed:
        alice.close(poll)
    answer = alice.get(audit(poll))
    expected = counts(poll, 2, 0, 2)
    assert answer.status_code == 200
    assert answer.json() == {
        "equal": True,
        "seq": 5 if closed else 4,
        "tally": expected,
        "recount": expected,
    }
    assert answer.headers["Cache-Control"] == "private, no-store"


def test_poll_without_votes_is_equal(alice: Person) -> None:
    poll = alice.make_poll(status="draft")
    nothing = counts(poll, 0, 0)
    expected = {"equal": True, "seq": 1, "tally": nothing, "recount": nothing}
    assert alice.get(audit(poll)).json() == expected


@pytest.mark.parametrize("tampered", ["tally", "selection", "ballot", "ballots"])
def test_every_difference_is_found(alice: Person, tampered: str) -> None:
    poll = alice.make_poll()
    for _ in range(2):
        voter().vote(poll, 0)
    one = Ballot.objects.filter(poll_id=poll["id"]).first()
    assert one is not None
    selections = Selection.objects.filter(poll_id=poll["id"], ballot_id=one.id)
    if tampered == "tally":
        Tally.objects.filter(poll_id=poll["id"], votes=2).update(votes=3)
    elif tampered == "selection":
        selections.update(option_id=poll["options"][1]["id"])
    elif tampered == "ballot":
        selections.delete()
    else:
        PollTally.objects.filter(poll_id=poll["id"]).update(ballots=3)
    found = {
        "tally": (counts(poll, 3, 0), counts(poll, 2, 0)),
        "selection": (counts(poll, 2, 0), counts(poll, 1, 1)),
        "ballot": (counts(poll, 2, 0), counts(poll, 1, 0)),
        "ballots": (counts(poll, 2, 0), counts(poll, 2, 0)),
    }[tampered]
    assert alice.get(audit(poll)).json() == {
        "equal": False,
        "seq": 3,
        "tally": found[0],
        "recount": found[1],
    }


@pytest.mark.parametrize("visibility", ["always", "after_vote", "after_close", "owner"])
def test_audit_is_the_owners_until_the_poll_is_closed(
    alice: Person, bob: Person, visibility: str
) -> None:
    poll = alice.make_poll(results_visibility=visibility)
    somebody = voter()
    somebody.vote(poll, 0)
    assert_problem(bob.get(audit(poll)), 404, "not_found")
    for person in (somebody, Person()):
        assert_problem(person.get(audit(poll)), 401, "authentication_required")
    alice.close(poll)
    seen = alice.get(audit(poll)).json()
    for person in (bob, somebody, Person()):
        answer = person.get(audit(poll))
        if visibility == "owner":
            assert_problem(answer, 403, "results_hidden", detail=HIDDEN)
        else:
            assert answer.json() == seen


def test_audit_of_unknown_polls_and_of_drafts_is_not_found(alice: Person, bob: Person) -> None:
    draft = alice.make_poll(status="draft")
    gone = alice.make_poll()
    alice.delete(gone["links"]["self"])
    for person in (bob, voter(), Person()):
        assert_problem(person.get(audit(draft)), 404, "not_found")
        assert_problem(person.get(audit(gone)), 404, "not_found")
    assert_problem(alice.get(audit(gone)), 404, "not_found")


def test_audit_agrees_with_itself_while_votes_come_in(alice: Person) -> None:
    poll = alice.make_poll()

    def vote(person: Person) -> None:
        person.vote(poll, 0)
        connection.close()  # this thread's own

    with ThreadPoolExecutor(4) as threads:
        votes = [threads.submit(vote, voter()) for _ in range(120)]
        audits = []
        while not all(done.done() for done in votes):
            audits.append(alice.get(audit(poll)).json())
        for done in votes:
            done.result()
    audits.append(alice.get(audit(poll)).json())
    assert [found for found in audits if not found["equal"]] == []
    assert len({found["seq"] for found in audits}) > 2
    assert audits[-1]["tally"] == counts(poll, 120, 0)


def test_two_readings_would_not_agree_while_votes_come_in(alice: Person) -> None:
    # Why the audit is one statement: the control to the test above.
    poll = alice.make_poll()
    tally = dict(Tally.objects.filter(poll_id=poll["id"]).values_list("option_id", "votes"))
    voter().vote(poll, 0)
    recount = alice.get(audit(poll)).json()["recount"]
    assert {str(option): votes for option, votes in tally.items()} != recount
