"""One line of the tables of bad inputs, and how it is tried."""

from __future__ import annotations

import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.server import Answer, Server, send

GOOD = {"model": "watchful", "prompt": "anything"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A request that must be refused."""

    name: str
    param: str | None
    """The field that the error names."""
    words: str
    """Some of its message."""
    status: int = 400
    fields: dict[str, Any] = field(default_factory=dict)
    """Over those of GOOD; one that is None is left out."""
    body: bytes | None = None
    """In place of the fields."""
    headers: dict[str, str] = field(default_factory=dict)
    connections: tuple[str, ...] = ()
    """The only addresses that the server may connect to, in order."""


def refuse(field_name: str, value: Any, words: str, *, name: str = "", **more: Any) -> Case:
    """A field with a value that is wrong."""
    shown = name or f"{field_name} {str(value)[:40]!r}"
    return Case(**{"name": shown, "param": field_name, "words": words, "fields": {field_name: value}, **more})


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of one."""

    answer: Answer
    seconds: float
    notes: list[str]
    """What the server did besides: connections, and calls of models."""
    left: list[Any]
    """Files and rows that are there now and were not before, but for rows that have failed."""


def attempt(server: Server, notes: Path, case: Case) -> Outcome:
    """Send it and look at what it has left."""
    before = _rows_and_files(server)
    notes.write_text("")
    body = case.body
    started = time.perf_counter()
    if body is None:
        fields = {name: value for name, value in {**GOOD, **case.fields}.items() if value is not None}
        answer = server.post(fields, **case.headers)
    else:
        answer = send(_raw(server, body, case.headers))
    seconds = time.perf_counter() - started
    left = [each for each in _rows_and_files(server) if each not in before]
    return Outcome(answer=answer, seconds=seconds, notes=notes.read_text().splitlines(), left=left)


def _raw(server: Server, body: bytes, headers: dict[str, str]) -> urllib.request.Request:
    return urllib.request.Request(
        f"{server.url}/video", data=body, headers={"Content-Type": "application/json", **headers}
    )


def _rows_and_files(server: Server) -> list[Any]:
    rows = [(row["id"], row["status"]) for row in server.get("/video?limit=100").json["data"]]
    return [row for row in rows if row[1] != "failed"] + server.files()
