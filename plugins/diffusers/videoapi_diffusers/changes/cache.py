"""diffusers' caches: work of one step that the next ones do not do again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from videoapi import ModelError, ModelFile
from videoapi_diffusers.components import TRANSFORMERS, parts_of
from videoapi_diffusers.signature import read_fields
from videoapi_diffusers.words import describe_failure

KEY = "diffusers.cache"
OPTIONS = "diffusers.cache_options"
CONFIGS = {
    "first_block": "FirstBlockCacheConfig",
    "pyramid_attention_broadcast": "PyramidAttentionBroadcastConfig",
    "faster": "FasterCacheConfig",
    "taylorseer": "TaylorSeerCacheConfig",
    "mag": "MagCacheConfig",
}
REFUSED = {
    "text_kv": "is made for the blocks of an image model, and for no video model",
    "sea": "needs an adapter for each model, which diffusers has for no pipeline that is served here",
}
KINDS: Mapping[str, type] = {"int": int, "float": float, "bool": bool, "str": str}
LIST = re.compile(r"(?:list|tuple)\[(int|float|str)\b", re.IGNORECASE)
# MagCache's calibration prints what it found and makes the same video; its number of steps is the request's.
NOT_THE_FILES = {"calibrate", "num_inference_steps"}
_COGVIDEOX = {
    "CogVideoXPipeline",
    "CogVideoXImageToVideoPipeline",
    "CogVideoXVideoToVideoPipeline",
    "CogVideoXFunControlPipeline",
}
_LTX = {"LTXPipeline", "LTXImageToVideoPipeline"}
_WAN = {"WanPipeline", "WanImageToVideoPipeline", "LucyEditPipeline"}
_MOTIF = {"MotifVideoPipeline", "MotifVideoImage2VideoPipeline"}
_FIRST_BLOCK = frozenset({*_WAN, *_LTX, *_COGVIDEOX, *_MOTIF, "HunyuanVideoPipeline", "MochiPipeline"})
CLASSES: Mapping[str, frozenset[str]] = {
    "first_block": _FIRST_BLOCK,
    "pyramid_attention_broadcast": frozenset(
        {*_LTX, *_COGVIDEOX, "MochiPipeline", "AllegroPipeline", "LattePipeline"},
    ),
    "faster": frozenset({*_COGVIDEOX, "MochiPipeline", "AllegroPipeline", "LattePipeline"}),
    "taylorseer": _FIRST_BLOCK
    | {
        "WanVACEPipeline",
        "SkyReelsV2Pipeline",
        "SkyReelsV2ImageToVideoPipeline",
        "HunyuanVideo15Pipeline",
        "HunyuanVideo15ImageToVideoPipeline",
        "LTX2Pipeline",
        "LTX2ImageToVideoPipeline",
    },
    "mag": _FIRST_BLOCK,
}
"""The pipelines that each cache was tried with, by `plugins/diffusers/tests/caches.py`, and that it leaves right.

Not among them: those that fail; those that work on a positive and a negative prompt in turns, for caches that do not
tell one from the other; those that go through their steps once for each part of the video, where TaylorSeer would go on
from the part before; VACE, whose hints the two caches of whole blocks would add twice.
"""

LITE = CLASSES["taylorseer"] - {
    "HunyuanVideoPipeline",
    "HunyuanVideo15Pipeline",
    "HunyuanVideo15ImageToVideoPipeline",
    "LTX2Pipeline",
    "LTX2ImageToVideoPipeline",
}
"""Those that go with TaylorSeer in its lite mode alone."""


def read(config: ModelFile) -> dict[str, Any]:
    """The cache's name and its options; empty where the file names none."""
    name = config.get(KEY, str, "")
    if not name:
        return {}
    if name in REFUSED:
        raise config.error(KEY, f"cannot be {name}: it {REFUSED[name]}")
    if name not in CONFIGS:
        raise config.error(KEY, f"must be one of {', '.join(CONFIGS)}, not {name!r}")
    fields = read_fields(CONFIGS[name])
    known = [field for field in fields if not field.startswith("_") and field not in NOT_THE_FILES]
    options = {field: value for field in known if (value := _read_option(config, field, fields[field])) is not None}
    if name == "mag" and "mag_ratios" not in options:
        raise config.error(
            f"{OPTIONS}.mag_ratios", "is needed: how much each step changes is another number for each model"
        )
    return {"name": name, "options": options}


def apply(pipeline: Any, wanted: Mapping[str, Any]) -> None:
    """Only try it: it is on for the requests that have it, so that none sees what another left in it."""
    with switched_on(pipeline, wanted, num_inference_steps=1):
        pass


@contextmanager
def switched_on(pipeline: Any, wanted: Mapping[str, Any], num_inference_steps: int) -> Iterator[None]:
    """Within it, every transformer of the pipeline has a new, empty cache; afterwards, none.

    Raises ModelError where a transformer does not go with it.
    """
    parts = parts_of(pipeline, TRANSFORMERS)
    try:
        for part in parts:
            _enable(part, _make_config(pipeline, wanted, num_inference_steps), wanted["name"])
        yield
    finally:
        for part in parts:
            if part.is_cache_enabled:
                part.disable_cache()


def find_problem(pipeline_class: str, name: str) -> str:
    """Why a pipeline of that class does not go with the cache; empty where it does."""
    return "" if pipeline_class in CLASSES[name] else f"{pipeline_class} does not go with the cache '{name}'"


def _read_option(config: ModelFile, field: str, annotation: str) -> Any:
    """The file's value for one of the cache's own options; None where the file does not have it."""
    key, absent = f"{OPTIONS}.{field}", None
    kind = KINDS.get(annotation.removesuffix(" | None"))
    items = LIST.search(annotation)
    if kind is not None:
        return config.get(key, kind, absent)
    if items is None:
        return None
    values: list[Any] | None = config.get(key, list, absent)
    if values is None:
        return None
    item = KINDS[items[1]]
    length = 2 if annotation == "tuple[int, int]" else len(values)
    if len(values) != length or not all(type(value) in (item, int if item is float else item) for value in values):
        count = f"{length} " if annotation == "tuple[int, int]" else ""
        raise config.error(key, f"must be a list of {count}values of type {item.__name__}, not {values!r}")
    return values


def _make_config(pipeline: Any, wanted: Mapping[str, Any], num_inference_steps: int) -> Any:
    import diffusers.hooks

    name, options = wanted["name"], dict(wanted["options"])
    if name == "mag":
        options["num_inference_steps"] = num_inference_steps
    if name in ("pyramid_attention_broadcast", "faster"):
        options["current_timestep_callback"] = lambda: pipeline.current_timestep
    return getattr(diffusers.hooks, CONFIGS[name])(**options)


def _enable(part: Any, config: Any, name: str) -> None:
    """Raises ModelError where the cache finds nothing to go with, which diffusers does not say of every one."""
    before = _count_hooks(part)
    try:
        part.enable_cache(config)
    except (ValueError, LookupError, AttributeError, TypeError, NotImplementedError) as error:
        _remove_half(part, config)
        text = describe_failure(error)
        raise ModelError(f"The cache '{name}' does not go with a {type(part).__name__}: {text}") from error
    if _count_hooks(part) == before:
        hint = "; try cache_options.use_lite_mode" if name == "taylorseer" else ""
        raise ModelError(f"The cache '{name}' finds nothing to keep in a {type(part).__name__}{hint}.")


def _remove_half(part: Any, config: Any) -> None:
    """Take off what an enabling that failed has left: diffusers takes off only what it knows to be on."""
    part._cache_config = config
    with suppress(ValueError, LookupError, AttributeError):
        part.disable_cache()
    part._cache_config = None


def _count_hooks(part: Any) -> int:
    return sum(len(module._diffusers_hook.hooks) for module in part.modules() if hasattr(module, "_diffusers_hook"))
