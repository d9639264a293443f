"""Tells clients of their generations at the addresses that they have named, signed by https://www.standardwebhooks.com.

It runs beside the web server, so that no receiver can hold up a worker.
"""

from __future__ import annotations

import json
import logging
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import close_old_connections, connections
from standardwebhooks import Webhook

from videoapi.conf import Conf
from videoapi.exceptions import InvalidRequest
from videoapi.inputs import FetchError, check_receiver, post
from videoapi.models import APIKey, Event, Generation, WebhookDelivery

logger = logging.getLogger(__name__)

FIELD = "webhook_url"
# Seconds between two looks for what is due.
POLL_SECONDS = 1.0
# Messages that are on their way at once: in all, to one receiver that answers, and to all of those that have not
# answered last, of whom each has one. So however many do not answer, there is room for those that do.
SEATS, SEATS_OF_RECEIVER, SEATS_OF_SILENT = 16, 4, 12
# How long a stop waits for the answers to what is on its way.
STOP_SECONDS = 3.0
# Receivers that were away together are not called again together.
JITTER = 0.2
GONE = 410


def choose_url(asked: str, api_key: APIKey | None, conf: Conf) -> str:
    """Where the events of a request go: where it asks for, else where its key says; empty for nowhere.

    Raises InvalidRequest for an address that is not called, and where there is no secret to sign with; a key's own
    address that is so is the operator's to mend, and the log says it.
    """
    if not conf.webhooks:
        if asked:
            raise InvalidRequest(FIELD, "This server sends no webhooks; ask for the generation instead.")
        return ""
    if asked:
        _check(asked, api_key, conf)
        return asked
    if api_key is None or not api_key.webhook_url:
        return ""
    try:
        _check(api_key.webhook_url, api_key, conf)
    except InvalidRequest as error:
        logger.warning("the events of API key '%s' are sent nowhere: %s", api_key, error.message)
        return ""
    return api_key.webhook_url


def _check(url: str, api_key: APIKey | None, conf: Conf) -> None:
    try:
        check_receiver(url, allow_private=conf.webhook_private)
    except FetchError as error:
        raise InvalidRequest(FIELD, f"The URL {error}.") from error
    if not find_secret(api_key, conf):
        raise InvalidRequest(
            FIELD,
            "This API key has no secret to sign webhooks with; the operator can make one in the admin."
            if api_key
            else "Webhooks are signed: without an API key they need VIDEOAPI_WEBHOOK_SECRET on the server.",
        )


def find_secret(api_key: APIKey | None, conf: Conf) -> str:
    """What the messages about the generations of a key, or of nobody's, are signed with."""
    if api_key is None:
        return conf.webhook_secret
    return "" if api_key.revoked else api_key.webhook_secret


def make_body(delivery: WebhookDelivery, data: dict[str, Any]) -> str:
    """The message: what Standard Webhooks asks for, and what OpenAI's clients read of an event besides."""
    return json.dumps(
        {
            "id": delivery.message_id,
            "object": "event",
            "type": delivery.event,
            "timestamp": delivery.created_at.isoformat(),
            "created_at": int(delivery.created_at.timestamp()),
            "data": data,
        }
    )


def sign(body: str, message_id: str, secret: str, now: datetime) -> dict[str, str]:
    """The headers of a message that is sent now."""
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, now, body),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answer:
    delivery: WebhookDelivery
    status: int
    """Of HTTP; 0 when there was no answer."""
    words: str


class WebhookSender(threading.Thread):
    """Sends what is due. Several may run, in several processes and on several machines.

    A message is claimed for longer than its sending may take; that of a sender which was killed is due again then. So
    a message may come twice, under the same id.
    """

    def __init__(self, conf: Conf, describe: Callable[[Generation], dict[str, Any]]) -> None:
        """`describe` makes the `data` of a message, of the generation as it is when it is sent."""
        super().__init__(name="webhooks", daemon=True)
        self._conf = conf
        self._describe = describe
        self._stopping = threading.Event()
        self._sending = Counter[str]()
        self._answering = set[str]()
        self._answers: queue.SimpleQueue[_Answer | None] = queue.SimpleQueue()

    def stop(self) -> None:
        """Send no more, and return when what is on its way has been answered, or after STOP_SECONDS."""
        self._stopping.set()
        self._answers.put(None)
        self.join(STOP_SECONDS)

    def run(self) -> None:
        answer: _Answer | None = None
        while not self._stopping.is_set() or self._sending.total():
            try:
                if answer is not None:
                    self._record(answer)
                    answer = None
                if not self._stopping.is_set():
                    self._send_due()
            except Exception:
                # Nobody would notice that no more messages are sent.
                logger.exception("webhooks could not be sent")
                close_old_connections()
                time.sleep(POLL_SECONDS)
                continue
            with suppress(queue.Empty):
                answer = self._answers.get(timeout=POLL_SECONDS)
        connections.close_all()

    def _send_due(self) -> None:
        # Longer than a message may take, so that nobody sends it a second time meanwhile.
        lease = 2 * self._conf.webhook_seconds
        while self._sending.total() < SEATS:
            busy = [receiver for receiver, count in self._sending.items() if count >= self._find_seats(receiver)]
            silent = sum(count for receiver, count in self._sending.items() if receiver not in self._answering)
            only = self._answering if silent >= SEATS_OF_SILENT else None
            delivery = WebhookDelivery.objects.claim_next(lease, busy, only)
            if delivery is None:
                return
            # Where no thread can be started, it is due again when its time is over.
            threading.Thread(target=self._send, args=(delivery,), name="webhook", daemon=True).start()
            self._sending[delivery.receiver] += 1

    def _find_seats(self, receiver: str) -> int:
        return SEATS_OF_RECEIVER if receiver in self._answering else 1

    def _send(self, delivery: WebhookDelivery) -> None:
        """In a thread of its own, without the database."""
        status, words = 0, "failed in the server, whose log has the details"
        generation, conf = delivery.generation, self._conf
        try:
            if secret := find_secret(generation.api_key, conf):
                body = make_body(delivery, self._describe(generation))
                headers = sign(body, delivery.message_id, secret, datetime.now(UTC))
                status = post(
                    generation.webhook_url,
                    body.encode(),
                    headers,
                    allow_private=conf.webhook_private,
                    seconds=conf.webhook_seconds,
                )
                words = f"HTTP {status}"
            else:
                words = "the API key is revoked, or there is no secret to sign with"
        except FetchError as error:
            words = str(error)
        except Exception:
            # Its seat must not be lost, whatever went wrong.
            logger.exception("%s could not be sent", delivery)
        finally:
            self._answers.put(_Answer(delivery=delivery, status=status, words=words))

    def _record(self, answer: _Answer) -> None:
        delivery = answer.delivery
        if answer.status:
            self._answering.add(delivery.receiver)
        else:
            self._answering.discard(delivery.receiver)
        if 200 <= answer.status < 300:
            delivery.succeed(answer.words)
        else:
            delay = self._retry_in(delivery, answer.status)
            delivery.fail(answer.words, delay)
            then = "given up" if delay is None else f"again in {delay:.0f} s"
            logger.warning("webhook %s: %s; %s", delivery, answer.words, then)
        self._sending[delivery.receiver] -= 1
        self._sending += Counter()  # forgets those at zero

    def _retry_in(self, delivery: WebhookDelivery, status: int) -> float | None:
        """Seconds; None when it is not to be sent again."""
        retries = self._conf.webhook_retries
        if status == GONE or delivery.event == Event.PROGRESS or delivery.attempts > len(retries):
            return None
        return retries[delivery.attempts - 1] * random.uniform(1, 1 + JITTER)  # noqa: S311  (no secret)
