"""What a pipeline class of the installed diffusers takes, read from its source: nothing is imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeGuard

CLASS = re.compile(r"^class (\w+)[(:]", re.MULTILINE)
# What most pipelines end with, as `ast` writes it: between the two, nothing is done to the video.
DECODES = "self.vae.decode("
LEAVES_ALONE = re.compile(
    r"video = self\.vae\.decode\(latents, return_dict=False\)\[0\]\s+"
    r"video = self\.video_processor\.postprocess_video\(video, output_type=output_type\)"
)
# Every pipeline checks its sizes with a line like `if height % 16 != 0`.
MULTIPLE = re.compile(r"height % (\d+) != 0")


class Missing(Enum):
    """Why a parameter has no default that could be read."""

    REQUIRED = "required"
    COMPUTED = "computed"


REQUIRED = Missing.REQUIRED


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """The arguments of a pipeline's call and the components of its constructor."""

    name: str
    parameters: Mapping[str, Any]
    """The call's parameters with their defaults: a literal, REQUIRED or Missing.COMPUTED."""
    components: frozenset[str] = frozenset()
    """What the constructor takes, configuration values included."""
    size_multiple: int = 1
    """The multiple of width and height that the class checks for, where it is written as a number."""
    leaves_decoded_alone: bool = False
    """What the autoencoder decodes goes to the video processor at once, and nowhere else."""

    def first(self, *names: str) -> str | None:
        """The first of these parameters that there is."""
        return next((name for name in names if name in self.parameters), None)

    def number(self, *names: str) -> float | None:
        """The default of the first of these parameters that there is, if it is a number."""
        value = self.parameters.get(self.first(*names) or "")
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    def requires(self, name: str) -> bool:
        return self.parameters.get(name) is REQUIRED


@cache
def read_signature(name: str) -> Signature | None:
    """The signature of diffusers' class of that name; None where there is no such pipeline."""
    path = _find_pipelines().get(name)
    if path is None:
        return None
    tree = _parse_class(path, name)
    source = ast.unparse(tree)
    methods = _methods_of(tree)
    inherited = [read_signature(ast.unparse(base)) for base in tree.bases]
    parents = [parent for parent in inherited if parent is not None]
    if "__call__" not in methods and not parents:
        return None
    return Signature(
        name=name,
        parameters=dict(_read_parameters(methods["__call__"])) if "__call__" in methods else parents[0].parameters,
        components=frozenset(dict(_read_parameters(methods["__init__"])))
        if "__init__" in methods
        else parents[0].components
        if parents
        else frozenset(),
        size_multiple=max([1, *map(int, MULTIPLE.findall(source))]),
        leaves_decoded_alone=source.count(DECODES) == 1 and LEAVES_ALONE.search(source) is not None,
    )


@cache
def read_scheduler(name: str) -> Mapping[str, Any]:
    """The options of diffusers' scheduler of that name with their defaults; empty where there is no such scheduler."""
    path = _find_schedulers().get(name)
    return {} if path is None else dict(_read_parameters(_methods_of(_parse_class(path, name))["__init__"]))


@cache
def read_fields(name: str) -> Mapping[str, str]:
    """The fields of diffusers' cache configuration of that name with their types, as they are written there."""
    path = _find_classes("hooks", "*.py").get(name)
    body = [] if path is None else _parse_class(path, name).body
    return {
        node.target.id: ast.unparse(node.annotation)
        for node in body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


@cache
def known_attention_backends() -> list[str]:
    """The names of all attention backends of the installed diffusers."""
    path = _find_classes("models", "attention_dispatch.py").get("AttentionBackendName")
    body = [] if path is None else _parse_class(path, "AttentionBackendName").body
    return sorted(node.value.value for node in body if _is_text(node))


def known_schedulers() -> list[str]:
    """The names of all schedulers of the installed diffusers."""
    return sorted(_find_schedulers())


def known_pipelines() -> list[str]:
    """The names of all pipeline classes of the installed diffusers."""
    return sorted(_find_pipelines())


@cache
def _find_pipelines() -> Mapping[str, Path]:
    found = _find_classes("pipelines", "pipeline_*.py")
    return {name: path for name, path in found.items() if "Pipeline" in name and not name.endswith("Output")}


@cache
def _find_schedulers() -> Mapping[str, Path]:
    found = _find_classes("schedulers", "scheduling_*.py")
    return {name: path for name, path in found.items() if name.endswith("Scheduler")}


def _find_classes(folder: str, pattern: str) -> dict[str, Path]:
    spec = find_spec("diffusers")
    roots = spec.submodule_search_locations if spec is not None else None
    paths = [path for root in roots or () for path in sorted(Path(root, folder).rglob(pattern))]
    return {name: path for path in paths for name in CLASS.findall(path.read_text(encoding="utf-8"))}


def _parse_class(path: Path, name: str) -> ast.ClassDef:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return next(node for node in body if isinstance(node, ast.ClassDef) and node.name == name)


def _methods_of(tree: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def _read_parameters(function: ast.FunctionDef) -> Iterator[tuple[str, Any]]:
    arguments = function.args
    named = arguments.posonlyargs + arguments.args
    defaults = [None] * (len(named) - len(arguments.defaults)) + list(arguments.defaults)
    every = [*zip(named, defaults, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    for argument, default in every:
        if argument.arg != "self":
            yield argument.arg, _read_default(default)


def _is_text(node: ast.stmt) -> TypeGuard[Any]:
    """A line like `FLASH = "flash"`."""
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _read_default(node: ast.expr | None) -> Any:
    if node is None:
        return REQUIRED
    try:
        return ast.literal_eval(node)
    except ValueError:
        return Missing.COMPUTED
