"""Rows 13 and 14: ids that would name something else, and messages beyond every measure."""

import os
import re
import struct
import uuid
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
from websockets.sync.client import connect

from realtime.layer import group_name
from tests.live import Caller, Server
from tests.realtime.client import dashboard, results_of, snapshot_of
from tests.realtime.servers import (
    DaphneServer,
    OwnServer,
    assert_clean,
    process_of,
    serving,
    shake_hands,
)

MIB = 1024 * 1024
MEMORY = 30e6  # bytes that a process may grow by for whatever reason


@pytest.fixture(scope="module", params=[OwnServer, DaphneServer], ids=["uvicorn", "daphne"])
def served(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Either server; in the end its log tells of nothing unforeseen."""
    with serving(request.param) as server:
        yield server


@pytest.fixture(scope="module")
def owner(served: Server) -> Caller:
    return served.sign_up()


# -- 13 ----------------------------------------------------------------------------------------

NAMES = {
    "exclamation mark": "{id}!x",
    "parent folder": "..",
    "parent folder, written out": "../{id}",
    "group of all processes": "processes",
    "group of a poll": "poll-{id}",
    "dots": "{id}.{id}",
    "star": "*",
    "question mark": "?*",
    "too long": "a" * 101,
    "far too long": "a" * 2000,
    "empty": "",
    "blank": " ",
    "capitals": "{ID}",
    "braces": "{{{id}}}",
    "without hyphens": "{hex}",
    "URN": "urn:uuid:{id}",
    "blank behind": "{id} ",
    "line break behind": "{id}\n",
    "NUL": "{id}\x00",
    "letters of another script": "\u0430{id}",
    "numeral of another script": "\u0661" * 36,
    "number": "1",
}
WRITTEN_OUT = {"%": "%25", " ": "%20", "\n": "%0A", "\x00": "%00", "?": "%3F", "*": "%2A"}


def named(name: str, poll: dict[str, Any]) -> str:
    found: str = poll["id"]
    return NAMES[name].format(id=found, ID=found.upper(), hex=uuid.UUID(found).hex)


@pytest.mark.parametrize("name", NAMES)
def test_row_13_id_in_a_frame_names_a_poll_and_nothing_else(
    served: Server, owner: Caller, name: str
) -> None:
    poll = owner.make_poll()
    wanted: dict[str, list[Any]] = {
        "subscribe": [{"poll": named(name, poll)}],
        "unsubscribe": [named(name, poll)],
    }
    for kind, polls in wanted.items():
        with dashboard(served, "/ws/") as client:
            client.say({"type": kind, "polls": polls})
            frames, code = client.end()
            assert ([frame["code"] for frame in frames], code) in (
                (["malformed"], 4400),
                ([], 1009),  # more than a message may have
                ([], 1006),  # the same on Daphne
            )


@pytest.mark.parametrize("name", NAMES)
def test_row_13_id_in_a_path_names_a_poll_and_nothing_else(
    served: Server, owner: Caller, name: str
) -> None:
    text = named(name, owner.make_poll())
    quoted = "".join(WRITTEN_OUT.get(c, c) if c.isascii() else "%D9%A1" for c in text)
    with dashboard(served, f"/ws/polls/{quoted}/") as client:
        frames, code = client.end()
    assert ([frame["code"] for frame in frames], code) == (["not_found"], 4404)


def test_row_13_group_of_a_poll_is_named_by_an_id_alone() -> None:
    name = group_name(uuid.UUID(int=2**128 - 1))
    # What Channels takes for a name, and what no pattern of Redis knows.
    assert re.fullmatch(r"[a-zA-Z0-9._-]{1,99}", name)


def test_row_13_each_poll_of_many_is_judged_by_itself(served: Server, owner: Caller) -> None:
    """Another's draft, and hidden results, are refused though the socket sees others."""
    seen, draft = owner.make_poll(), owner.make_poll(status="draft")
    hidden = owner.make_poll(results_visibility="owner")
    polls = [{"poll": poll["id"]} for poll in (draft, seen, hidden)]
    with dashboard(served, "/ws/") as client:
        client.say({"type": "subscribe", "polls": polls})
        frames = {frame["poll"]: frame for frame in (client.frame(10) for _ in range(3))}
        assert frames[seen["id"]] == snapshot_of(results_of(owner, seen))
        assert frames[draft["id"]]["code"] == "not_found"
        assert frames[hidden["id"]]["code"] == "results_hidden"
        served.voter().vote(hidden, 0)
        owner.call("PATCH", draft["links"]["self"], {"title": "Secret"})
        served.voter().vote(seen, 0)
        frame = client.until_type("tally")
        assert frame["poll"] == seen["id"]
        client.silence(1.0)


# -- 14 ----------------------------------------------------------------------------------------


def head_of(opcode: int, length: int, *, flags: int = 0x80) -> bytes:
    """Return the beginning of a client's frame, whose mask changes nothing."""
    size = bytes([0x80 | 127]) + struct.pack("!Q", length)
    return bytes([flags | opcode]) + size + b"\0\0\0\0"


def ending_of(client: Any) -> bytes:
    """Return all that a server still says before it ends a connection."""
    client.settimeout(20)
    received = b""
    with suppress(ConnectionResetError, BrokenPipeError):
        while chunk := client.recv(65_536):
            received += chunk
    return received


def closed_with(received: bytes, code: int) -> bool:
    return b"\x88" in received and struct.pack("!H", code) in received


@pytest.mark.parametrize("opcode", [1, 2], ids=["text", "binary"])
def test_row_14_two_mebibytes_in_one_message_are_refused_with_1009(
    served: Server, owner: Caller, opcode: int
) -> None:
    poll = owner.make_poll()
    before = process_of(served).memory_info().rss
    with closing(shake_hands(served, poll["links"]["live"])) as client:
        client.recv(60)
        with suppress(OSError):
            client.sendall(head_of(opcode, 2 * MIB))
            for _ in range(32):
                client.sendall(b"x" * (MIB // 16))
        received = ending_of(client)
    if not isinstance(served, DaphneServer):  # which drops the connection
        assert closed_with(received, 1009)
    assert process_of(served).memory_info().rss - before < MEMORY


def test_row_14_compression_is_not_offered(served: Server, owner: Caller) -> None:
    url = served.ws + owner.make_poll()["links"]["live"]
    with connect(url, compression="deflate", proxy=None) as client:
        assert client.response is not None
        assert "Sec-WebSocket-Extensions" not in client.response.headers
        assert client.recv()


def test_row_14_compressed_bomb_is_refused_unopened(served: Server, owner: Caller) -> None:
    """20 KB that would be 2 MiB, and less than a message may have that would be as much."""
    poll = owner.make_poll()
    large = zlib.compressobj(wbits=-15)
    noise = os.urandom(18_000)
    bombs = [
        large.compress(noise + b" " * (2 * MIB)) + large.flush(zlib.Z_SYNC_FLUSH),
        zlib.compress(b" " * (2 * MIB), wbits=-15),
    ]
    assert 18_000 < len(bombs[0]) < 24_000
    assert len(bombs[1]) < 4096
    before = process_of(served).memory_info().rss
    for bomb in bombs:
        with closing(shake_hands(served, poll["links"]["live"])) as client:
            client.recv(60)
            with suppress(OSError):
                client.sendall(head_of(1, len(bomb), flags=0xC0) + bomb)  # RSV1: compressed
            received = ending_of(client)
        if not isinstance(served, DaphneServer):
            assert closed_with(received, 1002) or closed_with(received, 1009)
    assert process_of(served).memory_info().rss - before < MEMORY
    with dashboard(served, poll) as client:
        assert client.frame()["type"] == "snapshot"
    assert_clean(served.log.read_text())
