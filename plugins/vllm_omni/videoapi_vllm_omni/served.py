"""A vLLM-Omni server of our own: started, watched, started again when it dies, ended with this process."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from videoapi import ModelError
from videoapi_vllm_omni import guard
from videoapi_vllm_omni.engine import Engine

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
NOTICE_SECONDS = 1.0
# Between two starts of an engine that dies before it answers.
FIRST_PAUSE, LAST_PAUSE = 1.0, 60.0
CLOSE_SECONDS = 2.8
LINES, LENGTH = 20, 500
# Colours (ECMA-48, 5.4), and what vLLM puts before each line of a process that it has started.
DECORATION = re.compile(r"\x1b\[[0-9;]*m|\(\w+ pid=\d+\)")
# What an engine does not get from our environment: our Python, and our secrets.
WITHHELD = ("PYTHON", "VIRTUAL_ENV", "VIDEOAPI_", "DJANGO_", "DATABASE_URL", "SECRET_KEY")


def find_command(serve: str) -> list[str]:
    """The beginning of the command line: of an environment's folder its `vllm-omni`, else the words as they are.

    Raises ModelError when there is no such program on this machine.
    """
    program = Path(serve).expanduser() / "bin" / "vllm-omni"
    words = [str(program)] if program.is_file() else shlex.split(serve)
    if not words or shutil.which(words[0]) is None:
        raise ModelError("The vLLM-Omni that 'vllm_omni.serve' of the model file names is not on this machine.")
    return words


def find_version(serve: str) -> str:
    """The version of vllm-omni in an environment's folder, without starting it; empty where that does not tell."""
    found = [path.name for path in Path(serve).expanduser().glob("lib/python3*/site-packages/vllm_omni-*.dist-info")]
    return found[0].split("-")[1].removesuffix(".dist") if len(found) == 1 else ""


class ServedEngine:
    """One `vllm-omni serve`, on a port of loopback and with a key that only this process knows.

    A thread watches it. When the engine dies it is started again: at once if it had answered, else after ever longer
    pauses, which end when somebody asks for it.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """`command` is all but the port, `environment` is added to this process's own."""
        port = _find_free_port()
        self.url, self.api_key = f"http://127.0.0.1:{port}", secrets.token_hex(16)
        self._command = [*command, "--host", "127.0.0.1", "--port", str(port)]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(WITHHELD)}
        # The key is not among the arguments, which every user of the machine can read.
        self._environment = {**inherited, "PYTHONUNBUFFERED": "1", "VLLM_API_KEY": self.api_key, **environment}
        self.ends = 0
        """How often it has ended."""
        self._failed_starts = 0
        self._end = ""
        self._closing, self._wanted = threading.Event(), threading.Event()
        self._process = _Process(self._command, self._environment)
        self._answering: _Process | None = None
        self._watcher = threading.Thread(target=self._watch, name="engine", daemon=True)
        self._watcher.start()

    def wait_until_up(self, report: Callable[[], None] = lambda: None) -> None:
        """`report` is called all the while. Raises ModelError with its last words when it dies instead."""
        failed = self._failed_starts
        self._wanted.set()
        with contextlib.closing(Engine(self.url, self.api_key)) as engine:
            while not self._is_up():
                report()
                if self._failed_starts > failed:
                    raise ModelError(f"While it started, {self._end}")
                process = self._process
                if process.is_alive and not engine.why_unavailable(""):
                    self._answering = process
                else:
                    time.sleep(LOOK_SECONDS)

    def has_ended_since(self, ends: int) -> bool:
        """Its connections are closed a moment before its end is noticed, so this waits for that moment."""
        deadline = time.monotonic() + NOTICE_SECONDS
        while self.ends == ends and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.ends > ends

    def why_ended(self) -> str:
        """How it has ended last, and its last words."""
        return f"While it made the video, {self._end}"

    def restart(self) -> None:
        """End it; the watcher starts another one."""
        self._process.end()

    def close(self) -> None:
        """End it, with all that it has started."""
        self._closing.set()
        self._wanted.set()
        self._process.end()
        self._watcher.join(CLOSE_SECONDS)

    def _is_up(self) -> bool:
        process = self._process
        return self._answering is process and process.is_alive

    def _watch(self) -> None:
        pause = FIRST_PAUSE
        while True:
            end = self._process.wait()
            is_well = self._answering is self._process or self._process.is_ending
            self._end = f"the engine {end}"
            self.ends += 1
            self._failed_starts += not is_well
            if not self._closing.is_set():
                logger.warning("%s It is started again.", self._end)
                pause = FIRST_PAUSE if is_well else min(LAST_PAUSE, 2 * pause)
                self._wanted.wait(0 if is_well else pause)
            if self._closing.is_set():
                return
            self._process = _Process(self._command, self._environment)
            self._wanted.clear()


class _Process:
    """The command under its guard. Its output becomes this process's, and so the log of a generation."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.is_ending = False
        """It has been asked to."""
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
        words = next((line for line in reversed(self._words) if line), "")
        return f"{_describe(status)}." + (f" Its last words: {words}" if words else "")

    def _copy(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in iter(output.readline, b""):
                with contextlib.suppress(OSError):
                    os.write(1, line)
                self._words.append(DECORATION.sub("", line.decode(errors="replace")).strip()[:LENGTH])


def _describe(status: int) -> str:
    # A guard that was itself killed has a negative status.
    number = -status if status < 0 else status - 128
    if number in {*signal.Signals}:
        return f"was ended by {signal.Signals(number).name}"
    return f"ended with status {status}"


def _find_free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
