"""A generation's files in the Django storage: the images that came in, the video that goes out."""

from __future__ import annotations

import io
import shutil
import time
from pathlib import Path

from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage
from django.db.models.fields.files import FieldFile
from PIL.Image import Image

from videoapi.encoding import VideoFormat, verify, write_thumbnail
from videoapi.models import Generation


class MovableFile(File[bytes]):
    """A file that a local storage may move instead of copying, as it does with uploads."""

    def temporary_file_path(self) -> str:
        return str(self.name)


def store_input(field: FieldFile, image: Image) -> None:
    """Keep a client's image until the generation has ended."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    name = f"inputs/{field.instance.pk}-{field.field.name}.png"
    field.save(name, ContentFile(buffer.getvalue()), save=False)


def copy_input(field: FieldFile, path: Path) -> str | None:
    """A kept image as a local file, for the storage may be far away; None when there is none."""
    if not field:
        return None
    with field.open("rb") as source, path.open("wb") as target:
        shutil.copyfileobj(source, target)
    return str(path)


def delete_inputs(generation: Generation) -> None:
    """Remove the kept images: the generation has ended, or was never accepted."""
    for field in (generation.start_image, generation.end_image):
        if field.name:
            field.storage.delete(field.name)


def publish(generation: Generation, file: Path, video: VideoFormat, timings: dict[str, float]) -> bool:
    """Check the file, store it with a thumbnail and complete the row.

    False, with nothing left in the storage, when the generation is no longer ours. Raises EncodingError.
    """
    started = time.monotonic()
    verify(file, video)
    thumbnail = file.with_suffix(".jpg")
    write_thumbnail(file, thumbnail)
    names: list[str] = []
    try:
        for folder, path in (("videos", file), ("thumbnails", thumbnail)):
            names.append(_store(f"{folder}/{generation.pk}{path.suffix}", path))
        timings["storing"] = round(time.monotonic() - started, 4)
        if generation.complete(video=names[0], thumbnail=names[1], timings=timings):
            return True
    except BaseException:
        _delete(names)
        raise
    _delete(names)
    return False


def _store(name: str, path: Path) -> str:
    # A leftover of an attempt that died between storing and completing.
    default_storage.delete(name)
    with path.open("rb") as file:
        return default_storage.save(name, MovableFile(file, name=str(path)))


def _delete(names: list[str]) -> None:
    for name in names:
        default_storage.delete(name)
