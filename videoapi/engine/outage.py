"""Holds on to finished work while the database is away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, close_old_connections

logger = logging.getLogger(__name__)

T = TypeVar("T")

# What a database that does not answer raises; its other errors are, on PostgreSQL, faults of a statement.
OUTAGES = (OperationalError, InterfaceError)
RETRY_SECONDS = 1.0


def outlast(action: Callable[[], T], seconds: float) -> T:
    """The action's result, tried again while the database does not answer, for at most `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except OUTAGES:
            if time.monotonic() > deadline:
                raise
            logger.warning("the database does not answer; trying again")
            close_old_connections()
            time.sleep(RETRY_SECONDS)
