"""The three requests of LocalAI's documentation, run with curl against the real model."""

from __future__ import annotations

import base64
import json
import subprocess
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import need
from tests.hosts import serve
from tests.images import encode
from tests.server import Server
from tests.videos import Video, read

TEXT = """curl http://localhost:8080/video \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "video-model",
    "prompt": "A cat playing in a garden on a sunny day",
    "width": 512,
    "height": 512,
    "num_frames": 16,
    "fps": 8
  }'"""
IMAGE = """curl http://localhost:8080/video \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "video-model",
    "prompt": "A timelapse of flowers blooming",
    "start_image": "https://example.com/flowers.jpg",
    "num_frames": 24,
    "fps": 12,
    "seed": 42,
    "cfg_scale": 7.5,
    "step": 30
  }'"""
BASE64 = """curl http://localhost:8080/video \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "video-model",
    "prompt": "Ocean waves on a beach",
    "response_format": "b64_json"
  }'"""


def make_flowers() -> Image.Image:
    """A picture with large soft shapes, as a photograph of a flower bed out of focus has."""
    y, x = np.mgrid[0:480, 0:640] / 480
    petals = np.exp(-((x - 0.6) ** 2 + (y - 0.5) ** 2) * 12)
    sky = 1 - y
    return Image.fromarray((np.stack((petals, 0.4 + 0.3 * y, 0.6 * sky), -1).clip(0, 1) * 255).astype(np.uint8))


@pytest.fixture
def image_host() -> Iterator[str]:
    """The host of flowers.jpg, on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = encode(make_flowers(), "JPEG")
            self.send_response(200 if self.path == "/flowers.jpg" else 404)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: Any) -> None:
            """Quiet."""

    with serve(Handler) as address:
        yield address


def run(command: str, server: Server) -> Any:
    need("curl", "curl")
    command = command.replace("http://localhost:8080", server.url).replace("curl ", "curl --silent --fail-with-body ")
    return json.loads(subprocess.run(command, shell=True, check=True, capture_output=True).stdout)


def fetch(server: Server, body: Any) -> Video:
    assert body["data"] == [{"url": f"/generated-videos/{body['id']}.mp4"}]
    return read(server.get(body["data"][0]["url"]).body)


def test_text_to_video(starter_server: Server) -> None:
    body = run(TEXT, starter_server)
    video = fetch(starter_server, body)
    assert uuid.UUID(body["id"])
    assert isinstance(body["created"], int)
    assert (video.codec, video.pixel_format) == ("h264", "yuv420p")
    assert (video.width, video.height, len(video.frames), video.rate) == (512, 512, 16, 8)


def test_with_a_starting_image(starter_server: Server, image_host: str) -> None:
    body = run(IMAGE.replace("https://example.com", image_host), starter_server)
    video = fetch(starter_server, body)
    assert (video.width, video.height, len(video.frames), video.rate) == (512, 512, 24, 12)
    assert body["seed"] == 42
    request = json.loads(video.metadata["comment"])["request"]
    assert (request["cfg_scale"], request["step"]) == (7.5, 30)
    assert body["warnings"] == [
        "start_image of 640x480 was cut at the middle to fit 512x512.",
        "prompt: the starter knows nothing but plain shapes; without effect: 'timelapse', 'flowers', 'blooming'.",
        "start_image is no shape on a plain background: it moves a little, whatever the prompt says.",
        "Made at 128x128 and enlarged to 512x512.",
    ]


def test_base64_output(starter_server: Server) -> None:
    body = run(BASE64, starter_server)
    video = read(base64.b64decode(body["data"][0]["b64_json"]))
    assert (video.width, video.height, len(video.frames), video.rate) == (512, 512, 16, 8)


@pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
def test_the_readmes_lines_for_openais_client(starter_server: Server, tmp_path: Path) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    lines = readme.partition("## With OpenAI's client")[2].partition("```python")[2].partition("```")[0]
    path = tmp_path / "circle.mp4"
    lines = lines.replace("http://localhost:8080", starter_server.url).replace("circle.mp4", str(path))
    exec(compile(lines, "README.md", "exec"), {})
    video = read(path.read_bytes())
    assert (video.width, video.height, len(video.frames) / video.rate) == (512, 512, 2)
