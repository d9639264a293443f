"""The models that clients can name."""

from __future__ import annotations

from django.db import Error as DatabaseFailure
from django.http import Http404
from drf_spectacular.utils import extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from videoapi.api.access import MayOperate
from videoapi.api.schema import operations
from videoapi.conf import get_conf
from videoapi.engine.availability import find_unavailable
from videoapi.engine.orders import Action, order
from videoapi.engine.registry import get_catalog
from videoapi.exceptions import InvalidRequest


class ModelOrderView(APIView):
    """Loads or unloads a model, for operators."""

    permission_classes = (MayOperate,)
    action: Action

    def post(self, request: Request, name: str) -> Response:
        try:
            model = get_catalog().find(name).spec.name
        except InvalidRequest as error:
            raise Http404(error.message) from error
        return Response({"model": model, "action": self.action, "workers": order(self.action, model, get_conf())}, 202)


@extend_schema_view(post=operations.load_model)
class LoadView(ModelOrderView):
    action = "load"


@extend_schema_view(post=operations.unload_model)
class UnloadView(ModelOrderView):
    action = "unload"


class ModelListView(APIView):
    """OpenAI's list: every model and every alias, and whether a request for it would be accepted now."""

    @operations.list_models
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
