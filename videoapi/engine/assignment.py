"""Which models each slot of a worker serves, and which one it loads at the start."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from videoapi.conf import Conf
from videoapi.engine.registry import get_catalog
from videoapi.exceptions import InvalidRequest
from videoapi.models import EVERY_MODEL

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
