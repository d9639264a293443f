"""`videoapi models`, `videoapi show` and `videoapi cancel`: one question, one answer."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import Any

from videoapi.cli.client import ENDS, Client, Job
from videoapi.cli.progress import tell, tell_end


def list_models(client: Client, options: Namespace) -> None:
    """Their names, their modes where the server tells them, and whether they can be asked for."""
    models = client.list_models()
    if options.json:
        print(json.dumps(models))
        return
    has_modes = any("modes" in model for model in models)
    rows = [_row(model, has_modes=has_modes) for model in models]
    if not sys.stdout.isatty():
        print("\n".join("\t".join(row) for row in rows))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("model", *(["modes"] if has_modes else []), "available", box=None)
    for row in rows:
        table.add_row(*row)
    Console(markup=False, highlight=False).print(table)


def show(client: Client, options: Namespace) -> None:
    """How far a generation is."""
    _print(client.show(str(options.id)), client, as_json=options.json)


def cancel(client: Client, options: Namespace) -> None:
    """One that runs ends at its next step."""
    _print(client.cancel(str(options.id)), client, as_json=options.json)


def _row(model: dict[str, Any], *, has_modes: bool) -> list[str]:
    modes = [", ".join(model.get("modes", ()))] if has_modes else []
    return [model["id"], *modes, "yes" if model.get("available", True) else f"no: {model['reason']}"]


def _print(job: Job, client: Client, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(job))
    elif job["status"] not in ENDS:
        print(f"Generation {job['id']}: {tell(job)}{', to be cancelled' if job['cancel_requested'] else ''}.")
    elif job["data"]:
        print(f"Generation {job['id']} {tell_end(job)}: {client.locate(job['data'][0]['url'])}")
    else:
        print(f"Generation {job['id']} {tell_end(job)}.")
