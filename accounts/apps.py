"""The accounts app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """People who own polls, and the tokens their programs carry."""

    name = "accounts"
