"""The WSGI application that gunicorn serves."""

import logging
import os
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from django.core.wsgi import get_wsgi_application
from django.db import Error as DatabaseFailure
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.dev")
_django = get_wsgi_application()

from videoapi.api.access import require_keys  # noqa: E402  (the applications must be loaded)
from videoapi.conf import get_conf  # noqa: E402

try:
    require_keys(get_conf())
except DatabaseFailure:
    # It will be back; until then every request is a 503, and afterwards one without a key a 401.
    logging.getLogger(__name__).exception("whether there are API keys is not known now")


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    try:
        parse_header_parameters(environ.get("CONTENT_TYPE", ""))
    except (LookupError, ValueError):
        # Django fails before it has a request to answer. Without the type, it is one that is not supported.
        environ["CONTENT_TYPE"] = ""
    return _django(environ, start_response)
