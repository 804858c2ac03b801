"""A public server behind HTTPS: no generated key, secure cookies."""

from django.core.exceptions import ImproperlyConfigured

from polls_project import env

if fault := env.fault_of_key("SECRET_KEY"):
    raise ImproperlyConfigured(fault)

from polls_project.settings.base import *

DEBUG = False
SEED_DEMO = False  # its organiser's password would stand in the log
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_NAME = "__Host-sessionid"
CSRF_COOKIE_SECURE = True
CSRF_COOKIE_NAME = "__Host-csrftoken"
SECURE_HSTS_SECONDS = env.integer("HSTS_SECONDS", 31_536_000, low=0, high=63_072_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SECURE_SSL_REDIRECT = True
# Health checks come from inside, in plain HTTP, and are answered before Django.
