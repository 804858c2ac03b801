"""Whatever happens to the database behind our back, dashboards come back to its count."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from polls.errors import CATALOGUE, Code
from tests.live import Caller, Server
from tests.realtime.client import (
    Dashboard,
    Frame,
    closed_of,
    dashboard,
    error_of,
    results_of,
    snapshot_of,
    tally_of,
    ticket_for,
)
from tests.realtime.servers import HastyServer, execute, serving

# Six seconds is the promise; a busy machine gets as much again.
HEALED = 12.0


@pytest.fixture(scope="module")
def hasty() -> Iterator[Server]:
    """A server that compares itself with the database each second."""
    with serving(HastyServer) as server:
        yield server


@pytest.fixture(scope="module")
def owner(hasty: Server) -> Caller:
    return hasty.sign_up()


def _set_count(server: Server, poll: dict[str, Any], *, seq: int, votes: int) -> None:
    """Let the database say that the first option has so many votes, and nothing else has any."""
    poll_id, first = uuid.UUID(poll["id"]), uuid.UUID(poll["options"][0]["id"])
    execute(server, "UPDATE polls_tally SET votes = 0 WHERE poll_id = %s", poll_id)
    sql = "UPDATE polls_tally SET votes = %s WHERE poll_id = %s AND option_id = %s"
    assert execute(server, sql, votes, poll_id, first) == 1
    sql = "UPDATE polls_polltally SET seq = %s, ballots = %s WHERE poll_id = %s"
    assert execute(server, sql, seq, votes, poll_id) == 1


def _within(screen: Dashboard, seconds: float) -> Frame:
    began = time.monotonic()
    frame = screen.frame()
    assert time.monotonic() - began < seconds
    return frame


def test_count_that_rises_unheard_is_told_within_six_seconds(
    live: Server, organiser: Caller
) -> None:
    poll = organiser.make_poll()
    with dashboard(live, poll) as screen:
        screen.frame()
        _set_count(live, poll, seq=50, votes=7)
        assert _within(screen, HEALED) == tally_of(results_of(organiser, poll))
        assert screen.frames[-1]["ballots"] == 7


def test_count_of_a_restored_database_is_told_by_a_snapshot(hasty: Server, owner: Caller) -> None:
    poll = owner.make_poll()
    with dashboard(hasty, poll) as screen:
        screen.frame()
        for ballots in range(1, 4):
            hasty.voter().vote(poll, 0)
            screen.until_ballots(ballots)
        assert screen.frames[-1]["seq"] == 4
        _set_count(hasty, poll, seq=2, votes=1)
        assert _within(screen, HEALED) == snapshot_of(results_of(owner, poll))
        # And from there on as ever, though the seq has been told before.
        hasty.voter().vote(poll, 0)
        assert screen.frame() == tally_of(results_of(owner, poll))
        assert (screen.frames[-1]["seq"], screen.frames[-1]["ballots"]) == (3, 2)


def test_socket_that_joins_a_restored_poll_is_told_what_the_database_holds(
    hasty: Server, owner: Caller
) -> None:
    poll = owner.make_poll()
    with dashboard(hasty, poll) as before:
        before.frame()
        for title in ("One", "Two", "Three"):
            owner.call("PATCH", poll["links"]["self"], {"title": title})
            before.frame()
        # Rules and count are those of the first moment again.
        execute(hasty, "UPDATE polls_poll SET revision = 1 WHERE id = %s", uuid.UUID(poll["id"]))
        _set_count(hasty, poll, seq=1, votes=0)
        restored = snapshot_of(results_of(owner, poll))
        with dashboard(hasty, poll) as after:
            assert _within(after, HEALED / 3) == restored
            assert _within(before, HEALED) == restored
            hasty.voter().vote(poll, 0)
            assert before.frame() == after.frame() == tally_of(results_of(owner, poll))


def test_poll_that_was_closed_unheard_is_told_so(hasty: Server, owner: Caller) -> None:
    poll = owner.make_poll(results_visibility="after_close")
    hasty.voter().vote(poll, 1)
    poll_id = uuid.UUID(poll["id"])
    with (
        dashboard(hasty, poll, "?view=status") as phone,
        dashboard(hasty, poll, ticket=ticket_for(owner, poll)) as screen,
    ):
        phone.frame()
        screen.frame()
        execute(
            hasty,
            "UPDATE polls_poll SET status = 'closed', closed_at = created_at WHERE id = %s",
            poll_id,
        )
        execute(hasty, "UPDATE polls_polltally SET seq = seq + 1 WHERE poll_id = %s", poll_id)
        last = closed_of(results_of(owner, poll))
        assert _within(screen, HEALED) == last
        assert phone.until_type("closed") == last


def test_poll_that_a_restored_database_does_not_know_is_no_poll(
    hasty: Server, owner: Caller
) -> None:
    poll = owner.make_poll()
    poll_id = uuid.UUID(poll["id"])
    with dashboard(hasty, poll) as screen:
        screen.frame()
        for table in ("tally", "option", "polltally", "pollkey"):
            execute(hasty, f"DELETE FROM polls_{table} WHERE poll_id = %s", poll_id)
        execute(hasty, "DELETE FROM polls_poll WHERE id = %s", poll_id)
        began = time.monotonic()
        remedy = CATALOGUE[Code.NOT_FOUND].remedy
        assert screen.end() == ([error_of(poll, "not_found", remedy)], 4404)
        assert time.monotonic() - began < HEALED


def test_sockets_outlive_a_database_that_does_not_answer() -> None:
    with HastyServer() as server:
        owner = server.sign_up()
        poll = owner.make_poll()
        voter, late = server.voter(), server.voter()
        with dashboard(server, poll) as screen:
            screen.frame()
            # Every statement about polls fails from here on.
            execute(server, "ALTER TABLE polls_poll RENAME TO polls_elsewhere")
            try:
                with dashboard(server, poll) as joining:
                    remedy = CATALOGUE[Code.UNAVAILABLE].remedy
                    assert joining.end() == ([error_of(poll, "unavailable", remedy)], 4503)
                assert voter.vote(poll, 0).status_code >= 500
                time.sleep(2)  # the comparison with the database fails too
                screen.ping()
            finally:
                execute(server, "ALTER TABLE polls_elsewhere RENAME TO polls_poll")
            _set_count(server, poll, seq=9, votes=3)
            assert _within(screen, HEALED) == tally_of(results_of(owner, poll))
            assert late.vote(poll, 0).status_code == 201
            assert screen.until_ballots(4) == tally_of(results_of(owner, poll))
    log = server.log.read_text()
    assert "could not join" in log  # the operator is told
    assert "never retrieved" not in log
    assert "Exception in" not in log
