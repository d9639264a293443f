"""For the test suite. The folders that tests write to are set by their fixtures."""

from settings.dev import *  # noqa: F403
from settings.dev import VIDEOAPI

VIDEOAPI["preload"] = ()
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
