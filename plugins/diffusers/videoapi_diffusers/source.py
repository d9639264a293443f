"""Where a model's weights are, and what its configuration files say, without loading them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Source:
    """A diffusers folder on this machine, or a hub id whose files may be in the hub's cache."""

    def __init__(self, name: str, revision: str | None = None) -> None:
        self.name = name
        self.is_local = Path(name).expanduser().is_dir()
        self.folder = Path(name).expanduser() if self.is_local else _find_cached(name, revision)
        """Where the configuration files are; None for a hub id that was never downloaded."""

    def read_index(self) -> Mapping[str, Any] | None:
        """`model_index.json`, which names the pipeline's class and components; None when it is not here."""
        return self._read("model_index.json")

    def read_configs(self) -> dict[str, Mapping[str, Any]]:
        """The `config.json` of every component that has one here, and `model_index`."""
        if self.folder is None:
            return {}
        names = {path.parent.name: f"{path.parent.name}/config.json" for path in self.folder.glob("*/config.json")}
        names["model_index"] = "model_index.json"
        return {name: config for name, path in names.items() if (config := self._read(path)) is not None}

    def _read(self, name: str) -> Mapping[str, Any] | None:
        if self.folder is None:
            return None
        try:
            data = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return data if isinstance(data, dict) else None


def _find_cached(hub_id: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        index = try_to_load_from_cache(hub_id, "model_index.json", revision=revision)
    except HFValidationError:
        return None
    return Path(index).parent if isinstance(index, str) else None
