"""Images and clips that a client names or sends: the only package that fetches anything for a client."""

from videoapi.inputs.images import InputLimits, decode_image, fit, is_cut, read_bytes, read_image

__all__ = ["InputLimits", "decode_image", "fit", "is_cut", "read_bytes", "read_image"]
