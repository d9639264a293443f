"""Where a video goes: a file that is whole or is not there, or stdout."""

from __future__ import annotations

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
    if path.is_dir():
        raise CommandError(f"'{path}' is a folder; name a file in it.")
    if not path.parent.is_dir():
        raise CommandError(f"There is no folder '{path.parent}'.")
    if path.exists() and not force:
        raise CommandError(f"'{path}' exists; --force overwrites it.")


def save(client: Client, url: str, name: str, say: Callable[[str], None], *, force: bool) -> None:
    """Write the video at that address under that name. Raises CommandError."""
    if name == STDOUT:
        client.download(url, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    path = Path(name)
    part = path.with_name(f".{path.name}.{uuid.uuid4()}.part")

    def fetch() -> None:
        with part.open("wb") as file:
            client.download(url, file)

    try:
        persist(fetch, say)
        # Somebody else may have made it meanwhile.
        check_output(name, force=force)
        part.replace(path)
    except OSError as error:
        raise CommandError(
            f"'{name}' cannot be written: {error.strerror}. The video is at {client.locate(url)}."
        ) from error
    finally:
        part.unlink(missing_ok=True)
