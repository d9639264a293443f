from __future__ import annotations

import tempfile
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the engine made belongs to the kernel, which is not here to move it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
