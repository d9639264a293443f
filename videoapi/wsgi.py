"""The WSGI application that gunicorn serves."""

import logging
import os

from django.core.wsgi import get_wsgi_application
from django.db import Error as DatabaseFailure

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.dev")
application = get_wsgi_application()

from videoapi.api.access import require_keys  # noqa: E402  (the applications must be loaded)
from videoapi.conf import get_conf  # noqa: E402

try:
    require_keys(get_conf())
except DatabaseFailure:
    # It will be back; until then every request is a 503, and afterwards one without a key a 401.
    logging.getLogger(__name__).exception("whether there are API keys is not known now")
