"""What cannot work is an error of the load: a video is tried where the file has something that its authors did not."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plugins.diffusers.tests.table import make_spec
from plugins.diffusers.tests.tiny import TINY
from videoapi import Clip, ConfigurationError, Defaults, InvalidRequest, ModelError, ModelFile, ModelSpec, OutOfMemory
from videoapi_diffusers.plugin import build_spec, load_model
from videoapi_diffusers.running.trying import FRAMES, SIDE, try_out

Folders = Callable[[str], Path]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


def open_model(folder: Path, **diffusers: Any) -> Any:
    return load_model(make_spec(folder, diffusers=diffusers))


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("ltx", {"scheduler": "DPMSolverMultistepScheduler"}, "with the scheduler DPMSolverMultistepScheduler: "),
        ("mochi", {"scheduler": "FlowMatchHeunDiscreteScheduler"}, "with the scheduler FlowMatchHeun"),
        ("cogvideox", {"scheduler": "FlowMatchEulerDiscreteScheduler"}, "with the scheduler FlowMatchEuler"),
        ("wan_text", {"scheduler_options": {"use_dynamic_shifting": True}}, "with the scheduler options: "),
        ("wan_image", {"pipeline_type": "WanPipeline"}, "with the pipeline_type WanPipeline in place of WanImageTo"),
        ("wan_text", {"pipeline_type": "WanVACEPipeline"}, "with the pipeline_type WanVACEPipeline in place of WanP"),
        (
            "kandinsky5",
            {"scheduler": "FlowMatchHeunDiscreteScheduler"},
            "Kandinsky5T2VPipeline makes another video with FlowMatchHeunDiscreteScheduler in the installed",
        ),
    ],
)
def test_what_does_not_go_with_the_model_is_an_error_of_the_load(
    name: str, keys: Any, message: str, folders: Folders
) -> None:
    with pytest.raises(ModelError, match=message):
        open_model(folders(name), **keys)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("ltx", {"scheduler": "UniPCMultistepScheduler"}),
        ("wan_text", {"scheduler": "FlowMatchEulerDiscreteScheduler", "attention_backend": "native"}),
        ("animatediff", {"scheduler": "DDIMScheduler"}),
        ("latte", {"scheduler": "EulerDiscreteScheduler"}),
    ],
)
def test_what_goes_with_it_is_tried_and_loaded_and_used(
    name: str, keys: Any, folders: Folders, caplog: pytest.LogCaptureFixture, make_request: Any, progress: Any
) -> None:
    with caplog.at_level(logging.INFO, "videoapi_diffusers"):
        model = open_model(folders(name), **keys)
    assert f"Trying the scheduler {keys['scheduler']}" in caplog.text
    seen, spec = progress(), make_spec(folders(name))
    request = make_request(**TINY[name].ask("text", spec), num_inference_steps=3)
    assert len(list(model.generate(request, seen).frames)) == request.num_frames
    # It has learnt from what was tried.
    assert bool(seen.previews) == (name != "ltx")


def test_what_the_folder_has_itself_is_not_tried(folders: Folders, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "videoapi_diffusers"):
        open_model(folders("wan_text"), pipeline_type="WanPipeline")
    assert "Trying" not in caplog.text


class Picky:
    """Makes the default size alone."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked: list[tuple[int, int, int]] = []
        self.params: dict[str, Any] = {}

    def generate(self, request: Any, progress: Any) -> Clip:
        self.asked.append((request.width, request.height, request.num_frames))
        self.params = request.params
        if len(self.asked) == 1:
            raise self.error
        return Clip(frames=[])


def test_a_model_that_makes_no_small_videos_is_tried_at_its_own_size() -> None:
    spec = ModelSpec(name="wan", size_multiple=16, defaults=Defaults(width=832, height=480, num_frames=81))
    picky = Picky(InvalidRequest("size", "Not this one."))
    try_out(picky, spec, ["the scheduler X"])
    (width, height, frames), whole = picky.asked
    assert (height, frames, whole) == (SIDE, FRAMES, (832, 480, 81))
    assert width % 16 == 0
    full = Picky(OutOfMemory("No more."))
    try_out(full, spec, ["the scheduler X"])
    assert len(full.asked) == 1


def test_the_files_own_cache_is_tried_whatever_the_default_is(folders: Folders) -> None:
    spec = make_spec(folders("wan_text"), diffusers={"cache": "first_block", "quality": "lossless"})
    picky = Picky(InvalidRequest("size", "Not this one."))
    try_out(picky, spec, ["the cache first_block"])
    assert spec.params["quality"]["default"] == "lossless"
    assert picky.params["quality"] == "first_block"


def test_weights_that_a_text_encoder_lacks_are_an_error_and_not_random_numbers(
    tmp_path: Path, folders: Folders
) -> None:
    folder = shutil.copytree(folders("wan_text"), tmp_path / "wan")
    path = folder / "text_encoder" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_layers": 3}))
    with pytest.raises(
        ModelError, match=r"A UMT5EncoderModel of the model lacks \d+ weights, such as encoder\.block\.1\."
    ):
        open_model(folder)
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_layers": 1, "d_ff": 64}))
    with pytest.raises(ModelError, match="The model cannot be loaded: "):
        open_model(folder)
    path.write_text((folders("wan_text") / "text_encoder" / "config.json").read_text())
    open_model(folder)


def test_a_model_without_a_denoiser_is_an_error_of_the_load(tmp_path: Path, folders: Folders) -> None:
    folder = shutil.copytree(folders("wan_text"), tmp_path / "wan")
    index = folder / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "transformer": [None, None]}))
    with pytest.raises(ModelError, match="lacks what a WanPipeline needs: a denoiser"):
        open_model(folder)


def test_a_negative_prompt_by_default_that_has_no_effect_is_an_error_of_the_file(folders: Folders) -> None:
    keys = {"defaults": {"negative_prompt": "blurry"}}
    make_spec(folders("wan_text"), **keys)
    with pytest.raises(ConfigurationError, match=r"'defaults\.negative_prompt' has no effect on this model unless"):
        make_spec(folders("hunyuan_text"), **keys)


def test_a_model_is_found_beside_its_file(tmp_path: Path, folders: Folders) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "wan").symlink_to(folders("wan_text"))
    data = {"name": "wan", "backend": "diffusers", "parameters": {"model": "weights/wan"}}
    spec = build_spec(ModelFile(tmp_path / "wan.yaml", data))
    assert Path(spec.settings["source"]) == folders("wan_text")
