"""Clients that do not read, or do not say goodbye: they cost nobody else anything."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.live import Caller, Server
from tests.realtime.client import (
    PATIENCE,
    dashboard,
    results_of,
    tally_of,
    vote_for,
)
from tests.realtime.servers import (
    HastyServer,
    connections,
    process_of,
    serving,
    shake_hands,
)


@pytest.fixture(scope="module")
def hasty() -> Iterator[Server]:
    """A server that ticks fast and gives stuck readers up after two seconds."""
    with serving(HastyServer, TICK_MS="10") as server:
        yield server


@pytest.fixture(scope="module")
def owner(hasty: Server) -> Caller:
    return hasty.sign_up()


def _shake_hands(server: Server, poll: dict[str, Any], *, room: int | None = None) -> socket.socket:
    return shake_hands(server, poll["links"]["live"], room=room)


def _read_to_the_end(client: socket.socket) -> None:
    while client.recv(65_536):
        pass


def _wait_for_connections(server: Server, count: int) -> None:
    until = time.monotonic() + PATIENCE
    while (found := connections(server)) > count:
        assert time.monotonic() < until, f"{found} connections are left"
        time.sleep(0.1)


def test_reader_that_takes_nothing_is_dropped_and_disturbs_nobody(
    hasty: Server, owner: Caller
) -> None:
    # Frames of almost six kilobytes, so that the system's buffers are full after some seconds.
    options = [{"text": f"{n}"} for n in range(100)]
    poll = owner.make_poll(identity="open", options=options)
    counted: list[int] = []
    stop = threading.Event()
    voters = threading.Thread(target=lambda: counted.append(vote_for(stop, poll, hasty)))
    with _shake_hands(hasty, poll, room=4096) as stuck, dashboard(hasty, poll) as screen:
        screen.frame()
        port = stuck.getsockname()[1]
        voters.start()
        until = time.monotonic() + 60
        longest = 0.0
        while any(c.raddr and c.raddr.port == port for c in _open(hasty)):
            assert time.monotonic() < until, "it was never dropped"
            began = time.monotonic()
            screen.frame()
            longest = max(longest, time.monotonic() - began)
        stop.set()
        voters.join()
        # It is told so, and the system keeps nothing for it.
        with pytest.raises(ConnectionResetError):
            _read_to_the_end(stuck)
        shown = tally_of(results_of(owner, poll))
        assert shown["ballots"] == counted[0]
        assert screen.until_ballots(counted[0]) == shown
    assert longest < PATIENCE / 4


def _open(server: Server) -> list[Any]:
    return [
        connection
        for connection in process_of(server).net_connections("tcp")
        if connection.status == "ESTABLISHED" and connection.laddr.port == server.port
    ]


def _vanish(client: socket.socket) -> None:
    """End a connection by a reset: no close frame, no FIN."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_clients_that_go_without_a_word_leave_nothing_behind(hasty: Server, owner: Caller) -> None:
    poll = owner.make_poll()
    hidden = owner.make_poll(results_visibility="owner")
    with dashboard(hasty, poll) as screen:
        screen.frame()
        _wait_for_connections(hasty, 1)
        files = process_of(hasty).num_fds()
        for number in range(200):
            client = _shake_hands(hasty, hidden if number % 2 else poll)
            if number % 4 < 2:
                client.recv(100)
            if number % 3 == 0:
                _vanish(client)
            else:
                client.close()
        _wait_for_connections(hasty, 1)
        assert process_of(hasty).num_fds() <= files + 5
        hasty.voter().vote(poll, 0)
        assert screen.until_ballots(1) == tally_of(results_of(owner, poll))


def test_client_that_never_answers_a_close_is_dropped(hasty: Server, owner: Caller) -> None:
    poll = owner.make_poll()
    with _shake_hands(hasty, poll) as client:
        received = client.recv(4096)
        owner.call("DELETE", poll["links"]["self"])
        with suppress(ConnectionResetError):
            while chunk := client.recv(4096):
                received += chunk
    assert b"not_found" in received
    assert struct.pack("!BBH", 0x88, 2, 4404) in received
