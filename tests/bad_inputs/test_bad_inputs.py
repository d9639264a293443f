"""Every bad input of the tables, at a real server: refused by name, with nothing left behind."""

from __future__ import annotations

import pytest

from tests.bad_inputs.case import GOOD, Case, attempt
from tests.bad_inputs.server import WatchedServer
from tests.bad_inputs.tables import TABLES
from tests.images import base64_of, plain

CASES = [pytest.param(case, id=f"{kind}: {case.name}") for kind, cases in TABLES.items() for case in cases]


@pytest.mark.parametrize("case", CASES)
def test_a_bad_input_is_refused_by_name_and_leaves_nothing(watched: WatchedServer, case: Case) -> None:
    outcome = attempt(watched.server, watched.notes, case)
    error = outcome.answer.error
    assert (outcome.answer.status, error["param"]) == (case.status, case.param), error
    assert case.words in error["message"]
    assert error["type"] == "invalid_request_error"
    assert len(outcome.answer.body) < 6000
    assert outcome.answer.headers["Content-Type"] == "application/json"
    assert outcome.notes == [f"connection to {address}" for address in case.connections]
    assert outcome.left == []


def test_what_is_watched_would_have_been_seen(watched: WatchedServer) -> None:
    """The proof that the notes and the rest are no empty promise."""
    good = Case(name="good", param=None, words="", fields={"start_image": "http://images.example/picture"})
    outcome = attempt(watched.server, watched.notes, good)
    assert outcome.answer.status == 200
    assert outcome.notes == ["connection to 93.184.216.34", "watchful loaded", "model called"]
    pk = outcome.answer.json["id"]
    assert outcome.left == [(pk, "completed"), f"thumbnails/{pk}-1.jpg", f"videos/{pk}-1.mp4"]
    private = {"start_image": "http://10.0.0.1/x.png"}
    assert watched.server.post({**GOOD, **private}).status == 400
    assert watched.server.post({**GOOD, "start_image": base64_of(plain("red"))}).status == 200
