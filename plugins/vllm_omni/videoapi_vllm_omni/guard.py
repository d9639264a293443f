"""Runs a command and ends it, with all that it has started, once its own standard input ends.

    python guard.py COMMAND [ARGUMENT ...]

Standard input is a pipe from the process that wants the command. It ends when that process dies, by whatever means, and
the command is killed; a word before the end gives it time. The command gets a folder of its own for vLLM-Omni's files,
which is gone in the end. The status is the command's; 128 and the number of the signal that has ended it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

# linux/prctl.h
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
# Seconds from SIGTERM to SIGKILL: time to give back shared memory, and less than the kernel has patience.
GRACE_SECONDS = 2.0
KILL_SECONDS = 5.0
STORAGE = "VLLM_OMNI_SERVER_STORAGE__PATH"


def main(command: list[str]) -> int:
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    with tempfile.TemporaryDirectory(prefix="vllm-omni-", ignore_cleanup_errors=True) as folder:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                env={**os.environ, STORAGE: folder},
                # Should this guard be killed itself.
                preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
            )
        except OSError as error:
            sys.stdout.write(f"{command[0]}: {error.strerror}\n")
            return 127
        threading.Thread(target=end_with_input, args=(process,), daemon=True).start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: process.terminate())
        status = process.wait()
        kill_descendants()
    return status if status >= 0 else 128 - status


def prctl(option: int, value: int) -> None:
    """Linux only; elsewhere what the command starts is not found once the command has ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


def end_with_input(process: subprocess.Popen[bytes]) -> None:
    """In good order when a word came before the end; at once when whoever held the other end has died."""
    word = b""
    while data := os.read(0, 4096):
        word = data
    if word:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    process.kill()


def kill_descendants() -> None:
    """Those whose parents are gone are children of this process, so in the end all of them are."""
    end = time.monotonic() + KILL_SECONDS
    while (found := list(children(os.getpid()))) and time.monotonic() < end:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def children(pid: int) -> Iterator[int]:
    """All that descend from a process."""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, path.read_text().split()):
                yield child
                yield from children(child)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
