"""Words of messages: hints, and the errors of other libraries."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LENGTH = 300


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name; empty where no known one is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def describe_failure(error: Exception, hidden: str = "") -> str:
    """The first sentence of what the error says, without `hidden`, a path for instance."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    text = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return (text.replace(hidden, "its folder") if hidden else text)[:LENGTH]
