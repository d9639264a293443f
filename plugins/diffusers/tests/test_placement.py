"""Where the components are: what a file asks for, what is chosen by memory, and that the hooks change nothing."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from videoapi import Cancelled, ConfigurationError, Mode, ModelError, ModelFile
from videoapi_diffusers import load, placement
from videoapi_diffusers.placement import GIB, choose_offload, find_device, measure, place

CPU = torch.device("cpu")


def read(**keys: Any) -> dict[str, str]:
    return placement.read(ModelFile(Path("wan.yaml"), {"name": "wan", "backend": "diffusers", **keys}))


def test_a_file_that_says_nothing_leaves_it_to_the_memory() -> None:
    assert read() == {"device": "", "offload": "auto"}


def test_low_vram_is_one_component_at_a_time_unless_the_file_says_more() -> None:
    assert read(low_vram=True)["offload"] == "model"
    assert read(low_vram=True, diffusers={"offload": "group"})["offload"] == "group"


def test_an_unknown_offload_is_an_error_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"'diffusers\.offload' must be one of auto, none, .* not 'disk'"):
        read(diffusers={"offload": "disk"})


@pytest.mark.parametrize(
    ("free", "offload", "words"),
    [
        (24, "none", "14.7 GiB of weights, 24.0 GiB free; all fit at once"),
        (16, "text_encoder", "without the text encoders, 3.3 GiB are left"),
        (15, "model", "the largest component, text_encoder, has 11.4 GiB and fits alone"),
        (12, "group", "the largest component, text_encoder, has 11.4 GiB and does not fit"),
    ],
)
def test_the_fastest_offload_that_fits_is_chosen_and_says_why(free: float, offload: str, words: str) -> None:
    sizes = {name: int(size * GIB) for name, size in {"text_encoder": 11.4, "transformer": 2.8, "vae": 0.5}.items()}
    chosen, reason = choose_offload(sizes, int(free * GIB))
    assert chosen == offload
    assert words in reason


def test_two_experts_that_do_not_fit_beside_each_other_take_turns() -> None:
    sizes = dict.fromkeys(("transformer", "transformer_2"), 28 * GIB)
    assert choose_offload(sizes, 40 * GIB)[0] == "model"


def test_the_size_of_a_component_is_that_of_its_weights(text_folder: Path) -> None:
    pipeline = load(str(text_folder), "WanPipeline").pipeline
    sizes = measure(pipeline)
    assert set(sizes) == {"text_encoder", "transformer", "vae"}
    assert sizes["text_encoder"] == 4 * sum(each.numel() for each in pipeline.text_encoder.parameters())


@pytest.mark.parametrize(
    ("name", "message"),
    [("gpu", "'gpu' is no device; write cpu, cuda"), ("cuda:7", "has no device 'cuda:7'; it has cpu")],
)
def test_a_device_that_is_not_here_is_a_model_error(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        find_device(name)


def test_an_offload_on_a_cpu_is_said_to_have_no_effect(text_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "videoapi_diffusers"):
        load(str(text_folder), "WanPipeline", placement={"device": "cpu", "offload": "group"})
    assert "offload 'group' has no effect on a CPU" in caplog.text


def frames_of(pipeline: Any, request: Any, progress: Any) -> Any:
    return np.stack(list(pipeline.generate(request, progress()).frames))


# With the CPU in the accelerator's place: the same hooks, and the same order of calls.
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("offload", ["text_encoder", "model", "group"])
def test_an_offload_changes_nothing_about_the_video(
    offload: str, text_folder: Path, make_request: Any, progress: Any
) -> None:
    plain = load(str(text_folder), "WanPipeline")
    modes: dict[Mode, str] = {"text": "WanPipeline", "clip": "WanVideoToVideoPipeline"}
    moved = load(str(text_folder), "WanPipeline", modes=modes)
    placement.PLACES[offload](moved.pipeline, CPU)
    clip = make_request(clip=list(make_clip()), params={"strength": 0.7})
    for request in (make_request(), make_request(prompt="d e"), clip, make_request()):
        if request.clip is None:
            assert np.array_equal(frames_of(plain, request, progress), frames_of(moved, request, progress))
        else:
            assert len(frames_of(moved, request, progress)) == 5


def make_clip() -> Any:
    from PIL import Image

    return [Image.new("RGB", (48, 32), color) for color in ("red", "blue", "red", "blue", "red")]


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["anyflow", "anyflow_far"])
def test_an_autoencoder_that_reads_the_beginning_is_brought_to_the_device(
    name: str, folders: Any, make_request: Any, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerate.hooks import CpuOffload

    from plugins.diffusers.tests.table import make_spec
    from plugins.diffusers.tests.tiny import TINY

    spec = make_spec(folders(name))
    model = load(**spec.settings)
    placement.PLACES["model"](model.pipeline, CPU)
    order: list[str] = []
    vae, before = model.pipeline.vae, CpuOffload.pre_forward
    monkeypatch.setattr(
        CpuOffload,
        "pre_forward",
        lambda hook, module, *a, **k: order.extend(["brought"] * (module is vae)) or before(hook, module, *a, **k),
    )
    vae.encoder.register_forward_pre_hook(lambda *_: order.append("encodes"))
    frames_of(model, make_request(**TINY[name].ask("first_frame", spec)), progress)
    assert order[:2] == ["brought", "encodes"]


def test_a_component_is_alone_on_the_device_also_where_a_remembered_text_asks_no_encoder(
    text_folder: Path, make_request: Any, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(str(text_folder), "WanPipeline")
    placement.PLACES["model"](model.pipeline, CPU)
    names = {id(getattr(model.pipeline, name)): name for name in measure(model.pipeline)}
    on_device: set[str] = set()
    monkeypatch.setattr(placement, "_is_on", lambda module, device: names[id(module)] in on_device)
    before = torch.nn.Module.to

    def to(module: Any, *where: Any, **options: Any) -> Any:
        if id(module) in names:
            on_device.discard(names[id(module)])
        return before(module, *where, **options)

    monkeypatch.setattr(torch.nn.Module, "to", to)
    together: list[set[str]] = []

    def come(name: str) -> None:
        on_device.add(name)
        together.append(set(on_device))

    # A part of each is called when the whole is where it has to be.
    for name, part in {"text_encoder": "encoder", "transformer": "patch_embedding", "vae": "decoder"}.items():
        module = getattr(getattr(model.pipeline, name), part)
        module.register_forward_pre_hook(lambda *_, name=name: come(name))
    for _ in range(2):
        frames_of(model, make_request(), progress)
    assert {"transformer"} in together
    assert {"vae"} in together
    assert max(map(len, together)) == 1


def test_sequential_leaves_no_weight_on_the_device(text_folder: Path) -> None:
    """That is all that shows here: accelerate's hooks do not run with the CPU in the device's place."""
    pipeline = load(str(text_folder), "WanPipeline").pipeline
    placement.PLACES["sequential"](pipeline, CPU)
    weights = [*pipeline.transformer.parameters(), *pipeline.text_encoder.parameters(), *pipeline.vae.parameters()]
    assert {weight.device.type for weight in weights} == {"meta"}
    assert pipeline._execution_device.type == "cpu"


def test_the_text_encoder_leaves_when_the_denoiser_comes(
    text_folder: Path, make_request: Any, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerate.hooks import UserCpuOffloadHook

    pipeline = load(str(text_folder), "WanPipeline")
    placement.PLACES["text_encoder"](pipeline.pipeline, CPU)
    left: list[Any] = []
    monkeypatch.setattr(UserCpuOffloadHook, "offload", lambda hook: left.append(hook.model))
    frames_of(pipeline, make_request(), progress)
    assert left
    assert all(each is pipeline.pipeline.text_encoder for each in left)


def test_place_says_what_it_did(text_folder: Path) -> None:
    assert place(load(str(text_folder), "WanPipeline").pipeline, CPU, "auto") == "none"


def test_what_was_on_the_device_when_a_call_ended_early_goes_home(
    text_folder: Path, make_request: Any, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = load(str(text_folder), "WanPipeline")
    placement.PLACES["model"](pipeline.pipeline, CPU)
    moved: list[Any] = []
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, *_, **__: moved.append(module) or module)
    with pytest.raises(Cancelled):
        pipeline.generate(make_request(num_inference_steps=9), progress(cancel_at=1))
    parts = [getattr(pipeline.pipeline, name) for name in measure(pipeline.pipeline)]
    assert all(any(part is each for each in moved) for part in parts)


def test_quantised_weights_are_as_large_as_their_parts() -> None:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    layer = torch.nn.Sequential(torch.nn.Linear(256, 256, bias=False)).to(torch.bfloat16)
    pipeline = SimpleNamespace(components={"transformer": layer})
    whole = measure(pipeline)["transformer"]
    quantize_(layer, Int8WeightOnlyConfig())
    assert whole == 2 * 256 * 256
    assert 256 * 256 < measure(pipeline)["transformer"] < 0.6 * whole
