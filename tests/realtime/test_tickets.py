"""Live tickets on sockets: whose they are, how often they count and for how long."""

import time
from contextlib import ExitStack, suppress

import pytest
from websockets.exceptions import ConnectionClosed

from tests.live import Caller, Server
from tests.realtime.client import (
    Dashboard,
    dashboard,
    error_of,
    results_of,
    snapshot_of,
    status_of,
    tally_of,
    ticket_for,
)
from tests.realtime.servers import execute

USED_UP = "The ticket is unknown, used or more than 60 s old."
ONLY_THE_OWNER = "They are shown to its organisers and viewers alone."
ONLY_VOTERS = "They are shown after you have voted, and to everybody after closing."


def test_ticket_of_the_owner_shows_what_the_owner_may_see(live: Server, organiser: Caller) -> None:
    for fields in ({"results_visibility": "owner"}, {"status": "draft"}):
        poll = organiser.make_poll(**fields)
        with dashboard(live, poll, ticket=ticket_for(organiser, poll)) as screen:
            assert screen.frame() == snapshot_of(results_of(organiser, poll))


def test_ticket_of_a_voter_shows_what_the_voter_may_see(live: Server, organiser: Caller) -> None:
    poll = organiser.make_poll(results_visibility="after_vote")
    voted, idle = live.voter(), live.voter()
    voted.vote(poll, 0)
    with dashboard(live, poll, ticket=ticket_for(voted, poll)) as screen:
        assert screen.frame() == snapshot_of(results_of(voted, poll))
    with dashboard(live, poll, ticket=ticket_for(idle, poll)) as screen:
        assert screen.end() == ([error_of(poll, "results_hidden", ONLY_VOTERS)], 4403)


def test_row_12_ticket_counts_once(live: Server, organiser: Caller) -> None:
    poll = organiser.make_poll(results_visibility="owner")
    ticket = ticket_for(organiser, poll)
    with dashboard(live, poll, ticket=ticket) as first:
        assert first.frame()["type"] == "snapshot"
        with dashboard(live, poll, ticket=ticket) as second:
            refusal = error_of(poll, "authentication_required", USED_UP)
            assert second.end() == ([refusal], 4401)
        first.ping()


def test_row_12_ticket_that_many_sockets_bring_at_once_lets_one_of_them_in(
    live: Server, organiser: Caller
) -> None:
    poll = organiser.make_poll(results_visibility="owner")
    for _ in range(3):
        ticket = ticket_for(organiser, poll)
        with ExitStack() as opened:
            screens = [opened.enter_context(dashboard(live, poll)) for _ in range(8)]
            for screen in screens:
                screen.say({"type": "auth", "ticket": ticket})
            kinds = sorted(screen.frame()["type"] for screen in screens)
        assert kinds == ["error"] * 7 + ["snapshot"]


def test_row_12_expired_ticket_does_not_count(live: Server, organiser: Caller) -> None:
    poll = organiser.make_poll(results_visibility="owner")
    ticket = ticket_for(organiser, poll)
    past = "2020-01-01 00:00:00"
    assert execute(live, "UPDATE polls_liveticket SET expires_at = %s", past) >= 1
    with dashboard(live, poll, ticket=ticket) as screen:
        refusal = error_of(poll, "authentication_required", USED_UP)
        assert screen.end() == ([refusal], 4401)


def test_row_12_ticket_for_another_poll_opens_nothing_here(live: Server, organiser: Caller) -> None:
    poll = organiser.make_poll(results_visibility="owner")
    other = organiser.make_poll(results_visibility="owner")
    with dashboard(live, poll, ticket=ticket_for(organiser, other)) as screen:
        assert screen.end() == ([error_of(poll, "results_hidden", ONLY_THE_OWNER)], 4403)
    with dashboard(live, other, ticket=ticket_for(organiser, poll, other)) as screen:
        assert screen.frame() == snapshot_of(results_of(organiser, other))


@pytest.mark.parametrize("ticket", ["", "nonsense", "x" * 3000, "ü" * 500])
@pytest.mark.parametrize("rule", ["always", "owner"])
def test_unknown_ticket_is_refused_even_where_none_is_needed(
    live: Server, organiser: Caller, rule: str, ticket: str
) -> None:
    poll = organiser.make_poll(results_visibility=rule)
    with dashboard(live, poll, ticket=ticket) as screen:
        frames, code = screen.end()
        assert frames[-1] == error_of(poll, "authentication_required", USED_UP)
        assert [frame["type"] for frame in frames[:-1]] in ([], ["snapshot"])
        assert code == 4401


def _say_late(screen: Dashboard, ticket: str) -> None:
    with suppress(ConnectionClosed):  # so late that nobody listens any more
        screen.say({"type": "auth", "ticket": ticket})


def test_ticket_counts_within_three_seconds_and_in_the_status_view_at_any_time(
    live: Server, organiser: Caller
) -> None:
    poll = organiser.make_poll(results_visibility="owner")
    tickets = [ticket_for(organiser, poll) for _ in range(3)]
    with (
        dashboard(live, poll) as in_time,
        dashboard(live, poll) as late,
        dashboard(live, poll, "?view=status") as phone,
    ):
        assert phone.frame() == status_of(poll)
        time.sleep(1.5)
        in_time.say({"type": "auth", "ticket": tickets[0]})
        assert in_time.frame() == snapshot_of(results_of(organiser, poll))
        time.sleep(2.5)
        _say_late(late, tickets[1])
        assert late.end() == ([error_of(poll, "results_hidden", ONLY_THE_OWNER)], 4403)
        # Whoever came in time is not asked again.
        live.voter().vote(poll, 0)
        assert in_time.frame() == tally_of(results_of(organiser, poll))
        # A ticket that opens nothing ends nothing here.
        phone.say({"type": "auth", "ticket": ticket_for(live.voter(), poll)})
        phone.silence(0.3)
        phone.say({"type": "auth", "ticket": tickets[2]})
        assert phone.frame() == snapshot_of(results_of(organiser, poll))


def _other_token(live: Server, name: str) -> tuple[Caller, str]:
    """Return another token of an account, and its id."""
    password = "correct horse battery staple"
    body = {"username": name, "password": password}
    answer = Caller(live).post("/api/v1/auth/tokens/", body).json()
    return Caller(live, {"Authorization": f"Bearer {answer['token']}"}), answer["id"]


def test_row_03_12_ticket_of_a_revoked_token_does_not_count(live: Server) -> None:
    owner = live.sign_up("revoker")
    leaked, token_id = _other_token(live, "revoker")
    poll = owner.make_poll(results_visibility="owner")
    ticket = ticket_for(leaked, poll)
    with dashboard(live, poll, ticket=ticket_for(leaked, poll)) as open_before:
        assert open_before.frame() == snapshot_of(results_of(owner, poll))
        assert owner.call("DELETE", f"/api/v1/auth/tokens/{token_id}/").status_code == 204
        with dashboard(live, poll, ticket=ticket) as screen:
            refusal = error_of(poll, "authentication_required", USED_UP)
            assert screen.end() == ([refusal], 4401)
        # The next time that it is asked who may see results, the token no longer does.
        owner.call("PATCH", poll["links"]["self"], {"title": "Dinner?"})
        frames, code = open_before.end()
        assert [frame["code"] for frame in frames] == ["results_hidden"]
        assert code == 4403


def test_socket_of_an_erased_account_sees_no_more(live: Server, organiser: Caller) -> None:
    voter = live.sign_up()
    poll = organiser.make_poll(identity="account", results_visibility="after_vote")
    voter.vote(poll, 0)
    left = ticket_for(voter, poll)
    with dashboard(live, poll, ticket=ticket_for(voter, poll)) as screen:
        assert screen.frame() == snapshot_of(results_of(organiser, poll))
        body = {"password": "correct horse battery staple"}
        assert voter.call("DELETE", "/api/v1/auth/account/", body).status_code == 204
        frames, code = screen.end()
        assert ([frame["code"] for frame in frames], code) == (["results_hidden"], 4403)
    with dashboard(live, poll, ticket=left) as screen:
        refusal = error_of(poll, "authentication_required", USED_UP)
        assert screen.end() == ([refusal], 4401)


def test_ticket_is_for_polls_that_its_holder_may_reach(live: Server, organiser: Caller) -> None:
    draft = organiser.make_poll(status="draft")
    stranger = live.voter()
    answer = stranger.post("/api/v1/live-tickets/", {"polls": [draft["id"]]})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
