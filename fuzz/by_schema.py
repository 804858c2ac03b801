"""The API held to its own schema by schemathesis: for nobody, an account and a session."""

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from devtools.service import ROOT
from fuzz.api import pool_of, session_of
from fuzz.report import Report
from fuzz.scenes import Organiser, Site
from fuzz.wire import Header

# Of its own checks those that hold for this API; `answer_is_documented` stands for its checks of
# media types and bodies, for it takes an answer without a body for one without a Content-Type, and
# of the server's faults, for a rare 503 of an overloaded one is none.
CHECKS = (
    *("status_code_conformance", "negative_data_rejection", "unsupported_method"),
    "answer_is_documented",
)
CALLERS = ("nobody", "account", "session")
_FAILED = re.compile(r"= (FAILURES|ERRORS) =")
_GENERATED = re.compile(r"(\d[\d,]*) generated")
OVERLOADS = "overloads"  # a file with one byte for each
_SECONDS = 1200
_ROUNDS = 10
_REVOKE = "DELETE /api/v1/auth/tokens/{token_id}/"  # it lists the tokens, and would revoke its own


async def _prepared(port: int) -> tuple[Organiser, dict[str, list[str]]]:
    """Return an account of its own, and enough polls and events for calls that delete them."""
    ids: dict[str, list[str]] = {}
    async with Site(port) as site:
        organiser = await site.organiser()
        for _ in range(_ROUNDS):
            for name, some in (await pool_of(site, organiser, [])).ids.items():
                ids[name] = ids.get(name, []) + some
    return organiser, ids


def call(
    url: str, headers: Sequence[Header], ids: dict[str, list[str]], seed: int, examples: int
) -> tuple[str, int]:
    """Run schemathesis once; return what it has said, and how often the service was overloaded."""
    named = [f"--header={name.decode()}: {value.decode()}" for name, value in headers]
    if any(name == b"Cookie" for name, _ in headers):
        # The schema tells programs of bearer tokens alone, so none is a fault to schemathesis.
        named.append("--exclude-checks=negative_data_rejection")
    if any(name == b"Authorization" for name, _ in headers):
        named.append(f"--exclude-name={_REVOKE}")
    with tempfile.TemporaryDirectory(prefix="polls-fuzz-") as folder:
        done = subprocess.run(  # noqa: S603 - our own command
            [
                *(
                    str(Path(sys.executable).with_name("schemathesis")),
                    "run",
                    f"{url}/swagger.json",
                ),
                *("--mode", "all", "--phases", "examples,coverage,fuzzing", "--no-color"),
                *("--checks", ",".join(CHECKS), "--max-examples", str(examples)),
                *("--seed", str(seed), "--continue-on-failure", "--warnings", "off", *named),
            ],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "SCHEMATHESIS_HOOKS": "fuzz.hooks",
                "FUZZ_IDS": json.dumps(ids),
                "FUZZ_OVERLOADS": str(Path(folder, OVERLOADS)),
            },
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        overloads = Path(folder, OVERLOADS)
        times = overloads.stat().st_size if overloads.exists() else 0
    return (done.stdout + done.stderr if done.returncode else done.stdout), times


def run(port: int, *, seed: int, examples: int, callers: Sequence[str] | None = None) -> Report:
    """Try so many examples of each operation for every caller."""
    report = Report("schema")
    for caller in callers or CALLERS:
        organiser, ids = asyncio.run(_prepared(port))
        said, overloads = call(
            f"http://127.0.0.1:{port}", _headers(caller, port, organiser), ids, seed, examples
        )
        found = _GENERATED.search(said)
        for _ in range(overloads):
            report.overloaded("503")
        report.answered(f"by {caller}", int(found[1].replace(",", "")) if found else 0)
        if not found or _FAILED.search(said):
            report.find(f"not as the schema says, for {caller}", said[-6000:])
    return report.end()


def _headers(caller: str, port: int, organiser: Organiser) -> list[Header]:
    """Return by which headers somebody calls."""
    match caller:
        case "account":
            return [(b"Authorization", f"Bearer {organiser.owner}".encode())]
        case "session":
            name = organiser.names[organiser.owner.encode()]
            return session_of(f"http://127.0.0.1:{port}", name, organiser.password)
    return []
