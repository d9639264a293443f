"""A short run of the soak; `make soak` is the long one."""

from __future__ import annotations

from pathlib import Path

from tests.soak import soak


def test_the_books_balance_after_kills_cancels_and_restarts(tmp_path: Path) -> None:
    ledger, done, left = soak(tmp_path, seconds=25, seed=11)
    assert left == []
    assert ledger["accepted"] >= 10, done
    assert ledger["completed"] >= 5, ledger
    assert ledger["wrong ends"] == 0, ledger
    assert (ledger["accepted without a row"], ledger["missing files"], ledger["surplus files"]) == (0, 0, 0), ledger
