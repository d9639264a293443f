"""The other processes of a model: started, told what to do, and the end of this one when one of them ends."""

from __future__ import annotations

import json
import multiprocessing
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from videoapi import GenerationRequest, ModelError
from videoapi_diffusers.parallel.messages import Message, receive, send, send_request

# Seconds that one process may go on alone once another has failed: longer than they are apart when all fail alike.
GRACE_SECONDS = 10.0
CLOSE_SECONDS = 2.0
# Of the hub, what the first process has found: a branch may have moved on meanwhile.
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "DIFFUSERS_DISABLE_REMOTE_CODE": "1"}


class Team:
    """As many other processes as there are in all, but for this one.

    They die with the thread that makes it. Where one dies, or fails while this process waits for it inside of a
    calculation, which nothing can interrupt, this process prints why and ends, and they with it: the model's next
    request starts it anew.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.folder = Path(tempfile.mkdtemp(prefix="videoapi-"))
        """For this process and the others, and as long as they are there."""
        self._has_ended = threading.Event()
        self._lock = threading.Lock()
        # One may be lost before the next is started.
        self._others: list[Other] = []
        for rank in range(1, count):
            self._others.append(Other(rank, self._lose))

    def tell(self, **message: Any) -> None:
        for other in self._others:
            other.tell(send, **message)

    def tell_request(self, number: int, request: GenerationRequest) -> None:
        for other in self._others:
            other.tell(send_request, number=number, request=request)

    def gather(self) -> None:
        """Wait until all have done what they were told last. Raises ModelError with the words of one that could not."""
        failed = [(other, answer) for other in self._others if (answer := other.wait_for_answer())["kind"] == "error"]
        if failed:
            other, answer = failed[0]
            raise ModelError(f"{self._name(other)} {answer['words']}")

    def wait_for_all(self, error: BaseException) -> None:
        """The same after this process has failed; where one does not come back, all end with the error's words."""
        try:
            for other in self._others:
                other.wait_for_answer(GRACE_SECONDS)
        except queue.Empty:
            self._end(f"{self._name(other)} it does not come back after the first has failed: {error}")

    def close(self) -> None:
        self._has_ended.set()
        for other in self._others:
            other.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _lose(self, other: Other, words: str) -> None:
        """In the thread that listens to it."""
        if not self._has_ended.is_set():
            self._end(f"{self._name(other)} {words}")

    def _name(self, other: Other) -> str:
        return f"Process {other.rank + 1} of the model's {self.count}:"

    def _end(self, words: str) -> NoReturn:
        with self._lock:
            self._has_ended.set()
            for other in self._others:
                other.kill()
            shutil.rmtree(self.folder, ignore_errors=True)
            # After all that they have printed.
            sys.stdout.flush()
            sys.stderr.write(f"\n{words}\n")
            sys.stderr.flush()
            os._exit(1)


class Other:
    """One more process of this model."""

    def __init__(self, rank: int, lose: Callable[[Other, str], None]) -> None:
        """`lose` is called in a thread of its own when the process has ended, or failed and nobody takes notice."""
        self.rank = rank
        self._lose = lose
        self._answers: queue.Queue[Message] = queue.Queue()
        self._taken = threading.Event()
        self._connection, theirs = multiprocessing.Pipe()
        command = [sys.executable, "-u", "-m", "videoapi_diffusers.parallel.follower", str(theirs.fileno()), str(rank)]
        self._process = subprocess.Popen(  # noqa: S603  (no words of a client)
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=os.environ | ENVIRONMENT
        )
        theirs.close()
        threading.Thread(target=self._listen, name=f"process-{rank}", daemon=True).start()

    def tell(self, sending: Callable[..., None], **message: Any) -> None:
        # Where it is gone, the thread that listens says so.
        with suppress(OSError):
            sending(self._connection, **message)

    def wait_for_answer(self, seconds: float | None = None) -> Message:
        """Raises queue.Empty."""
        answer = self._answers.get(timeout=seconds)
        self._taken.set()
        return answer

    def _listen(self) -> None:
        while True:
            try:
                answer = receive(self._connection)
            except (EOFError, OSError, json.JSONDecodeError):
                self._lose(self, self._describe_end())
                return
            self._taken.clear()
            self._answers.put(answer)
            if answer["kind"] == "error" and answer["holds_others"] and not self._taken.wait(GRACE_SECONDS):
                self._lose(self, answer["words"])

    def _describe_end(self) -> str:
        try:
            status = self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            return "it has closed its connection."
        if status >= 0:
            return f"it ended with status {status}."
        name = signal.Signals(-status).name
        return f"it was ended by {name}.{' It may have run out of memory.' if name == 'SIGKILL' else ''}"

    def close(self) -> None:
        """By a word, then by force."""
        self.tell(send, kind="close")
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_SECONDS)
        self.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
