"""The suite's settings: the stack that tests/stack.py found, and cheap password hashes."""

import os

from polls_project.settings.base import *

SECRET_KEY = "a key for tests alone, which no server ever starts with"  # noqa: S105
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DATABASES["default"]["TEST"] = {
    "NAME": os.environ.get("TEST_DATABASE_NAME") or str(DATA_DIR / "test.sqlite3")
}
WHITENOISE_AUTOREFRESH = True
