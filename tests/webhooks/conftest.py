from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.webhooks.receiver import Receiver
from tests.webhooks.rows import CONF
from videoapi.api.bodies import generation_body
from videoapi.engine import webhooks as webhooks_module
from videoapi.engine.slot import Slot
from videoapi.engine.webhooks import WebhookSender


@pytest.fixture(autouse=True)
def conf(configure: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(webhooks_module, "POLL_SECONDS", 0.02)
    return configure(**CONF)


@pytest.fixture
def start(conf: Any) -> Iterator[Callable[..., WebhookSender]]:
    """Starts a sender, which the end of the test stops."""
    started: list[WebhookSender] = []

    def start_sender(its_conf: Any = conf, describe: Any = generation_body) -> WebhookSender:
        sender = WebhookSender(its_conf, describe)
        sender.start()
        started.append(sender)
        return sender

    yield start_sender
    for sender in started:
        sender.stop()
        assert not sender.is_alive()


@pytest.fixture
def slot(conf: Any) -> Iterator[Slot]:
    made = Slot("host:1/0", conf)
    yield made
    made.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made
