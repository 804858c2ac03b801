"""Rows 34 and 35: heads, queries and forms beyond every measure, and clients that take long."""

import json
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress

import pytest
import requests

from polls_project.uvicorn_http import HEAD_SECONDS, MAX_HEAD_BYTES, MAX_HEADERS
from tests.cast import problem
from tests.live import Server
from tests.polls.wire import PATIENCE, Answer, ask, assert_refused, connect, head, receive
from tests.realtime.servers import connections, process_of

LIMITS = "/api/v1/limits/"
TOO_LONG = f"The head may have {MAX_HEAD_BYTES} bytes and {MAX_HEADERS} headers."
UPGRADE = (
    *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server whose connections are this module's alone."""
    with Server() as server:
        yield server


# -- 34 ----------------------------------------------------------------------------------------


def test_row_34_head_may_be_as_long_as_the_limit_and_no_longer(own: Server) -> None:
    def send(size: int) -> Answer:
        used = len(LIMITS) + len("Host") + len("127.0.0.1") + len("X-Long") + 2 * 4
        return ask(own, head("GET", LIMITS, f"X-Long: {'x' * (size - used)}"))

    assert send(MAX_HEAD_BYTES).status == 200
    longer = send(MAX_HEAD_BYTES + 1)
    assert_refused(longer, problem(400, "malformed", LIMITS, TOO_LONG))
    assert longer.headers["Connection"] == "close"


def test_row_34_head_may_have_so_many_headers_and_no_more(own: Server) -> None:
    def send(count: int) -> Answer:
        return ask(own, head("GET", LIMITS, *(f"X-{n}: 1" for n in range(count - 1))))

    assert send(MAX_HEADERS).status == 200
    assert_refused(send(MAX_HEADERS + 1), problem(400, "malformed", LIMITS, TOO_LONG))


@pytest.mark.parametrize(
    "sent",
    [
        head("GET", LIMITS, "X-Long: " + "x" * 2_000_000),
        head("GET", LIMITS, "Cookie: " + "a=b; " * 100_000),
        head("GET", LIMITS, *("X: 1" for _ in range(50_000))),
        head("GET", f"{LIMITS}?" + "a" * 1_000_000),
        head("GET", "/" + "a" * 1_000_000),
        b"GET " + LIMITS.encode() + b" HTTP/1.1\r\nX: " + b"x" * 3_000_000,  # without an end
        b"GET " + b"/" * 3_000_000,
        head("GET", "/ws/", *UPGRADE, "X-Long: " + "x" * 10_000),
        head("GET", "/ws/", *UPGRADE, "X-Long: " + "x" * 100_000),
        head("GET", "/ws/", *UPGRADE, *(f"X-{n}: 1" for n in range(200))),
        head("GET", "/ws/?since=" + "1" * 100_000, *UPGRADE),
    ],
    ids=range(11),
)
def test_row_34_flood_of_a_head_is_refused_and_its_connection_ends(
    own: Server, sent: bytes
) -> None:
    with connect(own) as wire:
        with suppress(OSError):  # it hangs up before it has all of it
            wire.sendall(sent)
        with suppress(ConnectionResetError):
            assert receive(wire).status == 400
            assert wire.recv(1) == b""
    assert ask(own, head("GET", LIMITS)).status == 200


def test_row_34_head_that_grows_little_by_little_is_refused_at_the_limit(own: Server) -> None:
    sent = 0
    with connect(own) as wire:
        wire.sendall(b"GET / HTTP/1.1\r\n")
        with suppress(OSError):
            while sent < 10 * MAX_HEAD_BYTES:
                wire.sendall(b"X-Part: " + b"x" * 1000 + b"\r\n")
                sent += 1010
                time.sleep(0.005)
    assert MAX_HEAD_BYTES / 2 < sent < 4 * MAX_HEAD_BYTES


def test_row_34_flood_of_parameters_is_refused(own: Server) -> None:
    query = "&".join(f"p{number}=1" for number in range(2000))
    for path in (LIMITS, "/", "/p/AAAAAA", "/oembed", "/admin/login/"):
        assert ask(own, head("GET", f"{path}?{query}")).status in {400, 404}, path


def _multipart(parts: int, *, files: bool) -> tuple[bytes, str]:
    kind = '; filename="x"' if files else ""
    one = b'--b\r\nContent-Disposition: form-data; name="f%d"%b\r\n\r\n1\r\n'
    body = b"".join(one % (number, kind.encode()) for number in range(parts))
    return body + b"--b--\r\n", "multipart/form-data; boundary=b"


FORMS = {
    "fields": (
        "&".join(f"f{number}=1" for number in range(5000)).encode(),
        "application/x-www-form-urlencoded",
    ),
    "parts": _multipart(5000, files=False),
    "files": _multipart(500, files=True),
    "parts without an end": (
        b"--b\r\nContent-Disposition: form-data" * 20_000,
        "multipart/form-data; boundary=b",
    ),
    "no boundary": (b"x" * 1000, "multipart/form-data"),
    "boundary of nothing": (b"x" * 1000, "multipart/form-data; boundary="),
    "long boundary": (b"x" * 1000, "multipart/form-data; boundary=" + "b" * 5000),
}


@pytest.mark.parametrize("door", ["/accounts/login", "/admin/login/", "/accounts/signup", "/p/{}"])
@pytest.mark.parametrize("name", FORMS)
def test_row_34_flood_of_a_form_is_refused_and_never_a_fault(
    own: Server, name: str, door: str
) -> None:
    body, kind = FORMS[name]
    path = door.format(own.sign_up().make_poll()["join_code"])
    begun = time.monotonic()
    browser = requests.Session()
    browser.get(own.url + path, timeout=PATIENCE)
    answer = browser.post(
        own.url + path,
        data=body,
        headers={"Content-Type": kind, "X-CSRFToken": browser.cookies.get("csrftoken", "")},
        timeout=PATIENCE,
    )
    assert 400 <= answer.status_code < 500
    assert time.monotonic() - begun < 4


def test_row_34_floods_leave_no_memory_behind(own: Server) -> None:
    before = process_of(own).memory_info().rss
    for _ in range(20):
        with connect(own) as wire, suppress(OSError):
            wire.sendall(b"GET /" + b"a" * 3_000_000)
    assert process_of(own).memory_info().rss - before < 30e6


# -- 35 ----------------------------------------------------------------------------------------

SLOW = 200
ROUNDS, REQUESTS = 3, 120
GRACE = 0.005  # seconds that a busy machine may add to the slowest of a hundred


def test_row_35_head_that_does_not_come_in_time_is_given_up(own: Server) -> None:
    begun = time.monotonic()
    silent, idle, trickling = connect(own), connect(own), connect(own)
    with silent, idle, trickling:
        for wire in (idle, trickling):
            wire.sendall(b"GET /livez HTTP/1.1\r\nX: ")
        trickling.settimeout(0.5)
        while time.monotonic() - begun < HEAD_SECONDS - 1:
            trickling.sendall(b"x")
            time.sleep(0.5)
        trickling.settimeout(PATIENCE)
        for wire in (idle, trickling):
            answer = receive(wire)
            detail = f"Send the whole head within {HEAD_SECONDS} seconds."
            assert_refused(answer, problem(408, "request_timeout", "/livez", detail))
        assert silent.recv(1) == b""
    assert HEAD_SECONDS - 0.5 < time.monotonic() - begun < HEAD_SECONDS + PATIENCE


def test_row_35_next_head_on_a_connection_that_is_kept_has_its_time_too(own: Server) -> None:
    with connect(own) as wire:
        wire.sendall(head("GET", LIMITS))
        assert receive(wire).status == 200
        begun = time.monotonic()
        wire.sendall(b"GET ")
        assert json.loads(receive(wire).body)["code"] == "request_timeout"
    assert HEAD_SECONDS - 0.5 < time.monotonic() - begun < HEAD_SECONDS + PATIENCE


@pytest.mark.parametrize("sent", [b"\r\n", head("POST", "/livez", "Content-Length: 1000") + b"x"])
def test_row_35_connection_whose_client_begins_no_request_is_not_kept(
    own: Server, sent: bytes
) -> None:
    with connect(own) as wire:
        wire.sendall(head("GET", "/livez"))
        assert receive(wire).status == 200
        begun = time.monotonic()
        wire.sendall(sent)
        with suppress(OSError):
            while time.monotonic() - begun < HEAD_SECONDS + PATIENCE:
                wire.sendall(sent[-1:])
                time.sleep(0.5)
    assert HEAD_SECONDS - 0.5 < time.monotonic() - begun < HEAD_SECONDS + PATIENCE


def test_row_35_socket_on_a_connection_that_was_kept_is_no_request_that_does_not_come(
    own: Server,
) -> None:
    poll = own.sign_up().make_poll()
    shake = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
    with connect(own) as wire:
        wire.sendall(head("GET", "/livez"))
        assert receive(wire).status == 200
        wire.sendall(head("GET", poll["links"]["live"], *shake, f"Sec-WebSocket-Key: {'A' * 22}=="))
        begun = time.monotonic()
        heard = wire.recv(65_536)
        assert heard.startswith(b"HTTP/1.1 101 ")
        wire.settimeout(1)
        while time.monotonic() - begun < HEAD_SECONDS + 1:
            with suppress(TimeoutError):
                assert wire.recv(65_536)


def _p99(server: Server, path: str) -> float:
    """Return what the slowest hundredth of a healthy client's requests takes, in seconds."""
    times = []
    with requests.Session() as session:
        session.get(server.url + path, timeout=PATIENCE)
        for _ in range(REQUESTS):
            begun = time.perf_counter()
            assert session.get(server.url + path, timeout=PATIENCE).status_code == 200
            times.append(time.perf_counter() - begun)
    return statistics.quantiles(times, n=100)[98]


def _slow_head(wire: socket.socket, path: str) -> bytes:
    wire.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ".encode())
    return b"x"


def _slow_body(wire: socket.socket, path: str) -> bytes:
    del path
    length = ("Content-Type: application/json", "Content-Length: 1000")
    wire.sendall(head("POST", "/api/v1/auth/register/", *length) + b'{"username": "')
    return b"x"


def _slow_reader(wire: socket.socket, path: str) -> bytes:
    del path
    wire.sendall(head("GET", "/static/web/css/polls.css") * 30)
    return b""


SLOWNESS = {"heads": _slow_head, "bodies": _slow_body, "readers": _slow_reader}


@contextmanager
def _slow_clients(
    server: Server, path: str, begin: Callable[[socket.socket, str], bytes]
) -> Iterator[None]:
    """Have 200 clients that send a byte now and then, or read none."""
    over = threading.Event()
    with ExitStack() as stack:
        wires = []
        for _ in range(SLOW):
            wire = stack.enter_context(socket.socket())
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            wire.connect(("127.0.0.1", server.port))
            wires.append((wire, begin(wire, path)))

        def trickle() -> None:
            while not over.wait(0.5):
                for wire, more in wires:
                    with suppress(OSError):
                        wire.send(more, socket.MSG_DONTWAIT)

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            until = time.monotonic() + PATIENCE
            while connections(server) < SLOW:
                assert time.monotonic() < until
                time.sleep(0.05)
            yield
        finally:
            over.set()
            thread.join()


@contextmanager
def _busy_clients(
    server: Server, path: str, begin: Callable[[socket.socket, str], bytes]
) -> Iterator[None]:
    """Have clients that ask for as much as they get, which anybody would notice."""
    del begin
    over = threading.Event()

    def hammer(_: int) -> None:
        with requests.Session() as session:
            while not over.is_set():
                session.get(f"{server.url}/docs/errors", timeout=PATIENCE)

    del path
    with ThreadPoolExecutor(12) as pool:
        running = pool.map(hammer, range(12))
        try:
            yield
        finally:
            over.set()
    list(running)


def _is_as_quick(
    server: Server, path: str, others: Callable[..., AbstractContextManager[None]], kind: str
) -> bool:
    """Whether a healthy client's p99 beside the others is within twice of that without them."""
    alone = _p99(server, path)
    with others(server, path, SLOWNESS[kind]):
        return _p99(server, path) < 2 * alone + GRACE


@pytest.mark.parametrize("kind", SLOWNESS)
def test_row_35_slow_clients_leave_a_healthy_one_as_quick_as_it_was(own: Server, kind: str) -> None:
    path = own.sign_up().make_poll()["links"]["results"]
    before = process_of(own).memory_info().rss
    # The machine may be busy with something else meanwhile, but not each time.
    assert any(_is_as_quick(own, path, _slow_clients, kind) for _ in range(ROUNDS))
    assert process_of(own).memory_info().rss - before < 50e6


def test_row_35_control_busy_clients_would_be_noticed(own: Server) -> None:
    path = own.sign_up().make_poll()["links"]["results"]
    assert not _is_as_quick(own, path, _busy_clients, "heads")  # it is many times worse
