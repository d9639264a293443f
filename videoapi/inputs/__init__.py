"""Images and clips that a client names or sends: the only package that fetches anything for a client."""

from videoapi.inputs.decoder import decode_image
from videoapi.inputs.images import FORMATS, MAX_FRAMES, MIN_SIDE, Picture, is_cut
from videoapi.inputs.limits import InputLimits
from videoapi.inputs.sources import read_bytes

__all__ = [
    "FORMATS",
    "MAX_FRAMES",
    "MIN_SIDE",
    "InputLimits",
    "Picture",
    "decode_image",
    "is_cut",
    "read_bytes",
]
