"""LoRAs that are on the hub come as models do: one commit, with progress, and errors as sentences."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugins.diffusers.tests.hub import Hub, Repo
from plugins.diffusers.tests.loras import make_weights, write_lora
from videoapi_diffusers import load

LORA = """
import sys
from videoapi import ModelError
from videoapi_diffusers import load
lora = {{"repo": "tiny/style", "file": "style.safetensors", "revision": {revision}, "scale": 1.0}}
lora["components"] = ["transformer"]
try:
    load({folder!r}, "WanPipeline", changes={{"loras": {{"style": lora}}}})
except ModelError as error:
    sys.exit(error.message)
"""


@pytest.mark.parametrize(
    ("revision", "environment", "message"),
    [
        (None, {}, ""),
        (None, {"HF_HUB_OFFLINE": "1"}, "'tiny/style' is not all in the hub's cache, and HF_HUB_OFFLINE forbids"),
        ("v9", {}, "'tiny/style' has no revision 'v9'"),
    ],
)
def test_a_lora_comes_from_the_hub_as_a_model_does(
    text_folder: Path, tmp_path: Path, revision: str | None, environment: dict[str, str], message: str
) -> None:
    folder, made = tmp_path / "style", load(str(text_folder), "WanPipeline").pipeline
    folder.mkdir()
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    write_lora(folder, "style", make_weights(made.transformer, 1))
    with Hub(style=Repo(folder)) as hub:
        code = LORA.format(folder=str(text_folder), revision=repr(revision))
        done = hub.run(tmp_path / "cache", code, **environment)
    assert (done.returncode, message in done.stderr) == (1 if message else 0, True), done.stderr
