"""The real library on weights of the true shapes: what goes in arrives, what comes out is whole, nothing is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from plugins.stablediffusion.tests.weights import SHAPES, lora, wan, write_gguf
from videoapi import InvalidRequest, ModelError, OutOfMemory
from videoapi_stablediffusion import memory, pipeline
from videoapi_stablediffusion.library import open_library
from videoapi_stablediffusion.params import SAMPLERS, SCHEDULERS
from videoapi_stablediffusion.request import Arguments, find_flow_shift

Load = Callable[..., tuple[Any, Any]]
Make = Callable[..., Any]
RED, BLUE = Image.new("RGB", (32, 32), "red"), Image.new("RGB", (32, 32), "blue")


def run(spec: Any, model: Any, progress: Any, make_request: Make, **fields: Any) -> Any:
    """The frames as one array (frames, height, width, 3)."""
    return np.stack(list(model.generate(make_request(spec, **fields), progress).frames))


def test_text_to_video_is_the_same_for_a_seed_and_says_how_far_it_is(
    load: Load, make_request: Make, progress: Any
) -> None:
    spec, model = load()
    frames = run(spec, model, progress, make_request, num_inference_steps=2)
    assert frames.shape == (5, 32, 32, 3)
    assert frames.dtype == np.uint8
    assert len({frame.tobytes() for frame in frames}) == 5
    assert progress.phases == ["encoding prompt", "denoising", "decoding"]
    assert progress.steps == [(1, 2), (2, 2)]
    assert [preview.shape for preview in progress.previews] == [(4, 4, 3)] * 2
    again = run(spec, model, progress, make_request, num_inference_steps=2)
    assert np.array_equal(frames, again)
    other = run(spec, model, progress, make_request, num_inference_steps=2, seed=2**63 - 1)
    assert not np.array_equal(frames, other)


def test_a_lora_tag_in_a_prompt_is_only_text(load: Load, make_request: Make, progress: Any, tmp_path: Path) -> None:
    """The binding would open the file that it names."""
    trap = tmp_path / "trap.safetensors"
    trap.write_bytes(b"\x02\0\0\0\0\0\0\0[]")
    spec, model = load()
    frames = run(spec, model, progress, make_request, prompt=f"a cat <lora:{trap}:1>")
    assert len(frames) == 5


def test_first_and_last_frame_both_count(load: Load, make_request: Make, progress: Any) -> None:
    spec, model = load("i2v.gguf", clip_vision_path="clip_vision.gguf")
    results = [
        run(spec, model, progress, make_request, start_image=start, end_image=end)
        for start, end in ((RED, None), (RED, BLUE), (BLUE, BLUE))
    ]
    assert len({result.tobytes() for result in results}) == 3


def test_a_reference_image_and_control_frames_both_count(load: Load, make_request: Make, progress: Any) -> None:
    spec, model = load("vace.gguf")
    fields: list[dict[str, Any]] = [
        {},
        {"start_image": RED},
        {"clip": [BLUE] * 5},
        {"clip": [BLUE, RED]},
        {"start_image": RED, "clip": [BLUE] * 5},
        {"clip": [BLUE] * 5, "params": {"vace_strength": 0.2}},
    ]
    results = [run(spec, model, progress, make_request, **each) for each in fields]
    assert {len(result) for result in results} == {5}
    assert len({result.tobytes() for result in results}) == len(fields)


def test_the_five_billion_model_sees_its_first_frame(load: Load, make_request: Make, progress: Any) -> None:
    spec, model = load("ti2v.gguf", taesd_path="tiny_vae_48.gguf")
    size = {"width": 64, "height": 32}
    plain = run(spec, model, progress, make_request, **size)
    assert plain.shape == (5, 32, 64, 3)
    assert not np.array_equal(plain, run(spec, model, progress, make_request, **size, start_image=RED.resize((64, 32))))


def test_two_experts_share_the_steps(
    load: Load, make_request: Make, progress: Any, folder: Path, tmp_path: Path
) -> None:
    other = write_gguf(tmp_path / "high.gguf", wan(SHAPES["t2v"]), seed=5)
    spec, model = load(high_noise_diffusion_model_path=str(other))
    steps = {"num_inference_steps": 3}
    by_boundary = run(spec, model, progress, make_request, **steps)
    assert progress.steps == [(1, 3), (2, 3), (3, 3)]
    by_number = run(spec, model, progress, make_request, **steps, params={"high_noise_step": 1})
    assert progress.steps[3:] == [(1, 3), (2, 3), (3, 3)]
    guided = run(spec, model, progress, make_request, **steps, params={"high_noise_cfg_scale": 4.0})
    assert len({by_boundary.tobytes(), by_number.tobytes(), guided.tobytes()}) == 3
    with pytest.raises(InvalidRequest, match="Must be less than all the steps, which are 3") as refusal:
        run(spec, model, progress, make_request, **steps, params={"high_noise_step": 3})
    assert refusal.value.field == "params.high_noise_step"


@pytest.mark.parametrize("sampler", ["heun", "res_2s"])
def test_samplers_of_two_passes_report_each_step_once(
    load: Load, make_request: Make, progress: Any, sampler: str
) -> None:
    spec, model = load()
    run(spec, model, progress, make_request, num_inference_steps=2, params={"sampler": sampler})
    assert progress.steps == [(1, 2), (2, 2)]


def test_every_param_reaches_the_library(load: Load, make_request: Make, tmp_path: Path, folder: Path) -> None:
    write_gguf(tmp_path / "style.gguf", lora())
    spec, model = load(high_noise_diffusion_model_path="t2v.gguf", lora_dir=str(tmp_path))
    request = make_request(
        spec,
        guidance_scale=4.0,
        negative_prompt="dull",
        num_inference_steps=9,
        params={
            "sampler": "dpm++2m",
            "scheduler": "karras",
            "flow_shift": 7.5,
            "eta": 0.5,
            "slg_scale": 2.5,
            "skip_layers": [3, 4],
            "skip_layer_start": 0.1,
            "skip_layer_end": 0.4,
            "cache_mode": "easycache",
            "cache_threshold": 0.3,
            "cache_start": 0.2,
            "cache_end": 0.8,
            "vae_tiling": True,
            "vae_tile_size": 16,
            "high_noise_step": 4,
            "high_noise_cfg_scale": 3.0,
            "high_noise_sampler": "euler",
            "moe_boundary": 0.9,
            "loras": [{"name": "style", "scale": 0.5, "high_noise": True}],
        },
    )
    arguments = Arguments(model.context, request, spec.settings["loras"])
    params = arguments.params
    low, high = params.sample_params, params.high_noise_sample_params
    assert (params.prompt, params.negative_prompt) == (b"a cat", b"dull")
    assert (low.sample_steps, high.sample_steps) == (5, 4)
    assert (low.guidance.txt_cfg, high.guidance.txt_cfg) == (4.0, 3.0)
    assert (low.sample_method, high.sample_method) == (SAMPLERS.index("dpm++2m"), SAMPLERS.index("euler"))
    assert (low.scheduler, low.flow_shift, low.eta) == (SCHEDULERS.index("karras"), 7.5, 0.5)
    slg = low.guidance.slg
    assert [slg.layers[i] for i in range(slg.layer_count)] == [3, 4]
    assert (slg.scale, slg.layer_start, slg.layer_end) == pytest.approx((2.5, 0.1, 0.4))
    cache = params.cache
    assert (cache.mode, cache.reuse_threshold, cache.start_percent, cache.end_percent) == pytest.approx(
        (1, 0.3, 0.2, 0.8)
    )
    assert (params.vae_tiling_params.enabled, params.vae_tiling_params.tile_size_x) == (True, 16)
    assert params.moe_boundary == pytest.approx(0.9)
    (style,) = params.loras[: params.lora_count]
    assert (style.path, style.multiplier, style.is_high_noise) == (str(tmp_path / "style.gguf").encode(), 0.5, True)


def test_the_lists_of_names_are_the_librarys() -> None:
    functions = open_library().functions
    assert [functions.str_to_sample_method(name.encode()) for name in SAMPLERS] == list(range(len(SAMPLERS)))
    assert [functions.str_to_scheduler(name.encode()) for name in SCHEDULERS] == list(range(len(SCHEDULERS)))
    assert functions.str_to_sample_method(b"nothing") == len(SAMPLERS)
    assert functions.str_to_scheduler(b"nothing") == len(SCHEDULERS)


@pytest.mark.parametrize("mode", ["easycache", "dbcache", "taylorseer", "cache-dit", "spectrum"])
def test_every_cache_runs(load: Load, make_request: Make, progress: Any, mode: str) -> None:
    spec, model = load()
    assert len(run(spec, model, progress, make_request, num_inference_steps=2, params={"cache_mode": mode})) == 5


@pytest.mark.parametrize(
    ("params", "field", "message"),
    [
        ({"cache_threshold": 0.1}, "params.cache_threshold", "Has no effect with cache_mode 'disabled'."),
        ({"cache_mode": "dbcache", "cache_end": 0.5}, "params.cache_end", "Has no effect with cache_mode 'dbcache'."),
        (
            {"cache_mode": "easycache", "cache_start": 0.9, "cache_end": 0.5},
            "params.cache_start",
            "Must be less than cache_end, 0.5.",
        ),
    ],
)
def test_params_that_would_have_no_effect_are_refused(
    load: Load, make_request: Make, progress: Any, params: dict[str, Any], field: str, message: str
) -> None:
    spec, model = load()
    with pytest.raises(InvalidRequest) as refusal:
        run(spec, model, progress, make_request, params=params)
    assert (refusal.value.field, refusal.value.message) == (field, message)


def test_tiles_decode_to_much_the_same(load: Load, make_request: Make, progress: Any) -> None:
    spec, model = load()
    whole = run(spec, model, progress, make_request, width=64, height=64)
    steps = list(progress.steps)
    tiled = run(
        spec, model, progress, make_request, width=64, height=64, params={"vae_tiling": True, "vae_tile_size": 4}
    )
    assert progress.steps == steps * 2
    assert tiled.shape == whole.shape


def test_the_shift_follows_the_size(load: Load, make_request: Make) -> None:
    spec, _ = load()
    assert find_flow_shift(make_request(spec, width=832, height=480)) == 3.0
    assert find_flow_shift(make_request(spec, width=1280, height=720)) == 5.0


def test_a_lora_counts_and_leaves_no_trace(load: Load, make_request: Make, progress: Any, tmp_path: Path) -> None:
    write_gguf(tmp_path / "style.gguf", lora(), scale=1.0)
    spec, model = load(lora_dir=str(tmp_path))
    before = run(spec, model, progress, make_request)
    strong = run(spec, model, progress, make_request, params={"loras": [{"name": "style", "scale": 1.0}]})
    weak = run(spec, model, progress, make_request, params={"loras": [{"name": "style", "scale": 0.1}]})
    after = run(spec, model, progress, make_request)
    assert np.array_equal(before, after)
    assert len({before.tobytes(), strong.tobytes(), weak.tobytes()}) == 3


def test_a_lora_that_cannot_be_used_is_refused(load: Load, make_request: Make, progress: Any, tmp_path: Path) -> None:
    write_gguf(tmp_path / "wide.gguf", lora(width=5120), scale=1.0)
    (tmp_path / "torn.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0[]")
    write_gguf(tmp_path / "other.gguf", wan(SHAPES["ten-blocks"]))
    spec, model = load(lora_dir=str(tmp_path))
    for name, message in (("torn", "'torn' is neither GGUF nor"), ("other", "'other' is no LoRA")):
        with pytest.raises(InvalidRequest, match=message) as refusal:
            run(spec, model, progress, make_request, params={"loras": [{"name": name}]})
        assert refusal.value.field == "params.loras"


def test_frames_are_freed(load: Load, make_request: Make, progress: Any) -> None:
    spec, model = load()
    run(spec, model, progress, make_request, width=256, height=256)
    before = psutil.Process().memory_info().rss
    for _ in range(6):
        # Three frames' worth of a leak would be 1 MB a call.
        run(spec, model, progress, make_request, width=256, height=256)
    assert psutil.Process().memory_info().rss - before < 3e6


def test_a_missing_tensor_is_an_error_with_the_librarys_words(load: Load, tmp_path: Path) -> None:
    entries = (entry for entry in wan(SHAPES["t2v"]) if entry.name != "blocks.7.ffn.2.weight")
    holed = write_gguf(tmp_path / "holed.gguf", entries)
    with pytest.raises(ModelError, match=r"cannot load the model: .*blocks.7.ffn.2.weight"):
        load(str(holed))


def test_a_file_that_changes_after_it_was_checked_is_an_error(
    write_file: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    from videoapi_stablediffusion.plugin import build_spec, load_model

    path = tmp_path / "t2v.gguf"
    path.write_bytes((folder / "t2v.gguf").read_bytes())
    spec = build_spec(write_file(str(path)))
    path.write_bytes((folder / "vace.gguf").read_bytes())
    with pytest.raises(ModelError, match=r"takes the model for another than Wan2\.1-T2V-1\.3B"):
        load_model(spec)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match=r"cannot load the model: "):
        load_model(spec)


def test_weights_that_do_not_fit_are_refused_before_they_are_loaded(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "free_memory", lambda: 2**28)
    with pytest.raises(OutOfMemory, match=r"The model needs 0\.6 GiB of main memory, and 0\.2 GiB are free. Use files"):
        load()


def test_a_request_that_does_not_fit_is_an_error_and_the_next_one_works(
    load: Load, make_request: Make, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is on address space; without it the machine would swap, or kill."""
    spec, model = load()
    with monkeypatch.context() as patch:
        patch.setattr(memory, "free_memory", lambda: 2**28)
        patch.setattr(memory, "HEADROOM", 0)
        with pytest.raises(OutOfMemory, match="There is not enough free memory for this; try a smaller width"):
            run(spec, model, progress, make_request, width=1024, height=1024, num_frames=33)
    assert len(run(spec, model, progress, make_request)) == 5


def test_closing_twice_is_closing_once(load: Load) -> None:
    _, model = load()
    model.close()
    model.close()
