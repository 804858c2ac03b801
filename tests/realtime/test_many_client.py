"""The pages' client of many polls: each to its exact count, on one socket, whatever happens."""

import uuid
from typing import Any

from tests.live import Caller, Server
from tests.realtime.client import counts_of, results_of
from tests.realtime.followers import NODE, PATIENCE, Follower, following, relay


def states_until(follower: Follower, wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Read on until each of these states has been shown; return all that was said until then."""
    missing, said = list(wanted), list[dict[str, Any]]()
    while missing:
        said.append(follower.next(PATIENCE))
        missing = [state for state in missing if said[-1] != {"state": state}]
    return said


def test_many_polls_are_followed_each_to_its_end(live: Server, organiser: Caller) -> None:
    polls = [organiser.make_poll() for _ in range(3)]
    ids = [*(poll["id"] for poll in polls), str(uuid.uuid4())]  # of which the last is none
    with following(NODE, f"{live.url}/ws/", polls=ids) as follower:
        states_until(follower, [counts_of(results_of(organiser, poll)) for poll in polls])
        live.voter().vote(polls[1], 0)
        states_until(follower, [counts_of(results_of(organiser, polls[1]))])
        for poll in polls:
            organiser.post(f"{poll['links']['self']}close/")
        states_until(follower, [counts_of(results_of(organiser, poll)) for poll in polls])
        assert follower.end()[-1] == {"connection": "over"}


def test_lost_connection_is_made_anew_and_shows_what_was_missed(
    live: Server, organiser: Caller
) -> None:
    polls = [organiser.make_poll() for _ in range(2)]
    ids = [poll["id"] for poll in polls]
    with relay(live) as before, following(NODE, f"{before.url}/ws/", polls=ids) as follower:
        states_until(follower, [counts_of(results_of(organiser, poll)) for poll in polls])
        before.cut()
        live.voter().vote(polls[0], 1)
        newer = counts_of(results_of(organiser, polls[0]))
        said = states_until(follower, [newer])
        # The other has not moved, so nothing is said of it.
        assert [each for each in said if "state" in each] == [{"state": newer}]
        assert {"connection": "reconnecting"} in said
        assert before.requests == ["GET /ws/ HTTP/1.1"] * 2
