"""For Prometheus: the one answer that is not JSON (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from prometheus_client import PROCESS_COLLECTOR, CollectorRegistry, Counter, Info, exposition
from prometheus_client.openmetrics import exposition as openmetrics
from rest_framework.request import Request
from rest_framework.views import APIView

import videoapi
from videoapi.api.schema import operations
from videoapi.conf import get_conf
from videoapi.engine.metrics import RowCollector
from videoapi.engine.registry import get_catalog

# Clients can make up others, and each would be a series of its own.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
OTHER = "other"

ANSWERS = Counter(
    "videoapi_http_answers", "HTTP answers of this web server.", ("method", "route", "status"), registry=None
)
BUILD = Info("videoapi_build", "What runs here.", registry=None)
BUILD.info({"version": videoapi.__version__})


class MetricsView(APIView):
    """What the rows know, and what only this web server knows of itself."""

    @operations.get_metrics
    def get(self, request: Request) -> HttpResponse:
        registry = CollectorRegistry()
        rows = RowCollector([entry.spec.name for entry in get_catalog()], get_conf())
        for collector in (rows, ANSWERS, BUILD, PROCESS_COLLECTOR):
            registry.register(collector)
        # The library's own choice fails on a version that is no number.
        if "application/openmetrics-text" in request.headers.get("Accept", ""):
            return HttpResponse(openmetrics.generate_latest(registry), openmetrics.CONTENT_TYPE_LATEST)
        return HttpResponse(exposition.generate_latest(registry), exposition.CONTENT_TYPE_PLAIN_0_0_4)


def count_answers(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: counts each answer by the name of its route."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        match = request.resolver_match
        route = (match.namespace or match.url_name if match else None) or OTHER
        method = request.method if request.method in METHODS else OTHER
        ANSWERS.labels(method, route, response.status_code).inc()
        return response

    return answer
