"""Row 44: logs hold no address, code or token in clear, and no line that a stranger wrote."""

import logging
import logging.config
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from django.conf import settings

from polls_project.log_lines import (
    LEFT_OUT,
    LONGEST,
    LineFormatter,
    escaped,
    without_secrets,
)
from tests.live import ROOT
from tests.realtime.client import handshake_status
from tests.realtime.servers import OwnServer

_LOGGING: Any = settings.LOGGING
FORMAT: dict[str, str] = _LOGGING["formatters"]["line"]
BEGINNING = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ [\w.]+: ")
FORGED = "2026-01-01 00:00:00,000 CRITICAL polls.votes: forged"
HOSTILE = {
    "line feed": "\n",
    "carriage return": "\r",
    "both": "\r\n",
    "vertical tab": "\v",
    "form feed": "\f",
    "next line": "\x85",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "colour": "\x1b[31m",
    "clearing the screen": "\x1b[2J\x1b[H",
    "title of the terminal": "\x1b]0;x\x07",
    "8-bit escape": "\x9b31m",
    "backspaces": "\b" * 80,
    "NUL": "\0",
    "turned text": "\u202e",
    "invisible": "\u200b",
}


def formatter() -> logging.Formatter:
    """Return the formatter by which the service's settings write."""
    return LineFormatter(fmt=FORMAT["fmt"])


def record(message: str, fault: BaseException | None = None) -> logging.LogRecord:
    exc_info = None if fault is None else (type(fault), fault, fault.__traceback__)
    return logging.LogRecord("polls.x", logging.ERROR, "x.py", 1, message, (), exc_info)


def fault_that_says(text: str) -> BaseException:
    def fail() -> None:
        raise KeyError(text)

    try:
        try:
            fail()
        except KeyError as cause:
            raise ValueError(text) from cause
    except ValueError as fault:
        return fault
    raise AssertionError


def foreign_lines(log: str) -> list[str]:
    """Return the lines of a log that are neither the beginning of an event nor below one."""
    lines = re.split("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]", log)
    return [line for line in lines if line and not line.startswith("    ")]


@pytest.mark.parametrize("name", HOSTILE)
def test_row_44_one_event_is_one_line_whatever_is_in_it(name: str) -> None:
    text = f"before{HOSTILE[name]}{FORGED}{HOSTILE[name]}after"
    written = formatter().format(record(f"Request failed: {text}", fault_that_says(text)))
    lines = foreign_lines(written)
    assert len(lines) == 1
    assert BEGINNING.match(lines[0])
    assert "forged" in written
    assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u200b\u202e\u2028\u2029]", written)


def test_row_44_control_without_the_formatter_a_line_is_forged() -> None:
    plain = logging.Formatter(FORMAT["fmt"])
    written = plain.format(record(f"Request failed: x\n{FORGED}"))
    assert foreign_lines(written)[1] == FORGED


@pytest.mark.parametrize("text", ["Ünïcode, 漢字 and 🍕 stay", "a\\nb", "%s %d {} stay"])
def test_row_44_text_that_does_no_harm_is_kept(text: str) -> None:
    assert escaped(without_secrets(text)) == text


TOKEN = "poll_Zk3hVb1TqQwErTyUiOpAsDfGhJkLzXcVbNm1234567x"
VOTER = "u2ZkBq0Yc1TqQwErTyUiOpAsDfGhJkLzXcVbNm123456"


@pytest.mark.parametrize("far", range(LONGEST - 300, LONGEST + 300, 7))
def test_row_44_what_is_cut_off_a_long_message_is_no_half_of_a_secret(far: int) -> None:
    written = formatter().format(record("/" * far + f" {VOTER} " + "/" * LONGEST))
    assert VOTER[:4] not in written
    assert len(written) < LONGEST + 200
    assert f"... ({far + len(VOTER) + 2 + LONGEST} characters in all)" in written


PARTS = (
    *("a", "a.", "a:", "a@", "@", "@[", "1.", ":", "::1", "a ", "-", "aA1", "aA1/", "'", "'code'"),
    *("'code' ", "'a-", "code=", "?code=", "Bearer ", "poll_", "voter=", "Key (", "Key (a)=("),
    *("Key (a)=(b) ", "Failing row contains (", "/password/reset/key/", "🍕", "\x1b"),
)


@pytest.mark.parametrize("part", PARTS)
def test_row_44_long_text_of_a_stranger_holds_nobody_up(part: str) -> None:
    """The whole process waits while a line is written."""

    def seconds(length: int) -> float:
        text = part * (length // len(part))
        began = time.perf_counter()
        without_secrets(text)
        return time.perf_counter() - began

    assert min(seconds(32_768) for _ in range(3)) < 0.15


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"Authorization: Bearer {TOKEN}", TOKEN[6:]),
        (f"token {TOKEN} is unknown", TOKEN[6:]),
        (f"X-Voter-Token: {VOTER}", VOTER),
        (f"{{'X-Voter-Token': '{VOTER[:20]}'}}", VOTER[:20]),
        ('{"choices": [], "code": "QRST-UVWX-YACD"}', "QRST"),
        ("/ws/polls/1/?since=1&ticket=abcdef", "abcdef"),
        ("GET /x?code=QRSTUVWX HTTP/1.1", "QRSTUVWX"),
        ("Cookie: sessionid=abcdef0123456789; csrftoken=xyz", "abcdef0123456789"),
        ("Cookie: __Host-voter=short", "short"),
        ("/accounts/password/reset/key/1-cx2k-2f9d failed", "cx2k-2f9d"),
        ("{'bob@example.org': (550, b'no such user')}", "bob@"),
        ("postgres://polls:hunter2@db:5432/polls", "hunter2"),
        ("redis://:hunter2@cache:6379", "hunter2"),
        ("peer 203.0.113.77:50123 went away", "203.0.113.77"),
        ("('203.0.113.77', 50123)", "203.0.113.77"),
        ("peer [2001:db8::77]:50123 went away", "2001:db8"),
        ("::ffff:203.0.113.77", "203.0.113.77"),
        ("DETAIL: Key (username_key)=(bob) already exists.", "bob"),
        ("DETAIL: Failing row contains (1, bob, null).", "bob"),
    ],
)
def test_row_44_what_names_or_lets_in_somebody_is_left_out(text: str, secret: str) -> None:
    assert secret in text
    written = formatter().format(record(text, fault_that_says(text)))
    assert secret not in written
    assert LEFT_OUT in written


@pytest.mark.parametrize(
    "text",
    [
        "poll 01980c5e-8f00-7000-8000-0000000000a1 is closed",
        "Request 0123456789abcdef failed: /api/v1/polls/",
        'File "/srv/polls/lib/python3.13/site-packages/django/db/backends/utils.py", line 105',
        "connection to 127.0.0.1:5432 and [::1]:5432 refused at 12:30:45",
        "A flush of 3 votes failed (unavailable): server closed the connection",
        "uvicorn 0.54.0, psycopg2 2.9.11",
    ],
)
def test_row_44_what_is_needed_to_find_a_fault_is_kept(text: str) -> None:
    assert without_secrets(text) == text


# -- a whole server ----------------------------------------------------------------------------


_LOOK = """
import logging, django
django.setup()
import polls_project.asgi, uvicorn, daphne.server, channels_redis.pubsub, allauth.account.views
uvicorn.Config("polls_project.asgi:application", log_config=None, log_level="warning").load()
loggers = [logging.root] + [logging.getLogger(name) for name in logging.root.manager.loggerDict]
for logger in loggers:
    for handler in logger.handlers:
        print(logger.name, type(handler).__name__, type(handler.formatter).__name__)
"""


def test_row_44_every_handler_of_every_logger_writes_by_that_formatter() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOOK], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = {line.rpartition(" ")[2] for line in done.stdout.splitlines() if " Null" not in line}
    assert found == {"LineFormatter"}
    assert "root StreamHandler LineFormatter" in done.stdout


_BREAKABLE = """
import os, runpy, django
django.setup()
from django.db.backends.utils import CursorWrapper
execute, flag = CursorWrapper.execute, os.path.join(os.environ["DATA_DIR"], "broken")
def failing(self, sql, params=None):
    if os.path.exists(flag) and ("polls_" in sql or "accounts_" in sql):
        raise RuntimeError(f"This cannot be run: {sql} with {params}")
    return execute(self, sql, params)
CursorWrapper.execute = failing
runpy.run_module("polls_project.serve", run_name="__main__", alter_sys=True)
"""


class BreakableServer(OwnServer):
    """A server that fails, once it is told to, with all that its statements are run with."""

    def command(self) -> list[str]:
        """Change how statements are run, then run the module as ever."""
        return [sys.executable, "-c", _BREAKABLE]

    def fail(self) -> None:
        """Let every statement fail from now on."""
        (Path(self.folder) / "broken").touch()


@pytest.fixture
def breakable() -> Iterator[BreakableServer]:
    with BreakableServer(TRUSTED_PROXIES="127.0.0.1") as server:
        yield server


def test_row_44_log_of_a_server_that_fails_holds_no_secret_and_no_forged_line(
    breakable: BreakableServer,
) -> None:
    server, owner = breakable, breakable.sign_up()
    poll = owner.make_poll()
    token = server.voter().headers["X-Voter-Token"]
    nasty = {"X-Forwarded-For": "203.0.113.77", "User-Agent": "forged-agent", "Accept": "*/*"}
    secrets = {
        "session": uuid.uuid4().hex,
        "reset key": "cx2kqq-2f9d8e7a6b5c4d3e2f1a",
        "ticket": uuid.uuid4().hex,
        "address": "203.0.113.77",
        "API token": owner.headers["Authorization"].partition("poll_")[2],
        "voter token": token,
    }
    who = {
        **nasty,
        **owner.headers,
        "X-Voter-Token": token,
        "Cookie": f"sessionid={secrets['session']}; voter={token}",
    }
    line = "%0d%0a2026-01-01%2000:00:00,000%20CRITICAL%20polls:%20forged%1b[31m%e2%80%a8x"
    paths = [
        f"/p/{poll['join_code']}",
        f"/p/{line}",
        f"/api/v1/join/{line}/",
        f"/embed/{line}?ticket={secrets['ticket']}",
        poll["links"]["self"],
        poll["links"]["results"],
        f"/accounts/password/reset/key/1-{secrets['reset key']}",
    ]
    statuses = []
    server.fail()
    for path in paths:
        for accept in ("text/html", "application/json"):
            answer = requests.get(server.url + path, headers={**who, "Accept": accept}, timeout=30)
            statuses.append(answer.status_code)
            assert "Traceback" not in answer.text
            assert "cannot be run" not in answer.text
    body = {"choices": [poll["options"][0]["id"]], "code": "QRST-UVWX-YACD"}
    requests.post(server.url + poll["links"]["vote"], json=body, headers=who, timeout=30)
    for query in (f"?ticket={secrets['ticket']}", f"?x={line}"):
        handshake_status(server, poll["links"]["live"] + query, headers=nasty)
        handshake_status(server, f"/ws/{line}/{query}", headers=who)
    server.stop()
    log = server.log.read_text()
    assert 500 in statuses
    assert "Traceback" in log
    assert "forged" in log
    # What `make run` says at first is not of the log.
    events = log[log.index(re.search(BEGINNING, log)[0]) :]  # type: ignore[index] # it has one
    assert [one for one in foreign_lines(events) if not BEGINNING.match(one)] == []
    assert {name for name, secret in secrets.items() if secret in log} == set()
    assert "QRST" not in log
    assert "forged-agent" not in log
