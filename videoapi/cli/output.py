"""Where a video goes: a file that is whole or is not there, or stdout."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from videoapi.cli.client import Client, CommandError, Job
from videoapi.cli.follow import persist

STDOUT = "-"


def check_output(name: str | None, *, force: bool) -> None:
    """Raises CommandError for what could not be written in the end."""
    if name == STDOUT:
        if sys.stdout.isatty():
            raise CommandError("A video is not written to a terminal; name a file with -o.")
        return
    if name is None:
        # The generation's own name, which nothing has yet.
        return
    path = Path(name)
    if path.is_dir():
        raise CommandError(f"'{path}' is a folder; name a file in it.")
    if not path.parent.is_dir():
        raise CommandError(f"There is no folder '{path.parent}'.")
    if path.exists() and not force:
        raise CommandError(f"'{path}' exists; --force overwrites it.")


def save(client: Client, job: Job, name: str, say: Callable[[str], None], *, force: bool) -> None:
    """Write the generation's video under that name. Raises CommandError."""
    url = job["data"][0]["url"]
    if name == STDOUT:
        client.download(url, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    path = Path(name)
    part = path.with_name(f".{path.name}.{job['id']}.part")

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
