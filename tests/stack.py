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

# A folder of this run's own: nothing of the developer's data is touched.
os.environ["DATA_DIR"] = tempfile.mkdtemp(prefix="polls-test-")
atexit.register(shutil.rmtree, os.environ["DATA_DIR"], ignore_errors=True)
# Nor do a developer's own settings count; those of the README are all there are.
for name in (
    *("ALLOWED_HOSTS", "CORS_ALLOWED_ORIGINS", "CSRF_TRUSTED_ORIGINS", "DEBUG", "HOST", "PORT"),
    *("HSTS_SECONDS", "PUBLIC_URL", "REGISTRATION", "SECRET_KEY", "TICK_MS", "TRUSTED_PROXIES"),
    *("WEB_WORKERS", "DJANGO_SETTINGS_MODULE"),
):
    os.environ.pop(name, None)

if STACK == "servers":
    os.environ["DATABASE_URL"] = servers.postgres()
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
