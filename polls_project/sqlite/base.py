"""Django's SQLite backend with one fair, process-wide lock in front of every write.

SQLite lets a waiting writer poll for the lock. A ballot box that flushes back to back then
starves everybody else for seconds; first come, first served does not.
"""

import sqlite3
import threading
from collections import deque
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")
_PATIENCE = 5.0  # seconds; the same as SQLite's own busy timeout in the settings


class FairLock:
    """A lock that serves its waiters in the order in which they came."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._held = False
        self._waiters: deque[threading.Event] = deque()

    def acquire(self, timeout: float) -> bool:
        """Return True once the lock is held, False after `timeout` seconds without it."""
        with self._mutex:
            if not self._held:
                self._held = True
                return True
            turn = threading.Event()
            self._waiters.append(turn)
        if turn.wait(timeout):
            return True
        with self._mutex:
            if turn.is_set():  # handed over between the time-out and here
                return True
            self._waiters.remove(turn)
            return False

    def release(self) -> None:
        """Hand the lock to the one who has waited longest."""
        with self._mutex:
            if self._waiters:
                self._waiters.popleft().set()
            else:
                self._held = False


_locks: dict[str, FairLock] = {}
_locks_mutex = threading.Lock()


def _lock_of(name: str) -> FairLock:
    """Return the one lock of a database file in this process."""
    with _locks_mutex:
        return _locks.setdefault(name, FairLock())


class FairCursor(base.SQLiteCursorWrapper):
    """A cursor whose writes outside a transaction take their turn too."""

    wrapper: "DatabaseWrapper"

    def execute(self, query: str, params: Any = None) -> Any:  # noqa: ANN401 - Django's signature
        """Run one statement, after waiting for its turn where it writes by itself."""
        if self.wrapper.holds_turn or not query.lstrip()[:7].upper().startswith(_WRITES):
            return super().execute(query, params)
        with self.wrapper.turn():
            return super().execute(query, params)

    def executemany(self, query: str, param_list: Any) -> Any:  # noqa: ANN401 - the same
        """Run one statement per row in one turn."""
        if self.wrapper.holds_turn:
            return super().executemany(query, param_list)
        with self.wrapper.turn():
            return super().executemany(query, param_list)


class _Turn:
    """The time between taking the lock and giving it back."""

    def __init__(self, wrapper: "DatabaseWrapper") -> None:
        self._wrapper = wrapper

    def __enter__(self) -> None:
        self._wrapper.take_turn()

    def __exit__(self, *_: object) -> None:
        self._wrapper.end_turn()


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that takes its turn at BEGIN and ends it at COMMIT, ROLLBACK or close."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Django's signature
        super().__init__(*args, **kwargs)
        self.holds_turn = False

    def turn(self) -> _Turn:
        """Return a context in which this connection may write."""
        return _Turn(self)

    def take_turn(self) -> None:
        """Wait for the lock; raise OperationalError after five seconds, as SQLite itself does."""
        if not _lock_of(str(self.settings_dict["NAME"])).acquire(_PATIENCE):
            raise OperationalError("database is locked")
        self.holds_turn = True

    def end_turn(self) -> None:
        """Give the lock back if this connection holds it."""
        if self.holds_turn:
            self.holds_turn = False
            _lock_of(str(self.settings_dict["NAME"])).release()

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:  # noqa: ANN401
        """Open the file, naming what to do where it cannot be opened."""
        try:
            return super().get_new_connection(conn_params)
        except sqlite3.OperationalError as error:
            if "unable to open" in str(error):
                raise ImproperlyConfigured(
                    f"The database file {self.settings_dict['NAME']} cannot be opened. "
                    "Check that its folder exists and is writable, or set DATA_DIR."
                ) from error
            raise

    def create_cursor(self, name: str | None = None) -> FairCursor:
        """Return a cursor that knows its connection."""
        del name
        cursor: FairCursor = self.connection.cursor(factory=FairCursor)
        cursor.wrapper = self
        return cursor

    def _start_transaction_under_autocommit(self) -> None:
        self.take_turn()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc] # not in the stubs
        except BaseException:
            self.end_turn()
            raise

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc] # not in the stubs
        self.end_turn()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc] # not in the stubs
        finally:
            self.end_turn()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc] # not in the stubs
        finally:
            self.end_turn()
