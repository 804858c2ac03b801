"""The deployment files, and the service put together from them behind its real proxy."""

import asyncio
import json
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
import yaml

from tests.e2e.deployed import (
    DOMAIN,
    ROOT,
    Deployed,
    compose,
    copied_from_context,
    image_environment,
    last_stage,
)

SERVICES = compose()["services"]
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())


def _tool(*command: str) -> tuple[int, str]:
    """Run a program of the virtual environment; return its status and output."""
    program = Path(sys.executable).with_name(command[0])
    found = subprocess.run(
        [program, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return found.returncode, found.stdout + found.stderr


# -- the files --------------------------------------------------------------------------------


def test_dockerfile_has_nothing_to_lint() -> None:
    assert _tool("hadolint", "Dockerfile") == (0, "")


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("vendor.compose-spec", "docker-compose.yml"),
        ("vendor.github-workflows", ".github/workflows/ci.yml"),
    ],
)
def test_file_keeps_to_the_schema_of_its_kind(schema: str, file: str) -> None:
    status, said = _tool("check-jsonschema", "--builtin-schema", schema, file)
    assert status == 0, said


def test_schema_check_notices_a_misspelt_field(tmp_path: Path) -> None:
    broken = tmp_path / "docker-compose.yml"
    text = (ROOT / "docker-compose.yml").read_text()
    broken.write_text(text.replace("healthcheck:", "healthchek:", 1))
    status, said = _tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(broken))
    assert (status, "healthchek" in said) == (1, True)


def test_image_runs_the_service_as_nobody_on_production_settings() -> None:
    stage = last_stage()
    commands = [json.loads(line[4:]) for line in stage if line.startswith("CMD ")]
    users = [line for line in stage if line.startswith("USER ")]
    assert commands == [["python", "-m", "polls_project.serve"]]
    assert users == ["USER 10001:10001"]
    assert image_environment()["DJANGO_SETTINGS_MODULE"] == "polls_project.settings.prod"
    assert image_environment()["HOST"] == "0.0.0.0"


def test_image_has_only_pinned_packages_and_nothing_that_builds_them() -> None:
    installs = re.findall(r"\bpip [^\n]*install.*", "\n".join(_all_stages()))
    assert len(installs) == 1
    assert "--require-hashes" in installs[0]
    assert "--no-cache-dir" in installs[0]
    assert not [line for line in last_stage() if re.search(r"\b(pip|apt-get|gcc)\b", line)]
    froms = [line.split()[1] for line in _all_stages() if line.startswith("FROM ")]
    assert froms == ["python:3.13-slim", "python:3.13-slim"]


def _all_stages() -> list[str]:
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_row_40_build_context_holds_what_the_image_copies_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    allowed = {line[1:] for line in rules if line.startswith("!")}
    assert rules[0] == "*"
    assert allowed == {*copied_from_context(), "requirements.txt"}


def test_proxy_alone_publishes_ports() -> None:
    publishing = {name for name, service in SERVICES.items() if "ports" in service}
    assert publishing == {"proxy"}


def test_every_service_that_stays_is_watched_and_restarted() -> None:
    image_is_watched = any(line.startswith("HEALTHCHECK ") for line in last_stage())
    assert image_is_watched
    for name in SERVICES.keys() - {"migrate"}:
        service = SERVICES[name]
        assert "test" in service.get("healthcheck", {}) or "build" in service, name
        assert service["restart"] == "unless-stopped", name
    assert SERVICES["migrate"]["restart"] == "no"


def test_services_start_in_the_order_of_their_needs() -> None:
    needs = {
        name: {other: need["condition"] for other, need in service["depends_on"].items()}
        for name, service in SERVICES.items()
        if "depends_on" in service
    }
    assert needs == {
        "proxy": {"web": "service_healthy"},
        "web": {
            "postgres": "service_healthy",
            "redis": "service_healthy",
            "migrate": "service_completed_successfully",
        },
        "migrate": {"postgres": "service_healthy"},
    }


def test_images_are_pinned_by_version() -> None:
    images = {name: service["image"] for name, service in SERVICES.items()}
    ours = {name for name, service in SERVICES.items() if "build" in service}
    assert {images.pop(name) for name in ours} == {"polls"}
    assert {SERVICES[name]["pull_policy"] for name in ours} == {"build"}
    for image in images.values():
        assert re.fullmatch(r"[a-z]+:\d+(\.\d+)*", image), image


def test_row_40_secrets_are_required_and_have_no_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("SECRET_KEY", "POSTGRES_PASSWORD", "DOMAIN"):
        uses = re.findall(rf"\$\{{{name}(:?[-?]?)", text)
        assert ":?" in uses, name
        assert ":-" not in uses, name
    literal = re.findall(r"(?:PASSWORD|SECRET_KEY): (?!\$\{)\S+", text)
    assert literal == []


def test_database_is_kept_and_out_of_the_proxys_reach() -> None:
    networks = {name: set(service["networks"]) for name, service in SERVICES.items()}
    assert networks == {
        "proxy": {"front"},
        "web": {"front", "back"},
        "migrate": {"front", "back"},
        "postgres": {"back"},
        "redis": {"back"},
    }
    assert compose()["networks"]["back"] == {"internal": True}
    kept = {mount.split(":")[0] for mount in SERVICES["postgres"]["volumes"]}
    assert kept <= compose()["volumes"].keys()


def test_service_reads_every_variable_that_it_is_given() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "polls_project").rglob("*.py"))
    given = {*SERVICES["web"]["environment"], *image_environment()}
    ignored = {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
    assert {name for name in given - ignored if f'"{name}"' not in sources} == set()


# -- continuous integration -------------------------------------------------------------------


def test_workflow_runs_what_ci_runs_on_every_supported_python() -> None:
    def targets(text: str) -> set[str]:
        return {word for line in re.findall(r"(?m)^make (.+)$", text) for word in line.split()}

    job = WORKFLOW["jobs"]["check"]
    runs = "\n".join(step["run"] for step in job["steps"] if "run" in step)
    expected = {"lint", "types", "test-protocol", "test", "test-browser"}
    assert targets(runs) == targets((ROOT / ".ci/run").read_text()) == expected
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]


def test_workflow_has_least_permissions_bounded_time_and_pinned_actions() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert WORKFLOW["concurrency"]["cancel-in-progress"] is True
    for job in WORKFLOW["jobs"].values():
        assert job["timeout-minutes"] <= 90
        assert "permissions" not in job
        used = [step["uses"] for step in job["steps"] if "uses" in step]
        assert len(used) == 2
        for action in used:
            assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action), action


def test_workflow_tests_the_versions_that_compose_runs() -> None:
    images = {
        name: service["image"] for name, service in WORKFLOW["jobs"]["servers"]["services"].items()
    }
    assert images == {name: SERVICES[name]["image"] for name in ("postgres", "redis")}


# -- the service, its image's files and its proxy ---------------------------------------------


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The whole of it, running."""
    found = Deployed(tmp_path_factory.mktemp("deployed"))
    try:
        found.start()
        yield found
    finally:
        found.stop()


class Visitor:
    """A program that comes through the proxy."""

    def __init__(self, deployed: Deployed) -> None:
        self.deployed = deployed
        self.headers: dict[str, str] = {}

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        return requests.request(
            method,
            self.deployed.url + path,
            json=body,
            headers=self.headers | more.pop("headers", {}),
            verify=str(self.deployed.certificate),
            timeout=60,
            **more,
        )

    def make_poll(self) -> dict[str, Any]:
        account = {"username": f"user-{id(self)}", "password": "correct horse battery staple"}
        self.call("POST", "/api/v1/auth/register/", account)
        token = self.call("POST", "/api/v1/auth/tokens/", account).json()["token"]
        self.headers["Authorization"] = f"Bearer {token}"
        body = {"title": "Lunch?", "options": [{"text": "Pizza"}, {"text": "Sushi"}]}
        answer = self.call("POST", "/api/v1/polls/", body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def visitor(deployed: Deployed) -> Visitor:
    """Somebody who comes through the proxy."""
    return Visitor(deployed)


def test_pages_come_through_the_proxy_in_https(deployed: Deployed, visitor: Visitor) -> None:
    answer = visitor.call("GET", "/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "max-age" in answer.headers["Strict-Transport-Security"]
    assert "Server" not in answer.headers
    plain = requests.get(deployed.plain, allow_redirects=False, timeout=60)
    assert (plain.status_code, plain.headers["Location"]) == (308, "https://localhost/")


def _host(deployed: Deployed) -> str:
    return deployed.url.removeprefix("https://")


def test_voter_gets_a_secure_cookie_behind_the_proxy(visitor: Visitor) -> None:
    cookie = visitor.call("POST", "/api/v1/voters/").headers["Set-Cookie"]
    assert cookie.startswith("__Host-voter=")
    assert "; Secure" in cookie


def test_row_21_forwarded_headers_of_a_client_are_replaced_by_the_proxy(visitor: Visitor) -> None:
    pretended = {"X-Forwarded-Proto": "http", "X-Forwarded-For": "203.0.113.7"}
    answer = visitor.call("GET", "/", headers=pretended, allow_redirects=False)
    assert answer.status_code == 200  # taken for plain HTTP, it would be redirected


def test_vote_and_its_live_frame_come_through_the_proxy(
    deployed: Deployed, visitor: Visitor
) -> None:
    poll = visitor.make_poll()
    token = visitor.call("POST", "/api/v1/voters/").json()["token"]

    def vote() -> requests.Response:
        return visitor.call(
            "POST",
            poll["links"]["vote"],
            {"choices": [poll["options"][0]["id"]]},
            headers={"X-Voter-Token": token},
        )

    async def watch() -> list[Any]:
        trust = ssl.create_default_context(cafile=str(deployed.certificate))
        url = deployed.url.replace("https", "wss") + poll["links"]["live"]
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, ssl=trust, headers={"Origin": deployed.url}) as socket,
        ):
            first = await socket.receive_json(timeout=60)
            answer = await asyncio.to_thread(vote)
            assert answer.status_code == 201, answer.text
            return [first, await socket.receive_json(timeout=60)]

    first, second = asyncio.run(watch())
    assert (first["type"], first["ballots"]) == ("snapshot", 0)
    assert (second["type"], second["ballots"]) == ("tally", 1)
    assert [option["votes"] for option in second["options"]] == [1, 0]


def test_socket_from_another_site_is_refused_behind_the_proxy(
    deployed: Deployed, visitor: Visitor
) -> None:
    poll = visitor.make_poll()

    async def status() -> int:
        trust = ssl.create_default_context(cafile=str(deployed.certificate))
        url = deployed.url.replace("https", "wss") + poll["links"]["live"]
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(
                    url, ssl=trust, headers={"Origin": f"http://{_host(deployed)}"}
                )
            return refused.value.status

    assert asyncio.run(status()) == 403


def test_body_that_is_too_long_is_refused_in_the_services_own_words(visitor: Visitor) -> None:
    visitor.make_poll()
    answer = visitor.call("POST", "/api/v1/polls/", {"title": "x" * 1_100_000})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_plain_http_past_the_proxy_is_redirected_save_for_health(deployed: Deployed) -> None:
    answers = {
        path: requests.get(
            deployed.inside + path, headers={"Host": DOMAIN}, allow_redirects=False, timeout=60
        ).status_code
        for path in ("/", "/livez", "/readyz")
    }
    assert answers == {"/": 301, "/livez": 200, "/readyz": 200}


def test_health_checks_of_image_and_proxy_pass_while_they_serve(deployed: Deployed) -> None:
    assert deployed.run(*_health_check()).returncode == 0
    command = SERVICES["proxy"]["healthcheck"]["test"]
    url = command[-1].replace("2019", str(deployed.admin))
    assert requests.get(url, timeout=60).status_code == 200


def _health_check() -> list[str]:
    line = next(line for line in last_stage() if line.startswith("HEALTHCHECK "))
    found: list[str] = json.loads(line[line.index("[") :])
    assert found[0] == "python"
    assert "/readyz" in found[-1]
    return found


def test_production_settings_pass_djangos_own_check(deployed: Deployed) -> None:
    checked = deployed.run("python", "manage.py", "check", "--deploy", "--fail-level", "ERROR")
    assert checked.returncode == 0, checked.stderr


def test_service_writes_no_files(deployed: Deployed) -> None:
    assert not deployed.data.exists()


def test_row_41_image_refuses_to_start_without_its_secret(deployed: Deployed) -> None:
    without = {key: text for key, text in deployed.environment.items() if key != "SECRET_KEY"}
    found = subprocess.run(
        [sys.executable, "-m", "polls_project.serve"],
        cwd=deployed.app,
        env=without,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 1
    assert "SECRET_KEY is not set" in found.stderr
    assert "Traceback" not in found.stderr


def test_row_44_proxy_logs_a_dead_service_without_addresses_or_tokens(tmp_path: Path) -> None:
    found = Deployed(tmp_path)
    try:
        found.start()
        found.stop_service()
        answer = Visitor(found).call("GET", "/", headers={"X-Voter-Token": "a-secret-token"})
    finally:
        found.stop()
    assert answer.status_code == 502
    log = found.proxy_log.read_text()
    assert "connection refused" in log
    assert [word for word in ("remote_ip", "client_ip", "a-secret-token") if word in log] == []
    assert found.run(*_health_check()).returncode != 0
