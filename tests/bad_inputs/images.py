"""Images that are none, or cost too much."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image, PngImagePlugin

from tests.bad_inputs.case import Case, refuse
from tests.clips import encode_clip, greys
from tests.images import animate, base64_of, data_uri, plain

NO_IMAGE, NO_TEXT = "Not a whole PNG, JPEG or WEBP image.", "Neither an http(s) URL, a data URI nor base64."
PNG, JPEG, WEBP = (plain("red", kind=kind) for kind in ("PNG", "JPEG", "WEBP"))
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes = b"", *before: bytes) -> bytes:
    """A PNG of that header, whatever its data are."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(before) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def with_profile(size: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG", icc_profile=bytes(size))
    return buffer.getvalue()


def with_text(size: int) -> bytes:
    notes, buffer = PngImagePlugin.PngInfo(), io.BytesIO()
    notes.add_text("Comment", "x" * size, zip=True)
    Image.new("RGB", (8, 8)).save(buffer, "PNG", pnginfo=notes)
    return buffer.getvalue()


def with_exif(count: int) -> bytes:
    segment = b"\xff\xe1" + struct.pack(">H", 65_535) + b"Exif\0\0" + bytes(65_527)
    return JPEG[:2] + count * segment + JPEG[2:]


def sized(width: int, height: int) -> bytes:
    """The JPEG whose frame says so."""
    at = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:at] + struct.pack(">HH", height, width) + JPEG[at + 4 :]


FILES: list[tuple[str, bytes, str]] = [
    ("an SVG", SVG, NO_IMAGE),
    ("HTML", b"<html><script>alert(1)</script>", NO_IMAGE),
    ("a PSD", b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 48, 64, 8, 3) + bytes(100), NO_IMAGE),
    ("a PDF", b"%PDF-1.7\n%%EOF", NO_IMAGE),
    ("an EPS", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n%%EndComments\n", NO_IMAGE),
    ("a PPM", b"P6 64 48 255 " + bytes(64 * 48 * 3), NO_IMAGE),
    ("an XBM", b"#define im_width 8\n#define im_height 8\nstatic char im_bits[] = {\n0x00 };", NO_IMAGE),
    *((f"a {kind}", plain("red", kind=kind), NO_IMAGE) for kind in ("TIFF", "GIF", "BMP", "TGA", "ICO", "PCX")),
    ("an AVIF", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(100), NO_IMAGE),
    ("a zip", b"PK\x03\x04" + bytes(100), NO_IMAGE),
    ("a program", b"\x7fELF" + bytes(100), NO_IMAGE),
    ("a pickle", b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x05posix\x94.", NO_IMAGE),
    ("one byte", b"\x89", NO_IMAGE),
    ("zeros", bytes(5000), NO_IMAGE),
    ("a signature alone", PNG[:8], NO_IMAGE),
    *((f"a JPEG of {length} bytes", JPEG[:length], NO_IMAGE) for length in (2, 20, 200, len(JPEG) - 2)),
    *((f"a PNG of {length} bytes", PNG[:length], NO_IMAGE) for length in (20, 40, len(PNG) - 30)),
    *((f"a WebP of {length} bytes", WEBP[:length], NO_IMAGE) for length in (12, 30, len(WEBP) - 4)),
    ("a PNG with a wrong checksum", PNG[:-20] + bytes(20), NO_IMAGE),
    ("a PNG with a wrong header", PNG[:20] + b"\xff" + PNG[21:], NO_IMAGE),
    ("a PNG without data", png(64, 48), NO_IMAGE),
    ("a PNG with too little data", png(64, 48, zlib.compress(bytes(100))), NO_IMAGE),
    ("a PNG of no size", png(0, 0, zlib.compress(b"")), ""),
    ("a PNG of 1x1", plain("red", 1, 1), "1x1 pixels; each side needs at least 8"),
    ("a PNG of 30000x1", plain("red", 30_000, 1), "30000x1 pixels; each side needs at least 8"),
    ("a PNG of 1x30000", plain("red", 1, 30_000), "1x30000 pixels; each side needs at least 8"),
    ("a PNG of 12000x12000", png(12_000, 12_000, zlib.compress(bytes(12_000 * 100))), "12000x12000 pixels"),
    ("a PNG of 20000x20000", png(20_000, 20_000), ""),
    ("a PNG of 2147483647 squared", png(2**31 - 1, 2**31 - 1), ""),
    ("a JPEG of 65535x65535", sized(65_535, 65_535), ""),
    ("a JPEG of 9000x9000", sized(9000, 9000), "9000x9000 pixels; at most 40000000"),
    ("a JPEG of 0x0", sized(0, 0), ""),
    ("a WebP of 16384x16384", WEBP[:26] + b"\xff\x3f\xff\x3f" + WEBP[30:], ""),
    ("a PNG of 1001 frames", animate(1001, "PNG"), "1001 frames; at most 1000"),
    ("a WebP of 1001 frames", animate(1001, "WEBP"), "1001 frames; at most 1000"),
    ("a text that grows a thousandfold", with_text(50_000_000), NO_IMAGE),
    ("a profile that grows a thousandfold", with_profile(100_000_000), NO_IMAGE),
    ("ten megabytes of EXIF", with_exif(160), "more than 4194304 bytes of metadata"),
    ("a file over the limit", PNG + bytes(21 * 2**20), "The file is larger than 20971520 bytes."),
    ("a clip", encode_clip(greys(2)), "This is a video, not an image."),
    ("a Matroska clip", encode_clip(greys(2), kind="mkv"), "This is a video, not an image."),
]  # fmt: skip


def _mix(name: str, param: str, words: str, **fields: Any) -> Case:
    return Case(name=name, param=param, words=words, fields=fields)


CASES = [
    *(refuse("start_image", base64_of(data), words, name=name) for name, data, words in FILES),
    *(refuse("input_reference", data_uri(data), words, name=f"{name}, data URI") for name, data, words in FILES[:9]),
    refuse("start_image", " ", "Must not be blank."),
    refuse("start_image", "=", NO_TEXT),
    refuse("start_image", "A", NO_TEXT),
    refuse("start_image", "QUI", NO_TEXT),
    refuse("start_image", "QUI===", NO_TEXT),
    refuse("start_image", "QU=I", NO_TEXT),
    refuse("start_image", "QUI_", NO_TEXT),
    refuse("start_image", "not base64!", NO_TEXT),
    refuse("start_image", "ＱＵＪＤ", NO_TEXT),
    refuse("start_image", 5, "Must be a string."),
    refuse("start_image", True, "Must be a string."),
    refuse("start_image", {"url": "x"}, "Must be a string."),
    refuse("start_image", ["x"], "Must be a string."),
    refuse("start_image", "data:", NO_TEXT),
    refuse("start_image", "data:image/png;base64", NO_TEXT),
    refuse("start_image", "data:image/png;base64,", "The file is empty."),
    refuse("start_image", "data:image/png;base64,!!!!", NO_TEXT),
    refuse("start_image", "data:image/png,rawtext", "must be base64"),
    refuse("start_image", "data:image/png;base64;x=y," + base64_of(PNG), "must be base64"),
    refuse("start_image", data_uri(b"<html>", "text/html"), NO_IMAGE, name="HTML as a data URI"),
    refuse("start_image", data_uri(SVG, "image/svg+xml"), NO_IMAGE, name="an SVG that says so"),
    refuse("start_image", "data:" + ";a" * 500_000 + ",x", NO_TEXT, name="a data URI of parameters"),
    refuse("end_image", base64_of(PNG), "An end image needs a start image.", name="an end image alone"),
    _mix("an end image that is none", "end_image", NO_IMAGE, start_image=base64_of(PNG), end_image=base64_of(SVG)),
    _mix("the same thing twice", "input_reference", "send one", start_image="QUJD", input_reference="QUJD"),
    _mix("an image for text alone", "start_image", "It takes: text", model="watchful-text", start_image=base64_of(PNG)),
    _mix("no image where one is needed", "start_image", "needs a start image", model="watchful-first"),
    _mix(
        "an end image for a model of first frames", "end_image", "It takes: first_frame",
        model="watchful-first", start_image=base64_of(PNG), end_image=base64_of(PNG),
    ),
]  # fmt: skip
