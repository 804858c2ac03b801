"""`make run`: migrate, seed where the database is new, and serve with Uvicorn.

Run as `python -m polls_project.serve`; the environment of the README says how.
"""

import contextlib
import errno
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import django
from django.core.exceptions import ImproperlyConfigured

BACKLOG = 4096  # connections that may wait while a burst is being accepted


def _stop(message: str) -> NoReturn:
    sys.stderr.write(f"\n{message}\n")
    raise SystemExit(1)


def _lan_address() -> str | None:
    """Return this machine's address on its network; no packet is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address: any route will do
        except OSError:
            return None
        return str(probe.getsockname()[0])


def _as_in_urls(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _allow_own_names() -> None:
    """Let the service answer under the address that it listens on and the one that it shows."""
    if os.environ.get("ALLOWED_HOSTS", "").strip():
        return
    host = os.environ.get("HOST", "").strip() or "127.0.0.1"
    names = ["localhost", "127.0.0.1", "[::1]"]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - asked for by the operator
        names.append(_lan_address() or "127.0.0.1")
    else:
        names.append(_as_in_urls(host))
    public = os.environ.get("PUBLIC_URL", "").strip()
    with contextlib.suppress(ValueError):  # which the settings name
        names.append(urlsplit(public).hostname or "127.0.0.1")
    os.environ["ALLOWED_HOSTS"] = ",".join(dict.fromkeys(names))


def _listen(host: str, port: int) -> socket.socket:
    """Return the listening socket, so that a taken port is found before anything is done."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        free = 8000 if error.errno == errno.EACCES else port % 65535 + 1
        remedy = f"Choose another port: PORT={free} make run"
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            remedy = "Set HOST to an address of this machine."
        _stop(f"Cannot listen on {host}:{port}: {error.strerror}. {remedy}")
    listener.set_inheritable(True)
    return listener


def _raise_file_limit() -> None:
    """Allow as many sockets as the system lets this user have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _check_workers() -> None:
    from django.conf import settings  # noqa: PLC0415 - configured by now
    from django.db import connection  # noqa: PLC0415 - the same

    if settings.WEB_WORKERS == 1:
        return
    if connection.vendor != "postgresql":
        _stop(
            f"WEB_WORKERS={settings.WEB_WORKERS} needs PostgreSQL: set DATABASE_URL, "
            "or leave WEB_WORKERS at 1. `make stack` brings both."
        )
    if not settings.REDIS_URLS:
        sys.stderr.write(
            "Without REDIS_URL, dashboards of other processes follow within 5 seconds.\n"
        )


def _prepare_database() -> None:
    """Bring the database up to date.

    An SQLite file that does not exist yet appears whole or not at all, whenever it is broken off;
    outside of production there is a poll to try in it.
    """
    from django.conf import settings  # noqa: PLC0415 - configured by now
    from django.core.management import call_command  # noqa: PLC0415 - the same
    from django.db import connection  # noqa: PLC0415 - the same

    file = Path(str(connection.settings_dict["NAME"]))
    if connection.vendor != "sqlite" or file.exists():
        _migrate()
        return
    try:
        settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _stop(f"DATA_DIR cannot be used: {error.strerror}: {error.filename}")
    new = file.with_name(f"{file.name}.new")
    for leftover in file.parent.glob(f"{new.name}*"):
        leftover.unlink()
    # SQLite would let everybody on this machine read it: keys, hashes, sessions. Made before it is
    # opened, for closing a file gives back the locks that SQLite holds on it.
    with contextlib.suppress(OSError):  # which the migration names
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    connection.settings_dict["NAME"] = str(new)
    _migrate()
    if settings.SEED_DEMO:
        call_command("seed_demo")
    connection.close()
    new.rename(file)
    connection.settings_dict["NAME"] = str(file)


def _migrate() -> None:
    """Migrate, or say by name what keeps the database from that."""
    from django.conf import settings  # noqa: PLC0415 - configured by now
    from django.core.management import call_command  # noqa: PLC0415 - the same
    from django.db import Error, connection  # noqa: PLC0415 - the same

    from polls.domain.database import ADVISORY_CLASS, MIGRATING  # noqa: PLC0415 - the same

    try:
        if connection.vendor == "postgresql":
            # Services that start side by side migrate one after the other.
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(%s, %s)", [ADVISORY_CLASS, MIGRATING])
        call_command("migrate", verbosity=0, interactive=False)
    except Error as error:
        database = settings.DATABASES["default"]
        reason = str(error).strip().partition("\n")[0].rstrip(".")  # libpq goes on guessing
        if connection.vendor == "sqlite":
            _stop(f"The file {database['NAME']} cannot be used: {reason}. Check DATA_DIR.")
        where = f"{database['HOST'] or 'this machine'}:{database['PORT'] or 5432}"
        _stop(
            f"The database {database['NAME']} at {where} cannot be used: {reason}. "
            "Check DATABASE_URL."
        )
    connection.close()


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    # Ctrl-C ends a start at once: there is nothing half-done, and Python may swallow its exception.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "polls_project.settings.base")
    _allow_own_names()
    try:
        django.setup()
    except ImproperlyConfigured as error:
        _stop(str(error))
    from django.conf import settings  # noqa: PLC0415 - configured by now

    _check_workers()
    listener = _listen(settings.HOST, settings.PORT)
    _raise_file_limit()
    try:
        _prepare_database()
    except ImproperlyConfigured as error:
        _stop(str(error))
    everywhere = settings.HOST in {"0.0.0.0", "::"}  # noqa: S104 - asked for by the operator
    shown = "127.0.0.1" if everywhere else _as_in_urls(settings.HOST)
    lan = None
    if everywhere and (address := _lan_address()):
        lan = f"http://{address}:{settings.PORT}"
    from polls_project.banner import banner  # noqa: PLC0415 - it needs the models

    here = f"http://{shown}:{settings.PORT}"
    sys.stdout.write(banner(here, lan=lan, public=settings.PUBLIC_URL or None))
    sys.stdout.flush()
    _serve(listener, workers=settings.WEB_WORKERS)


def _serve(listener: socket.socket, *, workers: int) -> None:
    import uvicorn  # noqa: PLC0415 - not needed where the start fails
    from django.conf import settings  # noqa: PLC0415 - configured by now
    from django.db import connections  # noqa: PLC0415 - the same
    from uvicorn.supervisors import Multiprocess  # noqa: PLC0415 - the same

    connections.close_all()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    listener.listen(BACKLOG)
    config = uvicorn.Config(
        "polls_project.asgi:application",
        workers=workers,
        backlog=BACKLOG,
        log_config=None,  # Django's; Uvicorn's own would log the URL of every WebSocket
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # polls_project/asgi.py does it, on every server
        http="polls_project.uvicorn_http:HttpProtocol",
        ws="realtime.uvicorn_protocol:SocketProtocol",
        ws_max_size=settings.MAX_SOCKET_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # it costs up to 316 KB a socket
        timeout_graceful_shutdown=10,
    )
    if workers == 1:
        # Once drained, Uvicorn raises the signal anew; Ctrl-C is a wish, not a fault to trace.
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
    else:
        Multiprocess(config, sockets=[listener]).run()


if __name__ == "__main__":
    main()
