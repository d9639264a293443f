"""The `diffusers` backend of videoapi.

Importing this package loads neither torch nor diffusers; `load` does.
"""

from videoapi_diffusers.loading import load
from videoapi_diffusers.source import Source

__all__ = ["Source", "load"]
