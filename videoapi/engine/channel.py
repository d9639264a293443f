"""The model process's end of its connection to the worker: jobs come in, reports go out. No Django here."""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoapi.encoding import write_thumbnail
from videoapi.engine.output import hide_paths
from videoapi.exceptions import Cancelled
from videoapi.types import Phase

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

# Seconds that a plugin's `close` may take once the worker has hung up.
CLOSE_SECONDS = 3.0
# The least time between two signs of life while frames are made one by one, in seconds.
FRAME_SECONDS = 0.5
# The least time between two previews, in seconds.
PREVIEW_SECONDS = 1.0


class Channel:
    """The connection to the worker. When it ends, so does this process, whatever its main thread does."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self.jobs: queue.Queue[dict[str, Any] | None] = queue.Queue()
        """What the worker sends; None is the end."""
        self.cancelled = threading.Event()
        self.dropped: set[int] = set()
        """The generations of a job that nobody wants any more, while others go on."""
        threading.Thread(target=self._read, name="channel", daemon=True).start()

    def send(self, **message: Any) -> None:
        with self._lock:
            self._connection.send_bytes(json.dumps(message).encode())

    def _read(self) -> None:
        while True:
            try:
                message = json.loads(self._connection.recv_bytes())
            except (EOFError, OSError):
                self.jobs.put(None)
                time.sleep(CLOSE_SECONDS)
                os._exit(0)
            if message["kind"] == "cancel":
                self.cancelled.set()
            elif message["kind"] == "drop":
                self.dropped.add(message["index"])
            else:
                self.cancelled.clear()
                self.dropped = set()
                self.jobs.put(message)


class Reporter:
    """The `progress` of a run: sends reports, keeps the time of each phase, raises Cancelled."""

    def __init__(self, channel: Channel, previews: Sequence[Path]) -> None:
        """`previews` is where those of each generation of the run go."""
        self._channel = channel
        self._told = 0.0
        self._phase = "generating"
        self._since = time.monotonic()
        self.timings: dict[str, float] = {}
        self.each = [OwnReporter(self, channel, index, preview) for index, preview in enumerate(previews)]

    def step(self, done: int, total: int) -> None:
        self._channel.send(kind="step", done=done, total=total)
        self.check()

    def phase(self, name: Phase) -> None:
        self.close()
        self._phase = name
        self._channel.send(kind="phase", phase=name)
        self.check()

    def preview(self, make: Callable[[], NDArray[np.uint8]]) -> None:
        # What is shown to all of them might be one client's.
        if len(self.each) == 1:
            self.each[0].preview(make)

    def warn(self, message: str) -> None:
        for own in self.each:
            own.warn(message)

    def close(self) -> None:
        """Book the time since the phase began."""
        now = time.monotonic()
        self.timings[self._phase] = round(self.timings.get(self._phase, 0.0) + now - self._since, 4)
        self._since = now

    def book(self, name: Phase, frames: Iterable[Any]) -> Iterator[Any]:
        """The same frames; the time that the model takes to make each counts as phase `name`.

        Says now and then that there are more, so that this is no silence. Raises Cancelled between two of them.
        """
        source = iter(frames)
        while True:
            outer = self._phase
            self.close()
            self._phase = name
            frame = next(source, None)
            self.close()
            self._phase = outer
            if frame is None:
                return
            if self._since - self._told >= FRAME_SECONDS:
                self._told = self._since
                self._channel.send(kind="frame")
            self.check()
            yield frame

    def check(self) -> None:
        """Raises Cancelled when nobody wants the run any more."""
        if self._channel.cancelled.is_set():
            raise Cancelled("Cancelled by the client.")


class OwnReporter:
    """The `progress` of one generation of a run. Its steps and phases are the run's."""

    def __init__(self, run: Reporter, channel: Channel, index: int, preview: Path) -> None:
        self._run = run
        self._channel = channel
        self._index = index
        self._preview = preview
        self._preview_at = 0.0
        self._has_lost_preview = False

    def step(self, done: int, total: int) -> None:
        self._run.step(done, total)

    def phase(self, name: Phase) -> None:
        self._run.phase(name)

    def preview(self, make: Callable[[], NDArray[np.uint8]]) -> None:
        now = time.monotonic()
        if now >= self._preview_at and self._index not in self._channel.dropped:
            self._write_preview(make)
            # Never more than a small share of the work.
            self._preview_at = time.monotonic() + max(PREVIEW_SECONDS, 20 * (time.monotonic() - now))
        self._run.check()

    def warn(self, message: str) -> None:
        self._channel.send(kind="warning", index=self._index, message=hide_paths(message))
        self._run.check()

    def _write_preview(self, make: Callable[[], NDArray[np.uint8]]) -> None:
        """It is not worth failing for."""
        # Complete under another name first: the worker may be reading the one before.
        unfinished = self._preview.with_suffix(".new.jpg")
        try:
            write_thumbnail(make(), unfinished, enlarge=True)
            unfinished.replace(self._preview)
        # Whatever goes wrong in the plugin's own function as well.
        except Exception:
            if not self._has_lost_preview:
                logger.warning("a preview could not be made and is left out", exc_info=True)
            self._has_lost_preview = True
        else:
            self._channel.send(kind="preview", index=self._index)
