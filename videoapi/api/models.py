"""The models that clients can name."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from videoapi.engine.registry import get_catalog


class ModelListView(APIView):
    """OpenAI's list: every model and every alias."""

    def get(self, request: Request) -> Response:
        data = [
            {"id": name, "object": "model", "owned_by": entry.plugin.distribution}
            for entry in get_catalog()
            for name in (entry.spec.name, *entry.spec.aliases)
        ]
        return Response({"object": "list", "data": data})
