"""Asks the plugins whether their models can be served now. Nobody waits for the answers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from videoapi.catalog import Entry
from videoapi.conf import Conf
from videoapi.engine.registry import get_catalog
from videoapi.models import EVERY_MODEL, storable

logger = logging.getLogger(__name__)

# A check that takes longer says no.
ANSWER_SECONDS = 10.0
# Between two checks, however small `check_seconds` is: a loop without a pause would starve the worker.
LEAST_SECONDS = 0.1
REASON_LENGTH = 1000


class Watch:
    """Over the models of one worker whose plugin has the hook `check_model`; every other model is available.

    Each model is asked about in a daemon thread of its own, so that a check that hangs delays no other one, no
    heartbeat, no slot and no stop. Without such a plugin there is no thread.
    """

    def __init__(self, slots: Iterable[Sequence[str]], conf: Conf, tell: Callable[[], None]) -> None:
        """`slots` are the models that each slot serves; `tell` is called, in any thread, when an answer changes."""
        catalog = get_catalog()
        served = {model for models in slots for model in models}
        self._stopping = threading.Event()
        self._checks = [
            ModelCheck(entry, max(LEAST_SECONDS, conf.check_seconds), self._stopping, tell)
            for entry in catalog
            if served & {entry.spec.name, EVERY_MODEL} and catalog.plugins.checks_models(entry.plugin)
        ]
        self._seen: dict[str, str] = {}

    def start(self) -> None:
        for check in self._checks:
            check.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopping.set()

    def look(self) -> dict[str, str]:
        """The unavailable models, each with the reason. What has changed since the last look is logged."""
        reasons = {check.model: reason for check in self._checks if (reason := check.reason)}
        for model, reason in reasons.items():
            if self._seen.get(model) != reason:
                logger.warning("model %s is unavailable: %s", model, reason)
        for model in self._seen.keys() - reasons.keys():
            logger.info("model %s is available again", model)
        self._seen = reasons
        return reasons

    def withheld(self) -> set[str]:
        """The models whose jobs must wait: the unavailable ones, and those that have not been asked about yet."""
        return {check.model for check in self._checks if check.reason != ""}


class ModelCheck(threading.Thread):
    """Asks about one model every `seconds`."""

    def __init__(self, entry: Entry, seconds: float, stopping: threading.Event, tell: Callable[[], None]) -> None:
        super().__init__(name=f"check-{entry.spec.name}", daemon=True)
        self.model = entry.spec.name
        self._entry = entry
        self._seconds = seconds
        self._stopping = stopping
        self._tell = tell
        self._answer: str | None = None
        self._asked: float | None = None

    @property
    def reason(self) -> str | None:
        """Why the model is unavailable, by the last answer; empty when it is available, None before the first one."""
        if self._is_late():
            return f"The check of model '{self.model}' does not answer."
        return self._answer

    def run(self) -> None:
        while not self._stopping.is_set():
            self._asked = time.monotonic()
            answer = self._ask()
            # An answer that comes late ends a silence that others may have seen as a change.
            changed = answer != self._answer or self._is_late()
            self._answer, self._asked = answer, None
            if changed:
                self._tell()
            self._stopping.wait(self._seconds)

    def _ask(self) -> str:
        try:
            reason = get_catalog().plugins.check_model(self._entry.plugin, self._entry.spec)
        except (Exception, SystemExit) as error:
            # A plugin's own code: whatever it raises, the worker and the other models go on.
            reason = f"The check of model '{self.model}' failed with {type(error).__name__}."
            if reason != self._answer:
                logger.exception("the check of model %s failed", self.model)
        return storable(reason, REASON_LENGTH)

    def _is_late(self) -> bool:
        asked = self._asked
        return asked is not None and time.monotonic() - asked > ANSWER_SECONDS
