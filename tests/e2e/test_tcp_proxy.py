"""The proxy between tests and their servers fails as it is told to."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from devtools.tcp_proxy import Mode, TcpProxy

SOON = 5.0


class Echo:
    """A server that sends back what it gets, and keeps who is connected."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.open.add(connection)
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while data := connection.recv(65_536):
                connection.sendall(data)
        self.open.discard(connection)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.listener.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[TcpProxy]:
    with TcpProxy(echo.port, delay=0.3) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: TcpProxy) -> Iterator[socket.socket]:
    with connect(proxy) as connection:
        assert said(connection, b"hello") == b"hello"
        yield connection


def connect(proxy: TcpProxy) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", proxy.port), SOON)
    connection.settimeout(SOON)
    return connection


def said(connection: socket.socket, text: bytes) -> bytes:
    """Send a text, and return as much as it has bytes."""
    connection.sendall(text)
    found = b""
    while len(found) < len(text):
        data = connection.recv(65_536)
        assert data, "the connection has ended"
        found += data
    return found


def is_silent(connection: socket.socket) -> bool:
    connection.settimeout(0.3)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(SOON)
    return False


def wait_until_empty(echo: Echo) -> None:
    until = time.monotonic() + SOON
    while echo.open:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_forward_carries_much_in_order(client: socket.socket) -> None:
    text = bytes(range(256)) * 8_000
    sender = threading.Thread(target=client.sendall, args=[text])
    sender.start()
    found = b""
    while len(found) < len(text):
        found += client.recv(65_536)
    sender.join()
    assert found == text


def test_forward_carries_the_answer_to_whoever_has_said_all(client: socket.socket) -> None:
    client.sendall(b"bye")
    client.shutdown(socket.SHUT_WR)
    assert client.recv(3) == b"bye"
    assert client.recv(1) == b""


def test_forward_ends_the_server_s_connection_with_the_client_s(
    echo: Echo, client: socket.socket
) -> None:
    client.close()
    wait_until_empty(echo)


def test_slow_delays_each_direction(proxy: TcpProxy, client: socket.socket) -> None:
    proxy.mode = Mode.SLOW
    began = time.monotonic()
    assert said(client, b"late") == b"late"
    assert 0.6 <= time.monotonic() - began < SOON


def test_freeze_takes_connections_and_forwards_what_it_was_given_afterwards(
    proxy: TcpProxy, client: socket.socket
) -> None:
    proxy.mode = Mode.FREEZE
    with connect(proxy) as other:
        for connection in (client, other):
            connection.sendall(b"kept")
            assert is_silent(connection)
        proxy.mode = Mode.FORWARD
        assert client.recv(4) == b"kept"
        assert other.recv(4) == b"kept"


def test_cut_resets_standing_and_new_connections_until_it_is_over(
    echo: Echo, proxy: TcpProxy, client: socket.socket
) -> None:
    proxy.mode = Mode.CUT
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with pytest.raises(ConnectionResetError), connect(proxy) as other:
        other.recv(1)
    wait_until_empty(echo)
    proxy.mode = Mode.FORWARD
    with connect(proxy) as other:
        assert said(other, b"again") == b"again"


def test_half_open_never_tells_the_client_that_its_server_is_gone(
    echo: Echo, proxy: TcpProxy, client: socket.socket
) -> None:
    proxy.mode = Mode.HALF_OPEN
    wait_until_empty(echo)
    with connect(proxy) as other:
        for connection in (client, other):
            connection.sendall(b"swallowed")
            assert is_silent(connection)
        proxy.mode = Mode.FORWARD
        assert is_silent(client)
        assert is_silent(other)
    with connect(proxy) as third:
        assert said(third, b"whole") == b"whole"


def test_proxy_leaves_no_connection_behind(echo: Echo) -> None:
    with TcpProxy(echo.port) as proxy, connect(proxy) as connection:
        assert said(connection, b"hello") == b"hello"
        assert proxy.connections == 1
    wait_until_empty(echo)
