"""Images from data and from URLs, with a hostile server on loopback."""

from __future__ import annotations

import contextlib
import gzip
import io
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.images import base64_of, data_uri, encode, plain
from videoapi.exceptions import InvalidRequest
from videoapi.inputs import InputLimits, decode_image, fit, is_cut, read_image
from videoapi.inputs import fetch as fetch_module

LIMITS = InputLimits(max_bytes=100_000, max_pixels=1_000_000, allow_private=True)
GUARDED = InputLimits(max_bytes=100_000, max_pixels=1_000_000, allow_private=False)
BOMB = gzip.compress(bytes(50_000_000))


def read(value: str, limits: InputLimits = LIMITS) -> Image.Image:
    return read_image("start_image", value, limits)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("wrap", [base64_of, data_uri])
def test_three_formats_as_base64_and_data_uri(kind: str, wrap: Any) -> None:
    image = read(wrap(plain("red", kind=kind)))
    assert (image.mode, image.size) == ("RGB", (64, 48))
    assert np.abs(np.asarray(image).astype(int) - (255, 0, 0)).max() < 8


def test_the_bytes_decide_not_the_media_type() -> None:
    assert read(data_uri(plain("red", kind="JPEG"), "text/html")).size == (64, 48)


def test_line_breaks_in_base64_are_skipped() -> None:
    text = base64_of(plain("red"))
    assert read("\r\n".join(text[i : i + 60] for i in range(0, len(text), 60))).size == (64, 48)


def test_exif_orientation_is_applied() -> None:
    image = Image.new("RGB", (40, 20), "red")
    exif = image.getexif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    assert read(base64_of(buffer.getvalue())).size == (20, 40)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGBA", (8, 8), (255, 0, 0, 0)), (255, 255, 255)),
        (Image.new("LA", (8, 8), (10, 0)), (255, 255, 255)),
        (Image.new("I;16", (8, 8), 0x8000), (128, 128, 128)),
        (Image.new("L", (8, 8), 77), (77, 77, 77)),
        (Image.new("P", (8, 8), 0), (0, 0, 0)),
        (Image.new("1", (8, 8), 1), (255, 255, 255)),
    ],
    ids=["rgba", "la", "16 bits", "grey", "palette", "1 bit"],
)
def test_every_mode_becomes_rgb_on_purpose(image: Image.Image, expected: tuple[int, ...]) -> None:
    assert read(base64_of(encode(image))).getpixel((4, 4)) == expected


def test_cmyk_and_the_first_frame_of_an_animation() -> None:
    assert read(base64_of(encode(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG"))).getpixel((4, 4)) == (255, 255, 255)
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert read(base64_of(buffer.getvalue())).getpixel((4, 4)) == (255, 0, 0)


def test_whatever_a_decoder_raises_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise struct.error("unpack requires a buffer of 4 bytes")

    monkeypatch.setattr("PIL.Image.open", fail)
    with pytest.raises(InvalidRequest, match="Not a whole PNG"):
        read(base64_of(plain("red")))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("=", "Neither an http"),
        ("abc", "Neither an http"),
        ("data:image/png;base64,", "The file is empty."),
        ("data:image/png,raw", "must be base64"),
        (base64_of(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "Not a whole PNG, JPEG or WEBP image."),
        (base64_of(b"%PDF-1.7"), "Not a whole"),
        (base64_of(b"P6 2 2 255 " + b"x" * 12), "Not a whole"),
        (base64_of(encode(Image.new("RGB", (8, 8)), "TIFF")), "Not a whole"),
        (base64_of(plain("red", kind="JPEG")[:-200]), "Not a whole"),
        (base64_of(plain("red")[:-20] + b"x" * 20), "Not a whole"),
        (base64_of(encode(Image.new("L", (30000, 100)))), "30000x100 pixels; at most 1000000"),
        ("A" * 200_000, "larger than 100000 bytes"),
        ("ftp://example.com/x.png", "not a plain http or https address"),
        ("file:///etc/passwd", "not a plain http or https address"),
        ("http://user:pass@example.com/", "not a plain http or https address"),
        ("http://good.example\\@127.0.0.1/", "a space, a control character or a backslash"),
        ("http://example.com/ x", "a space, a control character or a backslash"),
        ("http:///x.png", "not a plain http or https address"),
        ("http://[::1/x.png", "not a plain http or https address"),
        ("http://example.com/" + "x" * 2048, "longer than 2048 characters"),
    ],
)
def test_what_is_no_image_is_refused_in_one_sentence(value: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        read(value)
    assert error.value.field == "start_image"
    assert words in error.value.message


def test_an_image_is_held_to_its_own_limit_where_more_was_read_for_a_clip() -> None:
    with pytest.raises(InvalidRequest, match=r"The image is larger than 100000 bytes\."):
        decode_image("input_reference", bytes(100_001), LIMITS)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]", "[fe80::1]", "[fec0::1]", "[2002:7f00:1::]", "100.64.0.1", "169.254.169.254", "10.0.0.1",
        "192.168.1.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "localhost", "localhost.", "127。0。0。1",
    ],
)  # fmt: skip
def test_no_connection_is_made_to_a_private_address(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import urllib3.util.connection

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(urllib3.util.connection, "create_connection", refuse)
    with pytest.raises(InvalidRequest) as error:
        read(f"http://{host}/x.png", GUARDED)
    assert "does not fetch from" in error.value.message or "could not be fetched" in error.value.message


class Handler(BaseHTTPRequestHandler):
    """Serves one picture, and everything that a bad server does."""

    def do_GET(self) -> None:
        with contextlib.suppress(OSError):
            getattr(self, f"send_{self.path.strip('/').split('/')[0]}")()

    def send_picture(self) -> None:
        self.answer(200, plain("red"))

    def send_missing(self) -> None:
        self.answer(404, b"")

    def send_html(self) -> None:
        self.answer(200, b"<html>")

    def send_redirect(self) -> None:
        self.answer(302, b"", Location="/picture")

    def send_loop(self) -> None:
        self.answer(302, b"", Location="/loop")

    def send_file(self) -> None:
        self.answer(302, b"", Location="file:///etc/passwd")

    def send_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(b"x" * 10_000)

    def send_slow(self) -> None:
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(b"x")
            time.sleep(0.05)

    def send_silent(self) -> None:
        time.sleep(1)

    def send_bomb(self) -> None:
        self.answer(200, BOMB, **{"Content-Encoding": "gzip"})

    def send_short(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5000")
        self.end_headers()
        self.wfile.write(b"x" * 10)

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def hostile() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("path", ["picture", "redirect"])
def test_an_image_is_fetched_also_behind_a_redirect(hostile: str, path: str) -> None:
    assert read(f"{hostile}/{path}").size == (64, 48)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("missing", "The URL answered with HTTP 404."),
        ("html", "Not a whole PNG, JPEG or WEBP image."),
        ("loop", "redirects more than 3 times"),
        ("file", "could not be fetched"),
        ("endless", "is larger than 100000 bytes"),
        ("slow", "took longer than"),
        ("silent", "could not be fetched"),
        ("bomb", "answered with a content encoding"),
        ("short", "could not be fetched"),
    ],
)
def test_a_hostile_server_costs_little_and_is_refused(
    hostile: str, path: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_module, "TOTAL_SECONDS", 0.5)
    monkeypatch.setattr(fetch_module, "READ_SECONDS", 0.3)
    with pytest.raises(InvalidRequest, match=words):
        read(f"{hostile}/{path}")


def test_loopback_is_refused_unless_allowed(hostile: str) -> None:
    with pytest.raises(InvalidRequest, match="does not fetch from"):
        read(f"{hostile}/picture", GUARDED)


@pytest.mark.parametrize(
    ("size", "target", "cut"),
    [((64, 48), (64, 48), False), ((640, 480), (64, 48), False), ((200, 50), (64, 48), True), ((1, 1), (64, 48), True)],
)
def test_fitting_covers_and_cuts(size: tuple[int, int], target: tuple[int, int], cut: bool) -> None:
    assert fit(Image.new("RGB", size, "red"), *target).size == target
    assert is_cut(size, target) == cut


def test_fitting_cuts_at_the_middle_and_does_not_stretch() -> None:
    wide = Image.new("RGB", (300, 100), "black")
    wide.paste("white", (100, 0, 200, 100))
    assert np.asarray(fit(wide, 50, 50)).min() > 240
