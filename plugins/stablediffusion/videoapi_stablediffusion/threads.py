"""How many threads pay off."""

from __future__ import annotations

import os

# Seconds that the load of the machine is watched for.
WATCH_SECONDS = 0.3


def count_free_cores() -> int:
    """The physical cores that this process may use, less those that others keep busy now; half of them at least.

    A thread more than there are free cores slows the library down by multiples, for every step waits for all.
    """
    import psutil

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = max(1, min(usable, psutil.cpu_count(logical=False) or usable))
    busy = psutil.cpu_percent(WATCH_SECONDS) / 100
    return max(1, (cores + 1) // 2, round(cores * (1 - busy)))
