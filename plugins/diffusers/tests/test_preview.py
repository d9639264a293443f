"""Previews: what is learnt from latents and their frames, and how near they are to the video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from plugins.diffusers.tests.table import make_spec
from plugins.diffusers.tests.tiny import TINY, stand_in
from videoapi_diffusers import load
from videoapi_diffusers.running.clean import CleanLatents, in_order
from videoapi_diffusers.running.frames import Frames
from videoapi_diffusers.running.preview import LatentPreview

Folders = Callable[[str], Path]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
SCALE = 4


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    stand_in()
    torch.set_num_threads(1)


def decode(latents: torch.Tensor, count: int, scale: int = SCALE) -> torch.Tensor:
    """Frames (count, 3, 16, 16): three channels as colours, each latent for `scale` frames and the first for one."""
    colours = latents[0, :3].transpose(0, 1) * 0.1 + 0.5
    of_frame = [-(-index // scale) for index in range(count)]
    return F.interpolate(colours[of_frame].clamp(0, 1), scale_factor=8)


def learn(preview: LatentPreview, latents: torch.Tensor, frames: torch.Tensor, scale: int = SCALE) -> None:
    kept = Frames(count=len(frames), chunks=[frames], is_signed=False)
    assert all(map(torch.equal, preview.learning(latents, kept, scale), frames))


def is_right(preview: LatentPreview, latents: torch.Tensor) -> bool:
    middle = latents[0, :3, latents.shape[2] // 2].permute(1, 2, 0) * 0.1 + 0.5
    wanted = middle.clamp(0, 1).mul(255).numpy()
    return bool(np.abs(preview.make(latents[0]) - wanted).max() <= 1)


def draw(times: int, channels: int = 4) -> torch.Tensor:
    return torch.randn(1, channels, times, 2, 2, generator=torch.Generator().manual_seed(times))


@pytest.mark.parametrize(
    ("times", "count", "scale", "others"),
    [(3, 9, 4, 0), (3, 3, 1, 0), (1, 1, 4, 0), (5, 25, 6, 0), (3, 9, 4, 1), (7, 13, 2, 2)],
)
def test_each_latent_is_learnt_with_its_frame_and_what_comes_before_is_not(
    times: int, count: int, scale: int, others: int
) -> None:
    preview, latents = LatentPreview(), draw(times)
    assert not preview.can_show(latents)
    for _ in range(4):
        learn(
            preview, torch.cat([draw(others + 9)[:, :, :others] * 9, latents], 2), decode(latents, count, scale), scale
        )
    assert preview.can_show(latents)
    assert is_right(preview, latents)


def test_where_no_latent_stands_alone_each_is_learnt_with_its_first_frame() -> None:
    preview, latents = LatentPreview(), draw(6)
    frames = decode(latents, 6, 1).repeat_interleave(4, 0)
    learn(preview, latents, frames)
    assert is_right(preview, latents)


@pytest.mark.parametrize(
    ("latents", "count"),
    [(draw(5), 101), (draw(9), 97), (draw(9), 37), (draw(3), 7), (draw(3)[0], 9), (draw(3) * torch.nan, 9)],
)
def test_of_a_part_of_the_video_and_of_other_shapes_nothing_is_learnt(latents: torch.Tensor, count: int) -> None:
    preview = LatentPreview()
    learn(preview, latents, torch.rand(count, 3, 16, 16))
    assert not preview.can_show(draw(3))


def test_other_channels_are_not_shown_and_learnt_anew() -> None:
    preview, latents = LatentPreview(), draw(3)
    learn(preview, latents, decode(latents, 9))
    assert not preview.can_show(draw(3, channels=5))
    assert not preview.can_show(latents[0])
    more = draw(3, channels=5)
    learn(preview, more, decode(more, 9))
    assert is_right(preview, more)
    assert not preview.can_show(latents)


def test_great_latents_leave_the_brightness_alone() -> None:
    preview = LatentPreview()
    latents = draw(9) * 1000
    learn(preview, latents, torch.full((33, 3, 16, 16), 0.5))
    assert np.abs(preview.make(latents[0]).astype(int) - 128).max() <= 1


class Watched:
    """A loaded family that makes the same video again and again."""

    def __init__(self, name: str, folder: Path, make_request: Any, progress: Any) -> None:
        self.spec = make_spec(folder)
        self._tiny, self._make_request, self._progress = TINY[name], make_request, progress
        self.pipeline = load(**self.spec.settings)
        self.learnt: list[tuple[torch.Tensor, torch.Tensor]] = []
        fit = self.pipeline._preview._fit
        self.pipeline._preview._fit = lambda *pair: (self.learnt.append(pair), fit(*pair))  # type: ignore[method-assign]

    def make(self, mode: Any, **values: Any) -> tuple[Any, list[Any]]:
        """The frames and the previews."""
        asked = {**self._tiny.ask(mode, self.spec), "num_inference_steps": 8, **values}
        seen = self._progress()
        return np.stack(list(self.pipeline.generate(self._make_request(**asked), seen).frames)), seen.previews


@pytest.fixture
def load_family(folders: Folders, make_request: Any, progress: Any) -> Callable[[str], Watched]:
    return lambda name: Watched(name, folders(name), make_request, progress)


def distance(some: Any, other: Any) -> float:
    return float(np.abs(some.astype(float) - other.astype(float)).mean())


# A scheduler that keeps what is clean, flows, those that step a part of the latents, and those that say what is clean.
@pytest.mark.parametrize(
    "name",
    [
        "wan_text",
        "hunyuan15_text",
        "hunyuan_text",
        "lucy_edit",
        "sana",
        "kandinsky5_image",
        "hunyuan_image_replaced",
        "cosmos2_video",
        "animatediff",
        "cogvideox",
        "allegro",
        "latte",
        "stable_video",
        "cosmos_text",
    ],
)
def test_a_preview_is_what_the_video_will_be(name: str, load_family: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    family = load_family(name)
    mode = "first_frame" if name == "sana" else min(family.spec.modes, key=lambda mode: mode == "clip")
    family.make(mode)
    frames, previews = family.make(mode)
    assert len(family.learnt) == 2
    latents, pictures = family.learnt[0]
    final = family.pipeline._preview.make(latents)
    small = (pictures[len(pictures) // 2].permute(1, 2, 0) * 255).numpy()
    monkeypatch.setattr(CleanLatents, "find", lambda self, latents, axes: in_order(latents, axes))
    again, noisy = family.make(mode)
    assert np.array_equal(frames, again)
    for early in range(4):
        assert distance(previews[early], final) < distance(noisy[early], final) / 2
    assert distance(previews[-1], final) <= 0.5
    # As near as a linear map comes to it.
    assert distance(previews[-1], small) <= distance(final, small) + 0.5 < small.std() * 1.3


@pytest.mark.parametrize(
    ("name", "mode", "num_frames"),
    [("framepack", "first_frame", 9), ("framepack", "first_frame", 65), ("helios", "text", 97)],
)
def test_of_the_last_section_of_a_video_nothing_is_learnt_and_there_is_no_preview(
    name: str, mode: str, num_frames: int, load_family: Any
) -> None:
    family = load_family(name)
    for _ in range(2):
        frames, previews = family.make(mode, num_frames=num_frames, num_inference_steps=2)
        assert (len(frames), previews, family.learnt) == (num_frames, [], [])


@pytest.mark.parametrize(
    ("name", "mode"), [("wan_vace", "clip"), ("hunyuan_image", "first_frame"), ("cogvideox15", "text")]
)
def test_a_reference_and_what_fills_up_a_pair_are_left_out(
    name: str, mode: str, load_family: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    family, seen = load_family(name), []
    learning = LatentPreview.learning

    def keep(preview: LatentPreview, latents: torch.Tensor, frames: Frames, scale: int) -> Iterator[torch.Tensor]:
        seen.append(latents)
        return learning(preview, latents, frames, scale)

    monkeypatch.setattr(LatentPreview, "learning", keep)
    image = {"start_image": Image.new("RGB", (48, 32), "green")} if name == "wan_vace" else {}
    for _ in range(2):
        _, previews = family.make(mode, num_inference_steps=3, **image)
    latents, pictures = family.learnt[0]
    assert (len(pictures), seen[0].shape[2]) == (3, 4)
    assert torch.equal(latents, seen[0][0, :, 1:])
    assert previews and {picture.shape for picture in previews} == {(4, 6, 3)}
