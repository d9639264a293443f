"""Processes that decode images: what one is given, what it gives back, and what becomes of one that dies."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.images import animate, plain
from videoapi.exceptions import InvalidRequest, TooManyRequests
from videoapi.inputs import InputLimits, decode_image, decoder
from videoapi.inputs.decoder import Decoder, Decoders
from videoapi.inputs.images import MAX_METADATA, ImageError, NotAnImage

LIMITS = InputLimits(max_bytes=30_000_000, max_pixels=1_000_000)


@pytest.fixture
def one() -> Iterator[Decoder]:
    """A process."""
    made = Decoder()
    yield made
    made.kill()


def test_a_picture_comes_back_at_the_size_asked_for_with_what_it_was(one: Decoder) -> None:
    picture = one.decode(plain("red", 200, 50), 1_000_000, 64, 48)
    assert (picture.image.mode, picture.image.size, picture.size) == ("RGB", (64, 48), (200, 50))
    assert np.asarray(picture.image).reshape(-1, 3).tolist() == [[255, 0, 0]] * 64 * 48
    assert not picture.is_animated


def test_one_process_decodes_many(one: Decoder) -> None:
    for _ in range(3):
        with pytest.raises(NotAnImage):
            one.decode(b"no image", 1_000_000, 64, 48)
        assert one.decode(plain("red"), 1_000_000, 64, 48)
    assert one.is_alive


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_is_known_and_one_without_end_refused(one: Decoder, kind: str) -> None:
    assert one.decode(animate(2, kind), 1_000_000, 8, 8).is_animated
    with pytest.raises(ImageError, match=r"The image has 1001 frames; at most 1000 are accepted\."):
        one.decode(animate(1001, kind), 1_000_000, 8, 8)


@pytest.mark.parametrize("size", [(1, 1), (30_000, 1), (7, 500)])
def test_an_image_that_shows_nothing_is_refused(one: Decoder, size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match=f"The image has {size[0]}x{size[1]} pixels; each side needs at least 8"):
        one.decode(plain("red", *size), 1_000_000, 64, 48)


def test_metadata_has_a_limit(one: Decoder) -> None:
    segment = b"\xff\xe1" + struct.pack(">H", 65_535) + b"Exif\0\0" + bytes(65_527)
    jpeg = plain("red", kind="JPEG")
    assert one.decode(jpeg[:2] + segment + jpeg[2:], 1_000_000, 64, 48)
    with pytest.raises(ImageError, match=f"The image has more than {MAX_METADATA} bytes of metadata"):
        one.decode(jpeg[:2] + 160 * segment + jpeg[2:], 1_000_000, 64, 48)


def test_an_image_that_needs_more_memory_than_there_is_is_refused(one: Decoder) -> None:
    with pytest.raises(ImageError, match=r"The image takes too much memory to read\."):
        one.decode(plain("red"), 1_000_000, 30_000, 30_000)
    assert one.is_alive
    assert one.decode(plain("red"), 1_000_000, 64, 48)


def test_a_decoder_that_dies_costs_its_own_request_alone(caplog: pytest.LogCaptureFixture) -> None:
    decoders = Decoders(1)
    assert decoders.decode(plain("red"), 1_000_000, 64, 48)
    first = decoders._free.queue[0]
    assert first is not None
    os.kill(first.pid, signal.SIGSTOP)
    threading.Timer(0.5, os.kill, (first.pid, signal.SIGKILL)).start()
    with pytest.raises(NotAnImage):
        decoders.decode(plain("red"), 1_000_000, 64, 48)
    assert "has ended its decoder: -9" in caplog.text
    assert decoders.decode(plain("red"), 1_000_000, 64, 48)
    decoders.close()


def test_a_decoder_that_died_while_nobody_asked_it_costs_nobody_anything() -> None:
    decoders = Decoders(1)
    decoders.decode(plain("red"), 1_000_000, 64, 48)
    first = decoders._free.queue[0]
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    while not first.has_ended:
        time.sleep(0.01)
    assert decoders.decode(plain("red"), 1_000_000, 64, 48)
    decoders.close()


def test_a_decoder_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "DECODE_SECONDS", 2.0)
    decoders = Decoders(1)
    assert decoders.decode(plain("red"), 1_000_000, 64, 48)
    first = decoders._free.queue[0]
    assert first is not None
    os.kill(first.pid, signal.SIGSTOP)
    with pytest.raises(ImageError, match=r"Reading the image took longer than 2 seconds\."):
        decoders.decode(plain("red"), 1_000_000, 64, 48)
    assert not first.is_alive
    decoders.close()


def test_at_most_so_many_decode_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "WAIT_SECONDS", 0.1)
    decoders = Decoders(1)
    held = decoders._free.get()
    with pytest.raises(TooManyRequests, match="Too many images are waiting to be read"):
        decoders.decode(plain("red"), 1_000_000, 64, 48)
    threading.Timer(0.05, decoders._free.put, (held,)).start()
    assert decoders.decode(plain("red"), 1_000_000, 64, 48)
    decoders.close()


def test_a_refusal_names_the_field_and_says_what_else_was_possible() -> None:
    with pytest.raises(InvalidRequest, match="Neither this nor that") as error:
        decode_image("input_reference", b"no image", LIMITS, 64, 48, otherwise="Neither this nor that.")
    assert error.value.field == "input_reference"


def test_decoders_know_no_secret_and_end_with_the_server() -> None:
    code = (
        "import time; from videoapi.inputs.decoder import Decoder\n"
        "decoder = Decoder(); print(decoder.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "SECRET_KEY": "of the operator's"}
    server = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment, text=True)
    assert server.stdout is not None
    with server.stdout:
        pid = int(server.stdout.readline())
    assert b"SECRET_KEY" not in Path(f"/proc/{pid}/environ").read_bytes()
    server.kill()
    server.wait()
    end = time.monotonic() + 20
    while is_running(pid):
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except FileNotFoundError:
        return False
