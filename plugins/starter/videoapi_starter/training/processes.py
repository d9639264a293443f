"""Training on several cores: one single-threaded process a core, which beats one process with several threads here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm


def join() -> int:
    """This process's rank. Started by torchrun, the processes meet over gloo; started alone, it is rank 0.

    Alone on a machine with an accelerator, it makes its tensors there.
    """
    torch.set_num_threads(1)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        torch.distributed.init_process_group("gloo")
    elif torch.accelerator.is_available():
        torch.set_default_device(torch.accelerator.current_accelerator())
    return rank()


def halve_precision() -> torch.autocast:
    """bfloat16 where it loses nothing that matters."""
    return torch.autocast(torch.get_default_device().type, dtype=torch.bfloat16)


def rank() -> int:
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def world_size() -> int:
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def show_progress(what: str, total: int, done: int = 0, unit: str = "step") -> tqdm[Any]:
    """A bar on the terminal of the first process, silent in the others; its `write` prints a line above it."""
    return tqdm(desc=what, total=total, initial=done, unit=f" {unit}", disable=rank() > 0, mininterval=1.0)


def save(state: Any, path: str) -> None:
    """Write a checkpoint whole or not at all, so that a run can be stopped at any time."""
    unfinished = Path(f"{path}.part")
    torch.save(state, unfinished)
    unfinished.replace(path)
