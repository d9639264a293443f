"""The processes of this machine: do they live, and what do they hold?"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import socket
from pathlib import Path

import psutil


@functools.cache
def machine_id() -> str:
    """The same for two processes only if they see each other's process ids: one boot, one container."""
    parts = [socket.gethostname()]
    # Where it is not Linux, by its name alone.
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.blake2b(" ".join(parts).encode(), digest_size=16).hexdigest()


def is_running(pid: int) -> bool:
    """False when no process has that number; another one may have it by now."""
    return psutil.pid_exists(pid)


def memory_mib(pid: int) -> int:
    """MiB of main memory that a process and its children hold; 0 when it is gone."""
    try:
        process = psutil.Process(pid)
        return sum(each.memory_info().rss for each in (process, *process.children(recursive=True))) // 2**20
    except psutil.NoSuchProcess:
        return 0
