"""For the test suite. The folders that tests write to are set by their fixtures."""

import os
from tempfile import gettempdir

from settings.dev import *  # noqa: F403
from settings.dev import DATABASES, VIDEOAPI

VIDEOAPI["preload"] = ()
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# A file, not memory: threads and the change feed need real connections.
DATABASES["default"]["TEST"] = {"NAME": f"{gettempdir()}/videoapi-test-{os.getpid()}.sqlite3"}
