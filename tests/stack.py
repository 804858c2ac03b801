"""The stack that the suite runs on, found before Django's settings are read.

STACK=servers is PostgreSQL and Redis, STACK=embedded is SQLite and memory. pytest loads this
first (`-p tests.stack`).
"""

import atexit
import os
import shutil
import tempfile
import uuid

import pytest

from devtools import servers

STACK = os.environ.setdefault("STACK", "servers")
if STACK not in {"servers", "embedded"}:
    raise pytest.UsageError(f"STACK must be servers or embedded, not {STACK!r}.")

# Modules and folders that are about neither database statements, races and locks, nor channel layer
# and results say the same on either stack: they run on one alone. Those that talk to a server of
# each kind (tests/realtime/conftest.py) and the pages, which `make test-browser` shows on servers,
# run embedded, all others on servers; the README's commands run on both.
RUN_ON = {
    "servers": (
        # They bring a stack of their own, or tell of files alone.
        "e2e/test_bench_live.py",
        "e2e/test_commands.py",
        "e2e/test_demo.py",
        "e2e/test_deployment.py",
        "e2e/test_protocol_command.py",
        "e2e/test_protocol_document.py",
        "e2e/test_soak.py",
        "e2e/test_tcp_proxy.py",
        "polls/test_project.py",
        "security/test_every_row.py",
        "security/test_row_45_known_faults.py",
        # Heads, bodies, origins and who may ask at all: what is before the database.
        "polls/test_bad_fields.py",
        "polls/test_bad_input.py",
        "polls/test_cors.py",
        "polls/test_gate.py",
        "polls/test_gate_bodies.py",
        "polls/test_route_walk.py",
        "polls/test_schema.py",
        "realtime/test_asyncapi.py",
        "security/test_row_09_times.py",
        "security/test_row_10_caches.py",
        "security/test_row_13_14_sockets.py",
        "security/test_row_21_22_23_who_asks.py",
        "security/test_row_30_31_32_pages.py",
        "security/test_row_34_35_floods.py",
        "security/test_row_40_41_secrets.py",
        "security/test_row_42_43_headers.py",
        "security/test_row_44_logs.py",
        # Embedded, all modules of sockets run on Daphne as well.
        "realtime/test_daphne.py",
        # There is no other process to hear from.
        "realtime/test_processes.py",
    ),
    "embedded": (
        "realtime/test_any_frames.py",
        "realtime/test_bad_frames.py",
        "realtime/test_hostile_sockets.py",
        "realtime/test_live_clients.py",
        "realtime/test_origins.py",
        "web",
    ),
}
# As conftest.py tells pytest: what the other stack runs.
LEFT_OUT = [name for stack, names in RUN_ON.items() if stack != STACK for name in names]

# What takes longest begins first, so that nobody waits for it alone in the end (conftest.py).
LONGEST = (
    "e2e/test_commands.py",
    "realtime/test_processes.py",
    "e2e/test_bench_live.py",
    "realtime/test_bad_frames.py",
    "realtime/test_live_clients.py",
    "fuzz/test_requests.py",
    "security/test_row_09_times.py",
    "security/test_row_34_35_floods.py",
    "polls/test_route_walk.py",
    "e2e/test_soak.py",
    "security/test_hidden_results.py",
    "polls/test_database_faults.py",
    "realtime/test_many_polls.py",
    "polls/test_codes.py",
    "fuzz/test_votes.py",
    "realtime/test_audience.py",
    "polls/test_doubles.py",
)

# A folder of this run's own: nothing of the developer's data is touched.
os.environ["DATA_DIR"] = tempfile.mkdtemp(prefix="polls-test-")
atexit.register(shutil.rmtree, os.environ["DATA_DIR"], ignore_errors=True)
# Nor do a developer's own settings count; those of the README are all there are.
for name in (
    *("ALLOWED_HOSTS", "CORS_ALLOWED_ORIGINS", "CSRF_TRUSTED_ORIGINS", "DEBUG", "HOST", "PORT"),
    *("HSTS_SECONDS", "PUBLIC_URL", "REGISTRATION", "SECRET_KEY", "SECRET_KEY_FALLBACKS"),
    *("TICK_MS", "TRUSTED_PROXIES", "WEB_WORKERS", "DJANGO_SETTINGS_MODULE"),
):
    os.environ.pop(name, None)

if STACK == "servers":
    # Four workers have up to three services each, and PostgreSQL's default is a hundred.
    os.environ["DATABASE_URL"] = servers.postgres(connections=200)
    os.environ["REDIS_URL"] = servers.redis_url()
    os.environ["TEST_DATABASE_NAME"] = f"polls_test_{uuid.uuid4().hex[:12]}"
else:
    for name in ("DATABASE_URL", "REDIS_URL", "TEST_DATABASE_NAME"):
        os.environ.pop(name, None)


def pytest_report_header() -> str:
    """Say which servers the suite runs against."""
    if STACK == "embedded":
        return "stack: embedded (SQLite and memory)"
    return f"stack: {os.environ['DATABASE_URL']} and {os.environ['REDIS_URL']}"
