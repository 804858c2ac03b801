"""Row 45: what is known to be wrong with a dependency, or with our own code, fails `make lint`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from devtools import audit, servers
from tests.live import ROOT

BIN = Path(sys.executable).parent
SOUND: dict[str, Any] = {"name": "django", "version": "5.2.17", "vulns": []}
FAULTY = {
    "name": "django",
    "version": "4.0",
    "vulns": [{"id": "PYSEC-2022-190", "fix_versions": ["4.0.4"], "aliases": []}],
}
SKIPPED = {"name": "starlette", "skip_reason": "Dependency not found on PyPI"}


def bandit(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(BIN / "bandit", "--quiet", "--configfile", ROOT / "pyproject.toml"),
            *("--severity-level", "high", "--recursive", folder),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("line", "test"),
    [
        ("import subprocess; subprocess.call(input(), shell=True)", "B602"),
        ("import hashlib; hashlib.md5(b'x')", "B324"),
        ("import requests; requests.get('https://x', verify=False, timeout=1)", "B501"),
    ],
)
def test_row_45_bandit_would_find_something(tmp_path: Path, line: str, test: str) -> None:
    (tmp_path / "x.py").write_text(f"{line}\n")
    done = bandit(tmp_path)
    assert (done.returncode, test in done.stdout) == (1, True)


def test_row_45_lint_runs_the_three_gates() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    scan = "bandit --quiet --configfile pyproject.toml --severity-level high --recursive .\n"
    for gate in ("check --deploy --fail-level WARNING", scan, "devtools.audit"):
        assert gate in recipe
    assert "|| true" not in recipe


def stand_in(folder: Path, output: str, *, errors: str = "", status: int = 0) -> Path:
    """Write a program that says what pip-audit could say; PyPI's advisories change."""
    (folder / "said").write_text(output)
    (folder / "errors").write_text(errors)
    program = folder / "pip-audit"
    program.write_text(
        f"#!/bin/sh\ncat {folder / 'said'}\ncat {folder / 'errors'} >&2\nexit {status}\n"
    )
    program.chmod(0o700)
    return program


def run(monkeypatch: pytest.MonkeyPatch, program: Path) -> int:
    monkeypatch.setattr(audit, "PROGRAM", program)
    return audit.main([])


def test_row_45_sound_dependencies_pass_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = stand_in(tmp_path, json.dumps({"dependencies": [SOUND], "fixes": []}))
    assert run(monkeypatch, program) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("beside", [[SOUND], [SKIPPED], [SOUND, SKIPPED]])
def test_row_45_vulnerable_dependency_fails_by_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    beside: list[dict[str, Any]],
) -> None:
    report = json.dumps({"dependencies": [*beside, FAULTY], "fixes": []})
    assert run(monkeypatch, stand_in(tmp_path, report, status=1)) == 1
    said = capsys.readouterr().err
    assert "Vulnerable: django 4.0: PYSEC-2022-190, mended by 4.0.4\n" in said
    assert ("1 DEPENDENCIES WERE NOT AUDITED" in said) == (SKIPPED in beside)


def test_row_45_dependencies_that_nobody_knows_are_told_aloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = json.dumps({"dependencies": [SKIPPED], "fixes": []})
    assert run(monkeypatch, stand_in(tmp_path, report)) == 0
    assert "!!! NOTHING WAS AUDITED" in capsys.readouterr().err


def test_row_45_fault_of_the_auditor_itself_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = stand_in(tmp_path, "", errors="ValueError: requirements.txt: line 3\n", status=1)
    assert run(monkeypatch, program) == 1
    assert "line 3" in capsys.readouterr().err


def test_row_45_advisories_out_of_reach_are_told_aloud_and_fail_nothing(
    tmp_path: Path,
) -> None:
    nobody = f"http://127.0.0.1:{servers.free_port()}"
    done = subprocess.run(
        [sys.executable, "-m", "devtools.audit"],
        cwd=ROOT,
        # The cache may know what it was told before.
        env={"HTTPS_PROXY": nobody, "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0
    assert len(done.stderr.strip().splitlines()) == 5
    assert "!!! NOTHING WAS AUDITED: known vulnerabilities may be in what is pinned" in done.stderr
