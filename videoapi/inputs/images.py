"""Turns what a client sent into bytes, and an image into an RGB picture, or says in one sentence why not."""

from __future__ import annotations

import base64
import binascii
import io
import re
import warnings
from dataclasses import dataclass

from PIL import Image, ImageOps

from videoapi.exceptions import InvalidRequest
from videoapi.inputs.fetch import FetchError, fetch

FORMATS = ("PNG", "JPEG", "WEBP")
DATA_URI = re.compile(r"data:(?P<type>[^,;]*)(?P<parameters>(;[^,;]*)*),", re.IGNORECASE)
NO_IMAGE = f"Not a whole {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image."
URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class InputLimits:
    """What an input image may cost, and where it may come from."""

    max_bytes: int
    max_pixels: int
    may_fetch: bool = True
    """Take URLs."""
    allow_private: bool = False
    """Fetch from private and loopback addresses too."""


def read_image(field: str, value: str, limits: InputLimits) -> Image.Image:
    """The RGB image behind an http(s) URL, a data URI or bare base64, turned upright.

    Raises InvalidRequest for `field`.
    """
    return decode_image(field, read_bytes(field, value, limits), limits)


def read_bytes(field: str, value: str, limits: InputLimits) -> bytes:
    """What is behind an http(s) URL, a data URI or bare base64. Raises InvalidRequest for `field`."""
    if not URL.match(value):
        return _decode_base64(field, value, limits.max_bytes)
    if not limits.may_fetch:
        raise InvalidRequest(field, "This server fetches nothing from URLs; send the file itself, as base64.")
    try:
        return fetch(value, limits.max_bytes, allow_private=limits.allow_private)
    except FetchError as error:
        raise InvalidRequest(field, f"The URL {error}.") from error


def decode_image(field: str, data: bytes, limits: InputLimits, *, otherwise: str = NO_IMAGE) -> Image.Image:
    """The RGB image in those bytes, turned upright. Raises InvalidRequest, saying `otherwise` when there is none."""
    if len(data) > limits.max_bytes:
        raise InvalidRequest(field, f"The image is larger than {limits.max_bytes} bytes.")
    try:
        # Pillow warns of large images; the pixel limit below decides, before anything is decoded.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
            _check_pixels(field, image, limits)
            image.load()
        image = ImageOps.exif_transpose(image)
    except InvalidRequest:
        raise
    except Exception as error:
        # Decoders of damaged files raise whatever they run into: struct.error, KeyError, OverflowError and more.
        # Their words can hold addresses of this process.
        raise InvalidRequest(field, otherwise) from error
    return _to_rgb(image)


def fit(image: Image.Image, width: int, height: int) -> Image.Image:
    """The image scaled to cover `width` by `height` and cut at the middle."""
    if image.size == (width, height):
        return image
    return ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)


def is_cut(size: tuple[int, int], target: tuple[int, int]) -> bool:
    """Something is cut off a picture of that size when it is scaled to cover the target: more than a rounding."""
    (width, height), (to_width, to_height) = size, target
    return round(width * to_height / height) != to_width and round(height * to_width / width) != to_height


def _decode_base64(field: str, value: str, max_bytes: int) -> bytes:
    header = DATA_URI.match(value)
    if header:
        if not header["parameters"].lower().endswith(";base64"):
            raise InvalidRequest(field, "A data URI must be base64: 'data:image/png;base64,...'.")
        value = value[header.end() :]
    if len(value) * 3 // 4 > max_bytes:
        raise InvalidRequest(field, f"The file is larger than {max_bytes} bytes.")
    try:
        data = base64.b64decode(re.sub(r"[\r\n]", "", value), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(field, "Neither an http(s) URL, a data URI nor base64.") from error
    if not data:
        raise InvalidRequest(field, "The file is empty.")
    return data


def _check_pixels(field: str, image: Image.Image, limits: InputLimits) -> None:
    if image.width * image.height > limits.max_pixels:
        raise InvalidRequest(
            field, f"The image has {image.width}x{image.height} pixels; at most {limits.max_pixels} are accepted."
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    """Transparency on white; 16 bits a sample scaled down, which `convert` would cut off."""
    if image.mode.startswith("I;16"):
        image = image.point(lambda sample: sample / 256).convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        background = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(background, image)
    return image.convert("RGB")
