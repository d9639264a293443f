"""The `VIDEOAPI` dictionary of the Django settings, with types. Only `settings/` reads the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from django.conf import settings

# Threads of the web server that are kept for requests that are answered at once.
SPARE_THREADS = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Conf:
    """Every setting of videoapi's own; an unknown key in `settings.VIDEOAPI` is a TypeError at start."""

    models_dir: Path
    """The folder of model files."""
    scratch_dir: Path
    """Unfinished files. On the same file system as the media folder, publishing is a rename."""
    bind: str = "127.0.0.1"
    port: int = 8080
    ffmpeg: str = ""
    """The ffmpeg to run; empty for the one that imageio-ffmpeg brings."""
    anonymous: Literal["no", "local", "all"] = "no"
    """Who needs no API key: nobody, whoever asks from this machine itself, or whoever reaches the server."""
    url_seconds: float = 24 * 3600.0
    """How long the address of a video, in the answer to a key's request, works without the key."""
    public_url: str = ""
    """Put before the path in `data[].url`; empty for a bare path."""
    preload: tuple[str, ...] = ()
    """Models that a worker loads when it starts, one a slot."""
    slots: tuple[str, ...] = ("*",)
    """One slot an entry: the comma-separated models that it serves, or '*'."""
    embed_metadata: bool = True
    """Write the whole request and the versions into the mp4."""
    fetch: bool = True
    """Fetch input images and clips from URLs."""
    fetch_seconds: float = 30.0
    """The longest that a download may take."""
    fetch_private: bool = False
    """Fetch input images from private and loopback addresses too."""
    webhooks: bool = True
    """Tell clients of their generations at the addresses that they name."""
    webhook_secret: str = field(default="", repr=False)
    """Signs the webhooks of requests without an API key: 'whsec_' and 24 to 64 bytes in base64."""
    webhook_private: bool = False
    """Call private and loopback addresses too."""
    webhook_seconds: float = 15.0
    """The longest that one attempt may take."""
    webhook_retries: tuple[float, ...] = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
    """Seconds before each further attempt, as Standard Webhooks recommends: over three days in all."""
    max_body_bytes: int = 32 * 2**20
    body_seconds: float = 30.0
    """How long a client may be silent within a request that it sends; a large body may take longer in all."""
    max_image_bytes: int = 20 * 2**20
    max_image_pixels: int = 40_000_000
    """Of a clip's frames, too."""
    max_clip_bytes: int = 100 * 2**20
    threads: int = 256
    """The web server's; all but SPARE_THREADS may wait for videos at once."""
    max_waiting_per_client: int = 0
    """How many requests of one client may wait at once, streams of events among them; 0 for three quarters of all
    seats."""
    sync_seconds: float = 0.0
    """A synchronous request that takes longer is answered with 202 and goes on; 0 for no limit."""
    cancel_on_disconnect: bool = True
    """A client that hangs up on a synchronous request cancels it."""
    max_priority: int = 0
    """The highest `priority` that a client may ask for."""
    max_queued: int = 500
    max_queued_per_model: int = 250
    max_queued_per_client: int = 125
    heartbeat_seconds: float = 2.0
    stale_seconds: float = 30.0
    """A running generation without a heartbeat for this long belongs to a dead worker."""
    check_seconds: float = 5.0
    """Between two questions to a plugin whether its model can be served."""
    max_attempts: int = 2
    keep_days: float = 0.0
    """How long the files of results are kept; 0 for ever."""
    keep_bytes: int = 0
    """How many bytes of videos are kept, the newest first; 0 for all."""
    load_seconds: float = 3600.0
    """The longest that loading a model may take."""
    run_seconds: float = 4 * 3600.0
    """The longest that one generation may take."""
    stall_seconds: float = 1800.0
    """A model that reports no step and no phase for this long is killed."""
    model_memory_mib: int = 0
    """The most main memory that a model's process may take, in MiB; 0 for no limit."""
    idle_seconds: float = 0.0
    """A model that nobody has used for this long is unloaded; 0 keeps it."""
    cancel_seconds: float = 10.0
    """A model that does not heed a cancel for this long is killed."""
    grace_seconds: float = 30.0
    """At a stop, running generations may take this long to finish; then they go back to the queue."""

    @property
    def seats(self) -> int:
        """How many requests may hold their thread for long."""
        return max(1, self.threads - SPARE_THREADS)

    @property
    def own_seats(self) -> int:
        """How many of them one client may take."""
        return self.max_waiting_per_client or max(1, self.seats * 3 // 4)

    @property
    def address(self) -> str:
        """Where the web server listens, as a URL has it."""
        host = f"[{self.bind}]" if ":" in self.bind else self.bind
        return f"{host}:{self.port}"


def get_conf() -> Conf:
    """The settings as they are now."""
    return Conf(**settings.VIDEOAPI)
