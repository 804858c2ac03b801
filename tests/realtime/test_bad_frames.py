"""What a client must not say: refused by name, stored nowhere, and no matter for anybody else."""

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from polls.errors import CATALOGUE, Code
from tests.live import Caller, Server
from tests.realtime.client import (
    NOBODY,
    Dashboard,
    dashboard,
    error_of,
    results_of,
    snapshot_of,
    tally_of,
    ticket_for,
)
from tests.realtime.servers import DaphneServer, count_rows, shake_hands

PING = '{"type":"ping"}'
LIMIT = 4096  # bytes of one message

BAD_TEXTS = {
    "nothing": "",
    "blanks": "  ",
    "no JSON": "ping",
    "half of it": '{"type":"ping"',
    "more than one": PING + PING,
    "something after it": PING + "x",
    "single quotes": "{'type':'ping'}",
    "a trailing comma": '{"type":"ping",}',
    "a comment": PING + "//",
    "a byte order mark": "\ufeff" + PING,
    "a list": f"[{PING}]",
    "a text": '"ping"',
    "a number": "1",
    "null": "null",
    "an empty object": "{}",
    "no type": '{"ticket":"x"}',
    "a number as type": '{"type":1}',
    "null as type": '{"type":null}',
    "true as type": '{"type":true}',
    "a list as type": '{"type":["ping"]}',
    "an object as type": '{"type":{"ping":"ping"}}',
    "an unknown type": '{"type":"vote"}',
    "a type of the server's": '{"type":"snapshot"}',
    "a type in capitals": '{"type":"PING"}',
    "a type that Python would read": '{"type":"None"}',
    "an unknown field": '{"type":"ping","id":1}',
    "an unknown field beside a ticket": '{"type":"auth","ticket":"x","poll":"y"}',
    "no ticket": '{"type":"auth"}',
    "null as ticket": '{"type":"auth","ticket":null}',
    "a number as ticket": '{"type":"auth","ticket":5}',
    "a list as ticket": '{"type":"auth","ticket":["x"]}',
    "a ticket for a ping": '{"type":"ping","ticket":"x"}',
    "a key twice": '{"type":"ping","type":"ping"}',
    "a key twice in disguise": '{"type":"auth","type":"ping","t\\u0079pe":"ping"}',
    "a NUL": "\0",
    "an escaped NUL": '{"type":"auth","ticket":"\\u0000"}',
    "an escaped NUL in a key": '{"type":"ping","\\u0000":1}',
    "half a surrogate pair": '{"type":"auth","ticket":"\\ud800"}',
    "the other half": '{"type":"auth","ticket":"x\\udfffx"}',
    "half a pair in a key": '{"type":"ping","\\ud800":1}',
    "65 bits": '{"type":"auth","ticket":18446744073709551616}',
    "65 bits below nought": '{"type":"auth","ticket":-9223372036854775809}',
    "a thousand digits": '{"type":"auth","ticket":' + "9" * 1000 + "}",
    "a number beyond all": '{"type":"auth","ticket":1e999}',
    "no number": '{"type":"auth","ticket":NaN}',
    "infinity": '{"type":"auth","ticket":-Infinity}',
    "deep lists": "[" * 2000 + "]" * 2000,
    "deep lists that do not end": "[" * 4000,
    "deep objects": '{"a":' * 600 + "1" + "}" * 600,
    "a control character in a text": '{"type":"auth","ticket":"\n"}',
}
BAD_BINARY = {"a ping in bytes": PING.encode(), "no bytes": b"", "one byte": b"\xff"}
BAD_QUERIES = (
    "?since=",
    "?since",
    "?since=-1",
    "?since=+1",
    "?since=1.0",
    "?since=1e3",
    "?since=0x1",
    "?since=1_000",
    "?since=%D9%A1",
    "?since=%00",
    "?since=99999999999999999999",
    "?since=" + "9" * 4500,
    "?since=1&since=1",
    "?since=1&since=2",
    "?view=",
    "?view=Status",
    "?view=results",
    "?view=status&view=status",
    "?view=status&since=1&since=1",
    "?ticket=x",
    "?seq=1",
    "?=1",
    "?since=1&unknown",
    "?Since=1",
    "?&".join(("", "x=1" * 500)),
)


@pytest.fixture
def poll(organiser: Caller) -> dict[str, Any]:
    """A poll of the test's own: who joins one again and again waits their turn."""
    return organiser.make_poll()


@pytest.fixture
def hidden(organiser: Caller) -> dict[str, Any]:
    """Another, whose results its owner alone sees."""
    return organiser.make_poll(results_visibility="owner")


@pytest.fixture
def bystander(live: Server, organiser: Caller, poll: dict[str, Any]) -> Iterator[Dashboard]:
    """Somebody else's socket, and rows, that nothing of all this must touch."""
    before = count_rows(live)
    with dashboard(live, poll) as screen:
        assert screen.frame() == snapshot_of(results_of(organiser, poll))
        yield screen
        assert count_rows(live) == before
        screen.ping()
        live.voter().vote(poll, 0)
        assert screen.frame() == tally_of(results_of(organiser, poll))


@pytest.mark.parametrize("name", [*BAD_TEXTS, *BAD_BINARY])
def test_row_17_30_31_32_frame_that_cannot_be_is_refused(
    live: Server, poll: dict[str, Any], bystander: Dashboard, name: str
) -> None:
    del bystander
    with dashboard(live, poll) as client:
        client.frame()
        client.say_raw(BAD_TEXTS[name] if name in BAD_TEXTS else BAD_BINARY[name])
        frames, code = client.end()
    assert [(frame["type"], frame["code"], frame["poll"]) for frame in frames] == [
        ("error", "malformed", poll["id"])
    ]
    assert code == 4400


def test_frames_after_a_bad_one_are_not_read(
    live: Server, organiser: Caller, hidden: dict[str, Any], bystander: Dashboard
) -> None:
    del bystander
    ticket = ticket_for(organiser, hidden)
    with dashboard(live, hidden) as client:
        client.say_raw("[]")
        with suppress(ConnectionClosed):
            client.say({"type": "auth", "ticket": ticket})
        frames, code = client.end()
        assert ([frame["code"] for frame in frames], code) == (["malformed"], 4400)
    # It was not used up.
    with dashboard(live, hidden, ticket=ticket) as client:
        assert client.frame()["type"] == "snapshot"


def test_row_17_30_31_queries_that_cannot_be_are_refused(
    live: Server, poll: dict[str, Any], bystander: Dashboard
) -> None:
    del bystander
    found = {}
    for query in BAD_QUERIES:
        with dashboard(live, poll, query) as client:
            frames, code = client.end()
        found[query] = ([(frame["type"], frame["code"]) for frame in frames], code)
    assert found == dict.fromkeys(BAD_QUERIES, ([("error", "malformed")], 4400))


def _refused_by_protocol(server: Server, code: int) -> int:
    """Return how a server ends what its own protocol refuses: Daphne says no code."""
    return NOBODY if isinstance(server, DaphneServer) else code


def test_row_14_message_may_have_4096_bytes_and_no_more(
    live: Server, poll: dict[str, Any], bystander: Dashboard
) -> None:
    del bystander
    with dashboard(live, poll) as client:
        client.frame()
        client.say_raw(PING.ljust(LIMIT))
        assert client.frame() == {"type": "pong"}
        client.say_raw(PING.ljust(LIMIT + 1))
        assert client.end() == ([], _refused_by_protocol(live, 1009))


def test_row_14_message_in_parts_may_have_no_more_either(
    live: Server, poll: dict[str, Any], bystander: Dashboard
) -> None:
    del bystander
    with dashboard(live, poll) as client:
        client.frame()
        client.connection.send(iter(['{"type":', '"ping"', "}"]))
        assert client.frame() == {"type": "pong"}
        with suppress(ConnectionClosed):
            client.connection.send(iter([PING, *[" " * 1000] * 5]))
        assert client.end() == ([], _refused_by_protocol(live, 1009))


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_check_14_message_of_2_mib_is_refused_however_it_is_packed(
    live: Server, poll: dict[str, Any], bystander: Dashboard, compression: str | None
) -> None:
    del bystander
    address = f"{live.ws}{poll['links']['live']}"
    with connect(address, compression=compression, proxy=None) as client:
        client.recv()
        assert client.protocol.extensions == []  # nothing is unpacked here
        with suppress(ConnectionClosed):
            client.send(" " * 2**21)
        with pytest.raises(ConnectionClosed) as caught:
            client.recv()
    received = caught.value.rcvd
    assert (NOBODY if received is None else received.code) == _refused_by_protocol(live, 1009)


def test_check_14_message_that_is_packed_all_the_same_is_not_unpacked(
    live: Server, poll: dict[str, Any], bystander: Dashboard
) -> None:
    del bystander
    packer = zlib.compressobj(9, wbits=-15)
    bomb = packer.compress(PING.ljust(2**21).encode()) + packer.flush(zlib.Z_SYNC_FLUSH)
    assert len(bomb) < LIMIT  # as long as a message may be
    head = struct.pack("!BBH", 0xC1, 0x80 | 126, len(bomb)) + b"\0\0\0\0"
    with shake_hands(live, poll["links"]["live"]) as client:
        client.recv(60)
        client.sendall(head + bomb)
        answer = b""
        with suppress(ConnectionResetError):  # Daphne's end
            while said := client.recv(4096):
                answer += said
    # 1002: a client must not use what was not agreed upon.
    ends = re.findall(rb"\x88.\x03\xea", answer, re.DOTALL)
    assert len(ends) == (0 if isinstance(live, DaphneServer) else 1)
    assert b"pong" not in answer


def test_text_that_is_not_utf8_is_refused_by_the_protocol(
    live: Server, poll: dict[str, Any], bystander: Dashboard
) -> None:
    del bystander
    with dashboard(live, poll) as client:
        client.frame()
        client.connection.send(b'{"type":"ping\xff"}', text=True)
        assert client.end() == ([], _refused_by_protocol(live, 1007))


@pytest.mark.parametrize("how", ["pings", "tickets"])
def test_row_15_more_than_100_frames_within_ten_seconds_are_too_many(
    live: Server, poll: dict[str, Any], bystander: Dashboard, how: str
) -> None:
    del bystander
    with dashboard(live, poll) as client:
        client.frame()
        for _ in range(100 if how == "pings" else 99):
            client.say_raw(PING)
        for _ in range(100 if how == "pings" else 99):
            assert client.frame() == {"type": "pong"}
        if how == "tickets":
            client.say_raw(PING)
            client.frame()
            client.say({"type": "auth", "ticket": "x"})
        else:
            client.say_raw(PING)
        remedy = CATALOGUE[Code.TOO_MANY].remedy
        assert client.end() == ([error_of(poll, "too_many", remedy)], 4429)


def test_row_15_flood_that_does_not_wait_is_ended_and_held_against_nobody_else(
    live: Server, poll: dict[str, Any], bystander: Dashboard
) -> None:
    with dashboard(live, poll) as client:
        client.frame()
        with suppress(ConnectionClosed):
            for _ in range(5000):
                client.say_raw(PING)
        frames, code = client.end()
    bystander.ping()
    pongs = [frame for frame in frames if frame == {"type": "pong"}]
    assert len(pongs) <= 100
    assert code == 4429
    assert frames[-1]["code"] == "too_many"
