"""The list of generations, in pages as OpenAI's API has them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any
from uuid import UUID

from django.db.models import Q

from videoapi.api.access import Caller
from videoapi.api.bodies import generation_body
from videoapi.engine.registry import get_catalog
from videoapi.exceptions import InvalidRequest
from videoapi.models import Generation, State

Words = Mapping[str, Collection[State]]
"""What a client may name in `status`, and the states that it stands for."""
STATUSES: Words = {state.value: (state,) for state in State}
PARAMETERS = ("status", "model", "limit", "after", "order")
DEFAULT_LIMIT, MAX_LIMIT = 20, 100
MODEL = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,200}")


def list_generations(
    caller: Caller,
    query: Mapping[str, str],
    describe: Callable[[Generation], dict[str, Any]] = generation_body,
    statuses: Words = STATUSES,
) -> dict[str, Any]:
    """Of the caller's generations, `limit` after the one named `after`, newest first or in `order=asc`.

    Raises InvalidRequest.
    """
    for name in query:
        if name not in PARAMETERS:
            raise InvalidRequest(name, f"Unknown parameter; there are {', '.join(PARAMETERS)}.")
    limit = _read_limit(query.get("limit", str(DEFAULT_LIMIT)))
    ascending = _choose(query, "order", ("desc", "asc")) == "asc"
    rows = caller.generations().defer("log").order_by(*(("created_at", "pk") if ascending else ("-created_at", "-pk")))
    if "status" in query:
        rows = rows.filter(state__in=statuses[_choose(query, "status", tuple(statuses))])
    if "model" in query:
        rows = rows.filter(model=_find_model(query["model"]))
    if "after" in query:
        rows = rows.filter(_beyond(_find(caller, query["after"]), ascending=ascending))
    page = list(rows[: limit + 1])
    data = [describe(row) for row in page[:limit]]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(page) > limit,
    }


def _beyond(last: Generation, *, ascending: bool) -> Q:
    side = "gt" if ascending else "lt"
    same_time = Q(created_at=last.created_at, **{f"pk__{side}": last.pk})
    return Q(**{f"created_at__{side}": last.created_at}) | same_time


def _find_model(name: str) -> str:
    """The model's own name for an alias; one that is not installed any more can have rows still."""
    if not MODEL.fullmatch(name):
        raise InvalidRequest("model", "Must be a model's name.")
    try:
        return get_catalog().find(name).spec.name
    except InvalidRequest:
        return name


def _find(caller: Caller, name: str) -> Generation:
    try:
        # A client that deletes page by page goes on after what it has deleted.
        return caller.past_generations().get(pk=UUID(name))
    except (ValueError, Generation.DoesNotExist) as error:
        raise InvalidRequest("after", "There is no generation of that id.") from error


def _read_limit(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,2}", text, re.ASCII) or int(text) > MAX_LIMIT:
        raise InvalidRequest("limit", f"Must be an integer from 1 to {MAX_LIMIT}.")
    return int(text)


def _choose(query: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = query.get(name, choices[0])
    if value not in choices:
        raise InvalidRequest(name, f"'{value}' is not one of: {', '.join(choices)}.")
    return value
