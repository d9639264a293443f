"""How much memory a model needs, and how much there is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from videoapi_stablediffusion.headers import GGML_TYPES, Tensor
from videoapi_stablediffusion.parts import EMBEDDINGS

CGROUP = Path("/sys/fs/cgroup")
# Beside the weights: the library's own tables, the tokenizers and Python.
OVERHEAD = 256 * 2**20
# Address space for thread stacks and the allocator's arenas, which nobody fills.
HEADROOM = 2**30
BITS = {name: 8 * size / block for name, block, size in GGML_TYPES.values()}


# The library keeps a table of words in these types, and makes 32 bits of every other.
TABLE_TYPES = ("f16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")


def weigh(tensors: Mapping[str, Tensor], wtype: str | None) -> int:
    """Bytes of one file's weights once they are loaded: as they are, or as `wtype`."""
    return sum(_weigh(name, tensor, wtype) for name, tensor in tensors.items())


def _weigh(name: str, tensor: Tensor, wtype: str | None) -> int:
    # Vectors, such as norms and biases, keep their type.
    kind = wtype if wtype and len(tensor.shape) > 1 else tensor.kind
    if name.endswith(EMBEDDINGS) and kind not in TABLE_TYPES:
        return 4 * tensor.size
    return tensor.memory if kind == tensor.kind else int(tensor.size * BITS[kind] / 8)


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
