"""One ffmpeg process, fed through its standard input, that can neither hang nor dead-lock us."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import subprocess
import tempfile
from typing import Any

import ffmpeg
import imageio_ffmpeg

from videoapi.exceptions import EncodingError

# Seconds that ffmpeg may go without taking a byte or, after the last one, without ending.
STALL_SECONDS = 60.0
PIPE_BYTES = 2**20


def find_ffmpeg(configured: str) -> str:
    """The ffmpeg to run: the operator's, or the one that imageio-ffmpeg brings.

    Raises EncodingError when there is none.
    """
    if configured:
        found = shutil.which(configured)
        if found is None:
            raise EncodingError("The configured ffmpeg does not exist; set VIDEOAPI_FFMPEG to one that does.")
        return found
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise EncodingError("There is no ffmpeg; install one, or set VIDEOAPI_FFMPEG.") from error


class FFmpeg:
    """Runs the command that ffmpeg-python built. Its standard error goes to a file, so a chatty run cannot block.

    End it with `finish` or `kill`.
    """

    def __init__(self, stream: Any, executable: str) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed in kill)
        command = ffmpeg.compile(stream.global_args("-hide_banner", "-loglevel", "error"), cmd=executable)
        try:
            self._process = subprocess.Popen(  # noqa: S603  (names of our own)
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._log
            )
        except OSError as error:
            self._log.close()
            raise EncodingError("ffmpeg could not be started.") from error
        assert self._process.stdin is not None
        self._input = self._process.stdin.fileno()
        os.set_blocking(self._input, False)
        # Linux's 64 KiB are a tenth of a frame. More is a matter of speed, and of the system's limits.
        with contextlib.suppress(AttributeError, OSError):
            fcntl.fcntl(self._input, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def write(self, data: memoryview | bytes) -> None:
        """Feed bytes. Raises EncodingError when ffmpeg has ended or takes nothing for STALL_SECONDS."""
        rest = memoryview(data).cast("B")
        while rest:
            _, writable, _ = select.select([], [self._input], [], STALL_SECONDS)
            if not writable:
                raise EncodingError(f"ffmpeg took no data for {STALL_SECONDS:.0f} seconds.")
            try:
                rest = rest[os.write(self._input, rest) :]
            except BrokenPipeError as error:
                raise self._failure() from error

    def end_input(self) -> None:
        """There is no more to come."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def finish(self) -> None:
        """Close the input and wait for the end. Raises EncodingError with ffmpeg's last words when it failed."""
        self.end_input()
        try:
            status = self._process.wait(STALL_SECONDS)
            if status != 0:
                raise self._failure()
        except subprocess.TimeoutExpired as error:
            raise EncodingError(f"ffmpeg did not end within {STALL_SECONDS:.0f} seconds.") from error
        finally:
            self.kill()

    def kill(self) -> None:
        """End it whatever it does; nothing when it has ended already."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._log.close()

    def _failure(self) -> EncodingError:
        self._process.wait(STALL_SECONDS)
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        # The last line says what went wrong; earlier ones can name files of this machine.
        last = lines[-1] if lines else "no message"
        return EncodingError(f"ffmpeg ended with status {self._process.returncode}: {last}")
