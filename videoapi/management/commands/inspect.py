from __future__ import annotations

import json
import shlex
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from videoapi.conf import Conf, get_conf
from videoapi.encoding import ClipError, read_metadata

# No other name: it becomes the name of a file in a command that somebody runs.
FILES = ("start_image", "end_image", "input_reference")
WIDTH = 17


class Command(BaseCommand):
    help = "Say how an mp4 of this server was made, and how to make it again."
    # Of the installation, which has no part in it.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE.mp4")
        parser.add_argument("--json", action="store_true", help="what the file holds, as it is")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            facts = read_metadata(path)
        except OSError as error:
            raise CommandError(f"{path.name} cannot be read: {error.strerror}.") from error
        except ClipError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(facts, indent=2))
            return
        request: dict[str, Any] = facts.pop("request")
        for name, value in {**request, **facts}.items():
            self.stdout.write(f"{_show(name):{WIDTH}}{_show(value)}")
        files = [name for name, value in request.items() if _is_file(name, value)]
        self.stdout.write("\nTo make it again, with the same models and versions on such a machine:")
        if files:
            self.stdout.write(f"(with the files that it was made of as {' and '.join(files)} in this folder)")
        self.stdout.write(f"\n{_write_command(request, files, get_conf())}")


def _is_file(name: str, value: Any) -> bool:
    return name in FILES and isinstance(value, dict)


def _show(value: Any) -> str:
    """On one line, and without whatever a terminal might obey: the file may be a stranger's."""
    if isinstance(value, str) and value.isprintable():
        return value
    if isinstance(value, dict) and "sha256" in value:
        return ", ".join(f"{_show(name)} {_show(each)}" for name, each in value.items())
    return json.dumps(value)


def _write_command(request: Mapping[str, Any], files: list[str], conf: Conf) -> str:
    key = ' -H "Authorization: Bearer $KEY"' if conf.anonymous == "no" else ""
    curl = f"curl {conf.public_url or f'http://{conf.address}'}/video -H 'Content-Type: application/json'{key}"
    if not files:
        return f"{curl} -d {shlex.quote(json.dumps(request))}"
    # A file is more than a command line may hold.
    others = {name: value for name, value in request.items() if name not in files}
    parts = [f"printf %s {shlex.quote(json.dumps(others)[:-1])}"]
    for name in files:
        opening = f', {json.dumps(name)}: "'
        parts += [f"printf %s {shlex.quote(opening)}", f"base64 < {shlex.quote(name)} | tr -d '\\n'", "printf '\"'"]
    return f"{{ {'; '.join([*parts, 'printf }'])}; }} | {curl} --data-binary @-"
