"""Django's own defaults around our tables: what a project has that changes nothing."""

import os

from polls_project.settings.base import *  # noqa: F403 - as the settings do

ROOT_URLCONF = "benchmarks.peers.stock_django"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "rest_framework",
    "channels",
    "accounts",
    "polls",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
REST_FRAMEWORK = {}
# Django's documentation: no persistent connections under ASGI.
DATABASES["default"]["CONN_MAX_AGE"] = 0  # noqa: F405 - the same
if os.environ.get("REDIS_URL", "").strip():
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [os.environ["REDIS_URL"]]},
        }
    }
