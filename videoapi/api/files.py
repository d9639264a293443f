"""The files of finished generations: by their id, never by a path of the client's."""

from __future__ import annotations

from functools import cached_property
from uuid import UUID

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db.models.fields.files import FieldFile
from django.http import FileResponse, Http404, HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema_view
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.views import APIView

from videoapi.api.access import find_caller, is_signed
from videoapi.api.errors import Expired
from videoapi.api.ranges import serve_file
from videoapi.api.schema import operations
from videoapi.engine.storage import has_preview, is_link, preview_name
from videoapi.models import Generation, State


def open_result(generation: Generation, field: str) -> File[bytes]:
    """The stored `video` or `thumbnail`. Raises Expired, and Http404 where there is none."""
    if generation.state == State.EXPIRED:
        raise Expired
    stored: FieldFile = getattr(generation, field)
    if not stored or not stored.storage.exists(str(stored.name)) or is_link(stored):
        raise Http404(f"Generation {generation.pk} has no such file.")
    return stored.open("rb")


class GenerationFileView(APIView):
    """`<id><suffix>` is the stored file of generation <id>."""

    field: str
    suffix: str
    content_type: str

    def get_authenticators(self) -> list[BaseAuthentication]:
        """None for a signed address: whoever has it may send any key or an old one."""
        return [] if self._is_signed else super().get_authenticators()

    def check_permissions(self, request: Request) -> None:
        if not self._is_signed:
            super().check_permissions(request)

    def get(self, request: Request, name: str) -> HttpResponseBase:
        # To revoke a key ends the addresses that it was given.
        signed = Generation.objects.there().exclude(api_key__revoked=True)
        rows = signed if self._is_signed else find_caller(request).generations()
        generation = get_object_or_404(rows, pk=self._parse(name))
        file = open_result(generation, self.field)
        return serve_file(request, file, self.content_type, f"{generation.pk}{self.suffix}")

    @cached_property
    def _is_signed(self) -> bool:
        token = self.request.GET.get("token", "")
        return bool(token) and is_signed(self.kwargs["name"], token)

    def _parse(self, name: str) -> UUID:
        try:
            if not name.endswith(self.suffix):
                raise ValueError
            return UUID(name.removesuffix(self.suffix))
        except ValueError as error:
            raise Http404("There is nothing at this address.") from error


class PreviewView(APIView):
    """How the running generation looks now."""

    @operations.get_preview
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        generation = get_object_or_404(find_caller(request).generations(), pk=pk)
        try:
            if not has_preview(generation):
                raise FileNotFoundError
            file = default_storage.open(preview_name(generation))
        except FileNotFoundError as error:
            # It comes and goes while the generation runs.
            raise Http404(f"Generation {pk} has no preview now.") from error
        return FileResponse(file, content_type="image/jpeg", headers={"Cache-Control": "no-store"})


@extend_schema_view(get=operations.get_video_file)
class VideoFileView(GenerationFileView):
    field, suffix, content_type = "video", ".mp4", "video/mp4"


@extend_schema_view(get=operations.get_thumbnail)
class ThumbnailView(GenerationFileView):
    field, suffix, content_type = "thumbnail", ".jpg", "image/jpeg"
