"""Which models each slot of a worker serves, which one it loads at the start, and which it leaves to the others."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from videoapi.conf import Conf
from videoapi.engine.registry import get_catalog
from videoapi.exceptions import InvalidRequest
from videoapi.models import EVERY_MODEL

if TYPE_CHECKING:
    from videoapi.engine.slot import Slot

logger = logging.getLogger(__name__)


def choose_models(conf: Conf) -> list[tuple[list[str], str | None]]:
    """For each slot the models that it serves and the one to load before anyone asks.

    A preload goes to the first free slot that names it, else to the first free one that serves every model. Raises
    InvalidRequest for a slot's model that is not installed.
    """
    slots = [_find_names(models.split(",")) for models in conf.slots]
    preloads: list[str | None] = [None] * len(slots)
    for model in _find_preloads(conf.preload):
        naming = [number for number, models in enumerate(slots) if model in models]
        serving = naming + [number for number, models in enumerate(slots) if EVERY_MODEL in models]
        free = next((number for number in serving if preloads[number] is None), None)
        if free is not None:
            preloads[free] = model
    return list(zip(slots, preloads, strict=True))


def introduce(slots: Iterable[Slot]) -> None:
    """Make the slots of one worker known to each other."""
    known = list(slots)
    for slot in known:
        slot.peers = [peer for peer in known if peer is not slot]


def leave_to_others(slot: Slot) -> set[str]:
    """The models that a free slot beside it is better placed for.

    A model that is loaded goes to the slot that holds it; any other, which will push one out, to the slot that has been
    used least recently.
    """
    free = [peer for peer in slot.peers if peer.is_free]
    left = {peer.model for peer in free if peer.model is not None}
    for peer in free:
        if peer.used < slot.used:
            left |= {entry.spec.name for entry in get_catalog() if peer.serves(entry.spec.name)}
    return left - {slot.model}


def _find_names(names: Iterable[str]) -> list[str]:
    """The models' own names: what people write can be an alias."""
    catalog = get_catalog()
    return [name if name == EVERY_MODEL else catalog.find(name).spec.name for name in map(str.strip, names)]


def _find_preloads(names: Iterable[str]) -> list[str]:
    """The models' own names, without those that are not installed: a preload only saves time."""
    found: list[str] = []
    for name in names:
        try:
            found += _find_names([name])
        except InvalidRequest as error:
            logger.error("nothing to preload: %s", error.message)
    return found
