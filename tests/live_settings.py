"""The settings of the suite's servers: those of the service, and passwords hashed in no time.

Whatever a test is about, it signs people up first; production's hash takes half a second each time.
"""

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from polls_project.settings.base import *  # noqa: F403 - as all settings build on it


class QuickHasher(PBKDF2PasswordHasher):
    """Production's algorithm with few rounds."""

    iterations = 1000


PASSWORD_HASHERS = ["tests.live_settings.QuickHasher"]
