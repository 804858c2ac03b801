"""Runs of votes: one contender, once, checked against its database."""

import contextlib
import itertools
import json
import re
import subprocess
import sys
import tempfile
import uuid
from dataclasses import asdict
from pathlib import Path

from benchmarks import contenders
from benchmarks.contenders import LOAD_CORE, PEERS, SECRET_KEY, SERVER_CORE, Contender
from benchmarks.ground import (
    Ground,
    Poll,
    RunFailedError,
    check_counts,
    make_poll_by_api,
    make_polls,
)
from benchmarks.load import VOTERS_A_SECOND, Job, Report, voting_codes
from devtools.service import ROOT

PGBENCH_CLIENTS = (1, 8, 32)


def run_load(job: Job) -> Report:
    """Run the load generator in a process of its own, or raise what went wrong."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        cwd=ROOT,
        input=json.dumps(asdict(job)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RunFailedError(f"The load generator failed: {done.stderr.strip()[-2000:]}")
    report = Report(**json.loads(done.stdout))
    if report.errors:
        raise RunFailedError(", ".join(f"{what} ({n})" for what, n in report.errors.items()))
    return report


def vote_requests(port: int, polls: list[Poll], one: Contender) -> list[tuple[str, str]]:
    """Return a ready-made request per option and network, polls in turn."""
    found = []
    head = "X-Voter-Token" if one.identity == "device" else "Idempotency-Key"
    code = next(voting_codes())  # as long as any other
    for network in range(one.networks):
        origin = f"X-Forwarded-For: 198.51.100.{network}\r\n" if one.networks > 1 else ""
        for place in range(len(polls[0].options)):
            for poll in polls:
                ballot = {"choices": [poll.options[place]]}
                body = json.dumps({**ballot, "code": code} if one.identity == "code" else ballot)
                before = (
                    f"POST /api/v1/polls/{poll.id}/votes/{one.query} HTTP/1.1\r\n"
                    f"Host: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n{origin}"
                    f"Content-Length: {len(body)}\r\n"
                )
                if one.identity == "code":
                    start, end = body.split(code)
                    found.append((f"{before}\r\n{start}", end))
                else:
                    found.append((f"{before}{head}: ", f"\r\n\r\n{body}"))
    return found


def run_votes(ground: Ground, one: Contender, seconds: float, rate: float | None = None) -> Report:
    """Start a contender on fresh tables, send it votes, and check what it has counted."""
    core = SERVER_CORE if one.pinned else None
    database: str | Path
    unique = one.identity if one.identity in {"device", "code"} else "key"
    warm = one.warm if rate is None else one.warm + 2
    ground.settle()
    with contextlib.ExitStack() as stack:
        if one.server == "sqlite":
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="polls-bench-"))
            port = stack.enter_context(contenders.ours(Path(folder), core, one.environment))
            polls = [make_poll_by_api(f"http://127.0.0.1:{port}", one.identity)]
            database = Path(folder) / "polls.sqlite3"
        else:
            database = stack.enter_context(ground.database())
            count = int((warm + seconds) * VOTERS_A_SECOND) if unique == "code" else 0
            polls = make_polls(
                database,
                one.polls,
                one.identity,
                network_cap=one.network_cap,
                codes=list(itertools.islice(voting_codes(), count)),
            )
            if one.server == "ours":
                port = stack.enter_context(contenders.ours(database, core, one.environment))
            else:
                port = stack.enter_context(
                    contenders.peer(one.server, database, core, one.environment)
                )
        job = Job(
            port=port,
            requests=vote_requests(port, polls, one),
            unique=unique,
            secret=SECRET_KEY,
            connections=one.connections,
            seconds=seconds,
            warm=warm,
            rate=rate,
            core=LOAD_CORE,
        )
        contenders.wait_until_idle()
        report = run_load(job)
        check_counts(database, report.answered, bare=one.bare)
    return report


# -- pgbench -----------------------------------------------------------------------------------

# What takes the place of $1 ... $7: drawn by pgbench, for it has no keys of its own.
_DRAWN = [
    ":poll",
    "sha256((:a || ':' || :b)::bytea)",
    "(lpad(to_hex(:a::bigint), 16, '0') || lpad(to_hex(:b::bigint), 16, '0'))",
    "sha256(('key' || :a)::bytea)",
    "sha256(:b::bytea)",
    "decode(lpad(to_hex(:a::bigint), 32, '0'), 'hex')",
    "(:options::uuid[])[:n::int]",
]


def pgbench_script() -> str:
    """Return the peers' statement as pgbench runs it."""
    sql = (PEERS / "vote.sql").read_text(encoding="utf-8")
    sql = "\n".join(line for line in sql.splitlines() if not line.startswith("--"))
    sql = re.sub(r"\$(\d)", lambda found: _DRAWN[int(found[1]) - 1], sql)
    drawn = "\\set a random(0, 9000000000000000000)\n\\set b random(0, 9000000000000000000)\n"
    return f"{drawn}\\set n random(1, 4)\n{sql};\n"


def run_pgbench(ground: Ground, program: str, clients: int, seconds: float) -> Report:
    """Run the same statement from pgbench: no HTTP, no JSON, left to the scheduler."""
    ground.settle()
    with ground.database() as database, tempfile.TemporaryDirectory() as folder:
        poll = make_polls(database, 1, "open")[0]
        script = Path(folder) / f"{uuid.uuid4().hex}.sql"
        script.write_text(pgbench_script(), encoding="utf-8")
        options = f"options={{{','.join(poll.options)}}}"
        command = [program, "--no-vacuum", "--protocol=prepared", "--file", str(script)]
        command += ["--define", f"poll={poll.id}", "--define", options, "--jobs=1"]
        command += [f"--client={clients}", f"--time={max(1, round(seconds))}", database]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
        counted = re.search(r"actually processed: (\d+)", done.stdout)
        rate = re.search(r"tps = ([\d.]+)", done.stdout)
        if done.returncode or counted is None or rate is None:
            raise RunFailedError(f"pgbench failed: {done.stderr.strip()[-2000:]}")
        check_counts(database, int(counted[1]))
    number, a_second = int(counted[1]), float(rate[1])
    return Report(answered=number, measured=number, seconds=number / a_second)
