from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from videoapi import ConfigurationError, ModelFile

DATA: dict[str, Any] = {
    "name": "wan",
    "backend": "diffusers",
    "step": 40,
    "f16": True,
    "diffusers": {"pipeline_type": "WanPipeline", "cuda": True},
    "options": ["torch_dtype:bf16", "path:C:\\x", "offload"],
}


def make(**changes: Any) -> ModelFile:
    return ModelFile(Path("wan.yaml"), {**DATA, **changes})


def test_keys_are_addressed_with_dots_and_typed() -> None:
    file = make()
    assert file.get("step", int, 0) == 40
    assert file.get("diffusers.pipeline_type", str, "") == "WanPipeline"
    assert file.get("cfg_scale", float, 5.0) == 5.0
    assert make(cfg_scale=3).get("cfg_scale", float, 5.0) == 3.0


def test_options_are_localais_list_and_keep_a_second_colon() -> None:
    file = make()
    assert file.option("torch_dtype", "") == "bf16"
    assert file.option("path", "") == "C:\\x"
    assert file.option("other", "none") == "none"


def test_the_names_in_a_mapping_are_those_of_the_file() -> None:
    file = make(diffusers={"loras": {"style": {"model": "a", "scale": 1}, "motion": {"model": "b"}}, "cache": "mag"})
    assert (file.names("diffusers.loras"), file.names("diffusers.cache")) == (["style", "motion"], [])


def test_what_nobody_read_is_known() -> None:
    file = make()
    file.get("step", int, 0)
    file.option("torch_dtype", "")
    assert file.unread() == ["diffusers.cuda", "diffusers.pipeline_type", "f16", "options.offload", "options.path"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": "many"}, "wan.yaml: 'step' must be of type int, not 'many'."),
        ({"step": True}, "wan.yaml: 'step' must be of type int, not True."),
        ({"name": None}, "wan.yaml: 'name' is required."),
        ({"backend": ""}, "wan.yaml: 'backend' is required."),
        ({"options": {"a": 1}}, "wan.yaml: 'options' must be a list of texts"),
    ],
)
def test_a_wrong_value_names_file_and_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        make(**changes).get("step", int, 0)
    assert error.value.message.startswith(message)
    assert error.value.file == "wan.yaml"
