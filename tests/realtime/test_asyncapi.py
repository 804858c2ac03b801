"""/asyncapi.json: what it says, and that a frame which it does not allow is found."""

import copy
import re
from collections.abc import Iterator
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import requests
from django.conf import settings
from django.test import Client

from polls.api.examples import POLL_ID
from polls.errors import CATALOGUE, Code
from realtime.asyncapi import EVENT, MANY_POLLS, ONE_POLL, document
from tests.cast import assert_problem
from tests.live import ROOT, Caller, Server
from tests.realtime.client import dashboard
from tests.realtime.protocol import Protocol, protocol_of
from tests.realtime.servers import serving

PROTOCOL = Protocol(document(host="polls.example.org", secure=True))
FRAMES = [
    (channel, kind, reference)
    for channel in ("poll", "polls", "event")
    for kind, reference in PROTOCOL.components(channel).items()
]
EVENTS_SERVERS = {
    *("event", "snapshot", "tally", "closed", "status", "heartbeat", "error", "pong"),
}
SERVERS = {"snapshot", "hello", "tally", "closed", "status", "heartbeat", "error", "pong"}


def component(reference: str) -> dict[str, Any]:
    messages = PROTOCOL.document["components"]["messages"]
    found: dict[str, Any] = messages[reference.rpartition("/")[2]]
    return found


def example(reference: str) -> dict[str, Any]:
    (only,) = component(reference)["examples"]
    return copy.deepcopy(only["payload"])


# -- the document ----------------------------------------------------------------------------


def test_each_channel_has_the_contracts_frames() -> None:
    channels = PROTOCOL.document["channels"]
    assert {name: channel["address"] for name, channel in channels.items()} == {
        "poll": ONE_POLL,
        "polls": MANY_POLLS,
        "event": EVENT,
    }
    assert set(PROTOCOL.components("event")) == EVENTS_SERVERS | {"ping", "auth"}
    assert set(channels["event"]["bindings"]["ws"]["query"]["properties"]) == {"view"}
    assert set(PROTOCOL.components("poll")) == SERVERS | {"ping", "auth"}
    assert set(PROTOCOL.components("polls")) == (
        SERVERS | {"ping", "auth", "subscribe", "unsubscribe"}
    )
    assert set(channels["poll"]["bindings"]["ws"]["query"]["properties"]) == {"since", "view"}
    assert channels["polls"]["bindings"]["ws"]["query"]["properties"] == {}
    used = {reference.rpartition("/")[2] for _, _, reference in FRAMES}
    assert used == set(PROTOCOL.document["components"]["messages"])


def test_server_tells_its_frames_and_takes_the_clients() -> None:
    for name, clients in (
        ("poll", {"ping", "auth"}),
        ("polls", {"ping", "auth", "subscribe", "unsubscribe"}),
        ("event", {"ping", "auth"}),
    ):
        told: set[str] = set()
        taken: set[str] = set()
        replied: set[str] = set()
        for operation in PROTOCOL.document["operations"].values():
            if operation["channel"] == {"$ref": f"#/channels/{name}"}:
                kinds = {message["$ref"].rpartition("/")[2] for message in operation["messages"]}
                (told if operation["action"] == "send" else taken).update(kinds)
                replies = operation.get("reply", {"messages": []})["messages"]
                replied |= {message["$ref"].rpartition("/")[2] for message in replies}
        servers = EVENTS_SERVERS if name == "event" else SERVERS
        assert (told | {"pong"}, taken) == (servers, clients)
        assert "pong" in replied


@pytest.mark.parametrize(("channel", "kind", "reference"), FRAMES)
def test_every_frame_has_its_sentence_and_an_example(
    channel: str, kind: str, reference: str
) -> None:
    del channel
    message = component(reference)
    assert message["name"] == kind
    assert re.fullmatch(r"[A-Z].+\.", message["summary"])
    assert re.fullmatch(r"[A-Z].+\.", message["description"])
    shown = example(reference)
    assert set(shown) == set(message["payload"]["properties"])
    PROTOCOL.validator(reference).validate(shown)


def test_close_codes_are_the_contracts() -> None:
    codes = {
        entry["code"]: (entry["error"], entry["reconnect"])
        for entry in PROTOCOL.document["x-close-codes"]
    }
    assert codes == {
        1000: (None, False),
        1002: (None, False),
        1007: (None, False),
        1008: (None, False),
        1009: (None, False),
        1011: (None, True),
        1012: (None, True),
        4400: ("malformed", False),
        4401: ("authentication_required", False),
        4403: ("results_hidden", False),
        4404: ("not_found", False),
        4408: (None, True),
        4429: ("too_many", True),
        4503: ("unavailable", True),
    }
    assert list(codes) == sorted(codes)
    for code, (error, reconnect) in codes.items():
        if error is not None:
            entry = CATALOGUE[Code(error)]
            assert (code - 4000, reconnect) == (entry.status, entry.retry_after is not None)


def test_every_error_of_a_socket_is_one_of_the_document() -> None:
    said = {
        str(Code[name])
        for source in (ROOT / "realtime").glob("*.py")
        if source.name != "schemas.py"
        for name in re.findall(r"\bCode\.([A-Z_]+)\b", source.read_text(encoding="utf-8"))
    }
    assert said == set(PROTOCOL.document["components"]["schemas"]["code"]["enum"])


def test_limits_are_the_settings() -> None:
    schemas = PROTOCOL.document["components"]["schemas"]
    assert schemas["subscriptions"]["maxItems"] == settings.MAX_SOCKET_POLLS == 100
    assert schemas["polls"]["maxItems"] == settings.MAX_SOCKET_POLLS
    about = PROTOCOL.document["info"]["description"]
    assert f"{settings.MAX_SOCKET_MESSAGE_BYTES} bytes" in about
    assert f"{settings.MAX_SOCKET_MESSAGES} within ten seconds" in about


# -- how it is served ------------------------------------------------------------------------


def test_document_names_the_server_that_was_asked() -> None:
    for host, secure, protocol in (
        ("localhost:8000", False, "ws"),
        ("127.0.0.1", True, "wss"),
    ):
        answer = Client().get("/asyncapi.json", headers={"Host": host}, secure=secure)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
        assert answer.headers["Cache-Control"] == "public, max-age=60"
        found = answer.json()
        (server,) = found["servers"].values()
        assert (server["host"], server["protocol"]) == (host, protocol)
        assert found == document(host=host, secure=secure)


def test_document_is_refused_as_every_file_of_the_api() -> None:
    answer = Client().post("/asyncapi.json", headers={"Accept": "text/html"})
    assert_problem(answer, 405, "method_not_allowed")
    answer = Client().get("/asyncapi.json", headers={"Host": "elsewhere.example"})
    assert_problem(answer, 400, "bad_host")


# -- the control: what a test's client would find ----------------------------------------------


def spoilt(frame: dict[str, Any], payload: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return a frame with one field too many, and for each of its fields one without and amiss."""
    yield "with another field", {**frame, "final_": True}
    for name in frame:
        if name in payload["required"]:
            rest = {key: value for key, value in frame.items() if key != name}
            yield f"without {name}", rest
        yield f"with {name} as an object", {**frame, name: {"x": 1}}
        yield f"with {name} as a text", {**frame, name: "" if name in {"detail", "title"} else "x"}
        yield f"with {name} below its least", {**frame, name: -1}


@pytest.mark.parametrize(("channel", "kind", "reference"), FRAMES)
def test_frame_with_a_field_too_many_missing_or_amiss_is_found(
    channel: str, kind: str, reference: str
) -> None:
    del kind
    path = {"poll": "/ws/polls/x/", "polls": "/ws/", "event": "/ws/events/x/"}[channel]
    frame = example(reference)
    PROTOCOL.check(path, frame)
    for what, wrong in spoilt(frame, component(reference)["payload"]):
        if what == "with ticket as a text":
            continue  # any text may be one
        try:
            PROTOCOL.check(path, wrong)
        except (jsonschema.ValidationError, AssertionError):
            continue
        pytest.fail(f"{what} it passes: {wrong}")


@pytest.mark.parametrize(
    ("path", "frame"),
    [
        ("/ws/", {"type": "heartbeat", "seq": 42}),
        ("/ws/events/x/", {"type": "heartbeat", "seq": 42}),
        ("/ws/events/x/", {"type": "hello", "poll": POLL_ID, "seq": 42}),
        ("/ws/events/x/", {**example("#/components/messages/event"), "current": {}}),
        ("/ws/", example("#/components/messages/event")),
        ("/ws/polls/x/", {"type": "subscribe", "polls": [{"poll": POLL_ID}]}),
        ("/ws/", {"type": "unsubscribe", "polls": []}),
        ("/ws/", {"type": "unsubscribe", "polls": [POLL_ID, POLL_ID]}),
        ("/ws/", {"type": "subscribe", "polls": [{"poll": POLL_ID, "view": "all"}]}),
        ("/ws/polls/x/", {**example("#/components/messages/closed"), "final": False}),
        ("/ws/polls/x/", {**example("#/components/messages/closed"), "status": "open"}),
        ("/ws/polls/x/", {**example("#/components/messages/tally"), "status": "closed"}),
        ("/ws/polls/x/", {**example("#/components/messages/tally"), "options": []}),
        ("/ws/polls/x/", {**example("#/components/messages/error"), "code": "already_voted"}),
        (
            "/ws/polls/x/",
            {**example("#/components/messages/status"), "opens_at": "2030-01-31T20:00:00"},
        ),
        ("/ws/polls/x/", {**example("#/components/messages/status"), "opens_at": "todayZ"}),
    ],
)
def test_frame_that_says_what_cannot_be_is_found(path: str, frame: dict[str, Any]) -> None:
    with pytest.raises((jsonschema.ValidationError, AssertionError)):
        PROTOCOL.check(path, frame)


def test_client_of_the_tests_refuses_what_its_server_does_not_publish(
    live: Server, organiser: Caller
) -> None:
    poll = organiser.make_poll()
    with dashboard(live, poll) as screen:
        screen._protocol = lying = Protocol(copy.deepcopy(protocol_of(live.url).document))
        lying.document["components"]["messages"]["snapshot"]["payload"]["required"].append("title")
        with pytest.raises(jsonschema.ValidationError, match="'title' is a required property"):
            screen.frame()


def test_tick_of_the_operator_is_told() -> None:
    with serving(TICK_MS="250") as server:
        document = requests.get(f"{server.url}/asyncapi.json", timeout=30).json()
    assert "(250 ms)" in document["components"]["messages"]["tally"]["summary"]
