"""A server's HTTP, and its errors as sentences."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import urlsplit

import requests
from requests.exceptions import ConnectTimeout, InvalidJSONError, InvalidSchema, InvalidURL, RequestException, SSLError
from urllib3.exceptions import LocationParseError, NewConnectionError

Job = dict[str, Any]
"""A generation as the server tells of it."""

CONNECT_SECONDS = 10.0
# The server may fetch an image before it answers.
ANSWER_SECONDS = 120.0
# A stream of events says every 15 seconds that it is there.
SILENT_SECONDS = 45.0
NOT_FOUND = 404
CHUNK = 256 * 1024
ENDS = ("completed", "failed", "cancelled", "expired")
# What a server that is about to be back answers.
PASSING_CODES = ("server_stopping", "database_unavailable")
PASSING_STATUSES = (502, 504)


class CommandError(Exception):
    """Ends the command; its message is for the user."""

    exit_status = 1


class Interrupted(CommandError):
    """By Ctrl-C."""

    exit_status = 130


class Unreachable(CommandError):
    """The server does not answer, or not to the end."""

    is_passing = True

    def __init__(self, message: str, *, is_refused: bool) -> None:
        super().__init__(message)
        self.is_refused = is_refused
        """Nothing listens there, so nothing was asked."""


class Refusal(CommandError):
    """The server answers with an error."""

    def __init__(self, message: str, *, status: int, code: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.is_passing = status in PASSING_STATUSES or code in PASSING_CODES


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Of a generation's stream."""

    id: str
    """Empty for one that is not told again."""
    data: Job


class Client:
    """Raises Unreachable and Refusal."""

    def __init__(self, server: str, key: str | None) -> None:
        self.server = (server if "://" in server else f"http://{server}").rstrip("/")
        try:
            urlsplit(self.server)
        except ValueError as error:
            raise self._no_address() from error
        self._session = requests.Session()
        if key and not (key.isascii() and key.isprintable()):
            raise CommandError("The API key holds a character that no key has.")
        self._session.auth = _Bearer(key) if key else None

    def list_models(self) -> list[dict[str, Any]]:
        models: list[dict[str, Any]] = self._ask("GET", "/v1/models", "data")["data"]
        return models

    def submit(self, body: dict[str, Any], key: str) -> Job:
        """The generation, which is another one only for another `key`. Does not wait for it."""
        headers = {"Prefer": "respond-async", "Idempotency-Key": key}
        return self._ask("POST", "/video", "status", json=body, headers=headers)

    def show(self, pk: str) -> Job:
        return self._ask_for("GET", pk)

    def cancel(self, pk: str) -> Job:
        """The generation as it is then: one that runs ends at its next step."""
        return self._ask_for("DELETE", pk)

    def listen(self, pk: str, last: str) -> Iterator[Event | None]:
        """Events since the one with the id `last`, until the server ends the stream; None is a sign of life."""
        headers = {"Last-Event-ID": last} if last else {}
        with self._send("GET", f"/video/{pk}/events", headers=headers, stream=True, seconds=SILENT_SECONDS) as answer:
            fields: dict[str, str] = {}
            for line in answer.iter_lines():
                name, _, value = line.decode(errors="replace").partition(":")
                if line and not name:
                    yield None
                elif line:
                    fields[name] = value.removeprefix(" ")
                elif "data" in fields:
                    yield Event(id=fields.get("id", ""), data=json.loads(fields["data"]))
                    fields = {}

    def download(self, url: str, file: IO[bytes]) -> None:
        """The file at an address that the server has told."""
        with self._send("GET", url, stream=True) as answer:
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)

    def locate(self, url: str) -> str:
        """The whole address of what the server names by its path, or by a whole one."""
        return url if "://" in url else self.server + url

    def _ask_for(self, method: str, pk: str) -> Job:
        try:
            return self._ask(method, f"/video/{pk}", "status")
        except Refusal as refusal:
            if refusal.status != NOT_FOUND:
                raise
            raise CommandError(f"There is no generation {pk} at {self.server}.") from refusal

    def _ask(self, method: str, path: str, needed: str, **options: Any) -> dict[str, Any]:
        """The answer, which has the `needed` key if it is ours."""
        with self._send(method, path, **options) as answer:
            try:
                body = answer.json()
            except ValueError as error:
                raise self._not_videoapi(answer) from error
            if not isinstance(body, dict) or needed not in body:
                raise self._not_videoapi(answer)
            return body

    @contextmanager
    def _send(
        self, method: str, path: str, *, seconds: float = ANSWER_SECONDS, **options: Any
    ) -> Iterator[requests.Response]:
        url = self.locate(path)
        # The videos may be elsewhere, where the key is nobody's business.
        session = self._session if urlsplit(url)[:2] == urlsplit(self.server)[:2] else requests.Session()
        # Redirected, a POST would become a GET.
        options |= {"timeout": (CONNECT_SECONDS, seconds), "allow_redirects": method == "GET"}
        try:
            with session.request(method, url, **options) as answer:
                if not answer.ok:
                    raise self._refusal(answer)
                yield answer
        except (InvalidURL, InvalidSchema, LocationParseError) as error:
            raise self._no_address() from error
        except InvalidJSONError as error:
            raise CommandError("Infinity and NaN are no numbers that can be sent.") from error
        except SSLError as error:
            raise CommandError(f"The certificate of {self.server} is not valid here: {error}") from error
        except RequestException as error:
            raise self._unreachable(error) from error

    def _no_address(self) -> CommandError:
        return CommandError(f"'{self.server}' is not the address of a server, such as http://127.0.0.1:8080.")

    def _refusal(self, answer: requests.Response) -> CommandError:
        try:
            error = answer.json()["error"]
            message, code, param = error["message"], error["code"], error["param"]
        except (ValueError, LookupError, TypeError):
            return self._not_videoapi(answer)
        if code == "not_authenticated":
            message = f"{self.server} wants an API key: set VIDEOAPI_KEY, or give --key."
        seconds = answer.headers.get("Retry-After", "")
        return Refusal(
            f"{param}: {message}" if param else message,
            status=answer.status_code,
            code=code,
            retry_after=float(seconds) if seconds.isdecimal() else None,
        )

    def _not_videoapi(self, answer: requests.Response) -> Refusal:
        message = f"{self.server} answers with {answer.status_code}, and not as videoapi does; is --server right?"
        return Refusal(message, status=answer.status_code)

    def _unreachable(self, error: RequestException) -> Unreachable:
        reason = getattr(error.args[0], "reason", None) if error.args else None
        if isinstance(error, ConnectTimeout) or isinstance(reason, NewConnectionError):
            message = f"No server answers at {self.server}; start one with 'make serve', or name another with --server."
            return Unreachable(message, is_refused=True)
        return Unreachable(f"The connection to {self.server} was lost.", is_refused=False)


class _Bearer(requests.auth.AuthBase):
    """Not a header of the session, which requests would replace by what it finds in ~/.netrc."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request
