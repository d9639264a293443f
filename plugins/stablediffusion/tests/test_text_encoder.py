"""The prompt matters: with a text encoder of the full size, which takes a minute and 2.5 GB."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.stablediffusion.tests.entries import write_gguf
from plugins.stablediffusion.tests.weights import text_encoder


@pytest.mark.slow
def test_the_prompt_decides_what_is_made(
    load: Callable[..., tuple[Any, Any]], make_request: Callable[..., Any], progress: Any, tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "umt5-xxl.gguf", text_encoder(), f32=1.0)
    spec, model = load(t5xxl_path=str(path), without_text_encoder=None, n_threads=2)
    small = {"width": 16, "height": 16, "num_frames": 1}
    first, second = (
        np.stack(list(model.generate(make_request(spec, prompt=prompt, **small), progress).frames))
        for prompt in ("a red balloon over the sea", "a train in the snow at night")
    )
    assert first.shape == (1, 16, 16, 3)
    assert not np.array_equal(first, second)
    path.unlink()
