from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseFailure
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from videoapi.api.access import require_keys
from videoapi.conf import Conf, get_conf
from videoapi.engine.parent import die_with_parent
from videoapi.engine.registry import get_catalog
from videoapi.models import Worker

logger = logging.getLogger(__name__)

RESTART_SECONDS = 2.0


class Command(BaseCommand):
    help = "Run the web server and a worker until Ctrl-C. For one machine; on several, run them apart."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--migrate", action="store_true", help="bring the database up to date first")

    def handle(self, *args: Any, **options: Any) -> None:
        conf = get_conf()
        if _needs_migrations():
            if not options["migrate"]:
                raise CommandError("The database is not up to date. Run: manage.py migrate")
            call_command("migrate", verbosity=0)
        try:
            require_keys(conf)
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        self._stopping = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        if _is_listening(conf):
            raise CommandError(f"Something listens on {conf.address} already; set PORT to another one.")
        commands = {
            "web": [sys.executable, "-m", "gunicorn", "--config", "python:settings.gunicorn", "videoapi.wsgi"],
            "worker": [sys.executable, sys.argv[0], "videoworker"],
        }
        children = {role: _start(role, command, conf) for role, command in commands.items()}
        greeted = False
        while not self._stopping:
            time.sleep(0.1)
            if children["web"].poll() is not None:
                break
            if not greeted and _is_ready(conf):
                self._greet(conf)
                greeted = True
            if children["worker"].poll() is not None:
                logger.error("the worker has ended with status %s; starting it anew", children["worker"].returncode)
                time.sleep(RESTART_SECONDS)
                children["worker"] = _start("worker", commands["worker"], conf)
        _end(children.values(), conf.grace_seconds)
        if not self._stopping:
            raise CommandError(f"The web server has ended with status {children['web'].returncode}.")

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _greet(self, conf: Conf) -> None:
        url = f"http://{conf.address}"
        names = [" = ".join((entry.spec.name, *entry.spec.aliases)) for entry in get_catalog()]
        model = next(iter(get_catalog())).spec.name if names else "MODEL"
        key = " -H 'Authorization: Bearer KEY'" if conf.anonymous == "no" else ""
        body = f'{{"model": "{model}", "prompt": "a red circle moving left to right on a white background"}}'
        self.stdout.write(
            f"\n  videoapi serves {url}\n"
            f"  models: {', '.join(names) or 'none; see manage.py plugins'}\n"
            f"  stop with Ctrl-C. Try:\n\n"
            f"  curl {url}/video{key} -H 'Content-Type: application/json' \\\n    -d '{body}'\n"
        )
        self.stdout.flush()


def _needs_migrations() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _start(role: str, command: list[str], conf: Conf) -> subprocess.Popen[bytes]:
    """In a process group of its own, so that Ctrl-C reaches this supervisor alone and the end is in order."""
    environment = os.environ | {"VIDEOAPI_ROLE": role, "BIND": conf.bind, "PORT": str(conf.port)}
    return subprocess.Popen(command, env=environment, process_group=0, preexec_fn=_die_with_supervisor)  # noqa: S603  (commands of our own)


def _die_with_supervisor() -> None:
    # Even a supervisor that is killed leaves nothing running. Safe before exec: this process has one thread.
    die_with_parent(signal.SIGTERM)


def _is_ready(conf: Conf) -> bool:
    """The port accepts and a worker lives, so the greeting's curl works."""
    try:
        return _is_listening(conf) and Worker.objects.live(conf.stale_seconds).exists()
    except DatabaseFailure:
        return False
    finally:
        connection.close()


def _is_listening(conf: Conf) -> bool:
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (compared with, not bound to)
    try:
        with socket.create_connection((everywhere.get(conf.bind, conf.bind), conf.port), timeout=1):
            return True
    except OSError:
        return False


def _end(children: Any, grace: float) -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + grace + 10
    for child in children:
        try:
            child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
