"""The `comment` tag of an mp4, which says how it was made."""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from videoapi.encoding.containers import find_container, is_modest, is_whole
from videoapi.encoding.source import ClipError, open_video

MAX_PIXELS = 2**28


def metadata_options(metadata: Mapping[str, Any] | None) -> dict[str, str]:
    """The generation's facts as JSON in the `comment` tag, which every player and ffprobe shows."""
    if not metadata:
        return {}
    return {"metadata": f"comment={json.dumps(metadata, ensure_ascii=False)}"}


def read_metadata(path: Path) -> dict[str, Any]:
    """What is in the tag of an mp4 that was made here. Raises ClipError for any other file, and OSError."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise ClipError(f"{path.name} is empty.")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            container = find_container(data[:16])
            if container != "mov":
                raise ClipError(f"{path.name} is no mp4.")
            if not is_whole(data, container) or not is_modest(data, container):
                raise ClipError(f"{path.name} is cut short.")
        with open_video(file, container, path.name, max_pixels=MAX_PIXELS, threads=1) as (source, _):
            comment = source.metadata.get("comment", "")
    try:
        facts = json.loads(comment)
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict) or not isinstance(facts.get("request"), dict):
        raise ClipError(
            f"{path.name} does not say how it was made: it is not of this server, or VIDEOAPI_EMBED_METADATA was off."
        )
    return facts
