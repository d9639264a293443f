"""Every error that videoapi raises on purpose.

`code` is what a client and the admin see; the message is for people and never holds a path of this machine.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class VideoAPIError(Exception):
    """The base of all errors here. Raised in a generation, it ends that generation with HTTP 500."""

    code = "internal_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidRequest(VideoAPIError):
    """The client asked for something impossible: HTTP 400 that names the field.

    Raised by the serializer, by the inputs and by a plugin's `generate`.
    """

    code = "invalid_value"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class ModelError(VideoAPIError):
    """The model could not be loaded or could not make the video; raised by plugins. HTTP 500."""

    code = "model_error"


class OutOfMemory(ModelError):
    """The generation needs more memory than there is; raised by plugins, and by the kernel for a MemoryError."""

    code = "out_of_memory"

    ADVICE = "The model ran out of memory; try a smaller width, height or num_frames."


class ModelCrashed(VideoAPIError):
    """The model's process died; raised by the worker. HTTP 500; the next request starts a new process."""

    code = "model_crashed"


class TimedOut(VideoAPIError):
    """The model took too long, or showed no progress for too long, and was killed. HTTP 500."""

    code = "timed_out"


class EncodingError(VideoAPIError):
    """ffmpeg is missing or failed, or the file is not what was asked for. HTTP 500."""

    code = "encoding_failed"


class StorageFailed(VideoAPIError):
    """A file could not be stored: a full disk, a storage that does not answer. HTTP 500."""

    code = "storage_failed"


class WorkerLost(VideoAPIError):
    """The worker that ran the generation died, twice; raised by the reaper. HTTP 500."""

    code = "worker_lost"


class Cancelled(VideoAPIError):
    """The client no longer wants the video; raised by `progress` inside a plugin's `generate`."""

    code = "cancelled"


class Refused(VideoAPIError):
    """The request is right, but not accepted now. `retry_after` is when to try again, in seconds."""

    def __init__(self, message: str, retry_after: int = 10) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyRequests(Refused):
    """The queue is full, or too many clients are waiting: HTTP 429."""

    code = "too_many_requests"


class NoWorker(Refused):
    """No living worker serves the model: HTTP 503."""

    code = "no_worker"


class ModelUnavailable(Refused):
    """Every living worker that serves the model says that it cannot now; raised by admission. HTTP 503."""

    code = "model_unavailable"

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(f"Model '{model}' is unavailable: {reason}")
        self.reason = reason
        """What the plugin's `check_model` says."""


class Conflict(VideoAPIError):
    """The request is right, but contradicts what is there, and sending it again at once changes nothing: HTTP 409."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class NotReady(Conflict):
    """The video that another is to be made of is not completed, or no longer kept."""

    code = "not_ready"


class IdempotencyConflict(Conflict):
    """The Idempotency-Key was used for another request."""

    code = "idempotency_conflict"


class ConfigurationError(VideoAPIError):
    """A plugin or a model file is wrong; collected by the catalog and shown by `manage.py check`."""

    code = "configuration_error"

    def __init__(self, message: str, file: str = "") -> None:
        super().__init__(message)
        self.file = file
        """The model file at fault, if it is one."""


def suggest(name: str, known: Iterable[str]) -> str:
    """For the end of a sentence about an unknown name: the near one that was perhaps meant, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""
