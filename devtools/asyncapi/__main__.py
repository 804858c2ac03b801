"""`make test-protocol`: AsyncAPI's own parser takes the /asyncapi.json of a server.

`python -m devtools.asyncapi FILE` looks at a file instead.
"""

import json
import subprocess
import sys
from pathlib import Path

import requests

from devtools.node import NodeModulesMissingError, node, node_modules
from devtools.service import ROOT, Service, ServiceFailedError

HERE = Path(__file__).resolve().parent
SECONDS = 60


def served() -> bytes:
    """Return the document of a server that is started for it."""
    with Service() as service:
        answer = requests.get(f"{service.url}/asyncapi.json", timeout=SECONDS)
        answer.raise_for_status()
        return answer.content


def check(document: bytes) -> subprocess.CompletedProcess[str]:
    """Let the parser look at a document; it says what is wrong, and fails if anything is."""
    modules = node_modules(HERE / "package-lock.json", ROOT / ".data" / "asyncapi")
    return subprocess.run(  # noqa: S603 - our own
        [node(), str(HERE / "check.js")],
        input=document.decode(),
        env={"NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def broken(document: bytes) -> bytes:
    """Return the document with a reference that leads nowhere."""
    found = json.loads(document)
    channel = next(iter(found["channels"].values()))
    next(iter(channel["messages"].values()))["$ref"] = "#/components/messages/nothing"
    return json.dumps(found).encode()


def main(arguments: list[str]) -> int:
    """Check the document of a file, or of a server; a checker that takes anything fails, too."""
    try:
        document = Path(arguments[0]).read_bytes() if arguments else served()
        done = check(document)
        sys.stdout.write(done.stdout)
        sys.stderr.write(done.stderr)
        if done.returncode == 0 and check(broken(document)).returncode == 0:
            sys.stderr.write(
                "The parser takes a broken reference, so its word counts for nothing.\n"
            )
            return 1
    except (NodeModulesMissingError, ServiceFailedError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
