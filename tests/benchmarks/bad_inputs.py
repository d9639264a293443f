"""What bad inputs cost: `python -m tests.benchmarks.bad_inputs` tries every one of the tables and prints a summary."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.bad_inputs.case import Case, Outcome, attempt
from tests.bad_inputs.server import WatchedServer, start_watched
from tests.bad_inputs.tables import TABLES


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, start_watched(Path(folder)) as watched:
        before = sum(_peaks(watched).values())
        outcomes = list(_try_all(watched))
        peaks = _peaks(watched)
    wrong = [(kind, case, outcome) for kind, case, outcome in outcomes if not _is_right(case, outcome)]
    print(f"{'kind':8} {'tried':>6} {'median ms':>10} {'slowest ms':>11}  slowest")
    for kind in TABLES:
        times = sorted((outcome.seconds, case.name) for k, case, outcome in outcomes if k == kind)
        middle, slowest = times[len(times) // 2], times[-1]
        print(f"{kind:8} {len(times):6} {1000 * middle[0]:10.1f} {1000 * slowest[0]:11.1f}  {slowest[1]}")
    print(f"\n{len(outcomes)} bad inputs, of which {len(wrong)} were not refused as they should be")
    connections = [note for _, case, outcome in outcomes if not case.connections for note in outcome.notes]
    print(f"connections to forbidden addresses, and calls of models: {len(connections)}")
    print(f"files and rows left: {sum(len(outcome.left) for _, _, outcome in outcomes)}")
    print(f"memory peak of the web server: {peaks['web']} MiB (all processes {sum(peaks.values())}, at first {before})")
    print(f"memory peak of its decoders: {peaks['decoders']} MiB")
    for kind, case, outcome in wrong:
        print(f"NOT REFUSED: {kind}: {case.name}: {outcome.answer.status} {outcome.notes} {outcome.left}")


def _try_all(watched: WatchedServer) -> Iterator[tuple[str, Case, Outcome]]:
    for kind, cases in TABLES.items():
        for case in cases:
            yield kind, case, attempt(watched.server, watched.notes, case)


def _is_right(case: Case, outcome: Outcome) -> bool:
    named = outcome.answer.status == case.status and outcome.answer.error["param"] == case.param
    return named and not outcome.left and len(outcome.notes) == len(case.connections)


def _peaks(watched: WatchedServer) -> dict[str, int]:
    """The most main memory that each process has had, in MiB, in all."""
    peaks = {"web": 0, "decoders": 0}
    for process in psutil.Process(watched.server.process.pid).children(recursive=True):
        command = " ".join(process.cmdline())
        kind = "decoders" if "decoder_process" in command else "web" if "gunicorn" in command else None
        if kind:
            status = Path(f"/proc/{process.pid}/status").read_text()
            peaks[kind] += int(status.partition("VmHWM:")[2].split()[0]) // 1024
    return peaks


if __name__ == "__main__":
    main()
