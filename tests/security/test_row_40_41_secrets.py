"""Rows 40 and 41: no secret in the repository, the image, a page or a message; no known key."""

import re
import subprocess
from pathlib import Path

import pytest
import requests

from tests.e2e.deployed import ROOT, compose, image_environment, last_stage
from tests.polls.test_project import PRODUCTION, assert_says, run, start
from tests.security.places import HTTPS, SECRET_KEY, PublicServer, addresses, names_of

# -- the repository ----------------------------------------------------------------------------

_LEAKS = {
    "private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "API token of ours": re.compile(r"\bpoll_(?=[\w-]*\d)[A-Za-z0-9_-]{43}\b"),
    "key of AWS": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "token of GitHub": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{50,})"),
    "token of Slack": re.compile(r"\bxox[abprs]-[\w-]{10,}"),
    "key of Stripe": re.compile(r"\b[rs]k_live_\w{16,}"),
    "JSON web token": re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\."),
    "generated key of Django": re.compile(r"django-insecure-[^\s'\"]{20,}"),
    "assigned key": re.compile(r"(?m)^\s*SECRET_KEY\s*[:=]\s*['\"]?[\w+/-]{40,}"),
}
# Made up for tests: no server takes them.
_MADE_UP = re.compile(r"tests/security/.*\.py")
_PRIVATE_FILES = re.compile(
    r"(^|/)(\.env(\..*)?|secret_key|id_[a-z0-9]+|.*\.(pem|key|p12|pfx|sqlite3?|dump|bak|log))$"
)


def _tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def leaks_in(text: str) -> set[str]:
    """Return what a text seems to give away."""
    return {kind for kind, pattern in _LEAKS.items() if pattern.search(text)}


def test_row_40_repository_holds_no_secret() -> None:
    found = {}
    for name in _tracked():
        text = (ROOT / name).read_bytes().decode("utf-8", errors="ignore")
        if not _MADE_UP.fullmatch(name) and (leaks := leaks_in(text)):
            found[name] = leaks
        assert not _PRIVATE_FILES.search(name), name
    assert found == {}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("private key", "-----BEGIN RSA PRIVATE KEY-----"),
        ("API token of ours", f"Bearer poll_{'aB3-' * 10}xyz"),
        ("key of AWS", "AKIAIOSFODNN7EXAMPLE"),
        ("token of GitHub", "ghp_" + "a" * 36),
        ("assigned key", "SECRET_KEY=" + "a1" * 30),
        ("generated key of Django", "'django-insecure-" + "x9" * 20),
    ],
)
def test_row_40_secret_in_a_file_would_be_found(kind: str, text: str) -> None:
    assert leaks_in(f"first line\n{text}\n") == {kind}


# -- the image -----------------------------------------------------------------------------------


def test_row_40_image_is_built_without_a_secret() -> None:
    instructions = last_stage()
    named = [line for line in instructions if line.startswith(("ENV ", "ARG "))]
    assert re.findall(r"(?i)\w*(?:secret|password|token|_key)\w*", " ".join(named)) == []
    assert "SECRET_KEY" not in image_environment()
    # `COPY . .` would take a developer's data along.
    copied = [line.split()[1:-1] for line in instructions if line.startswith("COPY ")]
    assert [names for names in copied if "." in names or "./" in names] == []
    assert ".data" in (ROOT / ".gitignore").read_text()
    build = compose()["services"]["web"]["build"]
    assert build == "." or "args" not in build


# -- pages and messages --------------------------------------------------------------------------


def test_row_40_no_answer_holds_the_key_or_the_database() -> None:
    with PublicServer(DEBUG="1") as server:  # which production does not heed
        owner = server.sign_up()
        names = names_of(owner)
        database = server.environment["DATABASE_URL"]
        answers = [
            requests.request(
                method,
                server.url + path,
                headers={**HTTPS, **owner.headers, "Accept": accept},
                allow_redirects=False,
                timeout=30,
            ).text
            for path in (*addresses(names), "/nowhere", "/%00", "/?x=%00")
            for method in ("GET", "POST")
            for accept in ("text/html", "application/json")
        ]
    private = (SECRET_KEY, database, server.folder, "Traceback", "polls_project.settings", "/site-")
    assert {word for word in private for text in answers if word in text} == set()
    assert len(answers) > 300


def _url(scheme: str, rest: str) -> str:
    return f"{scheme}://polls:hidden{rest}"


@pytest.mark.parametrize(
    "environment",
    [
        {"DATABASE_URL": _url("postgres", "@127.0.0.1:1/polls")},
        {"DATABASE_URL": _url("mysql", "@127.0.0.1/polls")},
        {"DATABASE_URL": _url("postgres", "@127.0.0.1:port/polls")},
        {"DATABASE_URL": _url("postgres", "/x@127.0.0.1/polls")},
        {"DATABASE_URL": _url("postgres", "@127.0.0.1")},
        {"REDIS_URL": _url("http", "@127.0.0.1")},
        {"REDIS_URL": _url("redis", "/x@127.0.0.1:6379")},
        {"REDIS_URL": ":hidden@127.0.0.1:6379"},
        {"EMAIL_URL": _url("imap", "@127.0.0.1")},
        {"EMAIL_URL": _url("smtp", "/x@127.0.0.1")},
    ],
    ids=str,
)
def test_row_40_start_that_fails_tells_no_password(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    done = start(tmp_path, **environment)
    assert_says(done, "")
    assert "hidden" not in done.stderr


# -- keys that everybody knows ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        *("changeme", "CHANGEME", " secret ", "...", "your-secret-key", "test"),
        "django-insecure-7!k3z$w1m0c9v8b7n6m5l4k3j2h1g0f9d8s7a6q5w4e3r2t1",
        "a key for tests alone, which no server ever starts with",
    ],
)
@pytest.mark.parametrize(
    "command", [("-m", "polls_project.serve"), ("manage.py", "migrate")], ids=" ".join
)
def test_row_41_production_refuses_to_start_on_a_key_that_everybody_knows(
    tmp_path: Path, command: tuple[str, ...], key: str
) -> None:
    done = run(tmp_path, *command, **{**PRODUCTION, "SECRET_KEY": key})
    assert_says(done, "SECRET_KEY is one that everybody knows.")
    assert key.strip() not in done.stderr or key.strip() in {"secret", "..."}  # as in the advice
    assert list(tmp_path.iterdir()) == []


def test_row_41_short_key_is_warned_of(tmp_path: Path) -> None:
    command = ("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    done = run(tmp_path, *command, **{**PRODUCTION, "SECRET_KEY": "as short as a name"})
    assert done.returncode == 1
    assert "security.W009" in done.stderr
