"""Training on several cores: one single-threaded process a core, which beats one process with several threads here."""

from __future__ import annotations

import os

import torch


def join() -> int:
    """This process's rank. Started by torchrun, the processes meet over gloo; started alone, it is rank 0."""
    torch.set_num_threads(1)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        torch.distributed.init_process_group("gloo")
        return torch.distributed.get_rank()
    return 0


def world_size() -> int:
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
