"""Clients below the messages: pings, parts, and closes that are never taken."""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from typing import Any

import pytest

from tests.live import Caller, Server
from tests.realtime.client import Dashboard, dashboard, results_of, tally_of
from tests.realtime.servers import HastyServer, connections, process_of, serving, shake_hands

PONGS = 1000  # and other frames that are no messages, within ten seconds
MEMORY = 30e6  # bytes that a process may grow by for whatever reason


def _frame(opcode: int, data: bytes = b"", *, fin: bool = True) -> bytes:
    head = bytes([(0x80 if fin else 0) | opcode, 0x80 | len(data)])
    return head + b"\0\0\0\0" + data


PINGS = _frame(9, b"x" * 125) * (PONGS - 100)  # their pongs are more than the system holds
BYE = _frame(8, struct.pack("!H", 1000))


@pytest.fixture
def hasty() -> Iterator[Server]:
    """A server that gives stuck readers up after 2 s, and whoever leaves after 1 s."""
    with serving(HastyServer) as server:
        yield server


@pytest.fixture
def owner(hasty: Server) -> Caller:
    return hasty.sign_up()


@pytest.fixture
def poll(owner: Caller) -> dict[str, Any]:
    return owner.make_poll()


@pytest.fixture
def bystander(hasty: Server, owner: Caller, poll: dict[str, Any]) -> Iterator[Dashboard]:
    """Somebody who must notice nothing, and sees one more vote in the end."""
    with dashboard(hasty, poll) as screen:
        screen.frame()
        yield screen
        hasty.voter().vote(poll, 0)
        assert screen.until_type("tally") == tally_of(results_of(owner, poll))


def _deaf(server: Server, poll: dict[str, Any]) -> socket.socket:
    """Open a socket that reads its beginning and nothing more."""
    client = shake_hands(server, poll["links"]["live"], room=2048)
    client.recv(60)
    return client


def _leave_half_way(server: Server, poll: dict[str, Any]) -> socket.socket:
    """Have pongs pile up, say goodbye, and read nothing of the answer."""
    client = _deaf(server, poll)
    client.sendall(PINGS)
    client.sendall(BYE)
    return client


def test_client_that_leaves_without_reading_is_dropped(
    hasty: Server, poll: dict[str, Any], bystander: Dashboard
) -> None:
    del bystander
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(closing(_leave_half_way(hasty, poll)))
        until = time.monotonic() + 20
        while connections(hasty) > 1:
            assert time.monotonic() < until
            time.sleep(0.1)


def test_end_of_the_server_is_told_to_everybody_whoever_is_half_way_out(
    hasty: Server, poll: dict[str, Any]
) -> None:
    with dashboard(hasty, poll) as screen, closing(_leave_half_way(hasty, poll)):
        screen.frame()
        time.sleep(0.3)
        hasty.stop()
        assert screen.end() == ([], 1012)


def _growth(server: Server, client: socket.socket, data: bytes) -> int:
    """Send without end, or until the server has enough; return by how much it has grown."""
    before = process_of(server).memory_info().rss
    client.settimeout(1)
    until = time.monotonic() + 4
    with suppress(OSError):
        while time.monotonic() < until:
            client.sendall(data)
    return int(process_of(server).memory_info().rss - before)


def test_pings_of_a_client_that_does_not_read_are_bounded(
    hasty: Server, poll: dict[str, Any], bystander: Dashboard
) -> None:
    del bystander
    with closing(_deaf(hasty, poll)) as client:
        assert _growth(hasty, client, PINGS) < MEMORY


def test_parts_without_end_are_bounded(
    hasty: Server, poll: dict[str, Any], bystander: Dashboard
) -> None:
    del bystander
    with closing(shake_hands(hasty, poll["links"]["live"])) as client:
        client.sendall(_frame(1, fin=False))
        assert _growth(hasty, client, _frame(0, fin=False) * 20_000) < MEMORY


@pytest.mark.parametrize("opcode", [9, 10], ids=["pings", "pongs"])
def test_row_15_frames_that_are_no_messages_are_limited(
    hasty: Server, poll: dict[str, Any], bystander: Dashboard, opcode: int
) -> None:
    del bystander
    with closing(shake_hands(hasty, poll["links"]["live"])) as client:
        client.recv(60)
        client.sendall(_frame(opcode) * PONGS)
        time.sleep(0.5)
        client.sendall(_frame(1, b'{"type":"ping"}'))
        received = b""
        while b"pong" not in received:
            received += client.recv(65_536)
        client.sendall(_frame(opcode))
        received = b""
        with suppress(ConnectionResetError):
            while chunk := client.recv(65_536):
                received += chunk
    assert struct.pack("!H", 1008) in received
