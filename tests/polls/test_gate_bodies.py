"""Bodies over raw sockets: too long, too slow, in chunks, cut short, and lying about it."""

import time
from contextlib import ExitStack, suppress

import pytest

from tests.cast import problem
from tests.live import Server
from tests.polls.doors import Stage
from tests.polls.wire import PATIENCE, Answer, ask, assert_refused, connect, head, receive

LIMITS = "/api/v1/limits/"
VOTE_BYTES, BODY_BYTES = 64 * 1024, 1024 * 1024
BODY_SECONDS = 10.0
JSON = "Content-Type: application/json"


@pytest.fixture
def voting(live: Server) -> tuple[str, str]:
    """The path of an open poll's votes, and a header that votes there."""
    poll = live.sign_up().make_poll()
    token = live.voter().headers["X-Voter-Token"]
    return poll["links"]["vote"], f"X-Voter-Token: {token}"


def filled(size: int) -> bytes:
    """Return a JSON object of exactly so many bytes that no call takes."""
    return b'{"nope": "%s"}' % (b"x" * (size - 12))


def in_chunks(body: bytes, size: int = 4096) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(("vote", "limit"), [(True, VOTE_BYTES), (False, BODY_BYTES)])
def test_row_33_body_may_be_as_long_as_the_limit_and_no_longer(
    stage: Stage, *, vote: bool, limit: int, chunked: bool
) -> None:
    path = ("/api/v1/polls/{poll}/votes/" if vote else "/api/v1/auth/register/").format(
        **stage.names
    )

    def send(size: int) -> Answer:
        body = filled(size)
        if chunked:
            return ask(
                stage.server,
                head("POST", path, JSON, "Transfer-Encoding: chunked") + in_chunks(body),
            )
        return ask(stage.server, head("POST", path, JSON, f"Content-Length: {size}") + body)

    fits = send(limit)
    assert (fits.status, b"unknown_field" in fits.body) == (400, True)
    detail = f"The body may have {limit} bytes."
    longer = send(limit + 1)
    assert_refused(longer, problem(413, "body_too_large", path, detail))
    assert longer.headers["Connection"] == "close"


@pytest.mark.parametrize("length", [2 * BODY_BYTES + 1, 10**12])
def test_row_33_body_that_says_it_is_too_long_is_refused_before_it_is_sent(
    stage: Stage, length: int
) -> None:
    path = "/api/v1/voters/"
    headers = [JSON, f"Content-Length: {length}", "Expect: 100-continue"]
    answer = ask(stage.server, head("POST", path, *headers))
    detail = f"The body may have {BODY_BYTES} bytes."
    assert_refused(answer, problem(413, "body_too_large", path, detail))


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: -1"],
        ["Content-Length: 1e3"],
        ["Content-Length: 99999999999999999999999"],
        ["Content-Length: 2", "Content-Length: 3"],
        ["Content-Length: 2", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked, x"],
    ],
    ids=str,
)
def test_row_33_body_whose_end_could_be_read_in_two_ways_is_refused(
    stage: Stage, headers: list[str]
) -> None:
    answer = ask(stage.server, head("POST", "/api/v1/voters/", JSON, *headers) + b"{}")
    assert 400 <= answer.status < 500


def test_row_33_body_that_is_longer_than_it_says_is_refused_with_its_connection(
    stage: Stage,
) -> None:
    body = b'{"username": "mallory", "password": "correct horse battery"}'
    sent = head("POST", "/api/v1/auth/register/", JSON, f"Content-Length: {len(body) - 1}") + body
    with connect(stage.server) as wire:
        wire.sendall(sent)
        assert 400 <= receive(wire).status < 500
        while wire.recv(4096):
            pass  # whatever else it says, it hangs up


@pytest.mark.parametrize("sent", [b"", b'{"username": "mal'])
def test_client_that_hangs_up_in_the_middle_leaves_nothing(stage: Stage, sent: bytes) -> None:
    for _ in range(3):
        with connect(stage.server) as wire:
            headers = [JSON, "Content-Length: 60"]
            wire.sendall(head("POST", "/api/v1/auth/register/", *headers) + sent)
    assert ask(stage.server, head("GET", LIMITS)).status == 200


def test_row_35_body_that_does_not_arrive_in_time_is_given_up(stage: Stage) -> None:
    path, begun = "/api/v1/auth/register/", time.monotonic()
    idle, trickling = connect(stage.server), connect(stage.server)
    with idle, trickling:
        for wire in (idle, trickling):
            wire.sendall(head("POST", path, JSON, "Content-Length: 60") + b'{"username": ')
        trickling.settimeout(0.5)
        while time.monotonic() - begun < BODY_SECONDS - 1:
            trickling.sendall(b" ")
            time.sleep(0.5)
        trickling.settimeout(PATIENCE)
        for wire in (idle, trickling):
            answer = receive(wire)
            assert_refused(answer, problem(408, "request_timeout", path))
            assert answer.headers["Connection"] == "close"
    assert BODY_SECONDS - 0.5 < time.monotonic() - begun < BODY_SECONDS + PATIENCE


def test_row_35_clients_that_are_slow_to_send_keep_nobody_else_out(
    live: Server, voting: tuple[str, str]
) -> None:
    path, token = voting
    with ExitStack() as stack:
        for _ in range(300):
            wire = stack.enter_context(connect(live))
            wire.sendall(head("POST", path, JSON, token, "Content-Length: 60") + b"{")
        assert ask(live, head("GET", LIMITS)).status == 200
        assert ask(live, head("POST", "/api/v1/voters/")).status == 201


def test_connection_is_kept_after_a_refusal(live: Server) -> None:
    with connect(live) as wire:
        for header, status in (("X_Y: 1", 400), ("X-Y: 1", 200), ("X_Y: 1", 400)):
            wire.sendall(head("GET", LIMITS, header))
            assert receive(wire).status == status
        wire.sendall(head("GET", "/api/v1/nowhere/"))
        assert receive(wire).status == 404


def test_vote_before_broken_bytes_has_its_own_answer(live: Server, voting: tuple[str, str]) -> None:
    path, token = voting
    poll = path.removesuffix("votes/")
    option = live.sign_up().get(poll).json()["options"][0]["id"]
    body = b'{"choices": ["%b"]}' % option.encode()
    # A query leads it past the express door: it waits for Django while the rest is read.
    vote = head("POST", f"{path}?a=b", JSON, token, f"Content-Length: {len(body)}") + body
    with connect(live) as wire:
        wire.sendall(vote + b"\x00\x01 nonsense\r\n\r\n")
        answer = receive(wire, "POST")
        assert (answer.status, answer.headers["Connection"]) == (201, "close")
        assert wire.recv(100) == b""


def test_client_that_is_gone_before_its_answer_leaves_no_fault_in_the_log(live: Server) -> None:
    before = live.log.read_text().count("Traceback")
    for _ in range(20):
        with connect(live) as wire:
            broken = head("POST", LIMITS, JSON, "Transfer-Encoding: chunked") + b"nonsense\r\n"
            wire.sendall(head("GET", "/swagger.json") * 3 + broken)
            with suppress(OSError):
                wire.recv(1)
    assert ask(live, head("GET", LIMITS)).status == 200
    assert live.log.read_text().count("Traceback") == before
