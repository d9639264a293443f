"""Who asks, and what they may do and see."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.core.signing import BadSignature, TimestampSigner
from django.db.models import QuerySet
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from videoapi.conf import Conf, get_conf
from videoapi.models import APIKey, Generation

if TYPE_CHECKING:
    # Its module imports this one, which the settings name.
    from rest_framework.views import APIView

Scope = Literal["generate", "read", "operate"]
# Who has no key may do, where the operator lets them.
ANONYMOUS: frozenset[Scope] = frozenset({"generate", "read"})
READ: frozenset[Scope] = frozenset({"read"})
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
# A proxy on this machine speaks for others.
FORWARDED = {"HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP"}
EVERYTHING: frozenset[Scope] = frozenset({"generate", "read", "operate"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Whoever has sent a request."""

    name: str
    """For the queue, where callers take turns."""
    scopes: frozenset[Scope]
    sees_all: bool = False
    key: APIKey | None = None

    def generations(self) -> QuerySet[Generation]:
        """Those that exist for the caller."""
        return self.past_generations().filter(deleted=False)

    def past_generations(self) -> QuerySet[Generation]:
        """And those that it has deleted."""
        return Generation.objects.all() if self.sees_all else Generation.objects.filter(api_key=self.key)

    def is_still_welcome(self) -> bool:
        """Whether the key is usable still; for a stream, which may outlive it."""
        return self.key is None or APIKey.objects.usable().filter(pk=self.key.pk).exists()


def find_caller(request: Request) -> Caller:
    """The caller of a request that has been authenticated, or is anonymous."""
    key = request.auth
    if isinstance(key, APIKey):
        return Caller(name=f"key {key.pk}", scopes=_scopes_of(key), sees_all=key.may_operate, key=key)
    if request.user.is_staff and request.user.has_perm("videoapi.view_generation"):
        may_change = request.user.has_perm("videoapi.change_generation")
        return Caller(name=f"user {request.user.pk}", scopes=EVERYTHING if may_change else READ, sees_all=True)
    scopes = ANONYMOUS if _needs_no_key(request) else frozenset()
    return Caller(name=find_address(request)[:100], scopes=scopes)


def find_address(request: HttpRequest | Request) -> str:
    """Whose request it is: the address that it comes from, or that the operator's proxy says it comes from."""
    # DRF's is written for its own requests, but asks them for META alone.
    return BaseThrottle().get_ident(cast("Request", request)) or ""


def _needs_no_key(request: Request) -> bool:
    """By where the request comes from, for a setting does not know on what the server really listens."""
    anonymous = get_conf().anonymous
    is_local = request.META.get("REMOTE_ADDR") in LOOPBACK and not FORWARDED & request.META.keys()
    return anonymous == "all" or (anonymous == "local" and is_local)


def _scopes_of(key: APIKey) -> frozenset[Scope]:
    if key.may_operate:
        return EVERYTHING
    may: dict[Scope, bool] = {"generate": key.may_generate, "read": key.may_read}
    return frozenset(scope for scope, allowed in may.items() if allowed)


class KeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer KEY` or `x-api-key: KEY`."""

    def authenticate(self, request: Request) -> tuple[Any, APIKey] | None:
        key = _read_key(request)
        if key is None:
            return None
        if row := APIKey.objects.find(key):
            return AnonymousUser(), row
        if _needs_no_key(request) and not APIKey.objects.exists():
            # OpenAI's clients always send one, also to a server that has none.
            return None
        raise AuthenticationFailed("This API key is not valid here; it may have expired or been revoked.")

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="videoapi"'


FOREIGN = "A web page of another site needs an API key, or VIDEOAPI_CORS_ORIGINS must name it."


class _May(BasePermission):
    scope: Scope

    def has_permission(self, request: Request, view: APIView) -> bool:
        if request.auth is None and _is_foreign(request):
            raise PermissionDenied(FOREIGN)
        who = "This API key" if isinstance(request.auth, APIKey) else "This login"
        self.message = f"{who} may not {self.scope}; the operator can allow it in the admin."
        return self.scope in find_caller(request).scopes


def _is_foreign(request: Request) -> bool:
    """Sent by a web page of another site, for whoever has it open: browsers let it send a form without asking us."""
    origin = request.headers.get("Origin")
    if origin is None or request.method in SAFE_METHODS:
        return False
    is_allowed = settings.CORS_ALLOW_ALL_ORIGINS or origin in settings.CORS_ALLOWED_ORIGINS
    return not is_allowed and urlsplit(origin).netloc != request.get_host()


class MayGenerate(_May):
    scope = "generate"


class MayRead(_May):
    scope = "read"


class MayOperate(_May):
    scope = "operate"


def sign(name: str) -> str:
    """A token with which anybody may fetch that file for a while: a player sends no headers."""
    return _signer().sign(name).partition(":")[2]


def is_signed(name: str, token: str) -> bool:
    try:
        return _signer().unsign(f"{name}:{token}", max_age=timedelta(seconds=get_conf().url_seconds)) == name
    except BadSignature:
        return False


def _signer() -> TimestampSigner:
    return TimestampSigner(salt="videoapi.media")


def require_keys(conf: Conf) -> None:
    """Raises ImproperlyConfigured for a server that nobody could use, rather than one that everybody can."""
    if conf.anonymous == "no" and not APIKey.objects.exists():
        raise ImproperlyConfigured(
            f"There are no API keys for the server on {conf.address}. Make one with 'manage.py createkey NAME', or let "
            "everybody in who reaches it with VIDEOAPI_ALLOW_ANONYMOUS=1."
        )


def _read_key(request: Request) -> str | None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key")
