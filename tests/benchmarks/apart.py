"""An object in a process of its own: what it does to the device, the memory and its libraries ends with it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Self

from videoapi.exceptions import VideoAPIError

# Seconds that a process has to end by itself before it is killed.
PATIENCE = 10


class Failed(Exception):
    """What was asked of another process could not be done there. The message says why."""


class Apart:
    """Made by `make(*arguments)` in a new process. Everything raises Failed.

    A fork has all imports at once; it is not for a process that has used an accelerator or several threads.
    """

    def __init__(self, make: Callable[..., Any], *arguments: Any, is_fork: bool = False) -> None:
        context: Any = multiprocessing.get_context("fork" if is_fork else "spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(self._connection, other, make, arguments), daemon=True)
        self._process.start()
        # So that the end of the process is the end of the pipe.
        other.close()

    def __enter__(self) -> Self:
        try:
            self._receive()
        except Failed:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()
        self._process.join(PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def call(self, method: str, *arguments: Any) -> Any:
        try:
            self._connection.send((method, arguments))
        except OSError as error:
            raise Failed(self._describe_end()) from error
        return self._receive()

    def _receive(self) -> Any:
        try:
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise Failed(self._describe_end()) from error
        if isinstance(answer, Failed):
            raise answer
        return answer

    def _describe_end(self) -> str:
        self._process.join(PATIENCE)
        return f"its process ended with {self._process.exitcode}"


def _serve(others: Connection, connection: Connection, make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    # The pipe ends with the last who has its other end, and a fork has it.
    others.close()
    try:
        made = make(*arguments)
    # Whatever it was, the other process goes on.
    except Exception as error:
        connection.send(Failed(describe(error)))
        return
    connection.send(None)
    while True:
        try:
            method, arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = getattr(made, method)(*arguments)
        except Exception as error:
            answer = Failed(describe(error))
        connection.send(answer)


def describe(error: Exception) -> str:
    """The first line of what it says."""
    if isinstance(error, VideoAPIError):
        return error.message
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
