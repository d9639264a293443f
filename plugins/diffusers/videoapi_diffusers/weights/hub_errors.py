"""What went wrong with the hub, as a sentence with the way out."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from videoapi import ModelError


@contextmanager
def explained(repo: str, revision: str | None) -> Iterator[None]:
    """Turns what the hub's library raises into a ModelError."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, _find_client_error()) as error:
        raise ModelError(explain(error, repo, revision)) from error


def explain(error: BaseException, repo: str, revision: str | None = None) -> str:
    """The sentence for one error of the hub's library."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    is_absent = isinstance(error, LocalEntryNotFoundError)
    cause = error.__cause__ if is_absent and error.__cause__ is not None else error
    match cause:
        case GatedRepoError():
            return f"'{repo}' is gated. {_open_gate(f'{constants.ENDPOINT}/{repo}')}"
        case RepositoryNotFoundError():
            return f"The hub has no '{repo}', or it is private: then HF_TOKEN must be a token that may read it."
        case RevisionNotFoundError():
            return f"'{repo}' has no revision '{revision}'; a revision is a branch, a tag or a commit."
        case HfHubHTTPError() if cause.response.status_code == 401:
            return "The hub does not know the token in HF_TOKEN."
        case HfHubHTTPError():
            return f"The hub answers with status {cause.response.status_code} for '{repo}'."
        case HFValidationError():
            return f"'{repo}' is no hub id: that is owner/name."
        case OfflineModeIsEnabled():
            return f"'{repo}' is not all in the hub's cache, and HF_HUB_OFFLINE forbids to download it."
        case OSError(errno=errno.ENOSPC):
            return f"'{repo}' does not fit on the disk of the hub's cache. Set HF_HOME to a folder on a larger one."
        case OSError(strerror=str(reason)) if not is_absent:
            return f"'{repo}' cannot be put into the hub's cache: {reason}."
    if is_absent or isinstance(cause, _find_client_error()):
        return f"The hub cannot be reached at {constants.ENDPOINT}, and '{repo}' is not all in its cache here."
    return f"'{repo}' could not be downloaded: {str(cause).strip().partition(chr(10))[0]}"


def _find_client_error() -> Any:
    """The base of the errors of the HTTP client, whichever one the hub's library uses."""
    from huggingface_hub.errors import HfHubHTTPError

    return HfHubHTTPError.__bases__[0]


def _open_gate(page: str) -> str:
    from huggingface_hub import get_token

    if get_token():
        return f"The account of HF_TOKEN has not accepted its licence at {page}."
    return f"Accept its licence at {page}, and set HF_TOKEN to a token of that account."
