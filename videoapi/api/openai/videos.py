"""`/v1/videos`: a request becomes a video job, which the client polls, downloads and deletes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from videoapi.api.access import MayGenerate, MayRead, find_caller
from videoapi.api.errors import NO_RETRY, error_body
from videoapi.api.files import open_result
from videoapi.api.listing import list_generations
from videoapi.api.openai.bodies import STATUSES, VARIANTS, describe, poll_after
from videoapi.api.openai.decoding import place_to_decode
from videoapi.api.openai.forms import VideoFormParser
from videoapi.api.openai.requests import read_create, read_edit, read_extension, read_remix
from videoapi.api.parsers import StrictJSONParser
from videoapi.api.ranges import serve_file
from videoapi.api.schema import openai_operations as operations
from videoapi.api.submission import Fields, submit_request
from videoapi.api.uploads import require_length
from videoapi.encoding import make_spritesheet
from videoapi.engine.cancel import delete
from videoapi.exceptions import InvalidRequest
from videoapi.models import Generation, State
from videoapi.serializers import VideoRequestSerializer


class OpenAIView(APIView):
    """Takes what OpenAI's clients send: a form, also without a file, or JSON."""

    parser_classes = (StrictJSONParser, VideoFormParser)

    def get_permissions(self) -> list[BasePermission]:
        return [MayRead() if self.request.method in ("GET", "HEAD", "OPTIONS") else MayGenerate()]

    def find(self, request: Request, pk: UUID) -> Generation:
        return get_object_or_404(find_caller(request).generations(), pk=pk)

    def start(self, request: Request, read: Callable[[], tuple[Any, Generation | None]]) -> Response:
        """The job that `read` returns the fields of `POST /video` for, with the generation that it is made from.

        Of several videos it is the first one's, with the ids of all.
        """
        require_length(request)

        def validate() -> Fields:
            data, source = read()
            serializer = VideoRequestSerializer(data=data)
            serializer.is_valid(raise_exception=True)
            return serializer, source

        generation = submit_request(request, validate)
        ids = [str(each.pk) for each in generation.of_request()]
        several = {"ids": ids} if len(ids) > 1 else {}
        return Response(describe(generation) | several, headers=poll_after(generation))


class VideosView(OpenAIView):
    """`GET` lists, `POST` creates."""

    @operations.list_videos
    def get(self, request: Request) -> Response:
        return Response(list_generations(find_caller(request), request.query_params, describe, STATUSES))

    @operations.create_video
    def post(self, request: Request) -> Response:
        return self.start(request, lambda: (read_create(request.data), None))


class VideoView(OpenAIView):
    """`GET` tells, with 200 also of one that has failed; `DELETE` cancels and removes."""

    @operations.get_video
    def get(self, request: Request, pk: UUID) -> Response:
        generation = self.find(request, pk)
        return Response(describe(generation), headers=poll_after(generation))

    @operations.delete_video
    def delete(self, request: Request, pk: UUID) -> Response:
        delete(self.find(request, pk))
        return Response({"id": str(pk), "object": "video.deleted", "deleted": True})


class ContentView(OpenAIView):
    """The file: the mp4, its first frame, or frames from all of it, both as JPEG."""

    @operations.get_content
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        variant = request.query_params.get("variant", "video")
        if variant not in VARIANTS:
            raise InvalidRequest("variant", f"Must be one of: {', '.join(VARIANTS)}.")
        generation = self.find(request, pk)
        if generation.state not in (State.COMPLETED, State.EXPIRED):
            return _not_ready(generation)
        if variant == "video":
            return serve_file(request, open_result(generation, "video"), "video/mp4", f"{pk}.mp4")
        if variant == "thumbnail":
            return serve_file(request, open_result(generation, "thumbnail"), "image/jpeg", f"{pk}.jpg")
        with place_to_decode(), open_result(generation, "video") as file:
            return HttpResponse(make_spritesheet(file.read(), generation.num_frames), content_type="image/jpeg")


class RemixView(OpenAIView):
    """The same with another prompt."""

    @operations.remix_video
    def post(self, request: Request, pk: UUID) -> Response:
        generation = self.find(request, pk)
        return self.start(request, lambda: (read_remix(generation, request.data), generation))


class EditsView(OpenAIView):
    """A video made of a video, by a model that takes clips."""

    @operations.edit_video
    def post(self, request: Request) -> Response:
        return self.start(request, lambda: read_edit(request.data, find_caller(request).generations()))


class ExtensionsView(OpenAIView):
    """What comes after a video, by a model that takes a first frame."""

    @operations.extend_video
    def post(self, request: Request) -> Response:
        return self.start(request, lambda: read_extension(request.data, find_caller(request).generations()))


def _not_ready(generation: Generation) -> Response:
    message = f"Video {generation.pk} is {generation.state}; it has no content."
    return Response(error_body(404, "not_ready", message), 404, headers=NO_RETRY)
