"""What a model's process prints: passed on to our own stderr, and kept as the log of its job. No Django here."""

from __future__ import annotations

import codecs
import os
import re
import select
import sys
import threading
import time
from collections import deque
from typing import IO

# What is kept of a job: its last lines, up to so many and so many bytes in all, each with so many characters.
LINES, LOG_BYTES, LINE_LENGTH = 200, 16 * 2**10, 1000
# The last lines that tell why a process has died, and how many characters of them.
LAST_LINES, LAST_LENGTH = 3, 300
# No pipe holds more, so one read empties it.
PIPE_BYTES = 2**20
# How long our own stderr may keep us waiting before what is printed is not passed on.
STUCK_SECONDS = 1.0

LOG_FORMAT = "%(asctime)s model   %(levelname)-7s [{model}] %(message)s"
LOG_PREFIX = re.compile(r"^[\d-]{10} [\d:,]{12} model +[\w ]+ \[[^\]]*\] ")
# Colours and movements of the cursor: ECMA-48, 5.4.
CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
# A line of the backtrace that glibc's backtrace_symbols_fd or a debugger prints after the reason.
STACK_FRAME = re.compile(r"\[0x[0-9a-f]+\]$|^#\d+ ")
# An address with a scheme is none.
ABSOLUTE_PATH = re.compile(r"(?<![\w/.])(?<!:(?=//))/(?:[^\s/'\":,]+/)+([^\s/'\":,]*)")


class Output:
    """Owns the end of the pipe from which is read what a process, and whatever it starts, prints.

    A thread copies it to our own stderr as it comes, until the last process that holds the other end has closed it.
    """

    def __init__(self, pipe: IO[bytes]) -> None:
        os.set_blocking(pipe.fileno(), False)
        self._pipe = pipe
        self._lock = threading.Lock()
        self._lines: deque[str] = deque(maxlen=LINES)
        self._unfinished = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._is_stuck = False
        threading.Thread(target=self._copy, name="output", daemon=True).start()

    def clear(self) -> None:
        """Forget what has been printed so far."""
        with self._lock:
            # What is still in the pipe was printed before, too.
            self._read()
            self._lines.clear()
            self._unfinished = ""
            self._decoder.reset()

    def text(self) -> str:
        """The last lines that have been printed, up to this moment."""
        with self._lock:
            self._read()
            lines = [*self._lines, _shown(self._unfinished)] if self._unfinished else [*self._lines]
        text = "\n".join(lines[-LINES:]).strip("\n")
        data = text.encode()
        if len(data) <= LOG_BYTES:
            return text
        return data[-LOG_BYTES:].decode(errors="ignore").partition("\n")[2]

    def last_words(self) -> str:
        """The last of it that says something, in one line for a client: without folders of this machine."""
        words = ""
        for line in reversed([line for line in self._sayings() if not STACK_FRAME.search(line)][-LAST_LINES:]):
            longer = f"{line} | {words}" if words else line
            if words and len(longer) > LAST_LENGTH:
                break
            words = longer
        return words if len(words) <= LAST_LENGTH else f"{words[: LAST_LENGTH - 1]}…"

    def last_line(self) -> str:
        """The last of it that says something, as it is while it is being written."""
        return next(reversed(self._sayings()), "")

    def _sayings(self) -> list[str]:
        """The lines that are not empty, for a client: without what a log puts before them and without folders."""
        lines = (LOG_PREFIX.sub("", line).strip() for line in self.text().split("\n"))
        return [hide_paths(line) for line in lines if line]

    def _copy(self) -> None:
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        is_open = True
        while is_open:
            poll.poll()
            with self._lock:
                is_open = self._read()
                if not is_open:
                    self._pipe.close()

    def _read(self) -> bool:
        """Take what the pipe holds now; False at its end."""
        if self._pipe.closed:
            return False
        try:
            data = os.read(self._pipe.fileno(), PIPE_BYTES)
        except BlockingIOError:
            return True
        self._pass_on(data)
        *ended, rest = (self._unfinished + self._decoder.decode(data).replace("\0", "")).split("\n")
        self._lines.extend(map(_shown, ended))
        # A carriage return at the end may be the first half of a line's end.
        self._unfinished = _shown(rest) + ("\r" if rest.endswith("\r") else "")
        return bool(data)

    def _pass_on(self, data: bytes) -> None:
        """Write it to our own stderr, unless that is closed or nobody reads it: the model must not wait for it."""
        if sys.__stderr__ is None:
            return
        poll = select.poll()
        poll.register(2, select.POLLOUT)
        deadline = time.monotonic() + (0 if self._is_stuck else STUCK_SECONDS)
        try:
            while data:
                self._is_stuck = not poll.poll(1000 * max(0.0, deadline - time.monotonic()))
                if self._is_stuck:
                    return
                # A pipe that is ready takes this much at once.
                data = data[os.write(2, data[: select.PIPE_BUF]) :]
        except OSError:
            return


def hide_paths(text: str) -> str:
    """The text with absolute paths cut down to their last part; addresses with a scheme stay whole."""
    return ABSOLUTE_PATH.sub(lambda match: match[1], text)


def _shown(line: str) -> str:
    """A line as a terminal shows it in the end: what a carriage return goes back to is overwritten."""
    line = CONTROL_SEQUENCE.sub("", line.rstrip("\r").rpartition("\r")[2])
    return line if len(line) <= LINE_LENGTH else f"{line[: LINE_LENGTH - 1]}…"
