"""Several videos in one call of a pipeline: each is the one that it would be alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plugins.diffusers.tests.table import make_spec
from plugins.diffusers.tests.tiny import TINY, ltx, stand_in
from videoapi import Cancelled, ConfigurationError, ModelError
from videoapi_diffusers import load
from videoapi_diffusers.batching import EQUAL, UNEQUAL
from videoapi_diffusers.plugin import load_model

# A batch is calculated in another order than one video, so that the last digits differ: of 255 grey values, less than
# this in the mean of all.
TOLERANCE = 0.01
FAMILIES = {
    "wan_text": "WanPipeline",
    "wan_experts": "WanPipeline",
    "wan_ti2v": "WanPipeline",
    "skyreels_text": "SkyReelsV2Pipeline",
    "anyflow": "AnyFlowPipeline",
    "anyflow_far": "AnyFlowFARPipeline",
    "hunyuan_text": "HunyuanVideoPipeline",
    "hunyuan15_text": "HunyuanVideo15Pipeline",
    "ltx": "LTXPipeline",
    "ltx_condition": "LTXConditionPipeline",
    "ltx2": "LTX2Pipeline",
    "cogvideox": "CogVideoXPipeline",
    "cogvideox15": "CogVideoXPipeline",
    "mochi": "MochiPipeline",
    "allegro": "AllegroPipeline",
    "sana": "SanaVideoPipeline",
    "helios": "HeliosPipeline",
    "easyanimate": "EasyAnimatePipeline",
    "kandinsky5": "Kandinsky5T2VPipeline",
    "kandinsky6": "Kandinsky6TI2VAPipeline",
    "motif": "MotifVideoPipeline",
    "animatediff": "AnimateDiffPipeline",
    "animatediff_pag": "AnimateDiffPAGPipeline",
    "animatediff_xl": "AnimateDiffSDXLPipeline",
    "modelscope": "TextToVideoSDPipeline",
    "cosmos_text": "CosmosTextToWorldPipeline",
    "cosmos25": "Cosmos2_5_PredictBasePipeline",
}
REFUSED = {
    "wan_vace": "WanVACEPipeline",
    "skyreels_forcing": "SkyReelsV2DiffusionForcingPipeline",
    "latte": "LattePipeline",
    "helios_pyramid": "HeliosPyramidPipeline",
    "cosmos3": "Cosmos3OmniPipeline",
    "easyanimate_inpaint": "EasyAnimateInpaintPipeline",
}
PROMPTS = ("a b c", "d", "e f g h i j a b")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
Folders = Callable[[str], Path]


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    stand_in()
    torch.set_num_threads(1)


def make_requests(name: str, spec: Any, make_request: Any, negative: tuple[str, ...] = ("", "", "")) -> list[Any]:
    """Three of one shape, with seeds of their own."""
    asked = TINY[name].ask("text", spec)
    if negative[0] and "true_cfg_scale" in spec.params:
        asked["params"] = {**asked["params"], "true_cfg_scale": 3.0}
    texts = zip(PROMPTS, negative, (1, 2, 3), strict=True)
    return [make_request(**asked, prompt=text, negative_prompt=other, seed=seed) for text, other, seed in texts]


def read(clip: Any) -> Any:
    return np.stack(list(clip.frames)).astype(int)


def compare(pipeline: Any, requests: list[Any], progress: Any) -> list[float]:
    """The mean difference of each video of a batch from the one that is made alone, in grey values."""
    alone = [pipeline.generate(request, progress()) for request in requests]
    frames = [read(clip) for clip in alone]
    together = pipeline.generate_batch(requests, progress(each=len(requests)))
    for clip, other in zip(together, alone, strict=True):
        assert (clip.audio is None) == (other.audio is None)
        if clip.audio is not None:
            assert np.allclose(clip.audio.samples, other.audio.samples, atol=1e-4)
    assert np.abs(frames[0] - frames[1]).mean() > 1, "two prompts and seeds make two videos"
    return [float(np.abs(read(clip) - video).mean()) for clip, video in zip(together, frames, strict=True)]


@pytest.mark.parametrize("name", FAMILIES)
def test_each_video_of_a_batch_is_the_one_that_is_made_alone(
    name: str, folders: Folders, make_request: Any, progress: Any
) -> None:
    spec = make_spec(folders(name), limits={"max_batch_size": 3})
    assert spec.settings["modes"].get("text", spec.settings["pipeline_class"]) == FAMILIES[name]
    pipeline = load(**spec.settings)
    assert max(compare(pipeline, make_requests(name, spec, make_request), progress)) < TOLERANCE
    if "negative_prompt" not in spec.unsupported:
        requests = make_requests(name, spec, make_request, ("f", "g h", "a"))
        assert max(compare(pipeline, requests, progress)) < TOLERANCE


def test_every_family_that_is_served_in_batches_was_compared_and_every_other_one_tried() -> None:
    assert set(FAMILIES.values()) == EQUAL
    assert set(REFUSED.values()) == set(UNEQUAL)


@pytest.mark.parametrize("name", REFUSED)
def test_a_family_that_cannot_is_refused_with_the_reason_which_is_true(
    name: str, folders: Folders, make_request: Any, progress: Any
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make_spec(folders(name), limits={"max_batch_size": 3})
    words = f"tiny.yaml: 'limits.max_batch_size' must be 1, not 3: {REFUSED[name]} {UNEQUAL[REFUSED[name]]}."
    assert refused.value.message == words
    spec = make_spec(folders(name), limits={"max_batch_size": 1})
    pipeline, requests = load(**spec.settings), make_requests(name, spec, make_request)
    try:
        differences = compare(pipeline, requests, progress)
    except (ValueError, RuntimeError, IndexError):
        return
    assert max(differences) > TOLERANCE


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("wan_image", {}, "only videos from text alone are made together, and this model makes none"),
        ("wan_text", {"diffusers": {"cache": "first_block"}}, "must not be first_block where limits.max_batch_size is"),
        (
            "wan_text",
            {"diffusers": {"context_parallel": {"ulysses_degree": 2}, "device": "cpu"}},
            "must be 1, not 2: with diffusers.context_parallel, the processes share one video",
        ),
    ],
)
def test_what_a_batch_would_change_is_refused(name: str, keys: Any, message: str, folders: Folders) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_spec(folders(name), limits={"max_batch_size": 2}, **keys)
    if keys:
        make_spec(folders(name), **keys)


def test_a_pipeline_that_nobody_has_tried_is_refused(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videoapi_diffusers.batching.EQUAL", frozenset())
    with pytest.raises(ConfigurationError, match="AnyFlowPipeline was not tried with several prompts in one call"):
        make_spec(folders("anyflow"), limits={"max_batch_size": 2})


def test_a_cache_that_goes_by_the_step_goes_with_a_batch(folders: Folders, make_request: Any, progress: Any) -> None:
    cache = {"cache": "taylorseer", "cache_options": {"use_lite_mode": True, "cache_interval": 2}}
    spec = make_spec(folders("wan_text"), diffusers=cache, limits={"max_batch_size": 3})
    assert spec.params["quality"]["enum"] == ["lossless", "balanced", "fast", "taylorseer"]
    pipeline, requests = load(**spec.settings), make_requests("wan_text", spec, make_request)
    assert requests[0].params["quality"] == "taylorseer"
    assert max(compare(pipeline, requests, progress)) < TOLERANCE


def test_the_qualities_of_a_batch_do_not_look_at_all_videos_together(
    folders: Folders, make_request: Any, progress: Any
) -> None:
    spec = make_spec(folders("wan_text"), diffusers={"quality": "fast"}, limits={"max_batch_size": 3})
    assert spec.settings["profiles"]["WanPipeline"]["fast"]["name"] == "taylorseer"
    pipeline, requests = load(**spec.settings), make_requests("wan_text", spec, make_request)
    requests = [replace(request, num_inference_steps=8) for request in requests]
    assert requests[0].params["quality"] == "fast"
    # What it knows of a step, it keeps in bfloat16.
    assert max(compare(pipeline, requests, progress)) < 0.5
    exact = replace(requests[0], params={**requests[0].params, "quality": "lossless"})
    frames = [read(pipeline.generate(request, progress())) for request in (requests[0], exact)]
    assert not np.array_equal(*frames)


def test_steps_are_everybodys_and_previews_and_warnings_are_each_ones_own(
    text_folder: Path, make_request: Any, progress: Any
) -> None:
    pipeline = load(str(text_folder), "WanPipeline")
    long = "a " * 600
    requests = [make_request(prompt=prompt, seed=seed) for seed, prompt in enumerate(("b", long, "c"))]
    first, seen = progress(each=3), progress(each=3)
    for clip in pipeline.generate_batch(requests, first):
        read(clip)
    assert [own.previews for own in first.each] == [[], [], []]
    pipeline.generate_batch(requests, seen)
    assert seen.phases == ["encoding prompt", "denoising", "decoding"]
    assert seen.steps == [(1, 3), (2, 3), (3, 3)]
    assert (seen.previews, seen.warnings) == ([], [])
    assert [len(own.previews) for own in seen.each] == [2, 2, 2]
    assert not np.array_equal(seen.each[0].previews[1], seen.each[2].previews[1])
    assert [len(own.warnings) for own in seen.each] == [0, 1, 0]
    assert "The prompt has 600 tokens" in seen.each[1].warnings[0]


def test_clips_of_a_batch_are_read_in_any_order_and_none_has_to_be(
    text_folder: Path, make_request: Any, progress: Any
) -> None:
    pipeline = load(str(text_folder), "WanPipeline")
    requests = [make_request(seed=seed, num_frames=9) for seed in range(3)]
    whole = [read(pipeline.generate(request, progress())) for request in requests]
    clips = pipeline.generate_batch(requests, progress(each=3))
    last, first = iter(clips[2].frames), iter(clips[0].frames)
    mixed = [next(last), next(first), *last, *first]
    assert np.array_equal(np.stack([mixed[0], *mixed[2:10]]), whole[2])
    assert np.array_equal(np.stack([mixed[1], *mixed[10:]]), whole[0])


def test_texts_that_were_read_together_are_remembered_together(
    text_folder: Path, make_request: Any, progress: Any
) -> None:
    pipeline = load(str(text_folder), "WanPipeline")
    pairs = [("a", "b"), ("b", "a"), ("a", "b"), ("a", "c")]
    uncached = load(str(text_folder), "WanPipeline", embeddings={"memory_mib": 0})
    for prompts in pairs:
        requests = [make_request(prompt=prompt) for prompt in prompts]
        ours, theirs = (each.generate_batch(requests, progress(each=2)) for each in (pipeline, uncached))
        assert all(np.array_equal(read(one), read(other)) for one, other in zip(ours, theirs, strict=True))


def test_a_cancel_ends_a_batch_and_the_pipeline_goes_on(text_folder: Path, make_request: Any, progress: Any) -> None:
    pipeline = load(str(text_folder), "WanPipeline")
    before = read(pipeline.generate(make_request(), progress()))
    with pytest.raises(Cancelled):
        pipeline.generate_batch([make_request(), make_request(seed=2)], progress(cancel_at=2, each=2))
    assert np.array_equal(before, read(pipeline.generate(make_request(), progress())))


def test_a_pipeline_that_makes_fewer_videos_is_a_model_error(
    text_folder: Path, make_request: Any, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = load(str(text_folder), "WanPipeline")
    monkeypatch.setattr("videoapi_diffusers.running.pipeline.read_videos", lambda output, kept: kept[-1].videos[:1])
    with pytest.raises(ModelError, match="The pipeline made 1 videos of 2"):
        pipeline.generate_batch([make_request(), make_request(seed=2)], progress(each=2))


def test_an_autoencoder_that_adds_noise_makes_of_each_video_what_it_would_alone(
    tmp_path: Path, make_request: Any, progress: Any
) -> None:
    """As that of LTX-Video 0.9.1 does: diffusers' slicing would take one video's latents for the time of another."""
    from diffusers import AutoencoderKLLTXVideo, LTXPipeline

    torch.manual_seed(0)
    components = ltx.make_components(dynamic=True)
    config = {**components["vae"].config, "timestep_conditioning": True, "decoder_inject_noise": (True,) * 5}
    components["vae"] = vae = AutoencoderKLLTXVideo.from_config(config)
    for name, weights in vae.named_parameters():
        if "per_channel_scale" in name:
            torch.nn.init.ones_(weights)
    LTXPipeline(**components).save_pretrained(tmp_path)
    pipeline, spec = load(str(tmp_path), "LTXPipeline"), make_spec(tmp_path)
    assert max(compare(pipeline, make_requests("ltx", spec, make_request), progress)) < TOLERANCE


def test_a_scheduler_that_adds_noise_is_refused(folders: Folders) -> None:
    keys = {"diffusers": {"scheduler": "FlowMatchLCMScheduler"}}
    spec = make_spec(folders("wan_text"), **keys)
    load_model(spec)
    words = r"'limits\.max_batch_size' must be 1 with a FlowMatchLCMScheduler, which adds noise at each step or"
    with pytest.raises(ModelError, match=words):
        load_model(replace(spec, limits=replace(spec.limits, max_batch_size=2)))
