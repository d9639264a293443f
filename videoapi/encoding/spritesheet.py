"""A video at one look: frames from its first to its last in a grid."""

from __future__ import annotations

import io
import math

import av
from PIL import Image

from videoapi.exceptions import EncodingError

COLUMNS, CELLS = 4, 16
SIDE = 320  # pixels


def make_spritesheet(video: bytes, num_frames: int) -> bytes:
    """At most CELLS frames of an mp4 of ours, evenly apart, in rows of COLUMNS, as a JPEG.

    The longer side of each has at most SIDE pixels. Raises EncodingError for a file that cannot be read.
    """
    count = min(CELLS, num_frames)
    wanted = {round(cell * (num_frames - 1) / max(1, count - 1)) for cell in range(count)}
    cells = []
    try:
        with av.open(io.BytesIO(video), "r", format="mp4") as source:
            for number, frame in enumerate(source.decode(video=0)):
                if number in wanted:
                    cell = Image.fromarray(frame.to_ndarray(format="rgb24"))
                    cell.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
                    cells.append(cell)
    except av.FFmpegError as error:
        raise EncodingError("The video could not be read.") from error
    if not cells:
        raise EncodingError("The video has no frames.")
    width, height = cells[0].size
    sheet = Image.new("RGB", (width * min(COLUMNS, len(cells)), height * math.ceil(len(cells) / COLUMNS)))
    for number, cell in enumerate(cells):
        sheet.paste(cell, (number % COLUMNS * width, number // COLUMNS * height))
    buffer = io.BytesIO()
    sheet.save(buffer, format="JPEG", quality=80)
    return buffer.getvalue()
