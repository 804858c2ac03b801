"""For tests in a browser and screenshots: find Chromium, or install Debian's where allowed."""

import os
import shutil
import subprocess
import sys

# Without these a browser asks its maker's hosts for this and that at every start.
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def find() -> str | None:
    """Return the path of a Chromium: of the environment's CHROMIUM, else the first on the PATH."""
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def main() -> int:
    """Make sure that there is one; return 1, with a line that says what to do, where not."""
    if find():
        return 0
    apt = shutil.which("apt-get")
    if apt and os.geteuid() == 0 and not os.environ.get("CHROMIUM"):
        sys.stdout.write("Installing Debian's chromium...\n")
        sys.stdout.flush()
        for command in ("update", "install --no-install-recommends chromium"):
            subprocess.run(  # noqa: S603 - our own words
                [apt, "-qy", *command.split()],
                check=False,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            )
        if find():
            return 0
    sys.stderr.write(
        "A Chromium is needed: apt-get install chromium, or name yours with CHROMIUM=/path/to/it\n"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
