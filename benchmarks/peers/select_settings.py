"""The service's own settings with one view beside its own: one SELECT by primary key."""

from polls_project.settings.base import *  # noqa: F403 - as the settings do

ROOT_URLCONF = "benchmarks.peers.select_urls"
