"""The same sockets on Daphne, which development uses and production may."""

import uuid
from collections.abc import Iterator
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from polls.errors import CATALOGUE, Code
from tests.live import Caller, Server
from tests.realtime.client import (
    NOBODY,
    closed_of,
    dashboard,
    error_of,
    event_of,
    handshake_status,
    results_of,
    snapshot_of,
    status_of,
    tally_of,
    ticket_for,
)
from tests.realtime.servers import DaphneServer, execute, serving


@pytest.fixture(scope="module")
def daphne() -> Iterator[Server]:
    with serving(DaphneServer) as server:
        yield server


@pytest.fixture(scope="module")
def owner(daphne: Server) -> Caller:
    return daphne.sign_up()


def test_daphne_tells_snapshot_tally_and_the_end(daphne: Server, owner: Caller) -> None:
    poll = owner.make_poll()
    with dashboard(daphne, poll) as screen:
        assert screen.frame() == snapshot_of(results_of(owner, poll))
        for _ in range(3):
            assert daphne.voter().vote(poll, 0).status_code == 201
            assert screen.frame() == tally_of(results_of(owner, poll))
        screen.ping()
        with dashboard(daphne, poll, "?since=4") as again:
            assert again.frame() == {"type": "hello", "poll": poll["id"], "seq": 4}
        owner.post(f"{poll['links']['self']}close/")
        assert screen.end() == ([closed_of(results_of(owner, poll))], 1000)


def test_daphne_counts_voters_of_a_network(daphne: Server, owner: Caller) -> None:
    poll = owner.make_poll(network_cap=2)
    assert [daphne.voter().vote(poll, 0).status_code for _ in range(3)] == [201, 201, 403]


def test_daphne_judges_origins_and_cookies(daphne: Server, owner: Caller) -> None:
    poll = owner.make_poll(results_visibility="after_vote")
    voter = daphne.voter()
    voter.vote(poll, 0)
    cookie = {"Cookie": f"voter={voter.headers['X-Voter-Token']}"}
    with dashboard(daphne, poll, origin=daphne.url, headers=cookie) as page:
        assert page.frame() == snapshot_of(results_of(voter, poll))
    assert [
        handshake_status(daphne, poll),
        handshake_status(daphne, poll, origin=daphne.url),
        handshake_status(daphne, poll, headers=cookie),
        handshake_status(daphne, poll, origin="null"),
        handshake_status(daphne, poll, origin="https://elsewhere.example"),
        handshake_status(daphne, poll, origin="https://elsewhere.example", headers=cookie),
        handshake_status(daphne, poll, host="elsewhere.example"),
        handshake_status(daphne, "/ws/nothing/", origin="https://elsewhere.example"),
    ] == [101, 101, 403, 403, 403, 403, 403, 403]


def test_daphne_follows_what_an_event_shows(daphne: Server, owner: Caller) -> None:
    polls = [owner.make_poll() for _ in range(2)]
    event = owner.make_event(*polls, current=polls[0]["id"])
    path = event["links"]["self"]
    with dashboard(daphne, event) as phone:
        assert phone.frame() == event_of(owner, event)
        assert phone.frame() == snapshot_of(results_of(owner, polls[0]))
        changed = owner.call("PATCH", path, {"current": polls[1]["id"]}).json()
        assert phone.frame() == event_of(owner, changed)
        assert phone.frame() == snapshot_of(results_of(owner, polls[1]))
        assert daphne.voter().vote(polls[1], 0).status_code == 201
        assert phone.frame() == tally_of(results_of(owner, polls[1]))
        phone.ping()
        owner.call("DELETE", path)
        frames, code = phone.end()
        assert ([frame["code"] for frame in frames], code) == (["not_found"], 4404)


def test_daphne_lets_tickets_and_the_status_view_count(daphne: Server, owner: Caller) -> None:
    poll = owner.make_poll(results_visibility="owner")
    with (
        dashboard(daphne, poll, ticket=ticket_for(owner, poll)) as screen,
        dashboard(daphne, poll, "?view=status") as phone,
    ):
        assert screen.frame() == snapshot_of(results_of(owner, poll))
        assert phone.frame() == status_of(poll)
        daphne.voter().vote(poll, 0)
        assert screen.frame() == tally_of(results_of(owner, poll))
        phone.silence(0.5)
        owner.call("PATCH", poll["links"]["self"], {"results_visibility": "always"})
        phone.until_results_open(results_of(owner, poll))


def test_daphne_refuses_by_error_and_close_code(daphne: Server, owner: Caller) -> None:
    poll, gone = owner.make_poll(), owner.make_poll()
    hidden = owner.make_poll(results_visibility="owner")
    nowhere = {"id": str(uuid.uuid4())}
    found = {}
    with (
        dashboard(daphne, hidden) as no_ticket,
        dashboard(daphne, f"/ws/polls/{nowhere['id']}/") as unknown,
    ):
        with dashboard(daphne, hidden, ticket="x") as wrong_ticket:
            found["a wrong ticket"] = wrong_ticket.end()
        with dashboard(daphne, hidden, "?since=x") as query:
            found["a bad query"] = query.end()
        with dashboard(daphne, poll) as client:
            client.frame()
            client.say_raw("[]")
            found["a bad frame"] = client.end()
        with dashboard(daphne, poll) as client:
            client.frame()
            client.say_raw(b"\x00")
            found["bytes"] = client.end()
        with dashboard(daphne, gone) as client:
            client.frame()
            owner.call("DELETE", gone["links"]["self"])
            found["a deleted poll"] = client.end()
        found["no ticket"] = no_ticket.end()
        found["an unknown poll"] = unknown.end()
    assert {
        name: ([frame["code"] for frame in frames], code) for name, (frames, code) in found.items()
    } == {
        "a wrong ticket": (["authentication_required"], 4401),
        "a bad query": (["malformed"], 4400),
        "a bad frame": (["malformed"], 4400),
        "bytes": (["malformed"], 4400),
        "a deleted poll": (["not_found"], 4404),
        "no ticket": (["results_hidden"], 4403),
        "an unknown poll": (["not_found"], 4404),
    }


def test_daphne_bounds_messages_and_floods(daphne: Server, owner: Caller) -> None:
    poll = owner.make_poll()
    ping = '{"type":"ping"}'
    with dashboard(daphne, poll) as client:
        client.frame()
        client.say_raw(ping.ljust(4096))
        assert client.frame() == {"type": "pong"}
        client.say_raw(ping.ljust(4097))
        # It drops the connection where Uvicorn says 1009.
        assert client.end() in (([], 1009), ([], NOBODY))
    with dashboard(daphne, poll) as client:
        client.frame()
        with suppress(ConnectionClosed):
            for _ in range(1000):
                client.say_raw(ping)
        frames, code = client.end()
        assert (frames[-1]["code"], code) == ("too_many", 4429)


def test_daphne_outlives_a_silent_database_and_drops_its_sockets_when_it_stops() -> None:
    with DaphneServer() as server:
        owner = server.sign_up()
        poll = owner.make_poll()
        with dashboard(server, poll) as screen:
            screen.frame()
            execute(server, "ALTER TABLE polls_poll RENAME TO polls_elsewhere")
            try:
                # 1013, "try again later", is a code that Daphne cannot send.
                with dashboard(server, poll) as joining:
                    remedy = CATALOGUE[Code.UNAVAILABLE].remedy
                    assert joining.end() == ([error_of(poll, "unavailable", remedy)], 4503)
            finally:
                execute(server, "ALTER TABLE polls_elsewhere RENAME TO polls_poll")
            server.voter().vote(poll, 0)
            assert screen.until_ballots(1) == tally_of(results_of(owner, poll))
            server.stop()
            frames, code = screen.end()
            assert frames == []
            assert code != 1000  # which would tell a client not to come back
    log = server.log.read_text()
    assert "never retrieved" not in log
    assert "inside application" not in log
