"""Images that a client names or sends: the only package that fetches anything for a client."""

from videoapi.inputs.images import InputLimits, fit, read_image

__all__ = ["InputLimits", "fit", "read_image"]
