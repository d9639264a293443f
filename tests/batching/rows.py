"""Asks for generations that can be made together, and looks at what became of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests import generations
from tests.videos import read
from videoapi.engine.slot import Slot
from videoapi.models import Generation

SEEDS = (60, 120, 180)


def ask(kind: str = "good", seeds: tuple[int, ...] = SEEDS, **values: Any) -> list[Generation]:
    return [generations.make(f"together-{kind}", seed=seed, **values) for seed in seeds]


def claim(size: int = 8, model: str = "together-good") -> list[Generation]:
    return Generation.objects.claim_batch(model, "host:1/0", size)


def refreshed(rows: list[Generation]) -> list[Generation]:
    for row in rows:
        row.refresh_from_db()
    return rows


def states(rows: list[Generation]) -> list[str]:
    return [row.state for row in refreshed(rows)]


def grey(row: Generation) -> int:
    """Of the video, whose seed it is."""
    return round(float(read(Path(row.video.path).read_bytes()).frames.mean()))


def greys(rows: list[Generation]) -> list[int]:
    return [grey(row) for row in refreshed(rows)]


def run_all(slot: Slot, rows: list[Generation]) -> None:
    for _ in rows:
        slot.run_next(rows[0].model)
