"""Several processes make one video: what a model file says about them, what they say to each other, what they make."""

from __future__ import annotations

import json
import multiprocessing
import queue
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from plugins.diffusers.tests.table import make_spec
from plugins.diffusers.tests.tiny import TINY
from videoapi import Cancelled, ConfigurationError, Mode, ModelError, ModelFile
from videoapi_diffusers import load
from videoapi_diffusers.parallel import messages
from videoapi_diffusers.parallel.follower import Channel, Follower
from videoapi_diffusers.parallel.group import check, find_devices
from videoapi_diffusers.plugin import build_spec

Folders = Callable[[str], Path]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
CPU = torch.device("cpu")
TWO = {"ulysses_degree": 2}
# The first of the processes, which a test cannot be itself: makes the video of a request, and prints how many tokens
# its own blocks calculated and how many there are.
FIRST = """
import json, sys
from pathlib import Path
import numpy as np
import yaml
from plugins.diffusers.tests.conftest import RecordingProgress
from plugins.diffusers.tests.tiny import TINY
from videoapi import GenerationRequest, ModelFile
from videoapi_diffusers.plugin import build_spec, load_model

file, (name, mode, out, values) = Path(sys.argv[1]), sys.argv[2:]
spec = build_spec(ModelFile(file, yaml.safe_load(file.read_text())))
pipeline = load_model(spec)
request = GenerationRequest(**json.loads(values), **TINY[name].ask(mode, spec))
tokens = {"block": [], "whole": []}

def record(module, positional, named):
    tokens["block"].append((positional or tuple(named.values()))[0].shape[1])

transformer = pipeline._pipeline.pipeline.transformer
transformer.proj_out.register_forward_pre_hook(record, with_kwargs=True)
transformer.proj_out.register_forward_hook(lambda module, inputs, output: tokens["whole"].append(output.shape[1]))
frames = [np.stack(list(pipeline.generate(request, RecordingProgress()).frames)) for _ in range(2)]
pipeline.close()
np.savez(out, first=frames[0], second=frames[1])
print(json.dumps(tokens))
"""


def read(**keys: Any) -> Any:
    keys = {"device": "cpu", "context_parallel": TWO, **keys}
    file = {"name": "wan", "backend": "diffusers", "parameters": {"model": "a/b"}, "diffusers": keys}
    return build_spec(ModelFile(Path("wan.yaml"), {**file, "diffusers": {"pipeline_type": "WanPipeline", **keys}}))


def write(file: Path, folder: Path, **keys: Any) -> Path:
    """A model file for a tiny pipeline of two processes."""
    diffusers = {"device": "cpu", "context_parallel": TWO, **keys}
    given = {"name": file.stem, "backend": "diffusers", "parameters": {"model": str(folder)}}
    file.write_text(yaml.safe_dump({**given, "diffusers": diffusers}))
    return file


FAMILIES = [
    ("wan_text", "text", TWO),
    *(
        pytest.param(*values, marks=pytest.mark.slow)
        for values in (
            ("wan_text", "clip", {**TWO, "ulysses_anything": True}),
            ("wan_experts", "text", TWO),
            ("wan_image", "first_frame", TWO),
            ("wan_ti2v", "first_frame", TWO),
        )
    ),
]


@pytest.mark.parametrize(("name", "mode", "degrees"), FAMILIES)
def test_several_processes_make_the_video_of_one(
    name: str, mode: Mode, degrees: dict[str, Any], folders: Folders, tmp_path: Path, make_request: Any, progress: Any
) -> None:
    values = {"prompt": "a b c", "negative_prompt": "d", "fps": 8, "num_inference_steps": 3, "guidance_scale": 4.0}
    values["seed"] = 1
    out = tmp_path / "frames.npz"
    file = write(tmp_path / "model.yaml", folders(name), context_parallel=degrees)
    command = [sys.executable, "-W", "ignore", "-c", FIRST, file, name, mode, out]
    run = subprocess.run([*command, json.dumps(values)], capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    tokens = json.loads(run.stdout.splitlines()[-1])
    share = 1 / degrees["ulysses_degree"]
    assert all(mine < whole for mine, whole in zip(tokens["block"], tokens["whole"], strict=True))
    assert sum(tokens["block"]) == pytest.approx(share * sum(tokens["whole"]), rel=0.2)
    spec = make_spec(folders(name))
    request = make_request(**values, **TINY[name].ask(mode, spec))
    alone = np.stack(list(load(**spec.settings).generate(request, progress()).frames)).astype(int)
    made = np.load(out)
    assert made["first"].shape == alone.shape
    assert alone.std() > 1, "there is something to see"
    for frames in (made["first"], made["second"]):
        assert np.abs(frames - alone).mean() <= 1


def test_fewer_gpus_than_processes_are_an_error() -> None:
    assert find_devices("cpu", 2) == ["cpu", "cpu"]
    with pytest.raises(
        ModelError, match=r"'diffusers\.context_parallel' needs 2 GPUs, and the model's process sees 0; CUDA"
    ):
        find_devices("", 2)


def test_each_process_has_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    assert find_devices("", 2) == ["cuda:0", "cuda:1"]
    with pytest.raises(ModelError, match="needs 4 GPUs, and the model's process sees 2"):
        find_devices("cuda", 4)


def test_a_model_that_diffusers_cannot_divide_is_an_error(folders: Folders) -> None:
    for name, words in (
        ("cogvideox", "no plan of how to divide a CogVideoXTransformer3DModel"),
        ("stable_video", "no plan of how to divide a StableVideoDiffusionPipeline"),
    ):
        pipeline = load(**make_spec(folders(name)).settings).pipeline
        with pytest.raises(ModelError, match=words):
            check(pipeline, {"ulysses_degree": 2, "ring_degree": 1}, CPU)


def test_heads_that_cannot_be_divided_and_weights_elsewhere_are_errors(folders: Folders) -> None:
    pipeline = load(**make_spec(folders("wan_text")).settings).pipeline
    with pytest.raises(
        ModelError, match=r"ulysses_degree' is 3, which does not divide the model's 2 heads of attention"
    ):
        check(pipeline, {"ulysses_degree": 3, "ring_degree": 1}, CPU)
    pipeline.transformer.to("meta")
    with pytest.raises(ModelError, match="needs the whole denoiser on each GPU, and one has too little memory for it"):
        check(pipeline, {"ulysses_degree": 2, "ring_degree": 1}, CPU)


def test_the_degrees_are_diffusers_own() -> None:
    assert read().settings["parallel"] == {"ulysses_degree": 2, "ring_degree": 1}
    both = {"ulysses_degree": 2, "ring_degree": 4}
    assert read(context_parallel=both).settings["parallel"] == both
    anything = {"ring_degree": 2, "ring_anything": True}
    assert read(context_parallel=anything).settings["parallel"] == {"ulysses_degree": 1, **anything}
    assert "quality" not in read().params


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"context_parallel": {"ulysses_degree": 1}},
            "'diffusers.context_parallel' must have a ulysses_degree or a ring_",
        ),
        ({"context_parallel": {"ulysses_anything": True}}, "must have a ulysses_degree or a ring_degree of 2 or more"),
        ({"context_parallel": {"ulysses_degree": 2, "ring_degree": 0}}, "of 2 or more, and none below 1"),
        ({"cache": "first_block"}, "'diffusers.cache' does not go with 'diffusers.context_parallel': each process"),
        ({"compile": True}, "'diffusers.compile' does not go with 'diffusers.context_parallel': diffusers does not"),
        ({"offload": "group"}, "'diffusers.offload' must be one of auto, none, text_encoder with .* not 'group'"),
        ({"device": "cuda:1"}, "'diffusers.device' must be without a number with 'diffusers.context_parallel'"),
        ({"quality": "fast"}, "'diffusers.quality' must be one of lossless for this model, not 'fast'"),
    ],
)
def test_what_does_not_go_together_is_an_error_by_its_key(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read(**keys)


def test_only_modes_that_can_be_divided_are_offered(folders: Folders, tmp_path: Path) -> None:
    def read(name: str) -> Any:
        file = write(tmp_path / "model.yaml", folders(name))
        return build_spec(ModelFile(file, yaml.safe_load(file.read_text()))).modes

    assert read("wan_text") == {"text", "clip"}
    for name in ("ltx", "ltx2", "cogvideox"):
        with pytest.raises(ConfigurationError, match=r"is not for this model: .*Pipeline\. It goes with: WanImageTo"):
            read(name)


def test_a_request_arrives_as_it_was_sent(make_request: Any) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (3, 32, 48, 3), dtype=np.uint8)
    red, blue, green = (Image.fromarray(each) for each in noise)
    request = make_request(start_image=red, end_image=blue, clip=[green, red, green, green], params={"strength": 0.5})
    ours, theirs = multiprocessing.Pipe()
    messages.send_request(ours, 7, request)
    message = messages.receive(theirs)
    pictures = messages.receive_pictures(theirs, message)
    assert len(pictures) == 3
    arrived = messages.make_request(message, pictures)
    assert message["number"] == 7
    assert (arrived.prompt, arrived.seed, arrived.params) == (request.prompt, request.seed, {"strength": 0.5})
    pairs = [(arrived.start_image, red), (arrived.end_image, blue), *zip(arrived.clip or (), request.clip, strict=True)]
    assert all(np.array_equal(np.asarray(one), np.asarray(other)) for one, other in pairs)
    for connection in (ours, theirs):
        connection.close()


@pytest.mark.parametrize("name", ["wan_text", "ltx"])
def test_the_others_do_not_decode(name: str, folders: Folders, make_request: Any) -> None:
    spec = make_spec(folders(name))
    places: list[str] = []
    channel: Any = SimpleNamespace(wait_for_word=lambda number, place: places.append(place))
    follower = Follower(channel, rank=1)
    follower._pipeline = load(**spec.settings)
    follower._pipeline.pipeline.vae.decoder.register_forward_pre_hook(lambda *_: pytest.fail("it decodes"))
    ours, theirs = multiprocessing.Pipe()
    messages.send_request(ours, 1, make_request(**TINY[name].ask("text", spec), num_inference_steps=2))
    message = messages.receive(theirs)
    message["pictures"] = messages.receive_pictures(theirs, message)
    for _ in range(2):
        follower._follow(dict(message))
    assert places == 2 * ["encoding prompt", "denoising", "step 1 of 2", "step 2 of 2", "decoding"]
    for connection in (ours, theirs):
        connection.close()


def test_one_that_is_elsewhere_than_the_first_says_so() -> None:
    channel = Channel.__new__(Channel)
    channel._messages = queue.Queue()
    words = [{"kind": "stop", "number": 1}]
    words += [{"kind": "go", "number": 2, "place": f"step {step} of 3"} for step in (1, 3)]
    for word in words:
        channel._messages.put(word)
    channel.wait_for_word(2, "step 1 of 3")
    with pytest.raises(ModelError, match=r"It is at step 2 of 3, and the first process at step 3 of 3\."):
        channel.wait_for_word(2, "step 2 of 3")
    channel._messages.put({"kind": "stop", "number": 2})
    with pytest.raises(Cancelled, match=r"The first process has stopped\."):
        channel.wait_for_word(2, "step 3 of 3")
