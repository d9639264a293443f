"""Turns a file into an RGB picture, or says in one sentence why not. Done in a process of its own: `decoder`."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "WEBP")
NO_IMAGE = f"Not a whole {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image."
# Pixels; what is smaller shows nothing, and is enlarged out of all proportion.
MIN_SIDE = 8
# Of an animation, whose first one is used.
MAX_FRAMES = 1000
# Profiles for print take three megabytes.
MAX_METADATA = 4 * 2**20
TOO_MUCH_METADATA = f"The image has more than {MAX_METADATA} bytes of metadata."


class ImageError(Exception):
    """The image cannot be used; the message is a sentence for the client."""


class NotAnImage(ImageError):
    """The bytes are no whole image of a kind that is read here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """What was in a file."""

    image: Image.Image
    """RGB."""
    size: tuple[int, int]
    """Width and height in the file, upright."""
    is_animated: bool
    """There are more frames than this first one."""


def decode(data: bytes, max_pixels: int) -> Picture:
    """The picture in those bytes, turned upright. Raises ImageError and MemoryError."""
    if _measure_segments(data) > MAX_METADATA:
        raise ImageError(TOO_MUCH_METADATA)
    try:
        # Pillow warns of large images; the pixel limit below decides, before anything is decoded.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
            is_animated = _check(image, max_pixels)
            image.load()
            _check_metadata(image)
            image = ImageOps.exif_transpose(image)
    except (ImageError, MemoryError):
        raise
    except Exception as error:
        # Decoders of damaged files raise whatever they run into: struct.error, KeyError, OverflowError and more.
        # Their words can hold addresses of this process.
        raise NotAnImage(NO_IMAGE) from error
    return Picture(image=_to_rgb(image), size=image.size, is_animated=is_animated)


def fit(image: Image.Image, width: int, height: int) -> Image.Image:
    """The image scaled to cover `width` by `height` and cut at the middle."""
    if image.size == (width, height):
        return image
    return ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)


def is_cut(size: tuple[int, int], target: tuple[int, int]) -> bool:
    """Something is cut off a picture of that size when it is scaled to cover the target: more than a rounding."""
    (width, height), (to_width, to_height) = size, target
    return round(width * to_height / height) != to_width and round(height * to_width / width) != to_height


def _check(image: Image.Image, max_pixels: int) -> bool:
    """Whether it is animated. Raises ImageError for what its header says already."""
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(f"The image has {width}x{height} pixels; at most {max_pixels} are accepted.")
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"The image has {width}x{height} pixels; each side needs at least {MIN_SIDE}.")
    # The second picture of a JPEG is its preview, or the view of the other eye.
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if frames > MAX_FRAMES:
        raise ImageError(f"The image has {frames} frames; at most {MAX_FRAMES} are accepted.")
    return bool(frames > 1)


def _check_metadata(image: Image.Image) -> None:
    values = [*image.info.values(), *(body for _, body in getattr(image, "applist", ()))]
    if sum(len(value) for value in values if isinstance(value, str | bytes)) > MAX_METADATA:
        raise ImageError(TOO_MUCH_METADATA)


def _measure_segments(data: bytes) -> int:
    """The bytes in the APP and COM segments before a JPEG's picture (ITU T.81, B.1.1.4); of another file, 0.

    Pillow copies all that it has at every further one.
    """
    size, at = 0, 2
    while data[:2] == b"\xff\xd8" and data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        size += length if data[at + 1] >= 0xE0 else 0
        at += 2 + max(2, length)
    return size


def _to_rgb(image: Image.Image) -> Image.Image:
    """Transparency on white; 16 bits a sample scaled down, which `convert` would cut off."""
    if image.mode.startswith("I;16"):
        image = image.point(lambda sample: sample / 256).convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        background = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(background, image)
    return image.convert("RGB")
