"""A clip's first frame as a small picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIDE = 320  # pixels


def write_thumbnail(frame: NDArray[np.uint8], path: Path) -> None:
    """An RGB frame (height, width, 3) as a JPEG of at most SIDE pixels a side."""
    image = Image.fromarray(frame)
    image.thumbnail((SIDE, SIDE))
    image.save(path, format="JPEG", quality=80)
