"""Typed readers of the environment. A value that cannot be read stops the start by name."""

import os
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
# What stands in examples, and in this repository for all to read.
_KNOWN_KEYS = frozenset(
    {
        *("...", "change-me", "change_me", "changeit", "changeme", "default", "example"),
        *("insecure", "key", "password", "replace-me", "replaceme", "secret", "secret-key"),
        *("secret_key", "secretkey", "test", "your-secret-key", "your_secret_key"),
        "a key for tests alone, which no server ever starts with",
    }
)
_UNREADABLE = "its host or port cannot be read; a / or @ in a password is written %2F or %40."


def text(name: str, default: str = "") -> str:
    """Return the variable stripped of white space, or the default where it is unset or empty."""
    return os.environ.get(name, "").strip() or default


def fault_of_key(name: str) -> str:
    """Return why a variable is no secret key, with how to make one; empty where it may be one.

    Of keys that are merely short, Django's `check --deploy` warns.
    """
    value = text(name)
    make_one = "Make one with: python -c 'import secrets; print(secrets.token_urlsafe(50))'"
    if not value:
        return f"{name} is not set. {make_one}"
    return f"{name} is one that everybody knows. {make_one}" if _is_known(value) else ""


def old_keys(name: str) -> list[str]:
    """Return a comma-separated list of keys, none of them one that everybody knows."""
    found = words(name)
    if any(map(_is_known, found)):
        raise ImproperlyConfigured(f"{name} holds a key that everybody knows: leave it out.")
    return found


def _is_known(key: str) -> bool:
    return key.lower() in _KNOWN_KEYS or key.lower().startswith("django-insecure-")


def flag(name: str, *, default: bool) -> bool:
    """Return a boolean: 1/0, true/false, yes/no, on/off, without regard to case."""
    value = text(name).lower()
    if not value:
        return default
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name} must be 1 or 0, not {value!r}.")


def integer(name: str, default: int, *, low: int, high: int) -> int:
    """Return a whole number from low to high, both included."""
    value = text(name)
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from None
    if not low <= number <= high:
        raise ImproperlyConfigured(f"{name} must be from {low} to {high}, not {number}.")
    return number


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    """Return one of the allowed words."""
    value = text(name, default)
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
    return value


def words(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """Return a comma-separated list without empty parts."""
    value = text(name)
    return [part.strip() for part in value.split(",") if part.strip()] or list(default)


def hosts(name: str, default: tuple[str, ...]) -> list[str]:
    """Return a list of host names as a Host header has them, without scheme and port."""
    found = words(name, default)
    for host in found:
        if "/" in host:
            raise ImproperlyConfigured(f"{name} takes names such as example.org, not {host!r}.")
    return found


def networks(name: str) -> list[str]:
    """Return a list of IP addresses and networks."""
    found = words(name)
    for network in found:
        try:
            ip_network(network)
        except ValueError:
            raise ImproperlyConfigured(
                f"{name} takes addresses such as 10.0.0.1 and networks such as 10.0.0.0/8, "
                f"not {network!r}."
            ) from None
    return found


def origins(name: str) -> list[str]:
    """Return a list of web origins: scheme, host and port, nothing after them."""
    found = [origin.rstrip("/") for origin in words(name)]
    for origin in found:
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path or parts.query:
            raise ImproperlyConfigured(
                f"{name} takes origins such as https://example.org, not {origin!r}."
            )
    return found


def base_url(name: str) -> str:
    """Return an http(s) URL without its trailing slash, or an empty string."""
    value = text(name).rstrip("/")
    parts = urlsplit(value)
    if value and (parts.scheme not in {"http", "https"} or not parts.netloc):
        raise ImproperlyConfigured(f"{name} must be an http or https URL, not {value!r}.")
    return value


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """The parts of a `postgres://user:password@host:port/name?sslmode=…` URL."""

    name: str
    user: str
    password: str
    host: str
    port: str
    options: dict[str, str]


def _url_parts(name: str) -> SplitResult | None:
    """Return the parts of a URL, its port among them being a number; None where it is unset."""
    value = text(name)
    if not value:
        return None
    try:
        parts = urlsplit(value)
        _ = parts.port  # which is looked at when it is asked for
    except ValueError:  # which may name a part of a password that was not encoded
        raise ImproperlyConfigured(f"{name} is not a URL: {_UNREADABLE}") from None
    return parts


def postgres_url(name: str) -> PostgresUrl | None:
    """Return the parts of a PostgreSQL URL, or None where the variable is unset."""
    parts = _url_parts(name)
    if parts is None:
        return None
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(
            f"{name} must be postgres://user:password@host:port/database; "
            f"leave it unset for SQLite. Its scheme is {parts.scheme!r}."
        )
    database = unquote(parts.path.lstrip("/"))
    if not database:
        raise ImproperlyConfigured(f"{name} names no database after the host.")
    options = dict(parse_qsl(parts.query))
    return PostgresUrl(
        name=database,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        # A socket directory cannot stand in a URL's host, so libpq reads it from the query.
        host=options.pop("host", "") or (parts.hostname or ""),
        port=str(parts.port or ""),
        options=options,
    )


@dataclass(frozen=True, slots=True)
class MailUrl:
    """The parts of an `smtp://user:password@host:port` URL."""

    host: str
    port: int
    user: str
    password: str
    starttls: bool
    tls: bool


_MAIL_PORTS = {"smtp": 25, "smtp+tls": 587, "smtps": 465}


def mail_url(name: str) -> MailUrl | None:
    """Return the parts of a mail server's URL, or None where the variable is unset.

    `smtp+tls` asks for STARTTLS, `smtps` speaks TLS from the first byte.
    """
    parts = _url_parts(name)
    if parts is None:
        return None
    if parts.scheme not in _MAIL_PORTS or not parts.hostname:
        raise ImproperlyConfigured(
            f"{name} must be smtp+tls://user:password@host:port; also smtp:// and smtps://. "
            f"Its scheme is {parts.scheme!r}."
        )
    return MailUrl(
        host=parts.hostname,
        port=parts.port or _MAIL_PORTS[parts.scheme],
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        starttls=parts.scheme == "smtp+tls",
        tls=parts.scheme == "smtps",
    )


def redis_urls(name: str) -> list[str]:
    """Return Redis URLs: the first counts attempts, all of them are shards for frames."""
    found = words(name)
    for url in found:
        try:
            parts = urlsplit(url)
            parts.port  # noqa: B018 - reading it is checking it
        except ValueError:  # the same
            raise ImproperlyConfigured(f"{name} is not a URL: {_UNREADABLE}") from None
        if parts.scheme not in {"redis", "rediss", "unix"}:
            raise ImproperlyConfigured(
                f"{name} takes redis://host:port URLs. The scheme of one is {parts.scheme!r}."
            )
    return found


def folder(name: str, default: Path) -> Path:
    """Return a folder's absolute path; it need not exist yet."""
    return Path(text(name) or default).expanduser().resolve()
