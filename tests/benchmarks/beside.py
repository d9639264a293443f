"""A module that makes a video for each line on its input and answers with the seconds: for measuring side by side."""

from __future__ import annotations

import os
import subprocess
import sys


class Script:
    """The module in a process of its own, with its model loaded."""

    def __init__(self, module: str, *arguments: str, quiet: bool = False, **environment: str) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        self._stderr = subprocess.DEVNULL if quiet else None
        self._environment = {**os.environ, **environment}

    def __enter__(self) -> Script:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=self._environment,
            text=True,
        )
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self) -> float:
        """Seconds of one call."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())
