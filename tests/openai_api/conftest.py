from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests.server import Server


@pytest.fixture
def client(faulty_server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{faulty_server.url}/v1", api_key="anything", max_retries=0) as client:
        yield client
