"""The WSGI application that gunicorn serves."""

import logging
import os
from wsgiref.types import WSGIEnvironment

from django.core.handlers.wsgi import WSGIRequest
from django.core.wsgi import get_wsgi_application
from django.db import Error as DatabaseFailure


class Request(WSGIRequest):
    """One whose Content-Type cannot be read has none, so that a view refuses it: Django fails before it has a view."""

    def __init__(self, environ: WSGIEnvironment) -> None:
        try:
            super().__init__(environ)
        except ValueError:
            environ["CONTENT_TYPE"] = ""
            super().__init__(environ)


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.dev")
application = get_wsgi_application()
application.request_class = Request

from videoapi.api.access import require_keys  # noqa: E402  (the applications must be loaded)
from videoapi.conf import get_conf  # noqa: E402

try:
    require_keys(get_conf())
except DatabaseFailure:
    # It will be back; until then every request is a 503, and afterwards one without a key a 401.
    logging.getLogger(__name__).exception("whether there are API keys is not known now")
