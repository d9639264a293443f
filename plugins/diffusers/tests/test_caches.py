"""Caches and qualities: read from a model file, on for one request, and no trace of them in the next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from plugins.diffusers.tests.caches import BOLD, Trial, find_wanted, make_row, read_rows
from plugins.diffusers.tests.caches import make_request as make_of_family
from plugins.diffusers.tests.conftest import RecordingProgress
from plugins.diffusers.tests.tiny import TINY, stand_in
from plugins.diffusers.tests.tiny.wan import make_components, make_transformer
from videoapi import Cancelled, ConfigurationError, InvalidRequest, ModelError, ModelFile
from videoapi_diffusers.changes import read_changes
from videoapi_diffusers.changes.cache import CLASSES, CONFIGS
from videoapi_diffusers.plugin import build_spec, load_model
from videoapi_diffusers.running.pipeline import DiffusersPipeline

ALWAYS = ("wan_text", "ltx", "cogvideox", "mochi")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wan with two experts of three blocks."""
    import torch
    from diffusers import WanPipeline

    folder = tmp_path_factory.mktemp("wan")
    torch.manual_seed(0)
    experts = {"transformer": make_transformer(num_layers=3), "transformer_2": make_transformer(num_layers=3)}
    WanPipeline(**make_components(**experts), boundary_ratio=0.875).save_pretrained(folder)
    return folder


def file(folder: Path, **diffusers: Any) -> ModelFile:
    data = {"name": "wan", "backend": "diffusers", "parameters": {"model": str(folder)}, "diffusers": diffusers}
    return ModelFile(folder / "wan.yaml", data)


def open_model(folder: Path, **diffusers: Any) -> Any:
    return load_model(build_spec(file(folder, **diffusers)))


@pytest.fixture
def make(make_request: Any, progress: Any) -> Any:
    def make(model: Any, **params: Any) -> Any:
        request = make_request(params=params, num_inference_steps=6)
        return np.stack(list(model.generate(request, progress()).frames))

    return make


@pytest.mark.parametrize(
    "name",
    [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.slow) for name in TINY],
)
def test_a_family_goes_with_the_caches_that_are_said_to_go_with_it(name: str) -> None:
    stand_in()
    trial = Trial(name)
    works = {pipeline: {cache: trial.works(cache, mode) for cache in BOLD} for pipeline, mode in trial.modes.items()}
    for pipeline, each in works.items():
        either = {**each, "taylorseer": each["taylorseer"] or each["taylorseer_lite"]}
        assert {cache for cache in CONFIGS if either[cache]} == {
            cache for cache, known in CLASSES.items() if pipeline in known
        }, pipeline
    main = works.get(trial.spec.settings["pipeline_class"], next(iter(works.values())))
    assert make_row(trial, name, main) == read_rows()[TINY[name].title]


def test_a_cache_has_its_own_options_from_the_file(folder: Path) -> None:
    options = {
        "spatial_attention_block_skip_range": 2,
        "spatial_attention_timestep_skip_range": [100, 800],
        "spatial_attention_block_identifiers": ["blocks"],
    }
    read = read_changes(file(folder, cache="pyramid_attention_broadcast", cache_options=options))
    assert read["cache"] == {"name": "pyramid_attention_broadcast", "options": options}


def test_an_option_of_another_cache_stays_unread_for_the_kernel_to_report(folder: Path) -> None:
    model_file = file(folder, cache="first_block", cache_options={"threshold": 1, "cache_interval": 2})
    assert read_changes(model_file)["cache"]["options"] == {"threshold": 1.0}
    assert "diffusers.cache_options.cache_interval" in model_file.unread()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"cache": "teacache"}, r"'diffusers\.cache' must be one of first_block, pyramid.*, not 'teacache'"),
        ({"cache": "text_kv"}, "cannot be text_kv: it is made for the blocks of an image model"),
        ({"cache": "sea"}, "cannot be sea: it needs an adapter for each model"),
        ({"cache": "mag"}, r"mag_ratios' is needed: how much each step changes is another number for each model"),
        ({"cache": "mag", "cache_options": {"mag_ratios": ["a"]}}, r"a list of values of type float, not \['a'\]"),
        ({"cache": "first_block", "cache_options": {"threshold": "much"}}, "must be of type float, not 'much'"),
        (
            {
                "cache": "pyramid_attention_broadcast",
                "cache_options": {"spatial_attention_timestep_skip_range": [1]},
            },
            r"must be a list of 2 values of type int, not \[1\]",
        ),
        ({"cache": "faster"}, "is not for this model: faster. It goes with: first_block, taylorseer, mag"),
        ({"quality": "best"}, r"'diffusers\.quality' must be one of lossless, balanced, fast for this model, not 'be"),
    ],
)
def test_what_does_not_go_with_the_model_is_an_error_by_its_key(folder: Path, keys: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build_spec(file(folder, **keys))


def test_a_model_without_a_cache_that_goes_with_it_is_lossless_only(tmp_path: Path) -> None:
    TINY["sana"].build().save_pretrained(tmp_path)
    assert "quality" not in build_spec(file(tmp_path)).params
    with pytest.raises(ConfigurationError, match="must be one of lossless for this model, not 'fast'"):
        build_spec(file(tmp_path, quality="fast"))


def test_the_qualities_are_those_of_the_model_and_the_files_own_cache(folder: Path) -> None:
    schemas = [
        build_spec(file(folder, **keys)).params["quality"]
        for keys in ({}, {"quality": "fast"}, {"cache": "first_block"}, {"cache": "taylorseer", "quality": "lossless"})
    ]
    base = ["lossless", "balanced", "fast"]
    assert [schema["enum"] for schema in schemas] == [base, base, [*base, "first_block"], [*base, "taylorseer"]]
    assert [schema["default"] for schema in schemas] == ["lossless", "fast", "first_block", "lossless"]


def test_a_lossless_request_is_exact_before_and_after_every_other(folder: Path, make: Any) -> None:
    bold = {"cache": "first_block", "cache_options": BOLD["first_block"]}
    model, plain = open_model(folder, **bold), make(open_model(folder))
    frames = {quality: make(model, quality=quality) for quality in ("first_block", "fast", "balanced")}
    assert np.array_equal(make(model, quality="lossless"), plain)
    assert not np.array_equal(frames["first_block"], plain)
    for quality, before in frames.items():
        assert np.array_equal(make(model, quality=quality), before)
        assert np.array_equal(make(model, quality="lossless"), plain)


def test_the_files_cache_is_for_both_experts(folder: Path, make: Any) -> None:
    model, called = open_model(folder, cache="first_block", cache_options=BOLD["first_block"]), []
    for name in ("transformer", "transformer_2"):
        last = getattr(model.pipeline, name).blocks[-1].attn1
        last.register_forward_hook(lambda *_, name=name: called.append(name))
    make(model)
    assert {name: called.count(name) for name in set(called)} == {"transformer": 2, "transformer_2": 2}


def test_a_cancel_or_an_error_leaves_nothing_in_a_cache(
    folder: Path, make: Any, make_request: Any, progress: Any
) -> None:
    model = open_model(folder, cache="first_block", cache_options=BOLD["first_block"])
    first, lossless = make(model), make(model, quality="lossless")
    with pytest.raises(Cancelled):
        model.generate(make_request(prompt="e f", num_inference_steps=6), progress(cancel_at=2))
    assert not model.pipeline.transformer.is_cache_enabled
    assert np.array_equal(make(model), first)
    assert np.array_equal(make(model, quality="lossless"), lossless)


def test_a_request_for_a_pipeline_that_does_not_go_with_it_must_be_lossless(
    tmp_path: Path, make_request: Any, progress: Any
) -> None:
    TINY["wan_text"].build().save_pretrained(tmp_path)
    model, clip = open_model(tmp_path), [Image.new("RGB", (48, 32))] * 5
    with pytest.raises(
        InvalidRequest, match="It must be lossless for such a request: WanVideoToVideoPipeline"
    ) as error:
        model.generate(make_request(clip=clip, params={"quality": "fast"}), progress())
    assert error.value.field == "params.quality"
    model.generate(make_request(clip=clip, params={"quality": "lossless"}), progress())


def test_a_transformer_of_one_block_has_nothing_to_keep(tmp_path: Path) -> None:
    TINY["wan_text"].build().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="The cache 'first_block' does not go with a WanTransformer3DModel: pop from"):
        open_model(tmp_path, cache="first_block")


def test_a_cache_that_finds_nothing_says_so(folder: Path) -> None:
    message = "'taylorseer' finds nothing to keep in a WanTransformer3DModel; try cache_options.use_lite_mode"
    with pytest.raises(ModelError, match=message):
        open_model(folder, cache="taylorseer")
    open_model(folder, cache="taylorseer", cache_options={"use_lite_mode": True})


def test_the_cache_that_goes_by_the_guidance_needs_some(folders: Any, make_request: Any, progress: Any) -> None:
    keys = {"cache": "faster", "cache_options": BOLD["faster"]}
    trial = Trial("cogvideox")
    trial.pipeline.save_pretrained(folder := folders("cogvideox").parent / "deep")
    model = open_model(folder, **keys)
    shape = TINY["cogvideox"].inputs("text")
    with pytest.raises(InvalidRequest, match="It must be more than 1 with the cache 'faster'") as error:
        model.generate(make_request(guidance_scale=1.0, params={"quality": "faster"}, **shape), progress())
    assert error.value.field == "cfg_scale"


@pytest.mark.parametrize(
    ("name", "cache"),
    [("cogvideox", "first_block"), ("latte", "pyramid_attention_broadcast"), ("hunyuan15_text", "taylorseer")],
)
def test_a_family_has_the_qualities_of_the_first_cache_that_goes_with_it(name: str, cache: str) -> None:
    trial = Trial(name)
    profiles = trial.spec.settings["profiles"][trial.spec.settings["pipeline_class"]]
    assert {profile["name"] for profile in profiles.values()} == {cache}
    ours = DiffusersPipeline(trial.pipeline, trial.spec.settings["modes"], profiles=trial.spec.settings["profiles"])
    frames = {}
    for quality in ("lossless", "balanced", "fast", "lossless"):
        request = replace(make_of_family(name, "text", **{**trial.defaults, "quality": quality}), num_inference_steps=9)
        made = np.stack(list(ours.generate(request, RecordingProgress()).frames))
        assert np.array_equal(frames.setdefault(quality, made), made)
    assert len(frames) == 3


def test_magcache_is_told_the_requests_steps(folder: Path, make: Any) -> None:
    model = open_model(folder, cache="mag", cache_options=BOLD["mag"])
    assert (
        find_wanted("mag")
        == build_spec(file(folder, cache="mag", cache_options=BOLD["mag"])).settings["changes"]["cache"]
    )
    frames = make(model)
    assert np.array_equal(make(model), frames)
    assert not np.array_equal(make(model, quality="lossless"), frames)
