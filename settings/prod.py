"""The settings of a server that others reach. Refuses to start without a secret key and host names."""

from settings.base import *  # noqa: F403
from settings.base import env

SECRET_KEY = env.str("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.bool("VIDEOAPI_HTTPS", default=True)
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("VIDEOAPI_BEHIND_PROXY", default=False) else None
)
