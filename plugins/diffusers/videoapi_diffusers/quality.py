"""How exact a video is: as the model makes it, or sooner and a little different."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from videoapi import GenerationRequest, InvalidRequest, ModelFile
from videoapi_diffusers.changes.cache import CLASSES, LITE, find_problem
from videoapi_diffusers.changes.cache import KEY as CACHE

QUALITY = "quality"
KEY = "diffusers.quality"
LOSSLESS = "lossless"
DESCRIPTION = "lossless: as the model makes it. The others leave out work whose result has hardly changed."
Profile = Mapping[str, Any]
"""A cache and its options, as a model file has them."""
Profiles = Mapping[str, Mapping[str, Profile]]
"""By the pipeline's class and the quality."""
FIRST_BLOCK: Mapping[str, Profile] = {
    "balanced": {"name": "first_block", "options": {"threshold": 0.05}},
    "fast": {"name": "first_block", "options": {"threshold": 0.12}},
}
"""The first block is always calculated; where it changed by less than the threshold since the last full step, what the
others added then is added again."""
BROADCAST: Mapping[str, Profile] = {
    quality: {
        "name": "pyramid_attention_broadcast",
        "options": {
            "spatial_attention_block_skip_range": every,
            "spatial_attention_timestep_skip_range": [100, 850],
        },
    }
    for quality, every in (("balanced", 2), ("fast", 4))
}
"""Every second or fourth step in the middle of the denoising has attention calculated, as its authors suggest
(https://huggingface.co/papers/2408.12588); the others take the last result."""
FORECAST: Mapping[str, Profile] = {
    quality: {"name": "taylorseer", "options": {"cache_interval": every, "disable_cache_before_step": 3}}
    for quality, every in (("balanced", 3), ("fast", 5))
}
"""Every third or fifth step is calculated, the others are continued from those by their change
(https://huggingface.co/papers/2503.06923)."""
PROFILES = (FIRST_BLOCK, BROADCAST, FORECAST)
"""In the order of preference: a family has the first one whose cache goes with it."""
COMMON = {"first_block": "whether a block is left out, it decides for all videos of a run together"}
"""The caches with which a video depends on those beside it. The others go by the step alone."""


def find_profiles(classes: Iterable[str], *, is_batched: bool) -> Profiles:
    """What the qualities stand for, for those of the pipeline classes that have a cache for them.

    With several videos in one run, only by caches that do not look at them together.
    """
    found: dict[str, Mapping[str, Profile]] = {}
    for name in classes:
        fitting = [
            each
            for each in PROFILES
            if name in CLASSES[(cache := each["fast"]["name"])] and not (is_batched and cache in COMMON)
        ]
        if fitting:
            found[name] = {quality: _complete(profile, name) for quality, profile in fitting[0].items()}
    return found


def find_quality(
    config: ModelFile, changes: Mapping[str, Any], classes: Collection[str], profiles: Profiles, *, is_batched: bool
) -> dict[str, Mapping[str, Any]]:
    """The schema of `params.quality` for a model of these pipeline classes; empty where it is lossless only.

    The file's own cache is one more choice, by its name, and the default. Raises ConfigurationError for a default that
    is not offered, and for a cache that does not go with the model or, where it `is_batched`, with several videos.
    """
    own = changes.get("cache", {}).get("name")
    if own and not CLASSES[own] & set(classes):
        other = [name for name, known in CLASSES.items() if known & set(classes)]
        raise config.error(CACHE, f"is not for this model: {own}. It goes with: {', '.join(other) or 'none'}")
    if is_batched and own in COMMON:
        raise config.error(CACHE, f"must not be {own} where limits.max_batch_size is more than 1: {COMMON[own]}")
    offered = [LOSSLESS, *(FIRST_BLOCK if profiles else ()), *([own] if own else ())]
    default = config.get(KEY, str, own or LOSSLESS)
    if default not in offered:
        raise config.error(KEY, f"must be one of {', '.join(offered)} for this model, not {default!r}")
    if len(offered) == 1:
        return {}
    schema = {"type": "string", "enum": offered, "default": default, "description": DESCRIPTION}
    return {QUALITY: schema}


def find_cache(
    pipeline: Any, request: GenerationRequest, changes: Mapping[str, Any], profiles: Profiles
) -> Profile | None:
    """The cache that the request's quality stands for; None for a lossless one.

    Raises InvalidRequest where this pipeline does not go with it: one model's modes may be of several classes.
    """
    own = changes.get("cache")
    quality = request.params.get(QUALITY, own["name"] if own else LOSSLESS)
    if quality == LOSSLESS:
        return None
    name = type(pipeline).__name__
    is_own = own is not None and quality == own["name"]
    wanted: Profile | None = own if is_own else profiles.get(name, {}).get(quality)
    problem = find_problem(name, quality) if is_own else ""
    if wanted is None or problem:
        problem = problem or f"{name} goes with no cache for it"
        raise InvalidRequest(f"params.{QUALITY}", f"It must be lossless for such a request: {problem}.")
    if wanted["name"] == "faster" and request.guidance_scale <= 1:
        raise InvalidRequest("cfg_scale", "It must be more than 1 with the cache 'faster', which goes by the guidance.")
    return wanted


def _complete(profile: Profile, pipeline_class: str) -> Profile:
    lite = profile["name"] == "taylorseer" and pipeline_class in LITE
    return {**profile, "options": {**profile["options"], "use_lite_mode": True}} if lite else profile
