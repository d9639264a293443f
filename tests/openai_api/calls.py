"""What the tests ask OpenAI's client for, and what they look at."""

from __future__ import annotations

from typing import Any

import numpy as np
import openai
from openai.types import Video

from tests.videos import read


def make(client: openai.OpenAI, model: str = "faulty-good", prompt: str = "anything", **values: Any) -> Video:
    return client.videos.create_and_poll(model=model, prompt=prompt, **values)


def frames_of(client: openai.OpenAI, video: Video) -> Any:
    assert video.status == "completed", video.error
    return read(client.videos.download_content(video.id).read()).frames.astype(int)


def is_color(frame: Any, color: tuple[int, int, int]) -> bool:
    return bool(np.abs(frame - color).max() < 12)
