from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from videoapi.models import APIKey, issue_key


class Command(BaseCommand):
    help = "Make an API key and print it; it cannot be seen again. Keys are listed, limited and revoked in the admin."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="whose it is")
        parser.add_argument("--no-generate", action="store_true", help="it makes no videos")
        parser.add_argument("--no-read", action="store_true", help="it sees no models, generations and files")
        parser.add_argument("--operate", action="store_true", help="it sees and cancels everybody's, and loads models")
        parser.add_argument("--days", type=float, metavar="N", help="it expires after so many days")
        parser.add_argument("--per-minute", type=int, default=0, metavar="N", help="requests a minute")
        parser.add_argument("--max-queued", type=int, default=0, metavar="N", help="generations that may wait")
        parser.add_argument("--pixel-frames-per-day", type=int, default=0, metavar="N", help="width x height x frames")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        if APIKey.objects.filter(name=name).exists():
            raise CommandError(f"There is a key of the name '{name}' already.")
        days = options["days"]
        _, key = issue_key(
            name,
            may_generate=not options["no_generate"],
            may_read=not options["no_read"],
            may_operate=options["operate"],
            requests_per_minute=options["per_minute"],
            max_queued=options["max_queued"],
            pixel_frames_per_day=options["pixel_frames_per_day"],
            expires_at=None if days is None else timezone.now() + timedelta(days=days),
        )
        self.stdout.write(key)
