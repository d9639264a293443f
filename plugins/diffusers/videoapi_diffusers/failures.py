"""Errors of other libraries in words for the client."""

from __future__ import annotations

LENGTH = 300


def describe_failure(error: Exception, hidden: str = "") -> str:
    """The first sentence of what the error says, without `hidden`, a path for instance."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    text = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return (text.replace(hidden, "its folder") if hidden else text)[:LENGTH]
