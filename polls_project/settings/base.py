"""Every setting, read from the environment; dev, test and prod override a few lines.

With nothing set, the service runs in one process on SQLite and memory.
"""

import contextlib
import hashlib
import os
import secrets
import socket
import tempfile
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from polls_project import env

BASE_DIR = Path(__file__).resolve().parent.parent.parent
DATA_DIR = env.folder("DATA_DIR", BASE_DIR / ".data")


def _generated_key() -> str:
    """Return this installation's own key, made once and readable by its user alone."""
    path = DATA_DIR / "secret_key"
    try:
        if not path.exists():
            DATA_DIR.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=DATA_DIR, prefix="secret_key.") as new:
                new.write(secrets.token_urlsafe(50))
                new.flush()
                os.fsync(new.fileno())
                # It appears whole, and of two that start at once the first makes it.
                with contextlib.suppress(FileExistsError):
                    os.link(new.name, path)
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"DATA_DIR cannot be used: {error.strerror}: {error.filename}"
        ) from None


def _version_of(folder: Path) -> str:
    """Return what changes with any file of a folder: eight hex digits for its addresses."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:8]


SECRET_KEY = env.text("SECRET_KEY") or _generated_key()
SECRET_KEY_FALLBACKS = env.old_keys("SECRET_KEY_FALLBACKS")
DEBUG = env.flag("DEBUG", default=False)

# -- where it listens and who may call -------------------------------------------------------
HOST = env.text("HOST", "127.0.0.1")
PORT = env.integer("PORT", 8000, low=1, high=65535)
WEB_WORKERS = env.integer("WEB_WORKERS", 1, low=1, high=64)
PUBLIC_URL = env.base_url("PUBLIC_URL")
ALLOWED_HOSTS = env.hosts("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"))
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS")
CORS_ALLOWED_ORIGINS = env.origins("CORS_ALLOWED_ORIGINS")
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES")
REGISTRATION = env.choice("REGISTRATION", "open", ("open", "closed"))
TICK_MS = env.integer("TICK_MS", 100, low=10, high=10_000)

# -- how long things are kept, in days; 0 is for ever (docs/privacy.md) -----------------------
KEY_RETENTION_DAYS = env.integer("KEY_RETENTION_DAYS", 90, low=0, high=36_500)
POLL_RETENTION_DAYS = env.integer("POLL_RETENTION_DAYS", 0, low=0, high=36_500)

# What an SQLite file that is made anew begins with: a poll to try, and its organiser.
SEED_DEMO = True

# -- limits, all of them listed at /api/v1/limits/ -------------------------------------------
# Twice what deploy/Caddyfile lets through, and as many headers as a WebSocket's handshake may have.
MAX_HEAD_BYTES = 32 * 1024
MAX_HEADERS = 128
HEAD_SECONDS = 10  # for a head to come whole, once a connection is made or the head begins
MAX_VOTE_BODY_BYTES = 64 * 1024
MAX_BODY_BYTES = 1024 * 1024
BODY_SECONDS = 10
MAX_SOCKETS = 20_000
MAX_SOCKET_MESSAGE_BYTES = 4096
MAX_SOCKET_MESSAGES = 100  # from one client within ten seconds
MAX_SOCKET_POLLS = 100  # subscriptions of one socket
# How often, and in any how many seconds (polls/domain/rate_limits.py). A source is an IPv4 address
# or an IPv6 /64, and a whole hall may sit behind it: what counts by source is generous. Voting
# and sockets are not limited by it at all.
RATE_LIMITS = {
    "logins_from_source": (20_000, 600),
    "failed_logins_from_source": (100, 60),
    "failed_logins_of_account": (10, 300),
    "tokens_of_account": (600, 600),
    "sign_ups_from_source": (20_000, 600),
    "password_changes_of_account": (10, 60),
    "password_resets_from_source": (20, 60),
    "password_resets_of_address": (5, 60),
    "polls_of_account": (6000, 600),
    "tickets_from_source": (20_000, 60),
    "unknown_names_of_account": (10, 3600),
    "failed_codes_from_source": (100, 60),
    "failed_codes_of_poll": (1000, 60),
}
# Requests for Django that one process takes on at once: eight in threads, the rest in line.
DJANGO_THREADS = 8
DJANGO_QUEUE = 256

# -- the database ----------------------------------------------------------------------------
_postgres = env.postgres_url("DATABASE_URL")
DATABASES: dict[str, dict[str, object]] = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _postgres.name,
        "USER": _postgres.user,
        "PASSWORD": _postgres.password,
        "HOST": _postgres.host,
        "PORT": _postgres.port,
        "OPTIONS": {"connect_timeout": 3, **_postgres.options},
        # Every worker thread keeps one connection and checks it before use.
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
    }
    if _postgres
    else {
        "ENGINE": "polls_project.sqlite",
        "NAME": str(DATA_DIR / "polls.sqlite3"),
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 5,
            "transaction_mode": "IMMEDIATE",
            # FULL: a commit that was answered survives a power cut. The log is carried into the
            # file after 40 MB instead of 4: the same hot pages are written there less often.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
            "PRAGMA wal_autocheckpoint=10000;",
        },
    }
}
# SQLite builds the covering index of the recount without its extra column: it needs none.
SILENCED_SYSTEM_CHECKS = ["models.W040"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# -- Redis: frames between processes, and the counts of RATE_LIMITS ---------------------------
REDIS_URLS = env.redis_urls("REDIS_URL")
# Whoever only listens never learns that the other end has gone without a word; the system would
# look after two hours. Asked after 5 s of silence, and twice more: a dead link is made anew.
REDIS_KEEPALIVE: dict[str, object] = {
    "socket_keepalive": True,
    "socket_keepalive_options": {
        getattr(socket, name): value
        for name, value in {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2}.items()
        if hasattr(socket, name)  # macOS has its own
    },
}
if REDIS_URLS:
    CHANNEL_LAYERS: dict[str, dict[str, object]] = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {
                "hosts": [{"address": url, **REDIS_KEEPALIVE} for url in REDIS_URLS],
                "prefix": "polls",
            },
        }
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

# -- Django ----------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_yasg",
    "channels",
    "accounts",
    "polls",
    "realtime",
    "web",
    # Behind ours, whose templates come first.
    "allauth",
    "allauth.account",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "web.language.language_middleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "polls_project.urls"
ASGI_APPLICATION = "polls_project.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
# Not in a cookie of their own: there are those of the session, of CSRF and of the voter.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["polls.api.passwords.PasswordBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# -- accounts on the pages (docs/decisions/0013-accounts-pages.md) ----------------------------
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "desk:polls"
LOGOUT_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "web.accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
# Nobody proves an address, so it need not be one account's alone.
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_UNIQUE_EMAIL = False
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False  # no mail to people who have no account here
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_SESSION_REMEMBER = True
# Attempts are counted by RATE_LIMITS, at every door at once; allauth's own counters are not atomic.
ACCOUNT_RATE_LIMITS = False

# -- mail, which resets passwords --------------------------------------------------------------
_mail = env.mail_url("EMAIL_URL")
# Without a server, what is sent all the same goes to the log.
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if _mail else 'console'}.EmailBackend"
EMAIL_HOST = _mail.host if _mail else ""
EMAIL_PORT = _mail.port if _mail else 25
EMAIL_HOST_USER = _mail.user if _mail else ""
EMAIL_HOST_PASSWORD = _mail.password if _mail else ""
EMAIL_USE_TLS = _mail is not None and _mail.starttls
EMAIL_USE_SSL = _mail is not None and _mail.tls
EMAIL_TIMEOUT = 3  # seconds, within a request's own time
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "polls@localhost")

# -- Django, further ---------------------------------------------------------------------------
# An API path without its slash is unknown (404); pages redirect by their own routes.
APPEND_SLASH = False
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("fr", "Français")]
LOCALE_PATHS = [BASE_DIR / "web" / "locale"]
# Pages name their files by what is in them, so that browsers may keep them for ever.
STATIC_VERSION = _version_of(BASE_DIR / "web" / "static")
STATIC_URL = f"/static/{STATIC_VERSION}/"
# Files are served from the installed packages: no collectstatic before the first start.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
# The gate in front of Django reads and bounds every body (see polls_project/gate.py).
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
CSRF_FAILURE_VIEW = "web.errors.csrf_failure"
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_HTTPONLY = True  # scripts take the token out of the page's form
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# What pages may load: their own files, and nothing inline. Who may frame them is added to it.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'"
)

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "polls.api.authentication.BearerAuthentication",
        "polls.api.authentication.CookieAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_PARSER_CLASSES": ["polls.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "polls.api.parsers.AlwaysJSON",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "polls.api.problems.exception_handler",
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SWAGGER_USE_COMPAT_RENDERERS = False
SWAGGER_SETTINGS = {
    "USE_SESSION_AUTH": False,
    "DEFAULT_AUTO_SCHEMA_CLASS": "polls.api.schema.PollsAutoSchema",
    "SECURITY_DEFINITIONS": {
        "Bearer": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Bearer <token>` from POST /api/v1/auth/tokens/",
        },
        "Voter": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Voter-Token",
            "description": "The token from POST /api/v1/voters/",
        },
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "polls_project.log_lines.LineFormatter",
            "fmt": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        # Django's own handlers would write in their own way, and mail whole requests.
        "django": {"handlers": [], "level": "INFO"},
        "django.server": {"handlers": ["stderr"], "propagate": False},
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        # A traceback a second while Redis is down, of which realtime tells in a line.
        "channels_redis": {"level": "CRITICAL"},
    },
}
