"""A generation's files in the Django storage: the images and the clip that came in, the video that goes out."""

from __future__ import annotations

import io
import logging
import shutil
import time
from datetime import datetime
from pathlib import Path

from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage, default_storage
from django.db.models.fields.files import FieldFile
from PIL.Image import Image

from videoapi.encoding import VideoFormat, verify
from videoapi.engine.outage import outlast
from videoapi.exceptions import StorageFailed
from videoapi.models import Generation, State

logger = logging.getLogger(__name__)

SCRATCH_PREFIX = "generation-"
INPUTS, PREVIEWS = "inputs", "previews"
UUID_LENGTH = 36


def scratch_name(generation: Generation) -> str:
    """The folder of an attempt's unfinished files."""
    return f"{SCRATCH_PREFIX}{generation.pk}-{generation.attempt}"


class MovableFile(File[bytes]):
    """A file that a local storage may move instead of copying, as it does with uploads."""

    def temporary_file_path(self) -> str:
        return str(self.name)


def store_image(field: FieldFile, image: Image) -> None:
    """Keep a client's image until the generation has ended. Raises StorageFailed."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    _store_input(field, buffer.getvalue(), ".png", "image")


def store_clip(field: FieldFile, clip: bytes) -> None:
    """Keep a client's clip, as it came, until the generation has ended. Raises StorageFailed."""
    _store_input(field, clip, "", "clip")


def _store_input(field: FieldFile, content: bytes, suffix: str, what: str) -> None:
    name = f"{INPUTS}/{field.instance.pk}-{field.field.name}{suffix}"
    try:
        field.save(name, ContentFile(content), save=False)
    except OSError as error:
        _discard(field.storage, name)
        raise _failed(what, error) from error


def copy_input(field: FieldFile, path: Path) -> str | None:
    """A kept image or clip as a local file, for the storage may be far away; None when there is none.

    Raises StorageFailed.
    """
    if not field:
        return None
    try:
        with field.open("rb") as source, path.open("wb") as target:
            shutil.copyfileobj(source, target)
    except OSError as error:
        raise _failed(f"{field.field.name} of the request", error, "fetched from the storage") from error
    return str(path)


def delete_inputs(generation: Generation) -> None:
    """Remove the kept images and the clip."""
    for field in (generation.start_image, generation.end_image, generation.clip):
        if field.name:
            field.storage.delete(field.name)


def release_inputs(generation: Generation) -> None:
    """Remove the kept inputs of a generation that has ended, from the storage and from its row."""
    delete_inputs(generation)
    generation.forget_inputs()


def delete_orphaned_inputs(before: datetime) -> None:
    """Remove inputs of requests that a killed web server never came to accept."""
    try:
        _, names = default_storage.listdir(INPUTS)
    except FileNotFoundError:
        return
    accepted = set(map(str, Generation.objects.unfinished().values_list("pk", flat=True)))
    for name in names:
        path = f"{INPUTS}/{name}"
        if name[:UUID_LENGTH] not in accepted and default_storage.get_modified_time(path) < before:
            default_storage.delete(path)


def delete_orphaned_previews() -> None:
    """Remove those of attempts that do not run any more."""
    try:
        _, names = default_storage.listdir(PREVIEWS)
    except FileNotFoundError:
        return
    left = {f"{PREVIEWS}/{name}" for name in names}
    for name in left.difference(map(preview_name, Generation.objects.in_progress())) if left else ():
        default_storage.delete(name)


def delete_results(generation: Generation) -> None:
    """Remove the video and the thumbnail of an expired generation, from the storage and from its row."""
    for field in (generation.video, generation.thumbnail):
        if field.name:
            field.storage.delete(field.name)
    generation.forget_results()


def publish(
    generation: Generation,
    file: Path,
    video: VideoFormat,
    timings: dict[str, float],
    log: str,
    outage_seconds: float,
) -> bool:
    """Check the file, store it with the thumbnail beside it and complete the row.

    False, with nothing left in the storage, when the generation is no longer ours. Raises EncodingError and
    StorageFailed.
    """
    started = time.monotonic()
    verify(file, video)
    video_name, thumbnail_name = _names(generation)
    file_size = file.stat().st_size  # storing moves it
    try:
        for name, path in ((video_name, file), (thumbnail_name, file.with_suffix(".jpg"))):
            with path.open("rb") as source:
                default_storage.save(name, MovableFile(source, name=str(path)))
    except BaseException as error:
        delete_unpublished(generation)
        if isinstance(error, OSError):
            raise _failed("video", error) from error
        raise
    timings["storing"] = round(time.monotonic() - started, 4)
    # When this raises, it may have been committed all the same: whoever ends the row then deletes the files.
    completed = outlast(
        lambda: generation.complete(
            video=video_name, thumbnail=thumbnail_name, timings=timings, file_size=file_size, log=log
        ),
        outage_seconds,
    )
    if not completed:
        delete_unpublished(generation)
    return completed


def delete_unpublished(generation: Generation) -> None:
    """Remove what this attempt has stored without completing the row, as far as the storage lets us."""
    for name in (*_names(generation), preview_name(generation)):
        _discard(default_storage, name)


def store_preview(generation: Generation, file: Path) -> None:
    """Put the look at what is being made in place of the one before. It is not worth failing for."""
    name = preview_name(generation)
    try:
        content = file.read_bytes()
        default_storage.delete(name)
        default_storage.save(name, ContentFile(content))
    except OSError:
        logger.warning("the preview of generation %s could not be stored", generation.pk, exc_info=True)


def delete_preview(generation: Generation) -> None:
    """Remove it: there is a video now, or none to come."""
    _discard(default_storage, preview_name(generation))


def has_preview(generation: Generation) -> bool:
    """It runs, and there is a look at it."""
    return generation.state == State.IN_PROGRESS and default_storage.exists(preview_name(generation))


def is_link(field: FieldFile) -> bool:
    """Somebody has put a link in place of the file, which may lead anywhere."""
    try:
        return Path(field.path).is_symlink()
    except NotImplementedError:
        # A storage that is no folder.
        return False


def preview_name(generation: Generation) -> str:
    """Where the running attempt's preview is, if it has made one."""
    return f"{PREVIEWS}/{generation.pk}-{generation.attempt}.jpg"


def _discard(storage: Storage, name: str) -> None:
    """Delete what nobody will ask for. That it cannot be must not hide why it is deleted."""
    try:
        storage.delete(name)
    except OSError:
        logger.warning("%s could not be deleted", name, exc_info=True)


def _failed(what: str, error: OSError, done: str = "stored") -> StorageFailed:
    """Without the path, which is in the error's own words."""
    return StorageFailed(f"The {what} could not be {done}: {error.strerror or type(error).__name__}.")


def _names(generation: Generation) -> tuple[str, str]:
    """Of the video and the thumbnail: each attempt has its own, so that none can touch another's."""
    name = f"{generation.pk}-{generation.attempt}"
    return f"videos/{name}.mp4", f"thumbnails/{name}.jpg"
