"""Shows a generation's progress: a bar on a terminal, plain lines elsewhere. On stderr: stdout is for results."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from videoapi.cli.client import Job


class Lines:
    """A line for each phase, and for each tenth of the steps."""

    def __init__(self) -> None:
        self._said = ("", 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to be done."""

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def show(self, job: Job) -> None:
        said = (what_it_does(job), job["progress"] // 10)
        if said != self._said:
            self._said = said
            self.say(tell(job))


class Bar(Lines):
    """Of rich, which is imported only for it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = ("{task.description}", "{task.fields[steps]}", "{task.fields[left]}")
        doing, done, left = (TextColumn(column, markup=False) for column in columns)
        self._bar = Progress(doing, BarColumn(), done, TimeElapsedColumn(), left, console=Console(stderr=True))
        self._task = self._bar.add_task("accepted", total=None, steps="", left="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        self._bar.console.print(text, markup=False, highlight=False)

    def show(self, job: Job) -> None:
        self._bar.update(
            self._task,
            description=what_it_does(job),
            # Without a total, the bar only moves.
            total=100 if job["total_steps"] or job["progress"] else None,
            completed=job["progress"],
            steps=steps(job),
            left=time_left(job),
        )


def make_progress() -> Lines:
    """By what stderr is."""
    return Bar() if sys.stderr.isatty() else Lines()


def tell(job: Job) -> str:
    """All of it in one line."""
    return ", ".join(filter(None, (what_it_does(job), steps(job), time_left(job))))


def what_it_does(job: Job) -> str:
    """Its status; of a waiting one the place in the queue, of a running one the phase."""
    if job["status"] == "queued" and job.get("queue_position"):
        return f"queued, place {job['queue_position']}"
    if job["status"] != "in_progress":
        return str(job["status"])
    phase = job.get("phase") or "starting"
    return f"{phase}: {job['detail']}" if job.get("detail") else phase


def steps(job: Job) -> str:
    """How many of its steps are done, while they are."""
    return f"{job['step']}/{job['total_steps']}" if job.get("phase") == "denoising" and job["total_steps"] else ""


def time_left(job: Job) -> str:
    """The server's forecast; empty without one."""
    seconds = job.get("eta_seconds")
    if seconds is None or job["status"] not in ("queued", "in_progress"):
        return ""
    minutes, seconds = divmod(round(seconds), 60)
    return f"about {minutes}:{seconds:02} left"


def tell_end(job: Job) -> str:
    """How it has ended, and why, after its name."""
    error = job.get("error")
    if job["status"] != "failed" or not error:
        return "was cancelled" if job["status"] == "cancelled" else f"is {job['status']}"
    field = f"{error['param']}: " if error["param"] else ""
    return f"failed: {field}{error['message'].removesuffix('.')}"
