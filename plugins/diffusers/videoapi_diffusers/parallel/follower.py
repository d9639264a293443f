"""One of a model's other processes: loads the same weights, and makes the first one's calls with them.

Started as `python -m videoapi_diffusers.parallel.follower FD RANK`. It ends when the first process does.
"""

from __future__ import annotations

import ctypes
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from videoapi import Cancelled, GenerationRequest, InvalidRequest, ModelError, Phase
from videoapi_diffusers.loading import load
from videoapi_diffusers.parallel.group import check, join, settings_for
from videoapi_diffusers.parallel.messages import Message, make_request, receive, receive_pictures, send

if TYPE_CHECKING:
    from videoapi_diffusers.running.pipeline import DiffusersPipeline

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Denoised(Exception):
    """All that the processes calculate together is done; raised in the place of a decoding."""


class Channel:
    """The connection to the first process. When it ends, so does this process, whatever its main thread does."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._messages: queue.Queue[Message] = queue.Queue()
        threading.Thread(target=self._listen, name="channel", daemon=True).start()

    def next(self) -> Message:
        return self._messages.get()

    def wait_for_word(self, number: int, place: str) -> None:
        """Go on from that place of a request when the first process does. Raises Cancelled where it does not."""
        word = self.next()
        while word["number"] != number:
            word = self.next()
        if word["kind"] == "stop":
            raise Cancelled("The first process has stopped.")
        if word["place"] != place:
            raise ModelError(f"It is at {place}, and the first process at {word['place']}.")

    def answer(self, **message: Any) -> None:
        with suppress(OSError):
            send(self._connection, **message)

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while (message := receive(self._connection))["kind"] != "close":
                if message["kind"] == "request":
                    message["pictures"] = receive_pictures(self._connection, message)
                self._messages.put(message)
        os._exit(0)


class FollowingProgress:
    """Waits at every place for the first process, and reports nothing."""

    def __init__(self, channel: Channel, number: int) -> None:
        self._channel = channel
        self._number = number

    def step(self, done: int, total: int) -> None:
        self._channel.wait_for_word(self._number, f"step {done} of {total}")

    def phase(self, name: Phase) -> None:
        self._channel.wait_for_word(self._number, name)

    def preview(self, make: Callable[[], Any]) -> None:
        """The first process shows its own."""

    def warn(self, message: str) -> None:
        """The first process says the same."""


class Follower:
    """Does what the first process says, one thing after the other."""

    def __init__(self, channel: Channel, rank: int) -> None:
        self._channel = channel
        self._rank = rank
        self._device = ""
        self._pipeline: DiffusersPipeline | None = None

    def run(self) -> NoReturn:
        doings: dict[str, Callable[[Message], None]] = {"load": self._load, "join": self._join, "request": self._follow}
        while True:
            message = self._channel.next()
            # A word about a request that has ended here already is nothing to do.
            if message["kind"] in doings:
                self._do(doings[message["kind"]], message)

    def _do(self, doing: Callable[[Message], None], message: Message) -> None:
        try:
            doing(message)
        except Cancelled:
            self._channel.answer(kind="cancelled")
        # Of any kind, as in the first process.
        except Exception as error:
            self._channel.answer(kind="error", words=_describe(error), holds_others=message["kind"] != "load")
        else:
            self._channel.answer(kind="done")

    def _load(self, message: Message) -> None:
        import torch

        self._device = message["devices"][self._rank]
        self._pipeline = load(**settings_for(message["settings"], self._device))
        check(self._pipeline.pipeline, message["wanted"], torch.device(self._device))

    def _join(self, message: Message) -> None:
        import torch

        assert self._pipeline is not None
        device, folder = torch.device(self._device), Path(message["folder"])
        join(self._pipeline.pipeline, message["wanted"], self._rank, device, folder)

    def _follow(self, message: Message) -> None:
        """The first process alone decodes. What it decodes while it is being encoded is not even asked for here."""
        assert self._pipeline is not None
        self._pipeline.pipeline.vae.decode = _end_here
        request: GenerationRequest = make_request(message, message.pop("pictures"))
        with suppress(Denoised):
            self._pipeline.generate(request, FollowingProgress(self._channel, message["number"]))


def _describe(error: Exception) -> str:
    """What a client may read; the log gets the rest."""
    if isinstance(error, (InvalidRequest, ModelError)):
        return error.message
    logger.error("this process of the model failed", exc_info=error)
    return f"It failed with {type(error).__name__}; the server's log has the details."


def _end_here(*_: object, **__: object) -> NoReturn:
    raise Denoised


def main(descriptor: int, rank: int) -> None:
    # The connection's end would do, unless a library keeps all threads from running.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    logging.basicConfig(level=logging.INFO, format=f"%(levelname)s process {rank + 1}: %(message)s", stream=sys.stderr)
    channel = Channel(Connection(descriptor))
    # It takes seconds, in which the first process loads.
    import_module("videoapi_diffusers.running.pipeline")
    Follower(channel, rank).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
