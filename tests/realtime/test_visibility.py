"""Sockets and `results_visibility`: whoever may not see results is told no number."""

import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polls.errors import CATALOGUE, Code
from tests.live import Caller, Server
from tests.realtime.client import (
    closed_of,
    dashboard,
    error_of,
    results_of,
    snapshot_of,
    status_of,
    tally_of,
    ticket_for,
)

HIDDEN = ("after_vote", "after_close", "owner")


def _read(caller: Caller, poll: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = caller.get(poll["links"]["self"]).json()
    return found


def _change(caller: Caller, poll: dict[str, Any], **fields: Any) -> None:
    assert caller.call("PATCH", poll["links"]["self"], fields).status_code == 200


def test_hidden_results_are_refused_by_their_rule_after_three_seconds(
    live: Server, organiser: Caller
) -> None:
    polls = [organiser.make_poll(results_visibility=rule) for rule in HIDDEN]
    voter = live.voter()
    with ExitStack() as opened:
        screens = [opened.enter_context(dashboard(live, poll)) for poll in polls]
        began = time.monotonic()
        for poll in polls:
            voter.vote(poll, 0)
        for poll, screen in zip(polls, screens, strict=True):
            rule = live.voter().get(poll["links"]["results"]).json()["detail"]
            assert screen.end() == ([error_of(poll, "results_hidden", rule)], 4403)
        assert time.monotonic() - began > 2.5


@pytest.mark.parametrize("rule", HIDDEN)
def test_status_view_tells_the_status_and_nothing_of_votes(
    live: Server, organiser: Caller, rule: str
) -> None:
    ahead = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    poll = organiser.make_poll(results_visibility=rule, closes_at=ahead)
    with dashboard(live, poll, "?view=status&since=1") as phone:
        assert phone.frame() == status_of(poll)
        for _ in range(3):
            live.voter().vote(poll, 0)
        phone.silence(1.2)
        _change(organiser, poll, closes_at=None)
        assert phone.frame() == status_of(_read(organiser, poll))
        assert phone.frames[-1]["closes_at"] is None
        phone.ping()


def test_status_view_shows_the_counts_to_whoever_may_see_them(
    live: Server, organiser: Caller
) -> None:
    poll = organiser.make_poll()
    with dashboard(live, poll, "?view=status") as phone:
        assert phone.frame() == snapshot_of(results_of(organiser, poll))
        live.voter().vote(poll, 0)
        assert phone.frame() == tally_of(results_of(organiser, poll))


def test_status_view_tells_of_the_opening_of_a_scheduled_poll(
    live: Server, organiser: Caller
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    poll = organiser.make_poll(results_visibility="owner", opens_at=soon.isoformat())
    assert poll["status"] == "scheduled"
    with dashboard(live, poll, "?view=status") as phone:
        assert phone.frame() == status_of(poll)
        assert phone.frame() == status_of(_read(organiser, poll))
        assert phone.frames[-1]["status"] == "open"


def test_after_vote_results_open_for_the_voter_who_has_voted_and_for_nobody_else(
    live: Server, organiser: Caller
) -> None:
    poll = organiser.make_poll(results_visibility="after_vote")
    ann, ben = live.voter(), live.voter()
    tickets = [ticket_for(voter, poll) for voter in (ann, ben)]
    with (
        dashboard(live, poll, "?view=status", ticket=tickets[0]) as anns,
        dashboard(live, poll, "?view=status", ticket=tickets[1]) as bens,
        dashboard(live, poll, "?view=status") as strangers,
    ):
        for phone in (anns, bens, strangers):
            assert phone.frame() == status_of(poll)
        live.voter().vote(poll, 0)
        ann.vote(poll, 1)
        anns.until_results_open(results_of(ann, poll))
        live.voter().vote(poll, 1)
        assert anns.frame() == tally_of(results_of(ann, poll))
        bens.silence(1.2)
        strangers.silence(0.1)
        ben.vote(poll, 0)
        bens.until_results_open(results_of(ben, poll))
        strangers.silence(1.2)


def test_after_vote_results_are_there_at_once_for_a_voter_who_comes_back(
    live: Server, organiser: Caller
) -> None:
    by_device = organiser.make_poll(results_visibility="after_vote")
    by_account = organiser.make_poll(results_visibility="after_vote", identity="account")
    for voter, poll in ((live.voter(), by_device), (live.sign_up(), by_account)):
        assert voter.vote(poll, 0).status_code == 201
        with dashboard(live, poll, ticket=ticket_for(voter, poll)) as screen:
            assert screen.frame() == snapshot_of(results_of(voter, poll))


def test_closing_opens_the_results_for_everybody_unless_they_stay_the_owners(
    live: Server, organiser: Caller
) -> None:
    polls = [organiser.make_poll(results_visibility=rule) for rule in HIDDEN]
    for poll in polls:
        live.voter().vote(poll, 0)
    with ExitStack() as opened:
        phones = [opened.enter_context(dashboard(live, poll, "?view=status")) for poll in polls]
        # These wait for a ticket when the results open.
        screens = [opened.enter_context(dashboard(live, poll)) for poll in polls[:2]]
        for phone, poll in zip(phones, polls, strict=True):
            assert phone.frame() == status_of(poll)
            organiser.post(f"{poll['links']['self']}close/")
        statuses = [status_of(_read(organiser, poll)) for poll in polls]
        lasts = [closed_of(results_of(organiser, poll)) for poll in polls]
        for place, phone in enumerate(phones[:2]):
            frames, code = phone.end()
            # The status may be told before it is known who may see results.
            assert frames in ([lasts[place]], [statuses[place], lasts[place]])
            assert code == 1000
        assert phones[2].end() == ([statuses[2]], 1000)
        assert [screen.frame() for screen in screens] == lasts[:2]


def test_hiding_results_ends_the_sockets_of_outsiders_without_another_number(
    live: Server, organiser: Caller
) -> None:
    poll = organiser.make_poll(identity="open")
    with (
        dashboard(live, poll) as outsider,
        dashboard(live, poll, "?view=status") as phone,
        dashboard(live, poll, ticket=ticket_for(organiser, poll)) as owner,
    ):
        before = snapshot_of(results_of(organiser, poll))
        assert outsider.frame() == phone.frame() == owner.frame() == before
        _change(organiser, poll, results_visibility="owner")
        for _ in range(20):
            assert live.voter().vote(poll, 0).status_code == 201
        remedy = CATALOGUE[Code.RESULTS_HIDDEN].remedy
        assert outsider.end() == ([error_of(poll, "results_hidden", remedy)], 4403)
        assert phone.frame() == status_of(_read(organiser, poll))
        phone.silence(0.5)
        assert owner.until_ballots(20) == tally_of(results_of(organiser, poll))


def test_showing_and_hiding_results_in_turns_is_told_each_time(
    live: Server, organiser: Caller
) -> None:
    poll = organiser.make_poll(results_visibility="owner")
    status = status_of(poll)
    with dashboard(live, poll, "?view=status") as phone:
        assert phone.frame() == status
        for _ in range(3):
            _change(organiser, poll, results_visibility="always")
            phone.until_results_open(results_of(organiser, poll))
            live.voter().vote(poll, 0)
            assert phone.frame() == tally_of(results_of(organiser, poll))
            _change(organiser, poll, results_visibility="owner")
            assert phone.frame() == status
        phone.silence(0.5)


def test_results_that_open_while_a_ticket_is_waited_for_are_shown(
    live: Server, organiser: Caller
) -> None:
    poll = organiser.make_poll(results_visibility="owner")
    draft = organiser.make_poll(status="draft")
    with dashboard(live, poll) as screen, dashboard(live, draft) as early:
        _change(organiser, poll, results_visibility="always")
        organiser.post(f"{draft['links']['self']}open/")
        assert screen.frame() == snapshot_of(results_of(organiser, poll))
        assert early.frame() == snapshot_of(results_of(organiser, draft))


def test_reset_shows_nought_and_hides_results_from_those_whose_vote_is_gone(
    live: Server, organiser: Caller
) -> None:
    shown, hidden = organiser.make_poll(), organiser.make_poll(results_visibility="after_vote")
    ann = live.voter()
    for poll in (shown, hidden):
        assert ann.vote(poll, 0).status_code == 201
    with (
        dashboard(live, shown) as screen,
        dashboard(live, hidden, ticket=ticket_for(ann, hidden)) as anns,
        dashboard(live, hidden, "?view=status", ticket=ticket_for(ann, hidden)) as phone,
        dashboard(live, hidden, ticket=ticket_for(organiser, hidden)) as owner,
    ):
        for one in (screen, anns, owner):
            assert one.frame()["ballots"] == 1
        phone.until_ballots(1)
        for poll in (shown, hidden):
            assert organiser.post(f"{poll['links']['self']}reset/").status_code == 200
        assert screen.frame() == tally_of(results_of(organiser, shown))
        assert owner.frame() == tally_of(results_of(organiser, hidden))
        assert screen.frames[-1]["ballots"] == owner.frames[-1]["ballots"] == 0
        remedy = CATALOGUE[Code.RESULTS_HIDDEN].remedy
        assert anns.end() == ([error_of(hidden, "results_hidden", remedy)], 4403)
        assert phone.frame() == status_of(hidden)
        assert ann.vote(hidden, 1).status_code == 201
        phone.until_results_open(results_of(ann, hidden))


def test_edit_that_hides_nothing_leaves_every_socket_open(live: Server, organiser: Caller) -> None:
    poll = organiser.make_poll()
    with dashboard(live, poll) as screen:
        screen.frame()
        _change(organiser, poll, title="Dinner?")
        assert screen.frame() == tally_of(results_of(organiser, poll))
        _change(organiser, poll, options=[{"text": text} for text in ("Soup", "Pizza", "Rice")])
        assert screen.frame() == tally_of(results_of(organiser, poll))
        assert len(screen.frames[-1]["options"]) == 3
