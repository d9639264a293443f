"""One generation: how far it is, and the way to cancel it."""

from __future__ import annotations

from uuid import UUID

from django.shortcuts import get_object_or_404
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from videoapi.api.access import MayGenerate, MayRead, find_caller
from videoapi.api.bodies import forecast_body, job_body
from videoapi.api.schema import operations
from videoapi.engine.cancel import cancel
from videoapi.engine.repeat import whole_request
from videoapi.exceptions import InvalidRequest
from videoapi.serializers import RESPONSE_FORMATS


class JobView(APIView):
    """`GET` tells, `DELETE` cancels."""

    def get_permissions(self) -> list[BasePermission]:
        return [MayGenerate() if self.request.method == "DELETE" else MayRead()]

    @operations.get_video
    def get(self, request: Request, pk: UUID) -> Response:
        response_format = request.query_params.get("response_format", "url")
        if response_format not in RESPONSE_FORMATS:
            raise InvalidRequest("response_format", f"Must be one of: {', '.join(RESPONSE_FORMATS)}.")
        generation = get_object_or_404(find_caller(request).generations(), pk=pk)
        generations = generation.of_request()
        body = job_body(generations, as_base64=response_format == "b64_json")
        request_body = whole_request(generation, generation.count_of_request())
        return Response(body | forecast_body(generations) | {"request": request_body})

    @operations.cancel_video
    def delete(self, request: Request, pk: UUID) -> Response:
        """200 with the end that it has come to, which may be another than cancelled; 202 while it still runs."""
        generation = get_object_or_404(find_caller(request).generations(), pk=pk)
        generations = generation.of_request()
        for each in generations:
            cancel(each)
        return Response(job_body(generations), 200 if all(each.is_finished for each in generations) else 202)
