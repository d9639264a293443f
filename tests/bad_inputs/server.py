"""The server at which bad inputs are tried, and the hostile one that it may be sent to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.distributions import write_distribution
from tests.hostile_host import HostileHandler
from tests.hosts import serve
from tests.server import Server

PLUGIN = Path(__file__).parent.parent / "plugins" / "watchful.py"


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedServer:
    """It runs, and what it does besides answering is in `notes`."""

    server: Server
    notes: Path


@contextmanager
def start_watched(folder: Path) -> Iterator[WatchedServer]:
    """With the watchful backend, whose models are not loaded until one is called."""
    plugins, notes = folder / "plugins", folder / "notes"
    plugins.mkdir()
    notes.touch()
    write_distribution(plugins, "videoapi-watchful", "watchful", PLUGIN.read_text())
    with serve(HostileHandler) as url:
        environment = {
            "WATCHFUL_NOTES": str(notes),
            "WATCHFUL_PORT": url.rpartition(":")[2],
            "VIDEOAPI_PRELOAD": "",
            "VIDEOAPI_FETCH_SECONDS": "1",
        }
        with Server(folder, plugins, **environment) as server:
            yield WatchedServer(server=server, notes=notes)
