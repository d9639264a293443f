"""Which models there are: the plugins' specs with the operator's model files laid over them."""

from videoapi.catalog.catalog import Catalog, Entry, Problem, load_catalog

__all__ = ["Catalog", "Entry", "Problem", "load_catalog"]
