"""The embedded model behind the real server: exactly the file that was asked for, and a word about what was not."""

from __future__ import annotations

import pytest

from tests.server import Server
from tests.videos import read


@pytest.mark.parametrize(
    ("size", "frames", "fps"), [("64x64", 1, 1), ("1024x64", 64, 60), ("64x1024", 2, 7), ("176x144", 34, 24)]
)
def test_any_size_length_and_rate_gives_exactly_that_file(
    starter_server: Server, size: str, frames: int, fps: int
) -> None:
    request = {"model": "starter", "prompt": "a red circle", "size": size, "num_frames": frames, "fps": fps, "step": 1}
    body = starter_server.post(request).json
    video = read(starter_server.get(body["data"][0]["url"]).body)
    assert f"{video.width}x{video.height}" == size
    assert (len(video.frames), video.rate) == (frames, fps)


def test_words_that_the_model_does_not_know_and_its_own_size_are_in_the_answer(starter_server: Server) -> None:
    body = starter_server.post({"model": "starter", "prompt": "a cat and a red circle", "step": 1}).json
    assert body["warnings"] == [
        "prompt: the starter knows nothing but plain shapes; without effect: 'cat'.",
        "Made at 128x128 and enlarged to 512x512.",
    ]
