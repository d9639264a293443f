from __future__ import annotations

import dataclasses
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from videoapi.conf import get_conf
from videoapi.engine.worker import run_worker
from videoapi.exceptions import InvalidRequest


class Command(BaseCommand):
    help = "Run generations from the queue until SIGTERM or SIGINT."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--slot",
            action="append",
            metavar="MODELS",
            help="a place for one model at a time: the comma-separated models that it serves, or '*'. Repeat it for "
            "several, usually one a GPU. Default: VIDEOAPI_SLOTS.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        conf = get_conf()
        if options["slot"]:
            conf = dataclasses.replace(conf, slots=tuple(options["slot"]))
        try:
            run_worker(conf)
        except InvalidRequest as error:
            raise CommandError(error.message) from error
