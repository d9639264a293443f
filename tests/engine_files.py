"""Makes mp4 files as an engine would, and looks into them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.clips import greys
from videoapi.encoding import VideoFormat, find_ffmpeg

FORMAT = VideoFormat(width=64, height=48, num_frames=9, fps=8)
FFMPEG = find_ffmpeg("")
TONE = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration={}")


def make(
    folder: Path, *options: str, count: int = 9, fps: int = 8, sound: float = 0, frames: Any = None, name: str = "made"
) -> Path:
    """Grey frames that tell their number, through ffmpeg with these options, as a new mp4."""
    path = folder / f"{name}.mp4"
    pixels = np.stack(greys(count) if frames is None else frames)
    size = f"{pixels.shape[2]}x{pixels.shape[1]}"
    tone = [part.format(sound) for part in TONE] if sound else []
    picture = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(fps), "-i", "pipe:"]
    usual = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    command = [FFMPEG, "-y", "-loglevel", "error", *picture, *tone, *usual, *options, str(path)]
    subprocess.run(command, input=pixels.tobytes(), check=True)
    return path


def payloads(path: Path, kind: str = "video") -> list[bytes]:
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [bytes(packet) for packet in container.demux(stream) if packet.size]
