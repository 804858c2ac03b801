"""What befalls the Redis between two processes, each as a context in which it lasts."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import redis

from devtools.servers import RedisServer
from devtools.tcp_proxy import Mode, TcpProxy


@dataclass
class Link:
    """A Redis of our own, and the proxy in front of it that alone is known to a service."""

    server: RedisServer
    proxy: TcpProxy


Fault = Callable[[Link], AbstractContextManager[None]]


@contextlib.contextmanager
def killed(link: Link) -> Iterator[None]:
    """End it at once; it comes back empty."""
    link.server.kill()
    try:
        yield
    finally:
        link.server.start()


@contextlib.contextmanager
def flushed(link: Link) -> Iterator[None]:
    """Forget everything, subscribers included."""
    with redis.Redis.from_url(link.server.url) as client:
        client.flushall()
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    yield


@contextlib.contextmanager
def frozen(link: Link) -> Iterator[None]:
    """Stop its process; connections stand."""
    link.server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        link.server.process.send_signal(signal.SIGCONT)


def proxied(mode: Mode) -> Fault:
    """Return what has the proxy fail in this way."""

    @contextlib.contextmanager
    def disturb(link: Link) -> Iterator[None]:
        link.proxy.mode = mode
        try:
            yield
        finally:
            link.proxy.mode = Mode.FORWARD

    return disturb


def at_least(seconds: float, fault: Fault) -> Fault:
    """Return a fault that lasts so long, however soon its context ends."""

    @contextlib.contextmanager
    def disturb(link: Link) -> Iterator[None]:
        began = time.monotonic()
        with fault(link):
            yield
            time.sleep(max(0.0, began + seconds - time.monotonic()))

    return disturb
