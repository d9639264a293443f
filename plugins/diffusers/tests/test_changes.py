"""What a model file changes about a pipeline: schedulers by their names, tiles and slices."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from videoapi import ConfigurationError, ModelError, ModelFile
from videoapi_diffusers import load
from videoapi_diffusers.changes import read_changes


def read(**keys: Any) -> dict[str, Any]:
    return read_changes(ModelFile(Path("wan.yaml"), {"name": "wan", "backend": "diffusers", **keys}))


def scheduler(name: str, **options: Any) -> dict[str, Any]:
    return {"diffusers": {"scheduler": name, "scheduler_options": options}}


def test_a_file_without_changes_has_none() -> None:
    assert read() == {}


def test_a_scheduler_has_its_own_options() -> None:
    assert read(**scheduler("UniPCMultistepScheduler", flow_shift=8, solver_order=3)) == {
        "scheduler": {"name": "UniPCMultistepScheduler", "options": {"flow_shift": 8.0, "solver_order": 3}}
    }


def test_an_option_that_has_no_default_is_whatever_the_file_says() -> None:
    keys = scheduler("FlowMatchEulerDiscreteScheduler", shift_terminal=0.1, base_image_seq_len=300)
    assert read(**keys)["scheduler"]["options"] == {"shift_terminal": 0.1, "base_image_seq_len": 300}


def test_the_folders_own_scheduler_can_have_options(text_folder: Path, make_request: Any, progress: Any) -> None:
    keys = {"diffusers": {"scheduler_options": {"flow_shift": 9.0, "solver_order": 1}}}
    pipeline, frames = make(text_folder, make_request, progress, **keys)
    config = pipeline.pipeline.scheduler.config
    assert (type(pipeline.pipeline.scheduler).__name__, config.flow_shift, config.solver_order) == (
        "UniPCMultistepScheduler",
        9.0,
        1,
    )
    assert not np.array_equal(frames, make(text_folder, make_request, progress)[1])
    with pytest.raises(
        ModelError, match="UniPCMultistepScheduler has no option 'flow_shft'; did you mean 'flow_shift'"
    ):
        make(text_folder, make_request, progress, diffusers={"scheduler_options": {"flow_shft": 9.0}})


def test_the_shift_of_a_flow_is_that_of_the_folders_scheduler_and_not_what_is_left_of_another() -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

    from videoapi_diffusers.changes.scheduler import apply

    before = UniPCMultistepScheduler(flow_shift=9.0, use_flow_sigmas=True, prediction_type="flow_prediction")
    own = FlowMatchEulerDiscreteScheduler.from_config(before.config, shift=3.0)
    pipeline = SimpleNamespace(scheduler=own)
    apply(pipeline, {"name": "FlowMatchHeunDiscreteScheduler", "options": {}})
    assert (own.config.flow_shift, pipeline.scheduler.config.shift) == (9.0, 3.0)


def test_an_option_of_the_folders_own_that_says_nothing_has_no_effect() -> None:
    data = {"scheduler_options": {"flow_shift": None, "nested": {"a": 1}}}
    file = ModelFile(Path("wan.yaml"), {"name": "wan", "backend": "diffusers", "diffusers": data})
    assert read_changes(file) == {}
    assert file.unread() == ["diffusers.scheduler_options.nested.a"]


def test_an_option_that_the_scheduler_does_not_have_stays_unread_for_the_kernel_to_report() -> None:
    data = {"name": "wan", "backend": "diffusers", **scheduler("FlowMatchEulerDiscreteScheduler", flow_shift=8.0)}
    file = ModelFile(Path("wan.yaml"), data)
    read_changes(file)
    assert file.unread() == ["diffusers.scheduler_options.flow_shift"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            scheduler("UniPCMultistep"),
            "is no scheduler of the installed diffusers: UniPCMultistep; did you mean 'UniPC",
        ),
        (scheduler("UniPCMultistepScheduler", solver_order="two"), "must be of type int, not 'two'"),
        ({"options": ["vae_tiling:maybe"]}, r"'options\.vae_tiling' must be true or false, not 'maybe'"),
    ],
)
def test_a_change_that_cannot_be_made_is_an_error_by_its_key(keys: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read(**keys)


def make(folder: Path, make_request: Any, progress: Any, **keys: Any) -> Any:
    pipeline = load(str(folder), "WanPipeline", changes=read(**keys))
    return pipeline, np.stack(list(pipeline.generate(make_request(), progress()).frames))


# diffusers asks numpy for what numpy 2 does otherwise.
@pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")
@pytest.mark.parametrize(
    "name", ["FlowMatchEulerDiscreteScheduler", "DPMSolverMultistepScheduler", "DEISMultistepScheduler"]
)
def test_a_flow_model_keeps_its_flow_under_another_scheduler(
    text_folder: Path, make_request: Any, progress: Any, name: str
) -> None:
    pipeline, frames = make(text_folder, make_request, progress, **scheduler(name))
    config = pipeline.pipeline.scheduler.config
    assert type(pipeline.pipeline.scheduler).__name__ == name
    assert config.get("flow_shift", config.get("shift")) == 3.0
    assert not np.array_equal(frames, make(text_folder, make_request, progress)[1])


def test_the_shift_of_the_flow_is_the_files(text_folder: Path, make_request: Any, progress: Any) -> None:
    changed = scheduler("UniPCMultistepScheduler", flow_shift=9.0)
    _, frames = make(text_folder, make_request, progress, **changed)
    assert not np.array_equal(frames, make(text_folder, make_request, progress)[1])


def test_a_scheduler_that_follows_no_flow_is_a_model_error(text_folder: Path) -> None:
    with pytest.raises(ModelError, match="DDIMScheduler cannot follow a flow, which this model was trained for"):
        load(str(text_folder), "WanPipeline", changes=read(**scheduler("DDIMScheduler")))


def test_tiles_and_slices_are_switched_on(text_folder: Path, make_request: Any, progress: Any) -> None:
    pipeline, frames = make(text_folder, make_request, progress, options=["vae_tiling", "vae_slicing:true"])
    assert (pipeline.pipeline.vae.use_tiling, pipeline.pipeline.vae.use_slicing) == (True, True)
    assert np.array_equal(frames, make(text_folder, make_request, progress)[1])
