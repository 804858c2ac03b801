"""`make test-protocol`: it passes what a server publishes and fails what is broken, by name."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from devtools import servers
from devtools.node import NodeModulesMissingError, node_modules
from realtime.asyncapi import document
from tests.live import ROOT

COMMAND = (sys.executable, "-m", "devtools.asyncapi")
LOCK = ROOT / "devtools/asyncapi/package-lock.json"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=150, check=False
    )


def test_document_of_a_server_passes() -> None:
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "AsyncAPI 3.0.0: 32 messages, nothing wrong.\n"


def test_broken_document_fails_and_says_where(tmp_path: Path) -> None:
    sound = document(host="polls.example.org", secure=True)
    lost, wordless, mistyped = (copy.deepcopy(sound) for _ in range(3))
    lost["channels"]["poll"]["messages"]["hello"]["$ref"] = "#/components/messages/nothing"
    wordless["operations"]["poll.ping"]["action"] = "sing"
    mistyped["components"]["messages"]["hello"]["payload"]["type"] = "objekt"
    found: list[tuple[int, Any]] = []
    for name, broken, said in (
        ("sound", sound, ""),
        ("lost", lost, "'#/components/messages/nothing' does not exist"),
        ("wordless", wordless, "error: operations.poll.ping.action: "),
        ("mistyped", mistyped, "error: components.messages.hello.payload.type: "),
    ):
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(broken))
        done = run(str(file))
        assert said in done.stderr
        found.append((done.returncode, "Traceback" in done.stderr))
    assert found == [(0, False), (1, False), (1, False), (1, False)]


def test_registry_out_of_reach_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = f"http://127.0.0.1:{servers.free_port()}/"
    monkeypatch.setenv("npm_config_registry", nobody)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    with pytest.raises(NodeModulesMissingError) as failed:
        node_modules(LOCK, tmp_path / "modules")
    assert str(failed.value) == (
        "npm's registry cannot be reached (ECONNREFUSED), and what is needed is not here yet."
    )
    assert not (tmp_path / "modules" / "installed.json").exists()


def test_lock_file_names_no_registry() -> None:
    lock = json.loads(LOCK.read_text())
    assert lock["packages"]["node_modules/@asyncapi/parser"]["version"]
    for name, package in lock["packages"].items():
        assert "resolved" not in package
        assert name == "" or "integrity" in package
