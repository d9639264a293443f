"""The catalog of this process."""

from __future__ import annotations

import functools

from videoapi.catalog import Catalog, load_catalog
from videoapi.conf import get_conf


@functools.cache
def get_catalog() -> Catalog:
    """Built at the first call; tests reset it with `get_catalog.cache_clear()`."""
    return load_catalog(get_conf().models_dir)
