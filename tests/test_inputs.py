"""Images from data: which are read, and how."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.images import base64_of, data_uri, encode, plain
from videoapi.exceptions import InvalidRequest
from videoapi.inputs import InputLimits, decode_image, is_cut, read_bytes
from videoapi.inputs.images import ImageError, decode, fit

LIMITS = InputLimits(max_bytes=100_000, max_pixels=1_000_000, allow_private=True)


def read(value: str, limits: InputLimits = LIMITS) -> Image.Image:
    try:
        return decode(read_bytes("start_image", value, limits), limits.max_pixels).image
    except ImageError as error:
        raise InvalidRequest("start_image", str(error)) from error


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


def test_a_server_that_may_not_fetch_says_what_to_send_instead() -> None:
    with pytest.raises(InvalidRequest, match="fetches nothing from URLs; send the file itself, as base64"):
        read("https://example.com/x.png", replace(LIMITS, may_fetch=False))


def test_an_image_is_held_to_its_own_limit_where_more_was_read_for_a_clip() -> None:
    with pytest.raises(InvalidRequest, match=r"The image is larger than 100000 bytes\."):
        decode_image("input_reference", bytes(100_001), LIMITS, 64, 48)


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
