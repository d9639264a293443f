"""Reads mp4 files for assertions."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any, NamedTuple

import av
import numpy as np


class Video(NamedTuple):
    codec: str
    pixel_format: str
    width: int
    height: int
    rate: Fraction
    frames: Any  # (frames, height, width, 3) uint8
    metadata: dict[str, str]


def read(data: bytes) -> Video:
    with av.open(io.BytesIO(data), format="mp4") as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
        return Video(
            codec=context.name,
            pixel_format=context.pix_fmt,
            width=context.width,
            height=context.height,
            rate=stream.average_rate,
            frames=frames,
            metadata=dict(container.metadata),
        )
