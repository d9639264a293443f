"""The settings of `make serve`: this machine only, nothing to configure."""

from settings.base import *  # noqa: F403
from settings.base import VIDEOAPI, env

LOOPBACK = VIDEOAPI["bind"] in ("localhost", "127.0.0.1", "::1")
# It signs the addresses of videos, so where others reach the server it must be a secret.
SECRET_KEY = env.str("SECRET_KEY", **({"default": "for-development-on-this-machine-only"} if LOOPBACK else {}))
ALLOWED_HOSTS = [*env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"]), str(VIDEOAPI["bind"])]
if LOOPBACK and "VIDEOAPI_ALLOW_ANONYMOUS" not in env:
    VIDEOAPI["anonymous"] = "local"
VIDEOAPI["preload"] = tuple(env.list("VIDEOAPI_PRELOAD", default=["starter"]))
