"""The keys of clients. Of each only a hash is kept; the secret of its webhooks is kept itself, for we sign with it."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any, ClassVar, Self

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from videoapi.inputs import FetchError, check_url

# Enough to tell keys apart in a list, and nothing to try the rest by.
SHOWN = 8
# Standard Webhooks asks for 24 to 64 bytes; these are written in base64 without padding.
SECRET_BYTES = 24


class APIKeyQuerySet(models.QuerySet["APIKey"]):
    def usable(self) -> Self:
        return self.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now()), revoked=False)

    def find(self, key: str) -> APIKey | None:
        """The usable key that a client has sent.

        It is looked up by its hash, so how long that takes tells nothing about the key.
        """
        return self.usable().filter(digest=_digest(key)).first()


class APIKey(models.Model):
    """What one client may do, and how much of it. Rows are revoked, not deleted: generations belong to them."""

    name = models.CharField(
        max_length=100,
        unique=True,
        help_text="Whose it is.",
        error_messages={"unique": "There is a key of that name already."},
    )
    beginning = models.CharField(max_length=SHOWN, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    may_generate = models.BooleanField(default=True, help_text="Make videos, and cancel its own.")
    may_read = models.BooleanField(default=True, help_text="See the models, and its own generations and their files.")
    may_operate = models.BooleanField(
        default=False, help_text="Everything: everybody's generations too, and loading and unloading models."
    )
    videos_per_minute = models.PositiveIntegerField(default=0, help_text="0: no limit.")
    max_queued = models.PositiveIntegerField(default=0, help_text="Generations that may wait. 0: the server's limit.")
    pixel_frames_per_day = models.PositiveBigIntegerField(
        default=0,
        help_text="Width x height x frames in 24 hours; 512x512 with 16 frames are 4194304. 0: no limit.",
    )
    webhook_url = models.CharField(
        "webhook URL",
        max_length=2048,
        blank=True,
        help_text="Where the events of its generations are sent, unless a request names another address.",
    )
    webhook_secret = models.CharField(max_length=100, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked = models.BooleanField(default=False)

    key = ""
    """The key itself, only in the process that has just made it."""
    has_new_secret = False
    """Of its webhooks, likewise."""

    objects: ClassVar[models.Manager[APIKey]] = APIKeyQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        verbose_name = "API key"

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """What the address leads to is found out at each delivery."""
        if self.webhook_url:
            try:
                check_url(self.webhook_url)
            except FetchError as error:
                raise ValidationError({"webhook_url": f"It {error}."}) from error

    def renew(self) -> str:
        """Give the row a new key, which is returned and never seen again. It is not saved yet."""
        key = f"va-{secrets.token_urlsafe(32)}"
        self.beginning, self.digest = key[:SHOWN], _digest(key)
        return key

    def renew_webhook_secret(self) -> str:
        """Give the row a new secret to sign webhooks with, in place of the one before. It is not saved yet."""
        self.webhook_secret = f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"
        return self.webhook_secret


def issue_key(name: str, **values: Any) -> tuple[APIKey, str]:
    """A new row and its key. Raises ValidationError."""
    row = APIKey(name=name, **values)
    key = row.renew()
    row.full_clean()
    row.save(force_insert=True)
    return row, key


def _digest(key: str) -> str:
    # No salt and no stretching: a key has 256 random bits.
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
