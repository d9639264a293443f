"""What each pipeline class of diffusers can do and how a request becomes its arguments.

A new family is a module here and its entries in FAMILIES.
"""

from videoapi_diffusers.families import wan
from videoapi_diffusers.families.family import Family

FAMILIES: dict[str, Family] = {family.pipeline_class: family for family in wan.FAMILIES}

__all__ = ["FAMILIES", "Family"]
