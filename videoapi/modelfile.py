"""An operator's model file, as plugins read it. The format is LocalAI's, with `defaults`, `limits` and `aliases`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from videoapi.exceptions import ConfigurationError

T = TypeVar("T")


class ModelFile:
    """One file's keys, addressed with dots: `get("diffusers.pipeline_type", str, "")`.

    It remembers which keys were read. What nobody read is not honoured, and `unread` says so.
    """

    def __init__(self, path: Path, data: Mapping[str, Any]) -> None:
        self.path = path
        plain = {key: value for key, value in data.items() if key != "options"}
        self._values = dict(_flatten(plain)) | dict(self._parse_options(data.get("options") or []))
        self._read: set[str] = set()
        self.name = self._required("name")
        self.backend = self._required("backend")

    def get(self, key: str, kind: type[T], default: T) -> T:
        """The key's value, or `default` where the file does not have it.

        Raises ConfigurationError that names file and key when the value is not of that kind.
        """
        self._read.add(key)
        value = self._values.get(key)
        if value is None:
            return default
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise self.error(key, f"must be of type {kind.__name__}, not {value!r}")
        return value

    def names(self, key: str) -> list[str]:
        """The names in the mapping under `key`, such as those of `diffusers.loras`; none where there is none."""
        inside = [each.removeprefix(f"{key}.") for each in self._values if each.startswith(f"{key}.")]
        return list(dict.fromkeys(each.partition(".")[0] for each in inside))

    def option(self, name: str, default: str) -> str:
        """The value of `name` in LocalAI's list `options: ["name:value"]`; "true" for a bare "name"."""
        return self.get(f"options.{name}", str, default)

    def unread(self) -> list[str]:
        """The keys that neither the kernel nor the plugin has asked for."""
        return sorted(set(self._values) - self._read)

    def error(self, key: str, problem: str) -> ConfigurationError:
        """An error about one key, ready to raise."""
        return ConfigurationError(f"{self.path.name}: '{key}' {problem}.", file=self.path.name)

    def _required(self, key: str) -> str:
        value = self.get(key, str, "")
        if not value:
            raise self.error(key, "is required")
        return value

    def _parse_options(self, options: object) -> Iterator[tuple[str, str]]:
        if not isinstance(options, list) or not all(isinstance(item, str) for item in options):
            raise self.error("options", 'must be a list of texts like "torch_dtype:bf16"')
        for item in options:
            name, colon, value = item.partition(":")
            yield f"options.{name.strip()}", value.strip() if colon else "true"


def _flatten(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
