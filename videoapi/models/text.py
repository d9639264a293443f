"""What plugins say, made fit for a column."""

from __future__ import annotations


def storable(text: str, length: int) -> str:
    """A plugin's words as every database takes them."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "")[:length]
