"""Byte ranges of a stored file (RFC 9110, section 14), so that a player can seek."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

from django.core.files import File
from django.http import FileResponse, HttpRequest, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag

from videoapi.api.errors import error_body

CHUNK = 256 * 1024
ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def serve_file(request: HttpRequest, file: File[bytes], content_type: str, name: str) -> HttpResponseBase:
    """The file, the part of it that `Range` asks for, 304, 412 or 416. Takes over the open file.

    `name` is what clients know it by; what is served under a name never changes.
    """
    size, etag = file.size, quote_etag(name)
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "private, max-age=3600"}
    headers["Vary"] = "Authorization, x-api-key, Cookie"
    unchanged = get_conditional_response(request, etag=etag)
    if unchanged is not None:
        file.close()
        if unchanged.status_code == 412:
            return JsonResponse(error_body(412, "precondition_failed", "The file is not that of If-Match."), status=412)
        for header in ("ETag", "Cache-Control", "Vary"):
            unchanged.headers[header] = headers[header]
        return unchanged
    asked = None
    if request.headers.get("If-Range", etag) == etag:
        asked = parse_range(request.headers.get("Range", ""), size)
    if asked is None:
        return FileResponse(file, filename=name, content_type=content_type, headers=headers)
    if not asked:
        file.close()
        body = error_body(416, "range_not_satisfiable", f"The file has {size} bytes.")
        return JsonResponse(body, status=416, headers={"Content-Range": f"bytes */{size}"})
    file.seek(asked.start)
    headers |= {
        "Content-Range": f"bytes {asked.start}-{asked.stop - 1}/{size}",
        "Content-Length": str(len(asked)),
    }
    return StreamingHttpResponse(_read(file, len(asked)), status=206, content_type=content_type, headers=headers)


def parse_range(header: str, size: int) -> range | None:
    """The bytes asked for, empty when there are none; None when the whole file should be sent.

    Several ranges at once are answered with the whole file, as the RFC allows.
    """
    match = ONE_RANGE.fullmatch(header.strip())
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)


def _read(file: IO[bytes], count: int) -> Iterator[bytes]:
    with file:
        while count > 0 and (chunk := file.read(min(CHUNK, count))):
            count -= len(chunk)
            yield chunk
