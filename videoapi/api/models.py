"""The models that clients can name."""

from __future__ import annotations

from django.db import Error as DatabaseFailure
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from videoapi.api.access import MayOperate
from videoapi.conf import get_conf
from videoapi.engine.availability import find_unavailable
from videoapi.engine.orders import Action, order
from videoapi.engine.registry import get_catalog


class ModelOrderView(APIView):
    """Loads or unloads a model, for operators."""

    permission_classes = (MayOperate,)
    action: Action = "load"

    def post(self, request: Request, name: str) -> Response:
        model = get_catalog().find(name).spec.name
        return Response({"model": model, "action": self.action, "workers": order(self.action, model, get_conf())}, 202)


class ModelListView(APIView):
    """OpenAI's list: every model and every alias, and whether a request for it would be accepted now."""

    def get(self, request: Request) -> Response:
        models = [entry.spec.name for entry in get_catalog()]
        try:
            reasons = find_unavailable(models, get_conf())
        except DatabaseFailure:
            reasons = dict.fromkeys(models, "The database does not answer.")
        data = [
            {
                "id": name,
                "object": "model",
                "owned_by": entry.plugin.distribution,
                "available": entry.spec.name not in reasons,
                **({"reason": reasons[entry.spec.name]} if entry.spec.name in reasons else {}),
            }
            for entry in get_catalog()
            for name in (entry.spec.name, *entry.spec.aliases)
        ]
        return Response({"object": "list", "data": data})
