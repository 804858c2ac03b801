"""`manage.py runserver` on Daphne, with DEBUG on and reloading."""

from polls_project import env
from polls_project.settings.base import *

DEBUG = env.flag("DEBUG", default=True)
WHITENOISE_AUTOREFRESH = DEBUG
# First, so that its runserver replaces Django's.
INSTALLED_APPS = ["daphne", *INSTALLED_APPS]
