"""Waits for another process to change the database, so that nobody polls tables."""

from __future__ import annotations

import time

from django.db import connection

# Seconds between two looks at SQLite's counter, which cost some twenty microseconds each.
LOOK = 0.005
# Seconds between two polls on a database that has no such counter.
POLL = 0.25


class ChangeFeed:
    """Tells when some other connection has committed. Belongs to one thread.

    Call `mark`, then look at the tables, then `wait`: a commit after the mark ends the wait at once.
    """

    def __init__(self) -> None:
        self._version = 0

    def mark(self) -> None:
        if connection.vendor == "sqlite":
            self._version = self._read_version()

    def wait(self, seconds: float) -> None:
        """Return when something has changed since the mark, or after `seconds`."""
        if connection.vendor != "sqlite":
            time.sleep(min(POLL, seconds))
            return
        end = time.monotonic() + seconds
        while self._read_version() == self._version and time.monotonic() < end:
            time.sleep(LOOK)

    def _read_version(self) -> int:
        """https://sqlite.org/pragma.html#pragma_data_version: changes when another connection commits."""
        with connection.cursor() as cursor:
            version: int = cursor.execute("PRAGMA data_version").fetchone()[0]
        return version
