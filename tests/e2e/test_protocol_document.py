"""docs/protocol.md: its frames are the protocol's, it leaves none out, and its code runs."""

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import requests

from devtools.node import node
from realtime.asyncapi import document
from tests.live import ROOT, Server
from tests.realtime.client import counts_of
from tests.realtime.protocol import Protocol

TEXT = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
PROTOCOL = Protocol(document(host="polls.example.org", secure=True))
_BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
FRAMES = [json.loads(text) for language, text in _BLOCK.findall(TEXT) if language == "json"]


def block(language: str) -> str:
    (found,) = (text for name, text in _BLOCK.findall(TEXT) if name == language)
    return str(found)


def fits(frame: dict[str, Any]) -> bool:
    """Whether a frame may be said on one of the channels."""
    for path in ("/ws/polls/x/", "/ws/", "/ws/events/x/"):
        try:
            PROTOCOL.check(path, frame)
        except (jsonschema.ValidationError, AssertionError):
            continue
        return True
    return False


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame["type"])
def test_frame_of_the_text_is_one_of_the_protocol(frame: dict[str, Any]) -> None:
    assert fits(frame)
    assert not fits({**frame, "another": 1})


def test_every_frame_is_shown_and_named() -> None:
    types = {message["name"] for message in PROTOCOL.document["components"]["messages"].values()}
    assert {frame["type"] for frame in FRAMES} == types
    assert types <= set(re.findall(r"`(\w+)`", TEXT))


def test_every_close_code_is_in_the_table_as_the_document_has_it() -> None:
    rows = re.findall(r"(?m)^\| (\d{4}) \| (?:`(\w+)`)? ?\| .+ \| (yes|no) \|$", TEXT)
    expected = [
        (str(entry["code"]), entry["error"] or "", "yes" if entry["reconnect"] else "no")
        for entry in PROTOCOL.document["x-close-codes"]
    ]
    assert rows == expected


def test_limits_are_those_of_a_server(live: Server) -> None:
    limits = requests.get(f"{live.url}/api/v1/limits/", timeout=30).json()["limits"]
    told = re.findall(r"`(\w+)`\s\(([\d,]+)\)", TEXT.split("## Limits")[1])
    assert len(told) == 7
    assert {name: int(number.replace(",", "")) for name, number in told} == {
        name: limits[name] for name, _ in told
    }
    assert {name for name in limits if name.startswith(("socket", "ticket", "tick_"))} == {
        name for name, _ in told
    }


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / "docs" / target).exists(), target


@pytest.mark.parametrize("language", ["js", "python"])
def test_code_shows_the_counts_of_a_poll_until_it_closes(
    live: Server, tmp_path: Path, language: str
) -> None:
    owner = live.sign_up()
    poll = owner.make_poll()
    code = block(language)
    said = "http://127.0.0.1:8000/ws/polls/<id>/"
    assert said in code
    (tmp_path / "live.js").write_text((ROOT / "web/static/web/js/lib/live.js").read_text())
    (tmp_path / "package.json").write_text('{"type": "module"}')
    program = tmp_path / f"watch.{language}"
    program.write_text(code.replace(said, live.url + poll["links"]["live"]))
    command = [node()] if language == "js" else [sys.executable, "-u"]
    watcher = subprocess.Popen(
        [*command, str(program)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "examples")},
        stdout=subprocess.PIPE,
        text=True,
    )
    timer = threading.Timer(60, watcher.kill)
    timer.start()
    try:
        assert watcher.stdout is not None
        assert '"seq": 1,' in watcher.stdout.readline().replace("'", '"').replace('":1', '": 1')
        owner.post(f"{poll['links']['self']}close/")
        closed = counts_of(owner.get(poll["links"]["results"]).json())
        assert json.loads(watcher.stdout.read().replace("'", '"')) == closed
        assert watcher.wait(60) == 0
    finally:
        timer.cancel()
        watcher.kill()
        watcher.wait()
        assert watcher.stdout is not None
        watcher.stdout.close()
