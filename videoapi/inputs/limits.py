"""What an input may cost, and where it may come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class InputLimits:
    """Of one image or clip."""

    max_bytes: int
    max_pixels: int
    fetch_seconds: float = 30.0
    """The longest that a download may take."""
    may_fetch: bool = True
    """Take URLs."""
    allow_private: bool = False
    """Fetch from private and loopback addresses too."""
