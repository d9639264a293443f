"""A process under its guard, and what it prints."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence

from videoapi_vllm_omni import guard

LINES, LENGTH, CHUNK = 50, 500, 2**16
# Colours (ECMA-48, 5.4), and what vLLM puts before each line of a process that it has started.
DECORATION = re.compile(r"\x1b\[[0-9;]*m|\(\w+ pid=\d+\)")
# uvicorn's lines about each of our own requests.
ACCESS = re.compile(rb'"(GET|POST|DELETE) /\S* HTTP/[\d.]+" \d{3}')
# The line that gives a reason, as Python ends a traceback.
REASON = re.compile(r"\b\w*(Error|Exception|Killed)\b")


class GuardedProcess:
    """The command under `guard.py`. Its output becomes this process's, and so the log of a generation."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.is_ending = False
        """It has been asked to end."""
        self._words: deque[str] = deque(maxlen=LINES)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, *command],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            # Whoever kills the group of this process must leave the guard alive to do its work.
            start_new_session=True,
        )
        self._copier = threading.Thread(target=self._copy, name="engine-output", daemon=True)
        self._copier.start()

    @property
    def is_alive(self) -> bool:
        """And meant to stay so."""
        return self._process.poll() is None and not self.is_ending

    def end(self) -> None:
        assert self._process.stdin is not None
        self.is_ending = True
        # It may have ended by itself.
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(b"end\n")
        self._process.stdin.close()

    def wait(self) -> str:
        """Until it has ended: how, and with which last words."""
        status = self._process.wait()
        self._copier.join(1)
        assert self._process.stdin is not None
        self._process.stdin.close()
        words = self.last_words()
        return f"{_describe(status)}." + (f" Its last words: {words}" if words else "")

    def last_words(self) -> str:
        """The last line that gives a reason, else the last one."""
        lines = [line for line in self._words if line]
        return next((line for line in reversed(lines) if REASON.search(line)), lines[-1] if lines else "")

    def _copy(self) -> None:
        """As it comes: a bar that tells how far a download is has no end of line."""
        assert self._process.stdout is not None
        unfinished = b""
        with self._process.stdout as output:
            while data := os.read(output.fileno(), CHUNK):
                *lines, rest = re.split(rb"(?<=[\r\n])", unfinished + data)
                for line in lines:
                    self._pass_on(line)
                # A bar without its carriage return yet is shown when it has one; what is very long, in pieces.
                unfinished = rest if len(rest) < CHUNK else b""
                if not unfinished and rest:
                    self._pass_on(rest)
        self._pass_on(unfinished)

    def _pass_on(self, line: bytes) -> None:
        if not line or ACCESS.search(line):
            return
        with contextlib.suppress(OSError):
            os.write(1, line)
        self._words.append(DECORATION.sub("", line.decode(errors="replace")).strip()[:LENGTH])


def _describe(status: int) -> str:
    # A guard that was itself killed has a negative status.
    number = -status if status < 0 else status - 128
    if number in {*signal.Signals}:
        return f"was ended by {signal.Signals(number).name}"
    return f"ended with status {status}"
