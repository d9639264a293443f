"""Which files of a diffusers repository are loaded: configurations, vocabularies and safetensors."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from videoapi import ModelError

INDEX = "model_index.json"
# Of schedulers, tokenizers and processors. No code, no pickle.
TEXTS = (".json", ".jinja", ".model", ".spm", ".tiktoken", ".txt")
PICKLES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")
# Of diffusers' models and of transformers'.
STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
SHARD = re.compile(r"-\d{5}-of-\d{5}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """What the name of a file of weights says."""

    component: str
    variant: str
    suffix: str


def select_files(
    files: Iterable[str], index: Mapping[str, Any], variant: str = "", without: Collection[str] = ()
) -> list[str]:
    """The paths among `files` that a pipeline with that `model_index.json` is loaded from.

    A component without the variant is loaded without one, as diffusers does. Those in `without` get their weights from
    elsewhere. Raises ModelError for a variant that no component has, and for weights that are there as pickle alone.
    """
    files = sorted(files)
    components = {name for name, value in index.items() if isinstance(value, list) and value and value[0] is not None}
    weights = {file: found for file in files if (found := _read_name(file)) and found.component in components}
    wanted = {file: found for file, found in weights.items() if found.component not in without}
    _check_pickles(wanted)
    _check_variant(wanted, variant)
    chosen = [
        file
        for component in components.difference(without)
        for file in _choose({file: each for file, each in wanted.items() if each.component == component}, variant)
    ]
    texts = [file for file in files if file == INDEX or (file.endswith(TEXTS) and file.partition("/")[0] in components)]
    return sorted({*texts, *chosen})


def _read_name(path: str) -> Weights | None:
    """None for a file that holds no weights of a component."""
    component, _, name = path.rpartition("/")
    stem, dot, suffix = SHARD.sub("", name).rpartition(".")
    first, _, variant = stem.partition(".")
    if not component or first not in STEMS or f".{suffix}" not in (".safetensors", *PICKLES):
        return None
    return Weights(component=component, variant=variant, suffix=dot + suffix)


def _choose(weights: Mapping[str, Weights], variant: str) -> list[str]:
    for wanted in dict.fromkeys((variant, "")):
        found = [file for file, each in weights.items() if each.variant == wanted and each.suffix == ".safetensors"]
        if found:
            return found
    return []


def _check_pickles(weights: Mapping[str, Weights]) -> None:
    safe = {each.component for each in weights.values() if each.suffix == ".safetensors"}
    unsafe = {each.component for each in weights.values()} - safe
    if unsafe:
        raise ModelError(
            f"The weights of {', '.join(sorted(unsafe))} are there as pickle alone, which can run code; only "
            "safetensors and GGUF are loaded."
        )


def _check_variant(weights: Mapping[str, Weights], variant: str) -> None:
    present = sorted({each.variant for each in weights.values() if each.variant})
    if variant and variant not in present:
        there = f"it has {', '.join(present)}" if present else "it has none"
        raise ModelError(f"The model has no variant '{variant}' of its weights; {there}.")
