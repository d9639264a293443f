"""The real library on weights of the true shapes: what goes in arrives, what comes out is whole, nothing is left."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from plugins.stablediffusion.tests.conftest import need_library, run
from plugins.stablediffusion.tests.entries import write_gguf
from plugins.stablediffusion.tests.weights import SHAPES, lora, wan
from videoapi import InvalidRequest, ModelError
from videoapi_stablediffusion.library import open_library
from videoapi_stablediffusion.params import NEED_TWO_STEPS, NOISY_SAMPLERS, SAMPLERS, SCHEDULERS
from videoapi_stablediffusion.request import Arguments, find_flow_shift

Load = Callable[..., tuple[Any, Any]]
Loaded = tuple[Any, Any]
Make = Callable[..., Any]


def test_text_to_video_is_the_same_for_a_seed_and_says_how_far_it_is(
    t2v: Loaded, make_request: Make, progress: Any
) -> None:
    spec, model = t2v
    frames = run(spec, model, progress, make_request, num_inference_steps=2)
    assert frames.shape == (5, 32, 32, 3)
    assert frames.dtype == np.uint8
    assert len({frame.tobytes() for frame in frames}) == 5
    assert list(dict.fromkeys(progress.phases)) == ["encoding prompt", "denoising", "decoding"]
    assert progress.steps == [(1, 2), (2, 2)]
    assert [preview.shape for preview in progress.previews] == [(4, 4, 3)] * 2
    again = run(spec, model, progress, make_request, num_inference_steps=2)
    assert np.array_equal(frames, again)
    other = run(spec, model, progress, make_request, num_inference_steps=2, seed=2**63 - 1)
    assert not np.array_equal(frames, other)


def test_a_lora_tag_in_a_prompt_is_only_text(t2v: Loaded, make_request: Make, progress: Any, tmp_path: Path) -> None:
    """The binding would open the file that it names."""
    trap = tmp_path / "trap.safetensors"
    trap.write_bytes(b"\x02\0\0\0\0\0\0\0[]")
    spec, model = t2v
    frames = run(spec, model, progress, make_request, prompt=f"a cat <lora:{trap}:1>")
    assert len(frames) == 5


def test_two_experts_share_the_steps(load: Load, make_request: Make, progress: Any, tmp_path: Path) -> None:
    other = write_gguf(tmp_path / "high.gguf", wan(SHAPES["t2v"]), seed=5)
    spec, model = load(high_noise_diffusion_model_path=str(other))
    steps = {"num_inference_steps": 3}
    # The boundary lies after the first of three steps.
    by_boundary = run(spec, model, progress, make_request, **steps)
    assert progress.steps == [(1, 3), (2, 3), (3, 3)]
    by_number = run(spec, model, progress, make_request, **steps, params={"high_noise_step": 2})
    assert progress.steps[3:] == [(1, 3), (2, 3), (3, 3)]
    assert not np.array_equal(by_boundary, by_number)
    with pytest.raises(InvalidRequest, match="Must be less than all the steps, which are 3") as refusal:
        run(spec, model, progress, make_request, **steps, params={"high_noise_step": 3})
    assert refusal.value.field == "params.high_noise_step"


@pytest.mark.parametrize("sampler", ["heun", "res_2s"])
def test_samplers_of_two_passes_report_each_step_once(
    t2v: Loaded, make_request: Make, progress: Any, sampler: str
) -> None:
    spec, model = t2v
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
            "cache_mode": "easycache",
            "cache_threshold": 0.3,
            "cache_start": 0.2,
            "cache_end": 0.8,
            "vae_tile_size": 16,
            "high_noise_step": 4,
            "high_noise_cfg_scale": 3.0,
            "high_noise_sampler": "euler",
            "moe_boundary": 0.9,
            "loras": [{"name": "style", "scale": 0.5}],
        },
    )
    arguments = Arguments(model.context, request, spec.settings["loras"], is_tiled=True)
    params = arguments.params
    low, high = params.sample_params, params.high_noise_sample_params
    assert (params.prompt, params.negative_prompt) == (b"a cat", b"dull")
    assert (low.sample_steps, high.sample_steps) == (5, 4)
    assert (low.guidance.txt_cfg, high.guidance.txt_cfg) == (4.0, 3.0)
    assert (low.sample_method, high.sample_method) == (SAMPLERS.index("dpm++2m"), SAMPLERS.index("euler"))
    assert (low.flow_shift, low.eta) == (7.5, math.inf)
    cache = params.cache
    assert (cache.mode, cache.reuse_threshold, cache.start_percent, cache.end_percent) == pytest.approx(
        (1, 0.3, 0.2, 0.8)
    )
    assert (params.vae_tiling_params.enabled, params.vae_tiling_params.tile_size_x) == (True, 16)
    assert params.moe_boundary == pytest.approx(0.9)
    (style,) = params.loras[: params.lora_count]
    assert (style.path, style.multiplier, style.is_high_noise) == (str(tmp_path / "style.gguf").encode(), 0.5, False)


def test_the_lists_of_names_are_the_librarys() -> None:
    need_library()
    functions = open_library().functions
    assert [functions.str_to_sample_method(name.encode()) for name in SAMPLERS] == list(range(len(SAMPLERS)))
    numbers = {functions.str_to_scheduler(name.encode()) for name in SCHEDULERS}
    nothing = functions.str_to_scheduler(b"nothing")
    # All of them but ays and gits.
    assert len(numbers) == nothing - 2
    assert nothing not in numbers


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_makes_something_of_the_seed(
    t2v: Loaded, make_request: Make, progress: Any, scheduler: str
) -> None:
    """The library has two more, which make black frames, or crash it."""
    spec, model = t2v
    steps = 2 if scheduler in NEED_TWO_STEPS else 1
    fields = {"width": 16, "height": 16, "num_frames": 1, "num_inference_steps": steps}
    results = {
        run(spec, model, progress, make_request, seed=seed, params={"scheduler": scheduler}, **fields).tobytes()
        for seed in (1, 2)
    }
    assert len(results) == 2


@pytest.mark.parametrize("mode", ["easycache", "dbcache", "taylorseer", "cache-dit", "spectrum"])
def test_every_cache_runs(t2v: Loaded, make_request: Make, progress: Any, mode: str) -> None:
    spec, model = t2v
    assert len(run(spec, model, progress, make_request, num_inference_steps=2, params={"cache_mode": mode})) == 5


@pytest.mark.parametrize(
    ("params", "field", "message"),
    [
        ({"cache_threshold": 0.1}, "params.cache_threshold", "Has no effect with cache_mode 'disabled'."),
        ({"cache_mode": "dbcache", "cache_end": 0.5}, "params.cache_end", "Has no effect with cache_mode 'dbcache'."),
        ({"scheduler": "karras"}, "params.scheduler", "'karras' needs at least two steps."),
        ({"eta": 0.5}, "params.eta", f"Has no effect with this sampler; it has with: {', '.join(NOISY_SAMPLERS)}."),
        (
            {"cache_mode": "easycache", "cache_start": 0.9, "cache_end": 0.5},
            "params.cache_start",
            "Must be less than cache_end, 0.5.",
        ),
    ],
)
def test_params_that_would_have_no_effect_are_refused(
    t2v: Loaded, make_request: Make, progress: Any, params: dict[str, Any], field: str, message: str
) -> None:
    spec, model = t2v
    with pytest.raises(InvalidRequest) as refusal:
        run(spec, model, progress, make_request, params=params)
    assert (refusal.value.field, refusal.value.message) == (field, message)


def test_tiles_decode_to_much_the_same(t2v: Loaded, make_request: Make, progress: Any) -> None:
    spec, model = t2v
    whole = run(spec, model, progress, make_request, width=64, height=64)
    steps = list(progress.steps)
    tiled = run(
        spec, model, progress, make_request, width=64, height=64, params={"vae_tiling": True, "vae_tile_size": 4}
    )
    assert progress.steps == steps * 2
    assert tiled.shape == whole.shape


def test_the_shift_follows_the_size(t2v: Loaded, make_request: Make) -> None:
    spec, _ = t2v
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


def test_a_lora_that_cannot_be_used_is_refused_before_any_work(
    load: Load, make_request: Make, progress: Any, tmp_path: Path
) -> None:
    write_gguf(tmp_path / "wide.gguf", lora(width=5120), scale=1.0)
    write_gguf(tmp_path / "strange.gguf", lora(layer="transformer.blocks.0.attn1.to_"), scale=1.0)
    (tmp_path / "torn.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0[]")
    write_gguf(tmp_path / "other.gguf", wan(SHAPES["ten-blocks"]))
    spec, model = load(lora_dir=str(tmp_path))
    for name, message in (
        ("torn", "'torn' is neither GGUF nor"),
        ("other", "'other' is no LoRA"),
        ("strange", "'strange' is a LoRA for another kind of model: none of its layers is in this one"),
        ("wide", "'wide' is a LoRA for a model of another size: blocks_0_self_attn_q has 1536 inputs here, and 5120"),
    ):
        with pytest.raises(InvalidRequest, match=message) as refusal:
            run(spec, model, progress, make_request, params={"loras": [{"name": name}]})
        assert refusal.value.field == "params.loras"
    with pytest.raises(InvalidRequest, match="Names one of them twice"):
        run(spec, model, progress, make_request, params={"loras": [{"name": "wide"}, {"name": "wide"}]})
    assert progress.phases == []


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


def test_the_full_autoencoder_encodes_and_decodes(load: Load, make_request: Make, progress: Any) -> None:
    spec, model = load("vace.gguf", taesd_path=None, vae_path="vae.gguf")
    red, blue = (Image.new("RGB", (32, 32), color) for color in ("red", "blue"))
    first, second = (run(spec, model, progress, make_request, start_image=image) for image in (red, blue))
    assert first.shape == (5, 32, 32, 3)
    assert first.std() > 0
    assert not np.array_equal(first, second)


def test_closing_twice_is_closing_once(load: Load) -> None:
    _, model = load()
    model.close()
    model.close()
