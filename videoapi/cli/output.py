"""Where a video goes: a file that is whole or is not there, or stdout."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

from videoapi.cli.client import Client, CommandError
from videoapi.cli.follow import persist

STDOUT = "-"


def name_outputs(name: str | None, n: int) -> list[str]:
    """The names of the files: of several, with their numbers from 1. Empty for the generations' own names, which
    nothing has yet. Raises CommandError.
    """
    if name is None:
        return []
    if n == 1:
        return [name]
    if name == STDOUT:
        raise CommandError("Several videos are not written to one output; name a file with -o.")
    path = Path(name)
    return [str(path.with_name(f"{path.stem}-{number}{path.suffix}")) for number in range(1, n + 1)]


def check_output(name: str, *, force: bool) -> None:
    """Raises CommandError for what could not be written in the end."""
    if name == STDOUT:
        if sys.stdout.isatty():
            raise CommandError("A video is not written to a terminal; name a file with -o.")
        return
    path = Path(name)
    try:
        if path.is_dir():
            raise CommandError(f"'{path}' is a folder; name a file in it.")
        if not path.parent.is_dir():
            raise CommandError(f"There is no folder '{path.parent}'.")
        if path.is_file() and not force:
            raise CommandError(f"'{path}' exists; --force overwrites it.")
    except OSError as error:
        raise CommandError(f"'{name}' cannot be written: {error.strerror}.") from error


def save(client: Client, url: str, name: str, say: Callable[[str], None], *, force: bool) -> None:
    """Write the video at that address under that name. Raises CommandError."""
    path = Path(name)
    try:
        if name == STDOUT:
            client.download(url, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        elif path.exists() and not path.is_file():
            # A pipe or a device takes the bytes as they come.
            with path.open("wb") as file:
                client.download(url, file)
        else:
            _save_whole(client, url, path, say, force=force)
    except OSError as error:
        if name == STDOUT:
            # What is left for it would be an error again when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise CommandError(
            f"'{name}' cannot be written: {error.strerror}. The video is at {client.locate(url)}."
        ) from error


def _save_whole(client: Client, url: str, path: Path, say: Callable[[str], None], *, force: bool) -> None:
    # Where a link leads, so that it stays one.
    target = path.resolve()
    part = target.with_name(f".{uuid.uuid4()}.part")

    def fetch() -> None:
        with part.open("wb") as file:
            client.download(url, file)

    try:
        persist(fetch, say)
        # Somebody else may have made it meanwhile.
        check_output(str(path), force=force)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
