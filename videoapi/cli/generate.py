"""`videoapi generate`: from a prompt to a file."""

from __future__ import annotations

import json
import sys
import time
import uuid
from argparse import Namespace
from typing import Any

from videoapi.cli.client import Client, CommandError, Interrupted, Job, Refusal
from videoapi.cli.follow import follow, persist
from videoapi.cli.output import STDOUT, check_output, name_outputs, save
from videoapi.cli.progress import Lines, make_progress, tell_end
from videoapi.cli.request import read_body

# Where the server does not say when to try again.
RETRY_AFTER = 10.0
TOO_MANY = 429


def generate(client: Client, options: Namespace) -> None:
    """Make the video and write it."""
    body = read_body(options)
    outputs = name_outputs(options.output, body.get("n", 1))
    for name in outputs:
        check_output(name, force=options.force)
    with make_progress() as progress:
        ended = _run(client, body, progress)
        # Its last event has words of its own, and the video may have expired since.
        job = persist(lambda: client.show(ended["id"]), progress.say)
        names = [_name(item, job, outputs) for item in job["data"]]
        for name, item in zip(names, job["data"], strict=True):
            save(client, item["url"], name, progress.say, force=options.force)
        if job["status"] != "completed":
            made = f"; made: {', '.join(names)}" if names else ""
            raise CommandError(f"Generation {job['id']} {tell_end(job)}{made}.")
        for warning in job["warnings"]:
            progress.say(f"Note: {warning}")
    _print(job, names, as_json=options.json)


def _name(item: Job, job: Job, outputs: list[str]) -> str:
    """Of several videos, each has the name of its place, also where others are missing."""
    return outputs[item.get("seed", job["seed"]) - job["seed"]] if outputs else f"{item.get('id', job['id'])}.mp4"


def _run(client: Client, body: dict[str, Any], progress: Lines) -> Job:
    """The generation at its end. An interrupt cancels it, a second one leaves it."""
    job: Job = {}
    # Whatever is lost on the way: the server makes one video of a key.
    key = str(uuid.uuid4())
    try:
        job = _submit(client, body, key, progress)
        return _watch(client, job, progress)
    except KeyboardInterrupt:
        pass
    try:
        progress.say("Cancelling; Ctrl-C once more leaves at once.")
        # It may have been accepted before its id has come: the key finds it.
        job = job or client.submit(body, key)
        persist(lambda: client.cancel(job["id"]), progress.say)
        job = _watch(client, job, progress)
    except KeyboardInterrupt:
        raise Interrupted(f"Left; 'videoapi show {job.get('id', 'ID')}' tells whether it is cancelled.") from None
    except Refusal as refusal:
        if job:
            raise
        raise Interrupted(f"Nothing had been accepted: {refusal}") from refusal
    raise Interrupted(f"Generation {job['id']} {tell_end(job)}.")


def _watch(client: Client, job: Job, progress: Lines) -> Job:
    """The generation at its end."""
    for state in follow(client, job, progress.say):
        progress.show(state)
        job = state
    return job


def _submit(client: Client, body: dict[str, Any], key: str, progress: Lines) -> Job:
    while True:
        try:
            return persist(lambda: client.submit(body, key), progress.say, is_known=False)
        except Refusal as refusal:
            if refusal.status != TOO_MANY:
                raise
            seconds = refusal.retry_after or RETRY_AFTER
            progress.say(f"{refusal} Trying again in {seconds:.0f} seconds.")
            time.sleep(seconds)


def _print(job: Job, names: list[str], *, as_json: bool) -> None:
    """To stdout, unless the video has gone there."""
    file = sys.stderr if STDOUT in names else sys.stdout
    if as_json:
        print(json.dumps(job | {"files": names}), file=file)
        return
    size = f"{job['width']}x{job['height']}, {job['num_frames']} frames at {job['fps']} fps"
    for name, item in zip(names, job["data"], strict=True):
        seed = item.get("seed", job["seed"])
        print(f"{name}  seed {seed}, {size}, made in {job['timings']['total']:.1f} s", file=file)
