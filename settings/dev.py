"""The settings of `make serve`: this machine only, nothing to configure."""

from settings.base import *  # noqa: F403
from settings.base import VIDEOAPI, env

SECRET_KEY = env.str("SECRET_KEY", default="for-development-on-this-machine-only")
ALLOWED_HOSTS = [*env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"]), str(VIDEOAPI["bind"])]
# On loopback, whoever reaches the server is on this machine.
VIDEOAPI["allow_anonymous"] = env.bool(
    "VIDEOAPI_ALLOW_ANONYMOUS", default=VIDEOAPI["bind"] in ("localhost", "127.0.0.1", "::1")
)
VIDEOAPI["preload"] = tuple(env.list("VIDEOAPI_PRELOAD", default=["starter"]))
