"""How much memory a model needs, and how much there is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from videoapi_stablediffusion.headers import GGML_TYPES, Tensor

CGROUP = Path("/sys/fs/cgroup")
# Beside the weights: the library's own tables, the tokenizers and Python.
OVERHEAD = 256 * 2**20
# Address space for thread stacks and the allocator's arenas, which nobody fills.
HEADROOM = 2**30
BITS = {name: 8 * size / block for name, block, size in GGML_TYPES.values()}


def weigh(tensors: Mapping[str, Tensor], wtype: str | None) -> int:
    """Bytes of one file's weights once they are loaded: as they are, or as `wtype`."""
    if wtype is None:
        return sum(tensor.memory for tensor in tensors.values())
    # Vectors, such as norms and biases, keep their type.
    return sum(
        int(tensor.size * BITS[wtype] / 8) if len(tensor.shape) > 1 else tensor.memory for tensor in tensors.values()
    )


def free_memory() -> int:
    """Bytes of main memory that this process could take now, by the machine and by its control group."""
    import psutil

    free = psutil.virtual_memory().available
    with contextlib.suppress(OSError, ValueError):
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text())
        free = min(free, max(0, limit - used))
    return int(free)


@contextlib.contextmanager
def within_free_memory() -> Iterator[None]:
    """Inside, this process gets no more memory than is free now: an allocation fails, where else the kernel would kill.

    For work in main memory; a GPU's driver reserves address space without end.
    """
    try:
        import resource
    except ImportError:
        yield
        return
    import psutil

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = psutil.Process().memory_info().vms + free_memory() + HEADROOM
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def format_bytes(number: float) -> str:
    return f"{number / 2**30:.1f} GiB"
