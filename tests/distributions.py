"""Makes real, importable distributions with entry points in a folder, as pip would leave them there."""

from __future__ import annotations

import textwrap
from pathlib import Path


def write_distribution(folder: Path, name: str, module: str, source: str, entry: str | None = None) -> None:
    """`<module>.py` and the metadata of distribution `name`, whose entry point `entry` is the module."""
    (folder / f"{module}.py").write_text(textwrap.dedent(source))
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[videoapi]\n{entry or module} = {module}\n")
