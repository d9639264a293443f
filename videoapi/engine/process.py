"""The worker's side of a model process: start it, talk to it, notice its death, end it."""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videoapi.engine.output import Output
from videoapi.exceptions import (
    Cancelled,
    InvalidRequest,
    ModelCrashed,
    ModelError,
    OutOfMemory,
    TimedOut,
    VideoAPIError,
)

logger = logging.getLogger(__name__)

Message = dict[str, Any]

# Seconds between two calls of the listener while the process is silent.
TICK = 0.25
CLOSE_SECONDS = 5.0
WIND_DOWN_SECONDS = 1.5
# What C++ prints before it ends a process that got no more memory.
OUT_OF_MEMORY = "std::bad_alloc"
# What the server's own parts need to know and a model's code does not: it may be a library in C with files from
# elsewhere. A plugin's own, such as HF_TOKEN, stays.
SECRETS = re.compile(r"SECRET_KEY|DATABASE_URL|VIDEOAPI_WEBHOOK_SECRET|PG\w*|AWS_\w+|DJANGO_SUPERUSER_\w+")
# The name of a generation's preview, beside its output.
PREVIEW = "preview.jpg"


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long the worker waits, in seconds. Beyond it the process is killed."""

    in_all: float
    silent: float = float("inf")
    """Without a new phase or step."""
    after_cancel: float = 10.0
    """0 for a model that cannot be stopped: it is not even asked to."""


class ModelProcess:
    """One loaded model in a process of its own. Messages are JSON over a socket pair; nothing is pickled.

    The process dies with the thread that starts it, so that thread must live as long as it is needed.
    """

    def __init__(self, plugin: str, model: str, models_dir: Path, memory_mib: int = 0) -> None:
        """It may take `memory_mib` of main memory for itself, 0 for as much as there is."""
        self.model = model
        self._loaded = self._killed = False
        self._connection, theirs = multiprocessing.Pipe()
        level = str(logging.getLogger().getEffectiveLevel())
        arguments = (str(theirs.fileno()), plugin, model, str(models_dir), level, str(memory_mib))
        # Unbuffered, C's stdout too: what a job prints is not left for the next one's log, nor lost in a crash.
        command = [sys.executable, "-u", "-m", "videoapi.engine.model_process", *arguments]
        # Its own process group: a Ctrl-C in the terminal is for the supervisor, which stops everything in order.
        self._process = subprocess.Popen(  # noqa: S603  (no words of a client)
            command,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            process_group=0,
            env={name: value for name, value in os.environ.items() if not SECRETS.fullmatch(name)},
        )
        theirs.close()
        assert self._process.stdout is not None
        self.output = Output(self._process.stdout)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def is_loaded(self) -> bool:
        return self._loaded

    def load(self, listen: Callable[[Message | None], bool], patience: Patience) -> None:
        """Wait until the model is loaded. Raises ModelError, ModelCrashed or Cancelled."""
        if self._loaded:
            return
        try:
            self._converse(listen, patience, "Loading the model")
        except BaseException:
            # It may still be on its way out; the next request starts another one.
            self.kill()
            raise
        self._loaded = True

    def generate(self, job: Message, listen: Callable[[Message | None], bool], patience: Patience) -> Message:
        """Run one job and return its last message.

        `listen` gets each message, and None at least every TICK seconds; it returns True when the job is no longer
        wanted. The process is then asked to stop, and killed when it does not heed. Raises what the model raised,
        ModelCrashed, or Cancelled.
        """
        self._send({"kind": "generate", **job})
        return self._converse(listen, patience, "The generation")

    def drop(self, index: int) -> None:
        """Nobody wants that generation of the running job any more, while others go on."""
        self._send({"kind": "drop", "index": index})

    def close(self) -> None:
        """End the process: by closing its connection, then by force."""
        self._connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the process at once, with whatever it has started."""
        if self._killed:
            return
        self._killed = True
        # It leads a group of its own: an ffmpeg that waits for frames must not outlive it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._connection.close()

    def _converse(self, listen: Callable[[Message | None], bool], patience: Patience, what: str) -> Message:
        heard = time.monotonic()
        deadline, kill_at = heard + patience.in_all, float("inf")
        while True:
            message = self._receive()
            if message is not None and message["kind"] in ("ready", "done"):
                return message
            if message is not None and message["kind"] == "error":
                raise _error_from(message)
            try:
                unwanted = listen(message)
            except BaseException:
                # What the job still says would be taken for the next job's.
                self._wind_down(patience)
                raise
            now = time.monotonic()
            if message is not None:
                heard = now
            if unwanted and kill_at == float("inf"):
                kill_at = now + patience.after_cancel
                if patience.after_cancel:
                    self._send({"kind": "cancel"})
            if now >= kill_at:
                logger.warning("model %s is killed, %.0f s after a cancel", self.model, patience.after_cancel)
                self.kill()
                raise Cancelled("Cancelled; the model's process was ended by force.")
            if now > deadline:
                self._wind_down(patience)
                raise TimedOut(f"{what} took longer than {patience.in_all:.0f} seconds.")
            if now - heard > patience.silent:
                self._wind_down(patience)
                raise TimedOut(f"{what} made no progress for {patience.silent:.0f} seconds.")

    def _wind_down(self, patience: Patience) -> None:
        """End the process; a job that heeds a cancel at once can give back before what it holds elsewhere."""
        if self._loaded and patience.after_cancel:
            with contextlib.suppress(VideoAPIError):
                self._send({"kind": "cancel"})
                deadline = time.monotonic() + min(WIND_DOWN_SECONDS, patience.after_cancel)
                while time.monotonic() < deadline:
                    message = self._receive()
                    if message is not None and message["kind"] in ("done", "error"):
                        break
        self.kill()

    def _receive(self) -> Message | None:
        """The next message, or None after TICK seconds. Raises ModelCrashed when the process has died."""
        try:
            if not self._connection.poll(TICK):
                return None
            message: Message = json.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise self._crashed() from error
        return message

    def _send(self, message: Message) -> None:
        try:
            self._connection.send_bytes(json.dumps(message).encode())
        except OSError as error:
            raise self._crashed() from error

    def _crashed(self) -> VideoAPIError:
        try:
            end = _describe(self._process.wait(CLOSE_SECONDS))
        except subprocess.TimeoutExpired:
            end = "The model's process closed its connection."
        finally:
            self.kill()
        words = self.output.last_words()
        if OUT_OF_MEMORY in words:
            return OutOfMemory(OutOfMemory.ADVICE)
        return ModelCrashed(f"{end} Its last words: {words}" if words else end)


def _describe(status: int) -> str:
    if status >= 0:
        return f"The model's process ended with status {status}."
    name = signal.Signals(-status).name
    hint = " It may have run out of memory." if name == "SIGKILL" else ""
    return f"The model's process was ended by {name}.{hint}"


def _error_from(message: Message) -> VideoAPIError:
    if message["field"]:
        return InvalidRequest(message["field"], message["message"])
    if message["code"] == Cancelled.code:
        return Cancelled(message["message"])
    error = ModelError(message["message"])
    error.code = message["code"]
    return error
