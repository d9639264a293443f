"""Which of OpenAI's clients it is: `make test` runs these tests with the newest, and with an older one."""

from __future__ import annotations

import os

import openai


def test_the_client_is_the_one_that_was_asked_for() -> None:
    asked = os.environ.get("VIDEOAPI_TEST_OPENAI")
    if asked is None:
        assert tuple(int(part) for part in openai.__version__.split(".")[:2]) >= (3, 57)
    else:
        assert f"openai-{openai.__version__}" == asked
