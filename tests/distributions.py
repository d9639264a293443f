"""Makes real, importable distributions with entry points in a folder, as pip would leave them there."""

from __future__ import annotations

import textwrap
from pathlib import Path


def write_faulty(folder: Path) -> None:
    """The backend whose models fail in every way, and work in a few."""
    source = Path(__file__).parent / "plugins" / "faulty.py"
    write_distribution(folder, "videoapi-faulty", "faulty", source.read_text())


def write_together(folder: Path) -> None:
    """The backend whose models make several videos in one run."""
    source = Path(__file__).parent / "plugins" / "together.py"
    write_distribution(folder, "videoapi-together", "together", source.read_text())


def write_remote(folder: Path) -> None:
    """The backend of an engine that can be down."""
    source = Path(__file__).parent / "plugins" / "remote.py"
    write_distribution(folder, "videoapi-remote", "remote", source.read_text())


def write_distribution(folder: Path, name: str, module: str, source: str, entry: str | None = None) -> None:
    """`<module>.py` and the metadata of distribution `name`, whose entry point `entry` is the module."""
    (folder / f"{module}.py").write_text(textwrap.dedent(source))
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[videoapi]\n{entry or module} = {module}\n")
