"""The project as a whole: migrations, settings, a start that fails loudly, and query counts."""

import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from devtools import servers
from tests.cast import Person, texts, voter
from tests.live import ROOT

PATIENCE = 120  # seconds; a start takes one or two
A_KEY = "k" * 20 + "0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFG"
PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "polls_project.settings.prod",
    "SECRET_KEY": A_KEY,
    "ALLOWED_HOSTS": "polls.example.org",
    "DATABASE_URL": "postgres://polls:secret@database.example.org:5432/polls",
    "REDIS_URL": "redis://redis.example.org:6379",
    "CSRF_TRUSTED_ORIGINS": "https://polls.example.org",
    "PUBLIC_URL": "https://polls.example.org",
    "TRUSTED_PROXIES": "10.0.0.1",
}


def run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the project with this environment and nothing of ours."""
    return subprocess.run(
        [sys.executable, "-B", *command],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def start(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start the service where it is expected not to come up."""
    environment.setdefault("PORT", str(servers.free_port()))
    return run(folder, "-m", "polls_project.serve", **environment)


# -- the code and its settings -----------------------------------------------------------------


def test_models_have_their_migrations(tmp_path: Path) -> None:
    done = run(tmp_path, "manage.py", "makemigrations", "--check", "--dry-run")
    assert (done.returncode, done.stdout) == (0, "No changes detected\n"), done.stderr


def test_migrations_never_drop_a_table_of_votes(tmp_path: Path) -> None:
    def migrate(*to: str) -> subprocess.CompletedProcess[str]:
        return run(tmp_path, "manage.py", "migrate", "--verbosity=0", *to)

    def votes() -> list[tuple[int]]:
        with closing(sqlite3.connect(tmp_path / "polls.sqlite3")) as file, file:
            file.execute("INSERT INTO polls_participation (poll_id, voter_key) VALUES (1, 2)")
            return file.execute("SELECT COUNT(*) FROM polls_participation").fetchall()

    assert migrate("polls", "0001").returncode == 0
    assert votes() == [(1,)]
    forwards = migrate()
    assert "polls_participation holds rows" in forwards.stderr
    with closing(sqlite3.connect(tmp_path / "polls.sqlite3")) as file, file:
        file.execute("DELETE FROM polls_participation")
    assert migrate().returncode == 0
    assert migrate("polls", "0002").returncode == 0
    assert votes() == [(1,)]
    backwards = migrate("polls", "0001")
    assert "IrreversibleError: SQLite drops a foreign key only with its table" in backwards.stderr
    with closing(sqlite3.connect(tmp_path / "polls.sqlite3")) as file:
        assert file.execute("SELECT COUNT(*) FROM polls_participation").fetchall() == [(1,)]


def test_row_41_production_settings_pass_djangos_own_check(tmp_path: Path) -> None:
    done = run(tmp_path, "manage.py", "check", "--deploy", "--fail-level", "DEBUG", **PRODUCTION)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "System check identified no issues (0 silenced).\n"
    # A secret of production is never generated.
    assert list(tmp_path.iterdir()) == []


def test_row_40_new_file_of_production_holds_nobody_whose_password_was_logged(
    tmp_path: Path,
) -> None:
    alone = {name: PRODUCTION[name] for name in PRODUCTION if not name.endswith("SE_URL")}
    prepare = "import django; django.setup(); from polls_project import serve"
    done = run(tmp_path, "-c", f"{prepare}; serve._prepare_database()", **alone)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    with closing(sqlite3.connect(tmp_path / "polls.sqlite3")) as file:
        assert file.execute("SELECT COUNT(*) FROM accounts_user").fetchall() == [(0,)]


@pytest.mark.parametrize("key", [None, "", "  "])
@pytest.mark.parametrize(
    "command",
    [("-m", "polls_project.serve"), ("manage.py", "migrate"), ("manage.py", "check", "--deploy")],
    ids=" ".join,
)
def test_row_41_production_without_a_secret_key_refuses_to_start(
    tmp_path: Path, command: tuple[str, ...], key: str | None
) -> None:
    environment = {name: value for name, value in PRODUCTION.items() if name != "SECRET_KEY"}
    if key is not None:
        environment["SECRET_KEY"] = key
    done = run(tmp_path, *command, **environment)
    assert_says(done, "SECRET_KEY is not set.")
    assert list(tmp_path.iterdir()) == []


def test_embedded_default_keeps_a_key_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    for _ in range(2):
        assert run(folder, "manage.py", "check").returncode == 0
        key = folder / "secret_key"
        assert len(key.read_text()) >= 50
        assert key.stat().st_mode & 0o777 == 0o600
        first = key.read_text()
    assert key.read_text() == first


# -- a start that fails ------------------------------------------------------------------------


def test_voter_token_of_the_key_before_still_counts(tmp_path: Path) -> None:
    def say(what: str, **environment: str) -> str:
        code = f"import django; django.setup(); from polls.domain import voters; print({what})"
        settings = {"DJANGO_SETTINGS_MODULE": "polls_project.settings.base", **environment}
        return run(tmp_path, "-c", code, **settings).stdout.strip()

    token = say("voters.issue_voter_token()", SECRET_KEY=A_KEY)
    ask, new = f"voters.device_of({token!r}) is not None", A_KEY[::-1]
    assert say(ask, SECRET_KEY=new) == "False"
    for old in (A_KEY, f"{A_KEY[1:]}, {A_KEY}"):
        assert say(ask, SECRET_KEY=new, SECRET_KEY_FALLBACKS=old) == "True"


def test_process_that_is_ready_has_imported_its_views(tmp_path: Path) -> None:
    """Or the first requests would, while the hall that came with them is refused as overload."""
    asked = "import sys, polls_project.asgi; print(*(name in sys.modules for name in sys.argv[1:]))"
    done = run(tmp_path, "-c", asked, "polls.api.votes", "web.urls", "django.contrib.admin.sites")
    assert done.stdout == "True True True\n", done.stderr


def assert_says(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Check that a start failed with one line that holds these parts, and no traceback."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert (done.returncode, len(lines), done.stdout) == (1, 1, ""), done.stderr
    for part in parts:
        assert part in lines[0]


BAD_ENVIRONMENT: list[tuple[dict[str, str], str]] = [
    ({"PORT": "x"}, "PORT must be a whole number, not 'x'."),
    ({"PORT": "80.0"}, "PORT must be a whole number, not '80.0'."),
    ({"PORT": "0"}, "PORT must be from 1 to 65535, not 0."),
    ({"PORT": "65536"}, "PORT must be from 1 to 65535, not 65536."),
    ({"WEB_WORKERS": "two"}, "WEB_WORKERS must be a whole number, not 'two'."),
    ({"WEB_WORKERS": "0"}, "WEB_WORKERS must be from 1 to 64, not 0."),
    ({"WEB_WORKERS": "2"}, "WEB_WORKERS=2 needs PostgreSQL: set DATABASE_URL"),
    ({"REGISTRATION": "maybe"}, "REGISTRATION must be one of open, closed, not 'maybe'."),
    ({"REGISTRATION": "Open"}, "REGISTRATION must be one of open, closed, not 'Open'."),
    ({"DEBUG": "perhaps"}, "DEBUG must be 1 or 0, not 'perhaps'."),
    ({"TICK_MS": "1"}, "TICK_MS must be from 10 to 10000, not 1."),
    ({"DATABASE_URL": "mysql://localhost/polls"}, "DATABASE_URL must be postgres://"),
    ({"DATABASE_URL": "polls.sqlite3"}, "DATABASE_URL must be postgres://"),
    ({"DATABASE_URL": "postgres://localhost"}, "DATABASE_URL names no database"),
    ({"DATABASE_URL": "postgres://localhost:port/polls"}, "DATABASE_URL is not a URL"),
    ({"DATABASE_URL": "postgres://[::1/polls"}, "DATABASE_URL is not a URL"),
    (
        {"DATABASE_URL": "postgres://polls:hidden@127.0.0.1:1/polls"},
        "The database polls at 127.0.0.1:1 cannot be used: ",
    ),
    ({"SECRET_KEY_FALLBACKS": f"{A_KEY},changeme"}, "SECRET_KEY_FALLBACKS holds a key that every"),
    ({"REDIS_URL": "localhost:6379"}, "REDIS_URL takes redis://host:port URLs"),
    ({"REDIS_URL": "redis://a,http://b"}, "REDIS_URL takes redis://host:port URLs"),
    ({"PUBLIC_URL": "polls.example.org"}, "PUBLIC_URL must be an http or https URL"),
    ({"PUBLIC_URL": "https://"}, "PUBLIC_URL must be an http or https URL"),
    ({"ALLOWED_HOSTS": "https://a.org"}, "ALLOWED_HOSTS takes names such as example.org, not"),
    ({"CSRF_TRUSTED_ORIGINS": "example.org"}, "CSRF_TRUSTED_ORIGINS takes origins such as"),
    ({"REDIS_URL": "redis://127.0.0.1:99999"}, "REDIS_URL is not a URL: "),
    ({"TRUSTED_PROXIES": "nonsense/99"}, "TRUSTED_PROXIES takes addresses such as 10.0.0.1"),
    ({"CORS_ALLOWED_ORIGINS": "*"}, "CORS_ALLOWED_ORIGINS takes origins such as"),
    ({"CORS_ALLOWED_ORIGINS": "https://a/b"}, "CORS_ALLOWED_ORIGINS takes origins such as"),
    ({"HOST": "nowhere.invalid"}, "Cannot listen on nowhere.invalid:"),
    ({"HOST": "192.0.2.1"}, "Set HOST to an address of this machine."),
    ({"DATA_DIR": "/dev/null/data"}, "DATA_DIR cannot be used: Not a directory: /dev/null/data"),
    ({"DATA_DIR": "/dev/null", "SECRET_KEY": A_KEY}, "DATA_DIR cannot be used: "),
]


@pytest.mark.parametrize(("environment", "says"), BAD_ENVIRONMENT, ids=str)
def test_start_in_a_bad_environment_fails_with_one_line(
    tmp_path: Path, environment: dict[str, str], says: str
) -> None:
    done = run(tmp_path, "-m", "polls_project.serve", **environment)
    assert_says(done, says)
    assert "hidden" not in done.stderr


def test_start_on_a_taken_port_says_so_before_it_does_anything(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = start(tmp_path, PORT=str(port))
    assert_says(done, f"Cannot listen on 127.0.0.1:{port}: Address already in use.", "PORT=")
    assert not (tmp_path / "polls.sqlite3").exists()


def test_start_on_a_file_that_is_no_database_names_it(tmp_path: Path) -> None:
    file = tmp_path / "polls.sqlite3"
    file.write_text("this is somebody's shopping list, and a long one, too\n" * 40)
    before = file.read_bytes()
    assert_says(start(tmp_path), f"The file {file} cannot be used: file is not a database.")
    assert file.read_bytes() == before


def test_start_on_a_database_that_there_is_not_names_it(tmp_path: Path) -> None:
    url = servers._with_name(os.environ["DATABASE_URL"], "polls_none_such")
    done = start(tmp_path, DATABASE_URL=url)
    assert_says(done, "The database polls_none_such at ", "does not exist", "DATABASE_URL")


def test_start_on_a_folder_in_the_place_of_the_file_names_it(tmp_path: Path) -> None:
    (tmp_path / "polls.sqlite3").mkdir()
    assert_says(start(tmp_path), f"The database file {tmp_path}/polls.sqlite3 cannot be opened")


@pytest.mark.parametrize("command", ["check", "migrate", "errors_doc"])
def test_management_commands_fail_with_the_same_line(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, "manage.py", command, PORT="x")
    assert_says(done, "PORT must be a whole number, not 'x'.")


# -- query counts ------------------------------------------------------------------------------


def queries_of(person: Person, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert person.get(path).status_code == 200
    return len(queries)


def test_list_of_polls_costs_the_same_at_one_and_at_three(alice: Person) -> None:
    counts = []
    for number in (1, 3):
        while len(alice.get("/api/v1/polls/").json()["results"]) < number:
            voter().vote(alice.make_poll(options=texts("a", "b", "c")), 0)
        counts.append(queries_of(alice, "/api/v1/polls/"))
    assert counts[0] == counts[1]
    assert counts[0] <= 6


@pytest.mark.parametrize(
    "what", ["self", "results", "vote", "timeline", "integrity", "join", "page"]
)
def test_reading_a_poll_costs_the_same_at_two_options_and_at_twenty(
    alice: Person, what: str
) -> None:
    counts = []
    for number in (2, 20):
        poll = alice.make_poll(kind="approval", options=texts(*map(str, range(number))))
        somebody = voter()
        for _ in range(number // 2):
            voter().vote(poll, *range(number))
        somebody.vote(poll, *range(number))
        somebody.headers.update(alice.headers)
        paths = {
            **poll["links"],
            "timeline": f"{poll['links']['self']}timeline/",
            "integrity": f"{poll['links']['self']}integrity/",
            "join": f"/api/v1/join/{poll['join_code']}/",
        }
        counts.append(queries_of(somebody, paths[what]))
    assert counts[0] == counts[1]
    assert counts[0] <= 12
