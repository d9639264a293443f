"""The command `videoapi`."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from uuid import UUID

from videoapi.cli.client import Client, CommandError
from videoapi.cli.commands import cancel, list_models, show
from videoapi.cli.generate import generate
from videoapi.cli.request import add_fields

SERVER = "http://127.0.0.1:8080"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 for what went wrong, 2 for wrong options, 130 after Ctrl-C."""
    options = make_parser().parse_args(arguments)
    try:
        options.run(Client(options.server, options.key), options)
    except CommandError as error:
        print(f"videoapi: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("videoapi: Interrupted.", file=sys.stderr)
        return 130
    return 0


def make_parser() -> ArgumentParser:
    common = ArgumentParser(add_help=False)
    common.add_argument(
        "--server",
        default=os.environ.get("VIDEOAPI_SERVER") or SERVER,
        metavar="URL",
        help=f"where the server is; by default $VIDEOAPI_SERVER, or {SERVER}",
    )
    common.add_argument(
        "--key",
        default=os.environ.get("VIDEOAPI_KEY"),
        help="an API key; by default $VIDEOAPI_KEY, which others cannot see",
    )
    common.add_argument("--json", action="store_true", help="print the server's answer as JSON")
    parser = ArgumentParser(prog="videoapi", description="Make videos with a videoapi server.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("generate", parents=[common], help="make a video from a prompt")
    add_fields(command)
    command.add_argument("-o", "--output", metavar="FILE", help="where the video goes; - is stdout, by default ID.mp4")
    command.add_argument("--force", action="store_true", help="overwrite the file")
    command.set_defaults(run=generate)

    command = commands.add_parser("models", parents=[common], help="list the server's models")
    command.set_defaults(run=list_models)

    for name, run, meaning in (
        ("show", show, "tell how far a generation is"),
        ("cancel", cancel, "cancel a generation"),
    ):
        command = commands.add_parser(name, parents=[common], help=meaning)
        command.add_argument("id", type=UUID, metavar="ID")
        command.set_defaults(run=run)
    return parser
