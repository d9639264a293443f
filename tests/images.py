"""Small test images."""

from __future__ import annotations

import base64
import io

from PIL import Image


def encode(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind)
    return buffer.getvalue()


def plain(color: str, width: int = 64, height: int = 48, kind: str = "PNG") -> bytes:
    """One colour."""
    return encode(Image.new("RGB", (width, height), color), kind)


def animate(count: int, kind: str) -> bytes:
    """So many frames of 8x8 pixels, no two alike."""
    frames = [Image.new("RGB", (8, 8), (index % 256, index // 256, 0)) for index in range(count)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], lossless=True)
    return buffer.getvalue()


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def data_uri(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64_of(data)}"
