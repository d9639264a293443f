"""Decodes images, one after the other, until the web server hangs up: `python -m videoapi.inputs.decoder_process FD`.

A file that crashes a decoder, or that makes it take memory without end, ends this process and nothing else.
"""

from __future__ import annotations

import resource
import signal
import socket
import sys
from typing import Any

from videoapi.inputs.exchange import receive, send
from videoapi.inputs.images import ImageError, NotAnImage, decode, fit

# What the process may take: some for itself, and for each pixel what the copies on the way to RGB need.
MEMORY, MEMORY_A_PIXEL = 2**30, 32


def main(descriptor: int) -> None:
    # A Ctrl-C in the terminal is for the web server, which hangs up when it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(limit, (0, 0))
    with socket.socket(fileno=descriptor) as connection:
        while True:
            try:
                order, data = receive(connection)
            except EOFError:
                return
            send(connection, *_decode(data, **order))


def _decode(data: bytearray, max_pixels: int, width: int, height: int) -> tuple[dict[str, Any], bytes]:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    memory = MEMORY + MEMORY_A_PIXEL * max_pixels
    resource.setrlimit(resource.RLIMIT_AS, (memory if hard == resource.RLIM_INFINITY else min(memory, hard), hard))
    try:
        picture = decode(bytes(data), max_pixels)
        pixels = fit(picture.image, width, height).tobytes()
    except NotAnImage:
        return {"error": ""}, b""
    except ImageError as error:
        return {"error": str(error)}, b""
    except MemoryError:
        return {"error": "The image takes too much memory to read."}, b""
    return {"size": picture.size, "is_animated": picture.is_animated}, pixels


if __name__ == "__main__":
    main(int(sys.argv[1]))
