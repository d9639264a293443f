from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.template.defaultfilters import filesizeformat

from videoapi.conf import get_conf
from videoapi.engine.retention import find_expired, prune


class Command(BaseCommand):
    help = "Delete the files of results that are older or more than VIDEOAPI_KEEP_DAYS and VIDEOAPI_KEEP_BYTES allow."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would go, and delete nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        conf = get_conf()
        if not conf.keep_days and not conf.keep_bytes:
            self.stdout.write("Everything is kept: neither VIDEOAPI_KEEP_DAYS nor VIDEOAPI_KEEP_BYTES is set.")
        elif options["dry_run"]:
            expired = list(find_expired(conf))
            for row in expired:
                self.stdout.write(f"{row.pk}  {row.finished_at:%Y-%m-%d %H:%M}  {filesizeformat(row.file_size)}")
            self.stdout.write(f"{len(expired)} would go, {filesizeformat(sum(row.file_size for row in expired))}.")
        else:
            freed, count, size = 0, 1, 0
            while count:
                count, size = prune(conf)
                freed += size
            self.stdout.write(f"Freed {filesizeformat(freed)}.")
