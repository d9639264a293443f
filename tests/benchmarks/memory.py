"""How much memory a process takes."""

from __future__ import annotations

from pathlib import Path


def pss_mib(pid: int) -> float:
    """MiB of its share of the physical memory (PSS), from Linux's /proc."""
    lines = (Path("/proc") / str(pid) / "smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def peak_mib(pid: int) -> float:
    """MiB of physical memory that it had at the most (VmHWM), shared libraries included."""
    lines = (Path("/proc") / str(pid) / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
