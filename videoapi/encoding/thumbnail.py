"""A clip's first frame as a small picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from videoapi.exceptions import EncodingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIDE = 320  # pixels


def write_thumbnail(frame: NDArray[np.uint8], path: Path, *, enlarge: bool = False) -> None:
    """An RGB frame (height, width, 3) as a JPEG whose longer side has SIDE pixels.

    A smaller frame stays as it is unless `enlarge` is set. Raises EncodingError when it cannot be written.
    """
    image = Image.fromarray(frame)
    if enlarge or max(image.size) > SIDE:
        image = ImageOps.contain(image, (SIDE, SIDE), Image.Resampling.BICUBIC)
    try:
        image.save(path, format="JPEG", quality=80)
    except OSError as error:
        raise EncodingError(f"The thumbnail could not be written: {error.strerror}.") from error
