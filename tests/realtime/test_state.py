"""The old snapshot and the frames since make the new snapshot, whatever was done to the poll."""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.live import Caller, Server
from tests.realtime.client import (
    PATIENCE,
    Dashboard,
    State,
    apply,
    counts_of,
    dashboard,
    results_of,
    status_of,
    ticket_for,
)
from tests.realtime.servers import ask

Poll = dict[str, Any]
Action = Callable[[Caller, Poll], None]


def vote(owner: Caller, poll: Poll) -> None:
    assert owner.server.voter().vote(poll, 0).status_code == 201


def vote_for_two(owner: Caller, poll: Poll) -> None:
    assert owner.server.voter().vote(poll, 0, 2).status_code == 201


def many_votes(owner: Caller, poll: Poll) -> None:
    for place in range(9):
        assert owner.server.voter().vote(poll, place % 3).status_code == 201


def vote_and_replay(owner: Caller, poll: Poll) -> None:
    voter, key = owner.server.voter(), uuid.uuid4().hex
    answers = [voter.vote(poll, 1, Idempotency_Key=key).status_code for _ in range(3)]
    assert answers == [201, 200, 200]


def vote_twice(owner: Caller, poll: Poll) -> None:
    voter = owner.server.voter()
    assert [voter.vote(poll, place).status_code for place in (0, 1)] == [201, 409]


def open_now(owner: Caller, poll: Poll) -> None:
    assert owner.post(f"{poll['links']['self']}open/").status_code == 200


def close_now(owner: Caller, poll: Poll) -> None:
    assert owner.post(f"{poll['links']['self']}close/").status_code == 200


def vote_and_reset(owner: Caller, poll: Poll) -> None:
    vote(owner, poll)
    assert owner.post(f"{poll['links']['self']}reset/").status_code == 200


def vote_and_close(owner: Caller, poll: Poll) -> None:
    vote(owner, poll)
    close_now(owner, poll)


def _edit(owner: Caller, poll: Poll, **fields: Any) -> None:
    assert owner.call("PATCH", poll["links"]["self"], fields).status_code == 200


def edit_title(owner: Caller, poll: Poll) -> None:
    _edit(owner, poll, title="Dinner?")


def edit_options(owner: Caller, poll: Poll) -> None:
    _edit(owner, poll, options=[{"text": text} for text in ("Rice", "Pizza")])


def edit_visibility(owner: Caller, poll: Poll) -> None:
    _edit(owner, poll, results_visibility="owner")


def set_deadline(owner: Caller, poll: Poll) -> None:
    _edit(owner, poll, closes_at=(datetime.now(UTC) + timedelta(days=1)).isoformat())


def reach_deadline(owner: Caller, poll: Poll) -> None:
    """Let the sweep close the poll."""
    vote(owner, poll)
    _edit(owner, poll, closes_at=(datetime.now(UTC) + timedelta(seconds=1)).isoformat())
    _wait_for_the_sweep(owner, poll, "closed_at")


def reach_opening(owner: Caller, poll: Poll) -> None:
    """Let the sweep open the poll."""
    _edit(owner, poll, opens_at=(datetime.now(UTC) + timedelta(seconds=1)).isoformat())
    _wait_for_the_sweep(owner, poll, "opened_at")


def _wait_for_the_sweep(owner: Caller, poll: Poll, column: str) -> None:
    """Look at the row alone: whoever reads the poll settles it before the sweep does."""
    until = time.monotonic() + PATIENCE
    sql = f"SELECT 1 FROM polls_poll WHERE id = %s AND {column} IS NOT NULL"
    while not ask(owner.server, sql, uuid.UUID(poll["id"])):
        assert time.monotonic() < until
        time.sleep(0.1)


FAR = (datetime.now(UTC) + timedelta(days=1)).isoformat()
OPEN: Poll = {"kind": "multiple"}
DRAFT: Poll = {**OPEN, "status": "draft"}
SCHEDULED: Poll = {**OPEN, "opens_at": FAR}
ACTIONS: list[tuple[Action, Poll]] = [
    (vote, OPEN),
    (vote_for_two, OPEN),
    (many_votes, OPEN),
    (vote_and_replay, OPEN),
    (vote_twice, OPEN),
    (open_now, DRAFT),
    (open_now, SCHEDULED),
    (vote_and_reset, OPEN),
    (close_now, OPEN),
    (close_now, SCHEDULED),
    (vote_and_close, OPEN),
    (edit_title, OPEN),
    (edit_title, DRAFT),
    (edit_options, OPEN),
    (edit_visibility, OPEN),
    (set_deadline, OPEN),
    (reach_deadline, OPEN),
    (reach_opening, SCHEDULED),
]


def _name(case: tuple[Action, Poll]) -> str:
    action, poll = case
    before = "scheduled" if "opens_at" in poll else poll.get("status", "open")
    return f"{action.__name__} ({before})"


def _first_state(screen: Dashboard) -> State | None:
    screen.frame()
    return screen.state()


@pytest.mark.parametrize(("action", "fields"), ACTIONS, ids=map(_name, ACTIONS))
def test_frames_make_the_new_snapshot_of_the_old(
    live: Server, organiser: Caller, action: Action, fields: Poll
) -> None:
    poll = organiser.make_poll(options=[{"text": t} for t in ("Pizza", "Sushi", "Soup")], **fields)
    with dashboard(live, poll, ticket=ticket_for(organiser, poll)) as before:
        old = _first_state(before)
        action(organiser, poll)
        with dashboard(live, poll, ticket=ticket_for(organiser, poll)) as after:
            new = _first_state(after)
        assert new == counts_of(results_of(organiser, poll))
        assert new != old
        before.until_it_shows(new)


# What an outsider may look at before and after.
PUBLIC = [case for case in ACTIONS if case[1] is not DRAFT and case[0] is not edit_visibility]


@pytest.mark.parametrize(("action", "fields"), PUBLIC, ids=map(_name, PUBLIC))
def test_status_frames_make_the_new_status_of_the_old(
    live: Server, organiser: Caller, action: Action, fields: Poll
) -> None:
    poll = organiser.make_poll(
        options=[{"text": t} for t in ("Pizza", "Sushi", "Soup")],
        results_visibility="owner",
        **fields,
    )
    with dashboard(live, poll, "?view=status") as before:
        assert _first_state(before) == apply(None, status_of(poll))
        action(organiser, poll)
        with dashboard(live, poll, "?view=status") as after:
            new = _first_state(after)
        read = organiser.get(poll["links"]["self"]).json()
        assert new == apply(None, status_of(read))
        before.until_it_shows(new)
        assert {frame["type"] for frame in before.frames} == {"status"}


def test_deleting_leaves_nothing_to_show(live: Server, organiser: Caller) -> None:
    poll = organiser.make_poll()
    with dashboard(live, poll) as screen:
        assert _first_state(screen) is not None
        organiser.call("DELETE", poll["links"]["self"])
        screen.until_it_shows(None)


def test_replayed_and_refused_votes_are_no_news(live: Server, organiser: Caller) -> None:
    poll = organiser.make_poll()
    voter, key = live.voter(), uuid.uuid4().hex
    voter.vote(poll, 0, Idempotency_Key=key)
    with dashboard(live, poll) as screen:
        old = _first_state(screen)
        assert voter.vote(poll, 0, Idempotency_Key=key).status_code == 200
        assert voter.vote(poll, 1, Idempotency_Key=key).status_code == 422
        assert voter.vote(poll, 1).status_code == 409
        assert live.voter().vote(poll, 0, 1).status_code == 400
        screen.silence(1)
        assert old == counts_of(results_of(organiser, poll))


def test_reader_that_misses_frames_is_right_again_with_any_later_one(
    live: Server, organiser: Caller
) -> None:
    poll = organiser.make_poll()
    with dashboard(live, poll) as screen:
        screen.frame()
        for ballots in range(1, 6):
            vote(organiser, poll)
            screen.until_ballots(ballots)
    complete = screen.state()
    first, *later = screen.frames
    # Dropped, doubled, and the other way round.
    for frames in (later[-1:], later[::2], [*later, *later], list(reversed(later))):
        state = apply(None, first)
        for frame in frames:
            state = apply(state, frame)
        assert state == complete
