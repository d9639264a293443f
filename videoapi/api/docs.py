"""The OpenAPI schema, and the page that shows it. They hold nothing that a key guards: everybody may see them."""

from __future__ import annotations

import functools
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer2, OpenApiYamlRenderer2
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from videoapi.api.schema import operations
from videoapi.conf import Conf, get_conf
from videoapi.exceptions import InvalidRequest

FORMATS = {"json": OpenApiJsonRenderer2, "yaml": OpenApiYamlRenderer2}
# Swagger UI sets styles of single elements, and shows images and videos that it has asked for.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@functools.lru_cache(maxsize=1)
def make_schema(conf: Conf) -> Any:
    """The schema of a server with these settings; it takes a tenth of a second."""
    return SchemaGenerator().get_schema(request=None, public=True)


class SchemaView(APIView):
    """The schema as JSON, or as YAML with `?format=yaml`."""

    authentication_classes = ()
    permission_classes = ()

    def get_renderers(self) -> list[BaseRenderer]:
        return [FORMATS.get(self.request.GET.get("format", ""), OpenApiJsonRenderer2)()]

    @operations.get_schema
    def get(self, request: Request) -> Response:
        if request.query_params.get("format", "json") not in FORMATS:
            raise InvalidRequest("format", f"Must be one of: {', '.join(FORMATS)}.")
        return Response(make_schema(get_conf()))


class DocsView(APIView):
    """Swagger UI, with nothing that is not from this server."""

    authentication_classes = ()
    permission_classes = ()

    @operations.get_docs
    def get(self, request: Request) -> HttpResponse:
        page = render(request, "videoapi/docs.html")
        page.headers["Content-Security-Policy"] = POLICY
        return page
