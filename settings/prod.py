"""The settings of a server that others reach. Refuses to start without a secret key and host names."""

from settings.base import *  # noqa: F403
from settings.base import env

SECRET_KEY = env.str("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS")
HTTPS = env.bool("VIDEOAPI_HTTPS", default=True)
BEHIND_PROXY = env.bool("VIDEOAPI_BEHIND_PROXY", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
# The proxy says which requests came over https; without one, a redirect would lead nowhere.
SECURE_SSL_REDIRECT = HTTPS and BEHIND_PROXY
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
# The domain's other hosts are not ours (W005, W021); W008 is the redirect.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021", *([] if BEHIND_PROXY else ["security.W008"])]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
