"""The image's files, the Compose file's environment and the proxy, put together without Docker."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests
import yaml

from devtools import servers

ROOT = Path(__file__).resolve().parent.parent.parent
DOMAIN = "localhost"
GIVEN = {"DOMAIN": DOMAIN, "SECRET_KEY": "a key for tests", "POSTGRES_PASSWORD": "secret"}
START_SECONDS = 60


def compose() -> dict[str, Any]:
    """Return the Compose file, its anchors resolved and its variables as written."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


def substituted(text: str) -> str:
    """Return a value of the Compose file with GIVEN and the defaults put in."""
    return re.sub(
        r"\$\{(\w+)(?::[-?]([^}]*))?\}",
        lambda found: GIVEN.get(found[1]) or found[2] or "",
        str(text),
    )


def last_stage() -> list[str]:
    """Return the instructions of the image that is shipped, one string each."""
    text = (ROOT / "Dockerfile").read_text()
    lines = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    instructions = [line.strip() for line in lines if line.strip()]
    begin = max(i for i, line in enumerate(instructions) if line.startswith("FROM "))
    return instructions[begin:]


def image_environment() -> dict[str, str]:
    """Return what the image sets."""
    return {
        name: value
        for line in last_stage()
        if line.startswith("ENV ")
        for name, value in re.findall(r"(\w+)=(\S+)", line.removeprefix("ENV "))
    }


def copied_from_context() -> list[str]:
    """Return what the image takes out of the repository."""
    return [
        line.split()[1]
        for line in last_stage()
        if line.startswith("COPY ") and not line.startswith("COPY --from")
    ]


class Deployed:
    """The service out of the files of the image, and the proxy in front of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.app = folder / "app"
        self.data = folder / "data"
        self.port = servers.free_port()
        self.inside = f"http://127.0.0.1:{self.port}"
        self.https = servers.free_port()
        self.url = f"https://{DOMAIN}:{self.https}"
        self.plain = f"http://{DOMAIN}:{servers.free_port()}"
        self.admin = servers.free_port()
        self.certificate = folder / "caddy/pki/authorities/local/root.crt"
        self.proxy_log = folder / "proxy.log"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._copy()
        self.environment = self._environment()

    def _copy(self) -> None:
        self.app.mkdir()
        for name in copied_from_context():
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, self.app / name, ignore=ignored)
            else:
                shutil.copy(source, self.app / name)

    def _environment(self) -> dict[str, str]:
        given = compose()["services"]["web"]["environment"]
        found = {
            **image_environment(),
            **{name: substituted(value) for name, value in given.items()},
            # What must differ without containers.
            "PATH": os.environ["PATH"],
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "DATA_DIR": str(self.data),
        }
        found["TRUSTED_PROXIES"] += ",127.0.0.1"
        found["DATABASE_URL"] = servers.create_database(
            os.environ["DATABASE_URL"], "polls_deployed"
        )
        found["REDIS_URL"] = os.environ["REDIS_URL"]
        return found

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the image, whose `python` is this one."""
        words = [sys.executable if word == "python" else word for word in command]
        return subprocess.run(
            words,
            cwd=self.app,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def start(self) -> None:
        """Migrate as the Compose file does, then start the service and the proxy."""
        migrated = self.run(*compose()["services"]["migrate"]["command"])
        assert migrated.returncode == 0, migrated.stderr
        self._start("service", [sys.executable, "-m", "polls_project.serve"], self.app)
        _wait_for(f"{self.inside}/readyz")
        self._start_proxy()

    def _start_proxy(self) -> None:
        """Run the real proxy on its real file; only names, ports and folders differ."""
        text = (ROOT / "deploy/Caddyfile").read_text()
        plain = self.plain.rsplit(":", 1)[1]
        ports = f"{{\n\tadmin 127.0.0.1:{self.admin}\n\thttp_port {plain}\n"
        ports += f"\thttps_port {self.https}\n\tskip_install_trust\n"
        for old, new in (
            ("{\n", ports),
            ("name web\n", "name localhost\n"),
            ("port 8000\n", f"port {self.port}\n"),
        ):
            assert old in text
            text = text.replace(old, new, 1)
        path = self.folder / "Caddyfile"
        path.write_text(text)
        program = Path(sys.executable).with_name("caddy")
        self._start("proxy", [program, "run", "--config", path], self.folder)
        until = time.monotonic() + START_SECONDS
        while not self._shakes_hands():
            assert time.monotonic() < until, self.proxy_log.read_text()
            time.sleep(0.05)

    def _shakes_hands(self) -> bool:
        """Whether the proxy has a certificate by now."""
        try:
            requests.get(f"{self.url}/livez", verify=str(self.certificate), timeout=5)
        except (OSError, requests.ConnectionError):  # no certificate file, no port, no handshake
            return False
        return True

    def _start(self, name: str, command: list[Any], folder: Path) -> None:
        environment = {
            **self.environment,
            "DOMAIN": DOMAIN,
            "XDG_DATA_HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder),
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
            )

    def stop_service(self) -> None:
        """End the service alone."""
        self._processes[0].terminate()
        self._processes[0].wait(30)

    def stop(self) -> None:
        """End both."""
        for process in reversed(self._processes):
            process.terminate()
            process.wait(30)


def _wait_for(url: str) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            assert requests.get(url, timeout=5).status_code == 200
        except requests.ConnectionError:
            assert time.monotonic() < until
            time.sleep(0.05)
        else:
            return
