"""What is known about diffusers' pipelines beyond their signatures.

A pipeline that is not here works too when its arguments have the usual names.
"""

from videoapi_diffusers.families import (
    anyflow,
    cogvideox,
    cosmos,
    helios,
    hunyuan,
    kandinsky,
    ltx,
    others,
    skyreels,
    unet,
    wan,
)
from videoapi_diffusers.families.family import Family, Modes

FAMILIES: dict[str, Family] = {
    **wan.FAMILIES,
    **skyreels.FAMILIES,
    **anyflow.FAMILIES,
    **hunyuan.FAMILIES,
    **ltx.FAMILIES,
    **cogvideox.FAMILIES,
    **cosmos.FAMILIES,
    **helios.FAMILIES,
    **kandinsky.FAMILIES,
    **unet.FAMILIES,
    **others.FAMILIES,
}

__all__ = ["FAMILIES", "Family", "Modes", "find_family"]


def find_family(pipeline_class: str) -> Family:
    """What is known about the class, which may be nothing."""
    return FAMILIES.get(pipeline_class, Family())
