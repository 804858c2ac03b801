"""The README: every block of it is run, and what it names exists."""

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import requests

from polls_project.settings import base
from tests.live import ROOT, Server

README = (ROOT / "README.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


def blocks(language: str) -> list[str]:
    """Return the README's code blocks in a language."""
    return [text for found, text in _BLOCK.findall(README) if found == language]


def test_every_block_is_of_a_kind_that_is_run_here() -> None:
    assert {language for language, _ in _BLOCK.findall(README)} == {
        "console",
        "sh",
        "python",
        "",  # the diagram
    }


def test_shell_blocks_run_in_their_order_and_print_what_they_promise(tmp_path: Path) -> None:
    (tmp_path / "watch.py").write_text(blocks("python")[0])
    script = "set -eu\n" + "\n".join(blocks("sh"))
    with Server() as server:
        for said, meant in (
            ("http://127.0.0.1:8000", server.url),
            ("ws://127.0.0.1:8000", server.ws),
            (".venv/bin/python", sys.executable),
        ):
            assert said in script
            script = script.replace(said, meant)
        ran = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    lines = ran.stdout.splitlines()
    assert [line for line in lines if line[:1] != "{"] == ["snapshot 2 [1, 0]", "closed 3 [1, 0]"]
    registered, receipt, results, integrity, closed = (
        json.loads(line) for line in lines if line[:1] == "{"
    )
    assert registered == {"username": "alice"}
    assert (receipt["seq"], receipt["results"]["ballots"]) == (2, 1)
    assert [option["votes"] for option in results["options"]] == [1, 0]
    assert integrity["equal"] is True
    assert closed["status"] == "closed"


def test_python_block_prints_the_frames_of_a_poll(tmp_path: Path) -> None:
    with Server() as server:
        alice = server.sign_up()
        poll = alice.make_poll()
        program = tmp_path / "watch.py"
        program.write_text(blocks("python")[0])
        watcher = subprocess.Popen(
            [sys.executable, "-u", program, f"{server.ws}{poll['links']['live']}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert watcher.stdout is not None
        timer = threading.Timer(60, watcher.kill)
        timer.start()
        try:
            assert watcher.stdout.readline() == "snapshot 1 [0, 0]\n"
            server.voter().vote(poll, 1)
            assert watcher.stdout.readline() == "tally 2 [0, 1]\n"
            alice.post(f"{poll['links']['self']}close/")
            assert watcher.stdout.readline() == "closed 3 [0, 1]\n"
            assert watcher.wait(30) == 0
        finally:
            timer.cancel()
            watcher.kill()
            watcher.stdout.close()


def test_console_blocks_are_the_two_commands() -> None:
    assert blocks("console") == ["$ make run\n", "$ make test\n"]


def test_commands_that_the_text_names_are_targets_of_make() -> None:
    named = set(re.findall(r"`[^`]*?make ([a-z ]+)`", README))
    targets = sorted({target for group in named for target in group.split()})
    assert {"stack", "demo", "lint", "types"} <= set(targets)
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_every_setting_is_in_the_table_and_every_name_there_is_a_setting() -> None:
    table = README.split("## Settings")[1].split("##")[0]
    named = {
        name
        for line in table.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    read = {
        name
        for source in ("base", "prod")
        for name in re.findall(
            r'env\.\w+\(\s*"(\w+)"',
            (ROOT / f"polls_project/settings/{source}.py").read_text(encoding="utf-8"),
        )
    }
    assert named == read
    assert base.TICK_MS == 100


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_last_lines_of_the_start_can_be_pasted_into_a_shell() -> None:
    with Server() as server:
        lines = server.log.read_text().splitlines()
        curls = [line.strip() for line in lines if line.strip().startswith("curl ")]
        assert lines[-len(curls) :] == [f"  {curl}" for curl in curls]
        assert len(curls) == 2
        for curl in curls:
            ran = subprocess.run(
                ["bash", "-c", curl], capture_output=True, text=True, timeout=30, check=True
            )
            assert "code" not in json.loads(ran.stdout)
        page = next((line.split()[-1] for line in lines if "Watch a poll" in line), None)
        if os.environ["STACK"] == "embedded":  # the one that is seeded
            assert page is not None
            assert requests.get(page, timeout=30).status_code == 200
