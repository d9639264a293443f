"""`POST /video` with a model of the hub: it is downloaded by the first request, which says how far it is."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import torch
import yaml

from plugins.diffusers.tests.hub import TOKEN, Hub, Repo
from plugins.diffusers.tests.tiny import TINY
from tests.server import Server
from tests.videos import read

ASKED = {"prompt": "a red ball", "model": "wan", "size": "48x32", "num_frames": 9, "fps": 8, "step": 2, "seed": 5}
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A repository that opens for a token alone; the transformer takes its time."""
    folder = tmp_path_factory.mktemp("repository")
    torch.manual_seed(0)
    TINY["wan_text"].build().save_pretrained(folder)
    with Hub(wan=Repo(folder, gated=True)) as hub:
        hub.held = "transformer/diffusion_pytorch_model.safetensors"
        yield hub


@pytest.fixture(scope="module")
def server(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "models").mkdir()
    for name, model in (("wan", "tiny/wan"), ("missing", "tiny/van")):
        keys = {"parameters": {"model": model}, "diffusers": {"pipeline_type": "WanPipeline"}}
        (folder / "models" / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, "backend": "diffusers", **keys}))
    environment = hub.environment(folder / "cache", HF_TOKEN=TOKEN)
    changed = {name: value for name, value in environment.items() if name.startswith(("HF_", "NO_"))}
    with Server(folder, VIDEOAPI_MODELS_DIR=str(folder / "models"), VIDEOAPI_PRELOAD="", **changed) as server:
        yield server


def test_a_model_of_the_hub_is_downloaded_by_its_first_request(server: Server, hub: Hub) -> None:
    path = server.post(ASKED, Prefer="respond-async").headers["Location"]
    line = re.compile(r"^Downloading tiny/wan: [1-9]\d* of \d+ files, \d+\.\d of \d+\.\d kB$")
    server.wait_until(lambda: line.match(server.get(path).json.get("detail") or ""), "the download to be told")
    hub.release.set()
    done = server.wait_for(path, "completed", "failed")
    assert done["status"] == "completed", (done, server.log[-3000:])
    assert len(read(server.get(done["data"][0]["url"]).body).frames) == 9
    assert TOKEN not in server.log


def test_a_model_that_the_hub_does_not_have_fails_with_a_reason(server: Server) -> None:
    answer = server.post({**ASKED, "model": "missing"})
    assert (answer.status, answer.error["code"]) == (500, "model_error")
    assert answer.error["message"].startswith("The hub has no 'tiny/van', or it is private")
    assert "Traceback" not in answer.error["message"]


def test_what_was_downloaded_is_served_without_the_hub(server: Server, hub: Hub) -> None:
    hub.release.set()
    assert server.post(ASKED).status == 200
    server.stop()
    server.environment["HF_HUB_OFFLINE"] = "1"
    server.start()
    hub.asked.clear()
    assert server.post(ASKED).status == 200
    assert hub.asked == []
