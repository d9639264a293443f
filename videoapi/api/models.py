"""The models that clients can name."""

from __future__ import annotations

from rest_framework.authentication import BasicAuthentication
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from videoapi.conf import get_conf
from videoapi.engine.orders import Action, order
from videoapi.engine.registry import get_catalog


class ModelOrderView(APIView):
    """Loads or unloads a model, for operators: staff of the admin, by HTTP basic authentication."""

    authentication_classes = (BasicAuthentication,)
    permission_classes = (IsAdminUser,)
    action: Action = "load"

    def post(self, request: Request, name: str) -> Response:
        model = get_catalog().find(name).spec.name
        return Response({"model": model, "action": self.action, "workers": order(self.action, model, get_conf())}, 202)


class ModelListView(APIView):
    """OpenAI's list: every model and every alias."""

    def get(self, request: Request) -> Response:
        data = [
            {"id": name, "object": "model", "owned_by": entry.plugin.distribution}
            for entry in get_catalog()
            for name in (entry.spec.name, *entry.spec.aliases)
        ]
        return Response({"object": "list", "data": data})
