"""Lines that tell how far a download from the hub is, for the log and for who waits for the model."""

from __future__ import annotations

import io
import logging
import threading
import time
from typing import Any, ClassVar

from tqdm.std import tqdm

logger = logging.getLogger(__name__)

SECONDS = 2.0
UNITS = {"GB": 1e9, "MB": 1e6, "kB": 1e3}


class Report:
    """How much of a repository is here, said at most every SECONDS."""

    def __init__(self, repo: str, files: int, size: int, size_here: int) -> None:
        self._repo, self._files, self._size, self._size_here = repo, files, size, size_here
        self._files_done = 0
        self._sizes_done: dict[int, float] = {}
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._next = self._started
        self._say()

    def update(self, bar: Bar) -> None:
        """Take over what a bar of the hub's library shows: files, or bytes received or written."""
        with self._lock:
            if bar.unit == "B":
                self._sizes_done[id(bar)] = bar.n
            else:
                self._files_done = int(bar.n)
        self._say()

    def close(self) -> None:
        seconds = time.monotonic() - self._started
        logger.info(
            "Downloaded %s: %d files, %s in %.0f s", self._repo, self._files, describe_size(self._size), seconds
        )

    def _say(self) -> None:
        with self._lock:
            if time.monotonic() < self._next:
                return
            self._next = time.monotonic() + SECONDS
            # What is received and what is written are counted apart; the one that is ahead is what a reader wants.
            size = min(self._size, int(self._size_here + max(self._sizes_done.values(), default=0)))
        unit = find_unit(self._size)
        done = f"{size / UNITS[unit]:.1f} of {describe_size(self._size)}"
        logger.info("Downloading %s: %d of %d files, %s", self._repo, self._files_done, self._files, done)


class Bar(tqdm):  # type: ignore[type-arg]
    """In the place of a progress bar of the hub's library: it draws nothing and tells the report."""

    report: ClassVar[Report]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "file": io.StringIO(), "disable": False})

    def update(self, n: float | None = 1) -> bool | None:
        drawn = super().update(n)
        self.report.update(self)
        return drawn


def make_bar(report: Report) -> Any:
    """The class to give to `snapshot_download`, which makes several of it."""
    return type("Bar", (Bar,), {"report": report})


def describe_size(size: float) -> str:
    unit = find_unit(size)
    return f"{size / UNITS[unit]:.1f} {unit}"


def find_unit(size: float) -> str:
    return next((unit for unit, least in UNITS.items() if size >= least), "kB")
