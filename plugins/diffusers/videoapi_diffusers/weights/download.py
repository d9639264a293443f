"""Lines that tell how far a download from the hub is, for the log and for who waits for the model."""

from __future__ import annotations

import io
import logging
import threading
import time
from typing import Any, ClassVar

from tqdm.std import tqdm

logger = logging.getLogger(__name__)

# Between two lines, where something has come in between.
SECONDS = 2.0
UNITS = {"GB": 1e9, "MB": 1e6, "kB": 1e3}


class Report:
    """While it is entered, says how much of a repository is here."""

    def __init__(self, repo: str, files: int, size: int, size_here: int) -> None:
        """`size` is in bytes, of all `files`; `size_here` were in the cache before."""
        self._repo, self._files, self._size, self._size_here = repo, files, size, size_here
        self._files_done = 0
        self._sizes_done: dict[int, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="download", daemon=True)
        self._started = time.monotonic()

    def __enter__(self) -> Report:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        if error[0] is None:
            seconds, size = time.monotonic() - self._started, describe_size(self._size)
            logger.info("Downloaded %s: %d files, %s in %.0f s", self._repo, self._files, size, seconds)

    def update(self, bar: Bar) -> None:
        """Take over what a bar of the hub's library has counted: files, or bytes received or written."""
        if bar.unit == "B":
            self._sizes_done[id(bar)] = int(bar.n)
        else:
            self._files_done = int(bar.n)

    def describe(self) -> str:
        """The state as a line."""
        # Received and written are counted apart, and the first is not counted for every way of transfer.
        size = min(self._size, self._size_here + max([0, *self._sizes_done.values()]))
        unit = find_unit(self._size)
        done = f"{size / UNITS[unit]:.1f} of {describe_size(self._size)}"
        return f"Downloading {self._repo}: {self._files_done} of {self._files} files, {done}"

    def _run(self) -> None:
        said = ""
        while True:
            line = self.describe()
            if line != said:
                logger.info("%s", line)
                said = line
            if self._ended.wait(SECONDS):
                return


class Bar(tqdm):  # type: ignore[type-arg]
    """In the place of a progress bar of the hub's library: it draws nothing and tells the report, if there is one."""

    report: ClassVar[Report | None] = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "file": io.StringIO(), "disable": False})

    def update(self, n: float | None = 1) -> bool | None:
        drawn = super().update(n)
        if self.report is not None:
            self.report.update(self)
        return drawn


def make_bar(report: Report | None = None) -> Any:
    """The class to give to `snapshot_download`, which makes several of it."""
    return type("Bar", (Bar,), {"report": report})


def describe_size(size: float) -> str:
    """Bytes as a reader wants them."""
    unit = find_unit(size)
    return f"{size / UNITS[unit]:.1f} {unit}"


def find_unit(size: float) -> str:
    return next((unit for unit, least in UNITS.items() if size >= least), "kB")
