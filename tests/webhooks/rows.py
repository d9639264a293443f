"""Settings and rows for the tests of webhooks."""

from __future__ import annotations

from typing import Any

from tests.webhooks.receiver import SECRET
from videoapi.models import APIKey, Generation, WebhookDelivery, issue_key

CONF = {
    "webhook_private": True,
    "webhook_secret": SECRET,
    "webhook_seconds": 1.0,
    "webhook_retries": (0.05, 0.05),
    "cancel_seconds": 0.5,
}
ELSEWHERE = "https://example.org/hook"


def claim(row: Generation) -> Generation:
    claimed = Generation.objects.claim(str(row.pk), "host:1/0")
    assert claimed is not None
    return claimed


def make_key(name: str, **values: Any) -> tuple[APIKey, str]:
    """One with a secret for webhooks."""
    row, key = issue_key(name, **values)
    row.renew_webhook_secret()
    row.save()
    return row, key


def outcomes() -> dict[str, str]:
    return {row.event: row.outcome for row in WebhookDelivery.objects.all()}
