"""A client of vLLM-Omni's video API, with its traps: /v1/videos of vllm-omni 0.30.0."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from videoapi import ModelError

logger = logging.getLogger(__name__)

TESTED_VERSION = "0.30.0"
CONNECT_SECONDS, READ_SECONDS = 5.0, 60.0
CHECK_SECONDS, VERSION_SECONDS = 3.0, 1.0
WRONG_KEY = "The engine does not accept the api_key."
# Waits between attempts to reach an engine that does not accept connections.
BACKOFF = (0.5, 1.0, 2.0, 4.0)
CHUNK = 2**20

Job = dict[str, Any]
# A part's name, and the file's name, content and type.
Upload = tuple[str, tuple[str, bytes, str]]


class Engine:
    """One server. Not for several threads."""

    def __init__(self, url: str, api_key: str = "") -> None:
        self.url = url.rstrip("/")
        self.is_gone: Callable[[], bool] = lambda: False
        """It is known not to come back to its jobs, so nobody tries again to reach it."""
        self._session = requests.Session()
        # A proxy of the environment is not between this machine and its engine.
        self._session.trust_env = False
        if api_key:
            self._session.headers["Authorization"] = f"Bearer {api_key}"

    def why_unavailable(self, model: str) -> str:
        """Why the engine cannot serve the model now; empty when it can."""
        try:
            health = self._session.get(f"{self.url}/health", timeout=CHECK_SECONDS)
            if health.status_code != 200:
                return f"The engine answers with HTTP {health.status_code}."
            listed = self._session.get(f"{self.url}/v1/models", timeout=CHECK_SECONDS)
            if listed.status_code == 401:
                return WRONG_KEY
            names = [entry["id"] for entry in listed.json()["data"]]
        except (requests.RequestException, ValueError, KeyError, TypeError):
            return "The engine does not answer."
        if model and model not in names:
            return f"The engine serves {', '.join(names)}, not {model}."
        return ""

    def version(self) -> str:
        """The engine's version; empty when it does not say."""
        try:
            return str(self._session.get(f"{self.url}/version", timeout=VERSION_SECONDS).json()["version"])
        except (requests.RequestException, ValueError, KeyError, TypeError):
            return ""

    def create(self, fields: Mapping[str, str], files: Sequence[Upload] = ()) -> Job:
        """Order a video. Tries again while nobody accepts the connection, and never once the order has been sent.

        Raises ModelError, EngineUnreachable when nothing has been sent; EngineRefusal for an order that the engine does
        not take.
        """
        # Every part as multipart, which the engine insists on.
        parts: list[tuple[str, Any]] = [*((name, (None, value)) for name, value in fields.items()), *files]
        # On a new connection: one that was kept could be closed by the other side just as the order goes out.
        self._session.close()
        for wait in (*BACKOFF, None):
            try:
                answer = self._session.post(
                    f"{self.url}/v1/videos", files=parts, timeout=(CONNECT_SECONDS, READ_SECONDS)
                )
                break
            except requests.ConnectTimeout as error:
                failure: Exception = error
            except requests.ConnectionError as error:
                if not _was_refused(error):
                    raise EngineLost("The engine closed the connection while it took the order.") from error
                failure = error
            except requests.RequestException as error:
                raise EngineLost(f"The engine did not take the order: {type(error).__name__}.") from error
            if wait is None or self.is_gone():
                raise EngineUnreachable("The engine does not answer.") from failure
            logger.warning("the engine does not accept a connection; again in %.1f s", wait)
            time.sleep(wait)
        if answer.status_code >= 400:
            raise EngineRefusal(answer.status_code, _message(answer))
        return _job(answer)

    def find(self, job_id: str) -> Job:
        """The job as it is now. A failed one comes with the HTTP status of its error, and is a job all the same.

        Raises ModelError, also when the engine has forgotten the job.
        """
        failure: Exception | None = None
        for wait in (*BACKOFF, None):
            try:
                answer = self._session.get(f"{self.url}/v1/videos/{job_id}", timeout=(CONNECT_SECONDS, READ_SECONDS))
            except requests.RequestException as error:
                failure = error
            else:
                if answer.status_code == 404:
                    raise EngineLost("The engine has forgotten the job; it has probably been restarted.")
                if answer.status_code < 400 or _is_job(answer):
                    return _job(answer)
                failure = ModelError(f"The engine answers with HTTP {answer.status_code}: {_message(answer)}")
            if wait is None or self.is_gone():
                break
            time.sleep(wait)
        raise EngineLost("The engine stopped answering while it made the video.") from failure

    def download(self, job_id: str, target: Path) -> None:
        """Write the finished mp4 to `target`. Raises ModelError."""
        address = f"{self.url}/v1/videos/{job_id}/content"
        try:
            with self._session.get(address, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)) as answer:
                if answer.status_code != 200:
                    raise ModelError(f"The engine does not give the video: {_message(answer)}")
                with target.open("wb") as file:
                    for chunk in answer.iter_content(CHUNK):
                        file.write(chunk)
        except requests.RequestException as error:
            raise EngineLost("The engine broke off while it sent the video.") from error

    def delete(self, job_id: str) -> None:
        """Cancel the job, or give back the file of one that is done; a failure is only logged."""
        address = f"{self.url}/v1/videos/{job_id}"
        for wait in (*BACKOFF, None):
            try:
                status = self._session.delete(address, timeout=(CONNECT_SECONDS, CONNECT_SECONDS)).status_code
            except requests.RequestException as error:
                logger.warning("the engine did not delete %s: %s", job_id, type(error).__name__)
                return
            # It is being cancelled, and not yet so far that it can be deleted.
            if status != 409 or wait is None:
                break
            time.sleep(wait)
        if status not in (200, 404):
            logger.warning("the engine did not delete %s: HTTP %d", job_id, status)

    def close(self) -> None:
        self._session.close()


class EngineLost(ModelError):
    """It is gone, or has been, in the middle of a job."""


class EngineUnreachable(EngineLost):
    """Nobody accepts the connection, so nothing has been ordered."""


class EngineRefusal(Exception):
    """The engine does not take an order, with its status and its words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def _was_refused(error: requests.ConnectionError) -> bool:
    """Nobody took the connection, so nothing has been ordered."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(reason).__name__ in ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError")


def _is_job(answer: requests.Response) -> bool:
    try:
        body = answer.json()
    except ValueError:
        return False
    return isinstance(body, dict) and body.get("object") == "video" and "status" in body


def _job(answer: requests.Response) -> Job:
    if not _is_job(answer):
        raise ModelError("The engine's answer is not that of a video server.")
    job: Job = answer.json()
    return job


def _message(answer: requests.Response) -> str:
    """The words of an error: {"error": {"message"}}, or for a wrong key {"error": "Unauthorized"}."""
    try:
        error = answer.json()["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError, requests.RequestException):
        return f"HTTP {answer.status_code}"
