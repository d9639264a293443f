"""The models that clients can name."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import Error as DatabaseFailure
from django.http import Http404
from drf_spectacular.utils import extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from videoapi.api.access import MayOperate
from videoapi.api.descriptions import describe, describe_capabilities, summarize
from videoapi.api.schema import model_operations as operations
from videoapi.catalog import Entry
from videoapi.conf import get_conf
from videoapi.engine.availability import Service, find_services
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
        catalog = get_catalog()
        services = _find_services(catalog)
        data = [
            summarize(name, entry, services[entry.spec.name], catalog.created)
            for entry in catalog
            for name in (entry.spec.name, *entry.spec.aliases)
        ]
        return Response({"object": "list", "data": data})


class ModelView(APIView):
    """One model, by its name or an alias."""

    @operations.get_model
    def get(self, request: Request, name: str) -> Response:
        catalog = get_catalog()
        try:
            entry = catalog.find(name)
        except InvalidRequest as error:
            raise Http404(error.message) from error
        service = _find_services([entry])[entry.spec.name]
        return Response(describe(entry, service, catalog.created, get_conf()))


class CapabilityView(APIView):
    """LocalAI's list, from which its web page fills its menu."""

    capability = "video"

    @operations.list_capabilities
    def get(self, request: Request) -> Response:
        data = [
            describe_capabilities(name, entry, self.capability)
            for entry in get_catalog()
            for name in (entry.spec.name, *entry.spec.aliases)
        ]
        return Response({"object": "list", "data": data})


@extend_schema_view(get=operations.list_localai_models)
class LocalAIModelListView(ModelListView):
    """The same at LocalAI's address."""


@extend_schema_view(get=operations.get_localai_model)
class LocalAIModelView(ModelView):
    """The same at LocalAI's address."""


@extend_schema_view(get=operations.list_localai_capabilities)
class LocalAICapabilityView(CapabilityView):
    """The same at LocalAI's address, with the word of its own."""

    capability = "FLAG_VIDEO"


def _find_services(entries: Iterable[Entry]) -> dict[str, Service]:
    models = [entry.spec.name for entry in entries]
    try:
        return find_services(models, get_conf())
    except DatabaseFailure:
        return dict.fromkeys(models, Service(reason="The database does not answer."))
