"""Part of `make lint`: no dependency that is pinned here has a known vulnerability.

pip-audit asks PyPI what is known of each. Where PyPI cannot be asked nobody's work stops, but that
nothing was audited is said so that nobody misses it. A vulnerability that was found fails.
`python -m devtools.audit [FILE…]` looks at other files.
"""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FILES = ("requirements.txt", "requirements-dev.txt")
SECONDS = 300
PROGRAM = Path(sys.executable).with_name("pip-audit")
# What pip-audit ends with where the network is the cause; anything else is a fault of ours.
_OUT_OF_REACH = ("ConnectionError", "ProxyError", "SSLError", "Timeout", "TooManyRedirects")


class AuditFailedError(Exception):
    """pip-audit cannot read what it was given; the message is its own."""


@dataclass(slots=True)
class Findings:
    """What is known of the pinned packages: those with a fault, and those nobody can speak for."""

    audited: int = 0
    vulnerable: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unreachable: str = ""  # why nothing could be asked


def findings_of(report: dict[str, Any]) -> Findings:
    """Return what a report of pip-audit (its JSON) amounts to."""
    found = Findings()
    for package in report["dependencies"]:
        if "skip_reason" in package:
            found.unknown.append(package["name"])
            continue
        found.audited += 1
        for fault in package["vulns"]:
            fixed = ", ".join(fault["fix_versions"]) or "no version yet"
            name = f"{package['name']} {package['version']}"
            found.vulnerable.append(f"{name}: {fault['id']}, mended by {fixed}")
    return found


def audit(files: list[Path]) -> Findings:
    """Let pip-audit look at files of pinned requirements; raises `AuditFailedError`."""
    named = [part for file in files for part in ("--requirement", str(file))]
    try:
        done = subprocess.run(  # noqa: S603 - a program of the virtual environment
            [PROGRAM, "--disable-pip", "--progress-spinner=off", "--format=json", *named],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Findings(unreachable=f"no answer within {SECONDS} s")
    try:
        return findings_of(json.loads(done.stdout))
    except ValueError:
        last = done.stderr.strip().rpartition("\n")[2]
        if any(name in last.partition(":")[0] for name in _OUT_OF_REACH):
            return Findings(unreachable=last.partition(":")[0])
        raise AuditFailedError(done.stderr) from None


def _warning(found: Findings) -> str:
    """Return what must be seen where not everything was audited; empty where it was."""
    if not found.unknown and not found.unreachable:
        return ""
    if found.audited:
        what = f"{len(found.unknown)} DEPENDENCIES WERE NOT AUDITED; {found.audited} were."
        why = f"PyPI knows nothing of: {', '.join(found.unknown)}"
    else:
        what = "NOTHING WAS AUDITED: known vulnerabilities may be in what is pinned here."
        why = f"PyPI's advisories are out of reach ({found.unreachable or 'not found there'})."
    bar = "!" * 78
    hint = "Run `make lint` again where they answer before you rely on it."
    return "\n".join(("", bar, f"!!! {what}", f"!!! {why}", f"!!! {hint}", bar, "", ""))


def main(arguments: list[str]) -> int:
    """Say what was found; 1 where a package is known to be vulnerable, else 0."""
    files = [Path(name) for name in arguments] or [ROOT / name for name in FILES]
    try:
        found = audit(files)
    except AuditFailedError as error:
        sys.stderr.write(f"pip-audit failed:\n{error}\n")
        return 1
    for line in found.vulnerable:
        sys.stderr.write(f"Vulnerable: {line}\n")
    sys.stderr.write(_warning(found))
    return 1 if found.vulnerable else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
