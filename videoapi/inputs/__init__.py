"""Images and clips that a client names or sends, and the addresses that it wants to be called at: the only package that
connects to anything for a client."""

from videoapi.inputs.decoder import decode_image
from videoapi.inputs.fetch import FetchError, check_url
from videoapi.inputs.images import FORMATS, MAX_FRAMES, MIN_SIDE, Picture, is_cut
from videoapi.inputs.limits import InputLimits
from videoapi.inputs.post import check_receiver, post
from videoapi.inputs.sources import read_bytes

__all__ = [
    "FORMATS",
    "MAX_FRAMES",
    "MIN_SIDE",
    "FetchError",
    "InputLimits",
    "Picture",
    "check_receiver",
    "check_url",
    "decode_image",
    "is_cut",
    "post",
    "read_bytes",
]
