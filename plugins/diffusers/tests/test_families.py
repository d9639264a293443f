"""Every family, with a tiny instance of each: what its spec promises is what its pipeline makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plugins.diffusers.tests.table import SOUND, make_row, make_spec, read_rows
from plugins.diffusers.tests.tiny import TINY, stand_in
from videoapi import Cancelled
from videoapi_diffusers import load

# diffusers and torch warn about models of their own and about having no GPU.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    import torch

    stand_in()
    # Two that wait for each other are slower than one with networks as small as these.
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", TINY)
def test_a_family_makes_what_its_spec_says(name: str, folders: Any, make_request: Any, progress: Any) -> None:
    tiny = TINY[name]
    spec = make_spec(folders(name))
    assert make_row(tiny, spec) in read_rows(), "python -m plugins.diffusers.tests.table writes the README's table anew"
    assert (tiny.width % spec.size_multiple, tiny.height % spec.size_multiple) == (0, 0)
    assert spec.frame_grid.next_up(tiny.num_frames) == tiny.num_frames
    pipeline = load(**spec.settings)
    requests = [make_request(**tiny.ask(mode, spec), num_inference_steps=2) for mode in sorted(spec.modes)]
    for request in requests:
        seen = progress()
        clip = pipeline.generate(request, seen)
        frames = np.stack(list(clip.frames))
        assert (frames.shape, frames.dtype) == ((tiny.num_frames, tiny.height, tiny.width, 3), np.uint8)
        assert seen.phases == ["encoding prompt", "denoising", "decoding"]
        total = seen.steps[-1][1]
        assert seen.steps == [(done, total) for done in range(1, total + 1)]
        assert (clip.audio is not None) is spec.audio is (spec.settings["pipeline_class"] in SOUND)
    with pytest.raises(Cancelled):
        pipeline.generate(requests[-1], progress(cancel_at=1))


@pytest.mark.parametrize(
    "name", ["anyflow", "cogvideox", "cogvideox_image", "kandinsky5", "kandinsky5_image", "stable_video", "wan_text"]
)
def test_a_length_after_another_one_has_a_preview(name: str, folders: Any, make_request: Any, progress: Any) -> None:
    """Latents have their channels in one place or another, and the map to a picture is one for all lengths."""
    tiny = TINY[name]
    spec = make_spec(folders(name))
    pipeline = load(**spec.settings)
    mode = "text" if "text" in spec.modes else "first_frame"
    for more in (0, 1, 2):
        asked = {**tiny.ask(mode, spec), "num_frames": tiny.num_frames + more * spec.frame_grid.step}
        seen = progress()
        clip = pipeline.generate(make_request(**asked, num_inference_steps=3), seen)
        assert len(list(clip.frames)) == asked["num_frames"]
        shapes = {picture.shape for picture in seen.previews}
        assert shapes == ({(tiny.height // 8, tiny.width // 8, 3)} if more else set())


def test_the_readme_has_a_row_for_every_family_and_no_other() -> None:
    assert [row.split(" | ")[0].strip("| ") for row in read_rows()] == [tiny.title for tiny in TINY.values()]
