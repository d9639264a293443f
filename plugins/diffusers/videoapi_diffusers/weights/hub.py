"""Brings a model's files from the hub into its cache on this machine."""

from __future__ import annotations

import glob
import json
import logging
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from videoapi import ModelError
from videoapi_diffusers.weights.download import Report, describe_size, make_bar
from videoapi_diffusers.weights.hub_errors import explained
from videoapi_diffusers.weights.selection import INDEX, select_files

# They log addresses of files, with the signature that opens them.
TALKATIVE = ("httpx", "httpx2", "huggingface_hub.file_download")
# A small file that every repository has: with it comes the list of all files, and the commit.
FIRST = ".gitattributes"


def download_model(repo: str, revision: str | None, variant: str = "", without: Collection[str] = ()) -> Path:
    """The folder with all that a pipeline is loaded from, of one commit; no code and no pickle is fetched.

    What is in the cache is not fetched again. The hub is not asked with HF_HUB_OFFLINE, nor for a commit that is here;
    while it is away, what is here is used. Components in `without` get no weights. Raises ModelError.
    """
    with explained(repo, revision):
        folder = _open(repo, revision, INDEX)
        sizes = _list_sizes(repo, folder)
        if not (folder / INDEX).is_file():
            raise ModelError(f"'{repo}' has no {INDEX}: it is no model in the format of diffusers.")
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        _fetch(repo, folder, sizes, select_files(sizes, index, variant, without))
        return folder


def download_file(repo: str, name: str, revision: str | None) -> Path:
    """One file, of a repository that need not be a diffusers model. Raises ModelError."""
    with explained(repo, revision):
        folder = _open(repo, revision, FIRST)
        sizes = _list_sizes(repo, folder)
        if name not in sizes:
            raise ModelError(f"'{repo}' has no file {name}.")
        _fetch(repo, folder, sizes, [name])
        return folder / name


def _open(repo: str, revision: str | None, first: str) -> Path:
    """The folder of the revision's commit, with one small file in it; its name is the commit."""
    from huggingface_hub import snapshot_download

    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
    return Path(snapshot_download(repo, revision=revision, allow_patterns=[first], tqdm_class=make_bar()))


def _list_sizes(repo: str, folder: Path) -> dict[str, int]:
    """The bytes of each file of the commit: by the hub's list, else by what is here."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        return {file.path: file.size for file in get_cached_repo_tree(repo, revision=folder.name)}
    except CachedRepoTreeNotFoundError:
        # Downloaded by an older library, which kept no list.
        paths = [path for path in folder.rglob("*") if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}


def _fetch(repo: str, folder: Path, sizes: Mapping[str, int], names: Sequence[str]) -> None:
    from huggingface_hub import snapshot_download

    missing = sum(sizes[name] for name in names if not (folder / name).is_file())
    if not missing:
        return
    _check_space(repo, folder, missing)
    size = sum(sizes[name] for name in names)
    patterns = [glob.escape(name) for name in names]
    with Report(repo, len(names), size, size - missing) as report:
        snapshot_download(repo, revision=folder.name, allow_patterns=patterns, tqdm_class=make_bar(report))


def _check_space(repo: str, folder: Path, size: int) -> None:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if size > free:
        raise ModelError(
            f"'{repo}' needs {describe_size(size)} on the disk of the hub's cache, which has {describe_size(free)} "
            "left. Set HF_HOME to a folder on a larger one."
        )
