"""A clip's frame as it is meant to be seen: upright, with square pixels, in RGB."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from av.sidedata.sidedata import SideData
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from PIL import Image

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# By the signs of the display matrix (a, b, c, d), which puts the point (x, y) at (ax + cy, bx + dy).
TURNS = {
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}
# AVCOL_SPC_*: those that say which matrix it is, as opposed to nothing.
UNSPECIFIED = (0, 2, 3)


def shown_size(frame: VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """Width and height of `to_picture`."""
    width = _square_width(frame, stream)
    turned = _find_turn(frame) in (
        Image.Transpose.TRANSPOSE,
        Image.Transpose.TRANSVERSE,
        Image.Transpose.ROTATE_90,
        Image.Transpose.ROTATE_270,
    )
    return (frame.height, width) if turned else (width, frame.height)


def is_plain(frame: VideoFrame, stream: VideoStream) -> bool:
    """The frame is stored as it is meant to be seen: upright and with square pixels."""
    return _find_turn(frame) is None and _square_width(frame, stream) == frame.width


def to_picture(frame: VideoFrame, stream: VideoStream) -> Image.Image:
    """The frame in RGB; transparency on white, as for images."""
    is_transparent = any(component.is_alpha for component in frame.format.components)
    pixels = frame.to_ndarray(
        format="rgba" if is_transparent else "rgb24",
        width=_square_width(frame, stream),
        src_colorspace=_guess_matrix(frame),
        dst_color_range=ColorRange.JPEG,
        interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT,
        threads=1,
    )
    picture = Image.fromarray(pixels)
    if is_transparent:
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    turn = _find_turn(frame)
    return picture if turn is None else picture.transpose(turn)


def _square_width(frame: VideoFrame, stream: VideoStream) -> int:
    ratio = stream.sample_aspect_ratio
    return max(1, round(frame.width * ratio)) if ratio and ratio > 0 else frame.width


def _guess_matrix(frame: VideoFrame) -> Colorspace | None:
    """Players' rule for a clip that does not say: bt709 from 720p on, else bt601."""
    if frame.format.is_rgb or frame.colorspace not in UNSPECIFIED:
        return None
    return Colorspace.ITU709 if frame.width >= 1280 or frame.height > 576 else Colorspace.ITU601


def _find_turn(frame: VideoFrame) -> Image.Transpose | None:
    """What the display matrix asks for, to the nearest right angle."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(matrix, SideData):
        return None
    a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])
    if abs(a) + abs(d) < abs(b) + abs(c):
        a = d = 0
    else:
        b = c = 0
    return TURNS.get((_sign(a), _sign(b), _sign(c), _sign(d)))


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
