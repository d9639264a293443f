"""Frames are decoded while they are read: the same ones as from the whole clip at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from plugins.diffusers.tests.table import make_spec
from plugins.diffusers.tests.tiny import TINY
from videoapi import ModelError, OutOfMemory
from videoapi_diffusers import load
from videoapi_diffusers.running import decoding
from videoapi_diffusers.running.frames import read_videos, to_arrays
from videoapi_diffusers.signature import known_pipelines, read_signature

STREAMED = [
    "wan_text",
    "wan_image",
    "wan_first_and_last",
    "wan_experts",
    "wan_ti2v",
    "wan_vace",
    "skyreels_text",
    "skyreels_image",
    "skyreels_forcing",
    "lucy_edit",
    "anyflow",
]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
Folders = Callable[[str], Path]


def make(name: str, folders: Folders, make_request: Any, progress: Any) -> tuple[Any, Any]:
    """The loaded pipeline, and the frames of its smallest request, not yet read."""
    spec = make_spec(folders(name))
    request = make_request(**TINY[name].ask(min(spec.modes), spec), num_inference_steps=2)
    pipeline = load(**spec.settings)
    return pipeline, pipeline.generate(request, progress()).frames


@pytest.mark.parametrize("name", STREAMED)
def test_the_frames_are_those_of_the_whole_clip(
    name: str, folders: Folders, make_request: Any, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, frames = make(name, folders, make_request, progress)
    vae = pipeline.pipeline.vae
    first = next(frames)
    assert any(each is not None for each in vae._feat_map), "it is in the middle of decoding"
    streamed = np.stack([first, *frames])
    assert all(each is None for each in vae._feat_map)
    monkeypatch.setattr(decoding, "can_stream", lambda pipeline: False)
    whole = np.stack(list(make(name, folders, make_request, progress)[1]))
    assert np.array_equal(streamed, whole)


def test_frames_that_nobody_reads_leave_nothing_behind(text_folder: Path, make_request: Any, progress: Any) -> None:
    pipeline = load(str(text_folder), "WanPipeline")
    request = make_request(num_frames=9)
    whole = np.stack(list(pipeline.generate(request, progress()).frames))
    abandoned = pipeline.generate(request, progress()).frames
    next(abandoned)
    abandoned.close()
    assert all(each is None for each in pipeline.pipeline.vae._feat_map)
    assert np.array_equal(whole, np.stack(list(pipeline.generate(request, progress()).frames)))


def test_in_tiles_the_whole_clip_is_decoded_at_once(text_folder: Path, make_request: Any, progress: Any) -> None:
    pipeline = load(str(text_folder), "WanPipeline", changes={"vae": ["vae_tiling"]})
    assert not decoding.can_stream(pipeline.pipeline)
    assert len(list(pipeline.generate(make_request(), progress()).frames)) == 5


def test_frames_of_another_size_are_a_model_error(
    text_folder: Path, make_request: Any, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = load(str(text_folder), "WanPipeline")
    monkeypatch.setattr(pipeline.pipeline, "vae_scale_factor_spatial", 16)
    with pytest.raises(ModelError, match="The pipeline made 16x16 instead of 48x32"):
        list(pipeline.generate(make_request(), progress()).frames)


def test_only_pipelines_that_leave_the_video_alone_are_streamed() -> None:
    signatures = [signature for name in known_pipelines() if (signature := read_signature(name)) is not None]
    alone = {each.name for each in signatures if each.leaves_decoded_alone}
    assert {"WanPipeline", "WanVACEPipeline", "LucyEditPipeline", "AnyFlowPipeline"} <= alone
    # Their videos are cut, checked, joined or resized after they are decoded, or are decoded in parts.
    assert not alone & {"Cosmos2_5_PredictBasePipeline", "HeliosPipeline", "MotifVideoPipeline", "SanaVideoPipeline"}


def test_every_grey_value_of_half_precision_is_that_of_the_whole(make_request: Any) -> None:
    import torch

    values = torch.linspace(0, 1, 3 * 32 * 48).reshape(3, 32, 48).to(torch.bfloat16)
    (array,) = to_arrays([values], make_request(num_frames=1))
    assert np.array_equal(array, values.float().mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy())


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("kind", ["array", "tensor", "list of tensors", "lists of pictures"])
def test_every_video_of_an_output_is_found_however_it_is_nested(kind: str, count: int) -> None:
    import torch
    from PIL import Image

    values = np.arange(count * 3, dtype=np.uint8).reshape(count, 3, 1, 1, 1) * np.ones((1, 1, 8, 6, 3), np.uint8)
    made: dict[str, Any] = {
        "array": values / 255,
        "tensor": torch.from_numpy(values).movedim(-1, -3) / 255,
        "list of tensors": list(torch.from_numpy(values).movedim(-1, -3) / 255),
        "lists of pictures": [[Image.fromarray(frame) for frame in video] for video in values],
    }
    videos = read_videos(SimpleNamespace(frames=made[kind]), [])
    found = [[round(float(frame.mean()) * 255) for frame in video] for video in videos]
    assert found == [[3 * index, 3 * index + 1, 3 * index + 2] for index in range(count)]


def fill_up(*_: Any) -> Any:
    raise torch.OutOfMemoryError("CUDA out of memory")


def frames_of(pipeline: Any, request: Any, progress: Any) -> Any:
    return np.stack(list(pipeline.generate(request, progress()).frames))


def test_an_autoencoder_that_failed_on_the_way_forgets_what_it_had_kept(
    folders: Folders, make_request: Any, progress: Any
) -> None:
    """EasyAnimate's goes on with it in the next clip."""
    spec = make_spec(folders("easyanimate"))
    pipeline = load(**spec.settings)
    request = make_request(**TINY["easyanimate"].ask("text", spec))
    before = frames_of(pipeline, request, progress)
    hook = pipeline.pipeline.vae.decoder.conv_out.register_forward_pre_hook(fill_up)
    with pytest.raises(OutOfMemory, match="while the frames were being decoded"):
        pipeline.generate(make_request(**{**TINY["easyanimate"].ask("text", spec), "seed": 2}), progress())
    hook.remove()
    assert np.array_equal(frames_of(pipeline, request, progress), before)


@pytest.mark.parametrize("mode", ["text", "first_frame"])
def test_a_lack_of_memory_that_a_pipeline_takes_for_a_warning_is_an_error(
    mode: Any, folders: Folders, make_request: Any, progress: Any
) -> None:
    """Sana's do, and go on without a video."""
    spec = make_spec(folders("sana"))
    pipeline = load(**spec.settings)
    request = make_request(**TINY["sana"].ask(mode, spec))
    before = frames_of(pipeline, request, progress)
    hook = pipeline.pipeline.vae.decoder.register_forward_pre_hook(fill_up)
    with pytest.raises(OutOfMemory, match="while the frames were being decoded"):
        list(pipeline.generate(request, progress()).frames)
    hook.remove()
    assert np.array_equal(frames_of(pipeline, request, progress), before)
