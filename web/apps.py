"""The web app."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    """Pages for people. It owns no tables."""

    name = "web"
