"""How exact a video is: as the model makes it, or sooner and a little different."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from videoapi import GenerationRequest, InvalidRequest, ModelFile
from videoapi_diffusers.changes.cache import CLASSES, find_problem
from videoapi_diffusers.changes.cache import KEY as CACHE

QUALITY = "quality"
KEY = "diffusers.quality"
LOSSLESS = "lossless"
DESCRIPTION = "lossless: as the model makes it. The others leave out work whose result has hardly changed."
PROFILES: Mapping[str, Mapping[str, Any]] = {
    "balanced": {"name": "first_block", "options": {"threshold": 0.05}},
    "fast": {"name": "first_block", "options": {"threshold": 0.12}},
}
"""The first block is always calculated; where it changed by less than the threshold since the last full step, what the
others added then is added again."""
COMMON = {"first_block": "whether a block is left out, it decides for all videos of a run together"}
"""The caches with which a video depends on those beside it. The others go by the step alone."""


def find_quality(
    config: ModelFile, changes: Mapping[str, Any], classes: Collection[str], *, is_batched: bool
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
    known = {} if is_batched else PROFILES
    profiles = [name for name, profile in known.items() if CLASSES[profile["name"]] & set(classes)]
    offered = [LOSSLESS, *profiles, *([own] if own else ())]
    default = config.get(KEY, str, own or LOSSLESS)
    if default not in offered:
        raise config.error(KEY, f"must be one of {', '.join(offered)} for this model, not {default!r}")
    if len(offered) == 1:
        return {}
    schema = {"type": "string", "enum": offered, "default": default, "description": DESCRIPTION}
    return {QUALITY: schema}


def find_cache(pipeline: Any, request: GenerationRequest, changes: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The cache that the request's quality stands for; None for a lossless one.

    Raises InvalidRequest where this pipeline does not go with it: one model's modes may be of several classes.
    """
    own = changes.get("cache")
    quality = request.params.get(QUALITY, own["name"] if own else LOSSLESS)
    if quality == LOSSLESS:
        return None
    wanted: Mapping[str, Any] = own if own and quality == own["name"] else PROFILES[quality]
    problem = find_problem(type(pipeline).__name__, wanted["name"])
    if problem:
        raise InvalidRequest(f"params.{QUALITY}", f"It must be lossless for such a request: {problem}.")
    return wanted
