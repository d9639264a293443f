from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from videoapi.models import issue_key

MAX_DAYS = 36525


class Command(BaseCommand):
    help = "Make an API key and print it; it cannot be seen again. Keys are listed, limited and revoked in the admin."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="whose it is")
        parser.add_argument("--no-generate", action="store_true", help="it makes no videos")
        parser.add_argument("--no-read", action="store_true", help="it sees no models, generations and files")
        parser.add_argument(
            "--operate", action="store_true", help="it may do everything, to everybody's generations and to models"
        )
        parser.add_argument("--days", type=float, metavar="N", help="it expires after so many days")
        parser.add_argument("--per-minute", type=int, default=0, metavar="N", help="videos a minute")
        parser.add_argument("--max-queued", type=int, default=0, metavar="N", help="generations that may wait")
        parser.add_argument("--webhook-url", default="", metavar="URL", help="where the events of its videos are sent")
        parser.add_argument(
            "--webhook-secret", action="store_true", help="print the secret of its webhooks below it, as with a URL"
        )
        parser.add_argument("--pixel-frames-per-day", type=int, default=0, metavar="N", help="width x height x frames")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        days = options["days"]
        if days is not None and not 0 < days < MAX_DAYS:
            raise CommandError(f"--days must be more than 0 and less than {MAX_DAYS}.")
        try:
            row, key = issue_key(
                name,
                webhook_url=options["webhook_url"],
                may_generate=not options["no_generate"],
                may_read=not options["no_read"],
                may_operate=options["operate"],
                videos_per_minute=options["per_minute"],
                max_queued=options["max_queued"],
                pixel_frames_per_day=options["pixel_frames_per_day"],
                expires_at=None if days is None else timezone.now() + timedelta(days=days),
            )
        except ValidationError as error:
            raise CommandError(
                " ".join(f"{field}: {' '.join(m)}" for field, m in error.message_dict.items())
            ) from error
        self.stdout.write(key)
        if options["webhook_url"] or options["webhook_secret"]:
            self.stdout.write(row.renew_webhook_secret())
            row.save(update_fields=["webhook_secret"])
