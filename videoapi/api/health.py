"""Is the server alive, and can it do its work."""

from __future__ import annotations

from django.db import Error as DatabaseFailure
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from videoapi.api.access import find_caller
from videoapi.api.schema import operations
from videoapi.conf import get_conf
from videoapi.engine.availability import find_unavailable
from videoapi.engine.registry import get_catalog
from videoapi.models import Worker


class HealthView(APIView):
    """Answers as long as the process does, whoever asks."""

    authentication_classes = ()
    permission_classes = ()

    @operations.get_health
    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


class ReadyView(APIView):
    """200 when the database answers, a worker lives and a model is installed; 503 with the reasons otherwise.

    An unavailable model is named with its reason, but the server is ready for the others. Whoever may not read gets the
    status alone.
    """

    permission_classes = ()

    @operations.get_readiness
    def get(self, request: Request) -> Response:
        catalog, conf, reasons, workers = get_catalog(), get_conf(), [], 0
        models, unavailable = [entry.spec.name for entry in catalog], {}
        try:
            workers = Worker.objects.live(conf.stale_seconds).count()
            unavailable = find_unavailable(models, conf)
            if not workers:
                reasons.append("No worker is alive; start one with 'manage.py videoworker'.")
        except DatabaseFailure:
            reasons.append("The database does not answer.")
        if not models:
            reasons.append("No model is installed; see 'manage.py check'.")
        body = {
            "status": "unavailable" if reasons else "ok",
            "reasons": reasons,
            "models": models,
            "unavailable": unavailable,
            "workers": workers,
            "plugins": {
                # The whole error is for the operator: it can hold paths.
                plugin.name: f"does not load: {plugin.error.partition(':')[0]}" if plugin.error else "ok"
                for plugin in catalog.plugins.all
            },
        }
        if "read" not in find_caller(request).scopes:
            body = {"status": body["status"]}
        return Response(body, 503 if reasons else 200)
