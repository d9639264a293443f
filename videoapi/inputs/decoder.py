"""Has images decoded by processes of their own, a few at a time, so that no file harms the web server."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import queue
import socket
import subprocess
import sys

from PIL import Image

from videoapi.exceptions import InvalidRequest, TooManyRequests
from videoapi.inputs.exchange import receive, send
from videoapi.inputs.images import NO_IMAGE, ImageError, NotAnImage, Picture
from videoapi.inputs.limits import InputLimits

logger = logging.getLogger(__name__)

# At once; each can take the memory of the largest image several times over.
DECODERS = min(4, os.cpu_count() or 1)
# The longest that one image may take, and that a request waits for its turn.
DECODE_SECONDS, WAIT_SECONDS = 20.0, 30.0
CLOSE_SECONDS = 5.0
# Nothing else of the environment, which holds the server's secrets.
ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")


def decode_image(
    field: str, data: bytes, limits: InputLimits, width: int, height: int, *, otherwise: str = NO_IMAGE
) -> Picture:
    """The picture in those bytes, upright, scaled to cover `width` by `height` and cut at the middle.

    Raises InvalidRequest for `field`, saying `otherwise` when there is no image, and TooManyRequests.
    """
    if len(data) > limits.max_bytes:
        raise InvalidRequest(field, f"The image is larger than {limits.max_bytes} bytes.")
    try:
        return get_decoders().decode(data, limits.max_pixels, width, height)
    except ImageError as error:
        raise InvalidRequest(field, otherwise if isinstance(error, NotAnImage) else str(error)) from error


@functools.cache
def get_decoders() -> Decoders:
    """This process's own; they end with it."""
    decoders = Decoders(DECODERS)
    atexit.register(decoders.close)
    return decoders


class Decoders:
    """Some processes, each started when there is no other one free."""

    def __init__(self, count: int) -> None:
        # The last one that was used first: the others may never be needed.
        self._free = queue.LifoQueue[Decoder | None]()
        self._count = count
        for _ in range(count):
            self._free.put(None)

    def decode(self, data: bytes, max_pixels: int, width: int, height: int) -> Picture:
        """Raises ImageError and TooManyRequests."""
        try:
            decoder = self._free.get(timeout=WAIT_SECONDS)
        except queue.Empty as error:
            raise TooManyRequests("Too many images are waiting to be read; try again later.") from error
        try:
            if decoder is not None and decoder.has_ended:
                decoder.kill()
                decoder = None
            decoder = decoder or Decoder()
            return decoder.decode(data, max_pixels, width, height)
        finally:
            self._free.put(decoder if decoder and decoder.is_alive else None)

    def close(self) -> None:
        """End those that are free."""
        for _ in range(self._count):
            with contextlib.suppress(queue.Empty):
                if decoder := self._free.get_nowait():
                    decoder.kill()
                self._free.put(None)


class Decoder:
    """One process. It ends when this one does, by the end of their connection."""

    def __init__(self) -> None:
        self._connection, theirs = socket.socketpair()
        self._connection.settimeout(DECODE_SECONDS)
        self._process = subprocess.Popen(  # noqa: S603  (no words of a client)
            [sys.executable, "-m", "videoapi.inputs.decoder_process", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        )
        theirs.close()
        self.is_alive = True

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """By itself or by another's hand, while nobody asked it for anything."""
        return self._process.poll() is not None

    def decode(self, data: bytes, max_pixels: int, width: int, height: int) -> Picture:
        """Raises ImageError. Whatever else happens ends the process."""
        order = {"max_pixels": max_pixels, "width": width, "height": height}
        try:
            send(self._connection, order, data)
            answer, pixels = receive(self._connection)
        except TimeoutError as error:
            self.kill()
            raise ImageError(f"Reading the image took longer than {DECODE_SECONDS:g} seconds.") from error
        except (EOFError, OSError) as error:
            self.kill()
            logger.warning("an image of %d bytes has ended its decoder: %s", len(data), self._process.returncode)
            raise NotAnImage(NO_IMAGE) from error
        except BaseException:
            self.kill()
            raise
        if "error" in answer:
            raise ImageError(answer["error"]) if answer["error"] else NotAnImage(NO_IMAGE)
        image = Image.frombytes("RGB", (width, height), bytes(pixels))
        return Picture(image=image, size=tuple(answer["size"]), is_animated=answer["is_animated"])

    def kill(self) -> None:
        """End it now."""
        self.is_alive = False
        self._connection.close()
        self._process.kill()
        self._process.wait(CLOSE_SECONDS)
