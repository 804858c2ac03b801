"""The receivers: thousands of WebSockets in one process that does little more than count.

`python -m benchmarks.live.ears` takes commands as lines of JSON on stdin and answers each with one
(benchmarks/live/receivers.py is the other end). Sockets are read whatever it is told, by one loop
over epoll that looks at no more of a frame than its length and its seq: what a run measures is the
server.
"""

import gc
import heapq
import json
import os
import random
import resource
import select
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.live import wire
from benchmarks.live.groups import Ear, Group, Reply

_LOOK_SECONDS = 0.005
_FIRST_RETRY, _LAST_RETRY = 0.5, 15.0  # seconds, as the page of a poll has them
_READ, _BROKEN = select.EPOLLIN, select.EPOLLERR | select.EPOLLHUP
_DATA = {wire.TEXT, wire.BINARY}
_random = random.Random()  # noqa: S311 - no secret

Answer = Callable[[], Reply | None]  # None where it is not known yet


class Ears:
    """The loop."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._by_number: dict[int, Ear] = {}
        self._groups: dict[str, Group] = {}
        self._returning: list[tuple[float, int, Ear]] = []
        self._fault = ""
        self._typed = b""
        self._until = 0.0
        self._done: Answer | None = None  # answers the command in hand
        self._cpu_since = time.process_time()

    def run(self) -> None:
        """Go on until stdin ends."""
        os.set_blocking(0, False)
        self._epoll.register(0, _READ)
        by_number = self._by_number
        while True:
            for number, event in self._epoll.poll(_LOOK_SECONDS):
                ear = by_number.get(number)
                if ear is not None:
                    self._turn(ear, event)
                elif number == 0 and not self._command():
                    return
            self._connect_due()
            self._answer()

    # -- sockets -----------------------------------------------------------------------------

    def _connect_due(self) -> None:
        now = time.perf_counter()
        while self._returning and self._returning[0][0] <= now:
            ear = heapq.heappop(self._returning)[2]
            ear.group.due.append(ear)
        for group in self._groups.values():
            while group.due and group.on_their_way < group.at_once:
                group.on_their_way += 1
                self._connect(group.due.popleft())

    def _connect(self, ear: Ear) -> None:
        number = ear.connect()
        self._by_number[number] = ear
        self._epoll.register(number, select.EPOLLOUT)

    def _turn(self, ear: Ear, event: int) -> None:
        """Take what has happened to a socket."""
        if event & select.EPOLLOUT and not event & _BROKEN:
            ear.say(ear.group.request)
            self._epoll.modify(ear.handle, _READ)
            return
        data = ear.receive()
        if data is None:
            return
        if not data:
            self._lose(ear)
        elif ear.open:
            self._hear(ear, data)
        else:
            self._open(ear, data)

    def _open(self, ear: Ear, data: bytes) -> None:
        """Take the answer to the handshake, and what may follow it."""
        head, end, rest = (ear.head + data).partition(b"\r\n\r\n")
        if not end:
            ear.head = head
            return
        if not wire.is_accepted(head):
            self._fault = f"an answer to the handshake: {head[:200].decode(errors='replace')}"
            return
        ear.open, ear.head = True, b""
        if ear.group.deaf:
            self._epoll.modify(ear.handle, 0)  # it is told of an end, and of nothing else
            ear.join()
            return
        ear.group.dialect.opened(ear)
        self._hear(ear, rest)

    def _hear(self, ear: Ear, data: bytes) -> None:
        """Take frames, as far as they have come."""
        ear.group.now = time.perf_counter()
        found, ear.head = wire.split(ear.head + data if ear.head else data)
        for first, payload in found:
            if first in _DATA:
                try:
                    ear.group.dialect.heard(ear, payload)
                except wire.UnexpectedFrameError as error:
                    self._fault = str(error)
            elif first == wire.PING:
                ear.say(wire.masked(wire.PONG, payload))
            elif first != wire.CLOSE:  # after which the server hangs up
                self._fault = f"a frame that begins with {first:#x}"

    def _lose(self, ear: Ear) -> None:
        """Take it that a connection has ended; where its group returns, it comes back."""
        group = ear.group
        self._close(ear)
        group.lost += 1
        if not ear.joined:
            group.on_their_way -= 1
        ear.open = ear.joined = False
        if group.returns:
            most = min(_LAST_RETRY, _FIRST_RETRY * 2**ear.tries)
            ear.tries += 1
            due = time.perf_counter() + _random.random() * most
            heapq.heappush(self._returning, (due, ear.number, ear))

    def _close(self, ear: Ear) -> None:
        if ear.handle >= 0:
            self._by_number.pop(ear.handle, None)
            ear.close()

    # -- commands ----------------------------------------------------------------------------

    def _command(self) -> bool:
        """Take what stdin has; return whether it goes on."""
        try:
            said = os.read(0, 65_536)
        except BlockingIOError:
            return True
        self._typed += said
        line, end, rest = self._typed.partition(b"\n")
        if end:
            self._typed = rest
            command = json.loads(line)
            self._until = time.perf_counter() + command.get("within", 60.0)
            getattr(self, f"do_{command.pop('do')}")(command)
        return bool(said)

    def _answer(self) -> None:
        """Answer the command in hand where that can be done."""
        if self._done is None:
            return
        found = {"fault": self._fault} if self._fault else self._done()
        if found is None and time.perf_counter() > self._until:
            found = {"late": True}
        if found is not None:
            self._done, self._fault = None, ""
            sys.stdout.write(f"{json.dumps(found)}\n")
            sys.stdout.flush()

    def do_join(self, command: dict[str, Any]) -> None:
        """Connect a new group; answer once all have joined."""
        group = self._groups[command["group"]] = Group(command)
        self._done = lambda: self._all_joined(group)

    def _all_joined(self, group: Group) -> Reply | None:
        if len(group.took) < len(group.ears):
            return None
        lost, group.lost = group.lost, 0
        return {"seconds": time.perf_counter() - group.marked, "took": group.took, "lost": lost}

    def do_drop(self, command: dict[str, Any]) -> None:
        """Reset all connections of a group at once; answer once all have come back."""
        group = self._groups[command["group"]]
        group.mark(records=False)
        group.returns, group.took = True, []
        for ear in group.ears:
            self._lose(ear)
        group.lost = 0
        self._done = lambda: self._all_joined(group)

    def do_mark(self, command: dict[str, Any]) -> None:
        """Count anew from now on, for every group; `records` keeps each arrival, too."""
        for group in self._groups.values():
            group.mark(records=command["records"])
        self._cpu_since = time.process_time()
        self._done = dict

    def do_go(self, command: dict[str, Any]) -> None:
        """Let a peer begin to send."""
        group = self._groups[command["group"]]
        group.ears[0].say(group.dialect.go(command["job"]))
        self._done = dict

    def do_wait(self, command: dict[str, Any]) -> None:
        """Answer once each socket of a group has had so many frames, or a count so high."""
        ears = self._groups[command["group"]].ears
        field, least = command["field"], command["least"]

        def look() -> Reply | None:
            for ear in ears:
                if getattr(ear, field) < least:
                    return None
            return {"at": max(ear.at for ear in ears)}

        self._done = look

    def do_report(self, command: dict[str, Any]) -> None:
        """Answer with what a group has had since the mark."""
        found = self._groups[command["group"]].report()
        found["cpu"] = time.process_time() - self._cpu_since
        self._done = lambda: found

    def do_arrivals(self, command: dict[str, Any]) -> None:
        """Answer with when which seq has come, a list a socket."""
        ears = self._groups[command["group"]].ears
        self._done = lambda: {"arrivals": [ear.arrivals for ear in ears]}

    def do_leave(self, command: dict[str, Any]) -> None:
        """Reset all connections of a group, and forget it."""
        for ear in self._groups.pop(command["group"]).ears:
            self._close(ear)
        self._done = dict


def main() -> None:
    """Listen."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.disable()  # nothing here goes round in circles
    Ears().run()


if __name__ == "__main__":
    main()
