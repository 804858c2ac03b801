"""Slices of the other parts: every operation, the schema, broken bytes, and frames on sockets."""

import asyncio
from dataclasses import replace
from typing import Any

from fuzz import api, by_schema, raw, sockets
from fuzz.api import hold
from fuzz.frames import MANY
from fuzz.report import Report, dice
from fuzz.scenes import Site
from fuzz.schema import operations
from fuzz.wire import Answer, Request
from tests.live import Server
from tests.polls.stacks import on_postgres_alone
from tests.realtime.servers import process_of


def test_every_operation_answers_bad_calls_as_documented(fuzzed: Server) -> None:
    report = asyncio.run(api.run(fuzzed.port, seed="suite", inputs=800))
    assert report.found == {}
    assert report.inputs == 800


# On either stack the schema is the same, and so is what comes before the database.
@on_postgres_alone
def test_schema_holds_for_schemathesis(fuzzed: Server) -> None:
    # A session reaches most of the code; `make fuzz` tries nobody and an account, too.
    report = by_schema.run(fuzzed.port, seed=1, examples=1, callers=["session"])
    assert report.found == {}, report.findings[0]
    assert report.inputs > 300


@on_postgres_alone
def test_broken_bytes_are_answered_or_hung_up_on(fuzzed: Server) -> None:
    report = asyncio.run(raw.run(fuzzed.port, seed="suite", inputs=2000))
    assert report.found == {}
    assert report.inputs == 2000


@on_postgres_alone
def test_frames_of_every_kind_end_no_more_than_their_own_socket(fuzzed: Server) -> None:
    pids = [process_of(fuzzed).pid]
    report = asyncio.run(sockets.run(fuzzed.port, pids, seed="suite", inputs=500))
    assert report.found == {}
    assert report.inputs >= 500


# -- the other way round -----------------------------------------------------------------------


def test_control_broken_answers_are_found_out(fuzzed: Server) -> None:
    async def read() -> Any:
        async with Site(fuzzed.port) as site:
            return await site.call("GET", "/swagger.json")

    told = asyncio.run(read())
    (join,) = [one for one in operations(told) if one.path.startswith("/api/v1/join/")]
    request = Request("GET", "/api/v1/join/x/")
    page = Answer(404, [(b"content-type", b"text/html")], b"<h1>Not here</h1>")
    fault = Answer(500, [(b"content-type", b"text/html")], b"")
    unknown = Answer(202, [(b"content-type", b"application/json")], b"{}")
    assert hold(join, request, page, anonymous=True) == ["404 as text/html, no problem+json"]
    assert hold(join, request, fault, anonymous=True)[0] == "the server's own fault: 500"
    assert hold(join, request, unknown, anonymous=True) == ["not documented: 202"]
    closed = replace(join, needs_account=True, answers={202: None})
    assert hold(closed, request, unknown, anonymous=True)[0] == "wrongly accepted: no account"


def test_control_hidden_count_and_undocumented_close_are_found_out(fuzzed: Server) -> None:
    async def make() -> sockets.Stage:
        async with Site(fuzzed.port) as site:
            return await sockets.Stage.made(site)

    stage = asyncio.run(make())
    one = sockets.Talk(MANY, "/ws/", query_is_good=True, sent=[])
    shown = {"type": "snapshot", "poll": next(iter(stage.hidden)), "ballots": 1, "options": []}
    told = sockets.Ended([shown, {"type": "pong"}], 1011)
    assert sockets.faults(stage, one, told) == [
        "closed with 1011",
        "closed with 1011, not []",
        "a hidden count was shown",
    ]


def test_same_seed_draws_the_same_requests() -> None:
    one, other = dice("5 bytes 1"), dice("5 bytes 1")
    assert [raw.draw_request(one) for _ in range(50)] == [
        raw.draw_request(other) for _ in range(50)
    ]
    report = Report("x")
    report.find("kind", "example")
    assert report.findings == ["kind (1 times)\n    example"]
