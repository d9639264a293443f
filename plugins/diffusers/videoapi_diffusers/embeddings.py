"""What a model file says about the embeddings of texts: where they are remembered, and how many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from videoapi import ModelFile

MEMORY = "diffusers.text_embeddings_mib"
FOLDER = "diffusers.text_embeddings_dir"
FOLDER_LIMIT = "diffusers.text_embeddings_dir_mib"
# Of main memory: Wan's of one text take 4 MiB in half precision.
MEMORY_MIB = 512
FOLDER_MIB = 4096


def read(config: ModelFile) -> dict[str, Any]:
    """MiB of main memory for them, and the folder with its own limit; an empty folder is none.

    Raises ConfigurationError that names the key.
    """
    memory, limit = config.get(MEMORY, int, MEMORY_MIB), config.get(FOLDER_LIMIT, int, FOLDER_MIB)
    if memory < 0:
        raise config.error(MEMORY, f"must be 0 or more, not {memory}")
    if limit < 1:
        raise config.error(FOLDER_LIMIT, f"must be 1 or more, not {limit}; leave '{FOLDER}' out to keep none on disk")
    given = config.get(FOLDER, str, "")
    if not given:
        return {"memory_mib": memory}
    folder = config.path.parent.resolve() / Path(given).expanduser()
    if folder.exists() and not folder.is_dir():
        raise config.error(FOLDER, f"is no folder: {given}")
    return {"memory_mib": memory, "folder": str(folder), "folder_mib": limit}
