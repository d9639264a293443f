"""Runs the command line as a user does: under a terminal of its own, or with pipes."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

from tests.server import ROOT

INTERRUPT = b"\x03"


def environment(**variables: str) -> dict[str, str]:
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VIDEOAPI_")}
    return {**inherited, "PYTHONPATH": paths, "TERM": "xterm-256color", "COLUMNS": "120", **variables}


def run(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """To its end, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "videoapi.cli", *arguments],
        cwd=cwd,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )


def _control(terminal: int) -> None:
    """Ctrl-C is a signal only from the terminal that controls the process, and not ignored as in the background."""
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """The command runs under a pseudo-terminal, which it is ended with."""

    def __init__(self, *arguments: str, cwd: Path, **variables: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "videoapi.cli", *arguments],
            cwd=cwd,
            env=environment(**variables),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: _control(slave),
        )
        os.close(slave)
        self._shown = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(10)
        os.close(self._master)

    @property
    def text(self) -> str:
        """What it has shown so far, with the sequences that draw it."""
        return self._shown.decode(errors="replace")

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def wait_for(self, text: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while text not in self.text:
            assert time.monotonic() < end, self.text
            time.sleep(0.02)

    def wait(self, seconds: float = 60) -> int:
        """Its exit status."""
        status = self.process.wait(seconds)
        self._reader.join(10)
        return status

    def _read(self) -> None:
        # The end is an error: nothing holds the other side any more.
        try:
            while data := os.read(self._master, 4096):
                self._shown += data
        except OSError:
            return
