"""A vLLM-Omni server of our own: started, watched, started again when it dies or hangs, ended with this process."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shlex
import shutil
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from videoapi import ModelError
from videoapi_vllm_omni.engine import WRONG_KEY, Engine
from videoapi_vllm_omni.guarded import GuardedProcess

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
NOTICE_SECONDS = 1.0
# Between two starts of an engine that dies before it answers.
FIRST_PAUSE, LAST_PAUSE = 1.0, 60.0
CLOSE_SECONDS = 2.8
# What an engine does not get from our environment: our Python, and what looks like a secret, but for the hub's token.
WITHHELD = re.compile(r"PYTHON|VIRTUAL_ENV|VIDEOAPI_|DJANGO_|DATABASE_URL|AWS_|PG|.*(KEY|SECRET|PASSWORD|TOKEN|DSN)")
ALLOWED = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


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
    return found[0].removesuffix(".dist-info").partition("-")[2] if len(found) == 1 else ""


class ServedEngine:
    """One `vllm-omni serve`, on a port of loopback and with a key that only this process knows.

    A thread watches it. When the engine dies it is started again: at once if it had answered, else after ever longer
    pauses, which end when somebody asks for it.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """`command` is all but the address, `environment` is added to this process's own."""
        self.url, self.api_key = "", secrets.token_hex(16)
        self._command = list(command)
        inherited = {key: value for key, value in os.environ.items() if key in ALLOWED or not WITHHELD.match(key)}
        # The key is not among the arguments, which every user of the machine can read.
        self._environment = {**inherited, **environment, "PYTHONUNBUFFERED": "1", "VLLM_API_KEY": self.api_key}
        self.ends = 0
        """How often it has ended."""
        self._failed_starts = 0
        self._end = ""
        self._closing, self._wanted = threading.Event(), threading.Event()
        self._process = self._start()
        self._answering: GuardedProcess | None = None
        self._watcher = threading.Thread(target=self._watch, name="engine", daemon=True)
        self._watcher.start()

    def wait_until_up(self, report: Callable[[], None] = lambda: None) -> None:
        """Until it answers, for it can hang as well as die; one that had answered and does not is started again.

        `report` is called all the while. Raises ModelError with its last words when it dies while it starts.
        """
        failed = self._failed_starts
        self._wanted.set()
        with contextlib.closing(Engine(self.url, self.api_key)) as engine:
            while True:
                report()
                if self._failed_starts > failed:
                    raise ModelError(f"While it started, {self._end}")
                engine.url, process = self.url, self._process
                reason = engine.why_unavailable("") if process.is_alive else "It is being ended."
                if reason == WRONG_KEY:
                    raise ModelError("Another server answers at the engine's address, or it has another key.")
                if not reason:
                    self._answering = process
                    return
                if process is self._answering and process.is_alive:
                    logger.warning("the engine no longer answers as it did: %s", reason)
                    self.restart()
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

    def _start(self) -> GuardedProcess:
        port = _find_free_port()
        self.url = f"http://127.0.0.1:{port}"
        return GuardedProcess([*self._command, "--host", "127.0.0.1", "--port", str(port)], self._environment)

    def _watch(self) -> None:
        pause = FIRST_PAUSE
        while True:
            end = self._process.wait()
            is_well = self._answering is self._process or self._process.is_ending
            self._end = f"the engine {end}"
            self.ends += 1
            self._failed_starts += not is_well
            while not self._closing.is_set():
                pause = FIRST_PAUSE if is_well else min(LAST_PAUSE, 2 * pause)
                logger.warning("%s It is started again%s.", self._end, "" if is_well else f" in {pause:.0f} s")
                self._wanted.wait(0 if is_well else pause)
                self._wanted.clear()
                try:
                    self._process = self._start()
                    break
                except OSError as error:
                    # No memory or no files left for another process now.
                    self._end, is_well = f"the engine could not be started: {error.strerror}.", False
                    self._failed_starts += 1
            if self._closing.is_set():
                self._process.end()
                self._process.wait()
                return


def _find_free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
