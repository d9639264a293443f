"""What development and production share."""

import sys
from datetime import timedelta
from pathlib import Path

import environ

from videoapi import __version__

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

INSTALLED_APPS = [
    "videoapi",  # before the admin, whose front page it extends
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_tasks",
    "django_tasks_db",
]
MIDDLEWARE = [
    "videoapi.api.metrics.count_answers",
    "videoapi.api.addresses.drop_body_of_head",
    "django.middleware.security.SecurityMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "videoapi.api.addresses.drop_slash",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
# Ten wrong passwords from one address, and it waits. By the name alone, anybody could lock out the operator.
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = ["ip_address"]
AXES_CLIENT_IP_CALLABLE = "videoapi.api.access.find_address"
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
ROOT_URLCONF = "videoapi.urls"
WSGI_APPLICATION = "videoapi.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
APPEND_SLASH = False

DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'db.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["CONN_MAX_AGE"] = None
    # IMMEDIATE and WAL: without them, concurrent read-modify-writes fail with "database is locked".
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": []}}

MEDIA_ROOT = env.path("VIDEOAPI_MEDIA_DIR", default=BASE_DIR / "media")()
STATIC_URL = "static/"
# The admin's files are served from the packages that hold them; there is nothing to collect.
WHITENOISE_USE_FINDERS = True

REST_FRAMEWORK = {
    "DEFAULT_PARSER_CLASSES": ["videoapi.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "videoapi.api.negotiation.AlwaysJSON",
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "videoapi.api.access.KeyAuthentication",
        # Staff of the admin, in its pages.
        "rest_framework.authentication.SessionAuthentication",
    ],
    # How many proxies may tell who the client is; clients take turns.
    "NUM_PROXIES": 1 if env.bool("VIDEOAPI_BEHIND_PROXY", default=False) else 0,
    "DEFAULT_PERMISSION_CLASSES": ["videoapi.api.access.MayRead"],
    "EXCEPTION_HANDLER": "videoapi.api.errors.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "videoapi.api.schema.auto.Schema",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "videoapi",
    "DESCRIPTION": 'A self-hosted video-generation server. Every error is `{"error": {"code", "message", "type", '
    '"param"}}`, also for an address that is none (404) and a method that it does not have (405, with `Allow`). What '
    "can be asked for with GET can be with HEAD, and a slash at the end of an address changes nothing.",
    "VERSION": __version__,
    "LICENSE": {"name": "MIT", "identifier": "MIT"},
    "OAS_VERSION": "3.1.1",
    # Logins are for the pages of the admin.
    "AUTHENTICATION_WHITELIST": ["videoapi.api.access.KeyAuthentication"],
    "GET_MOCK_REQUEST": "videoapi.api.schema.auto.build_request",
    "POSTPROCESSING_HOOKS": [
        "videoapi.api.schema.webhooks.complete_webhooks",
        # Choices stay where they are.
        "videoapi.api.schema.auto.without_marks",
    ],
    "WEBHOOKS": ["videoapi.api.schema.webhooks.VIDEO_EVENT"],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SORT_OPERATIONS": False,
}

VIDEOAPI = {
    "models_dir": Path(env.path("VIDEOAPI_MODELS_DIR", default=BASE_DIR / "settings" / "models")()),
    "scratch_dir": Path(env.path("VIDEOAPI_SCRATCH_DIR", default=Path(MEDIA_ROOT) / "scratch")()),
    "bind": env.str("BIND", default="127.0.0.1"),
    "port": env.int("PORT", default=8080),
    "ffmpeg": env.str("VIDEOAPI_FFMPEG", default=""),
    "anonymous": "all" if env.bool("VIDEOAPI_ALLOW_ANONYMOUS", default=False) else "no",
    "url_seconds": env.float("VIDEOAPI_URL_SECONDS", default=24 * 3600.0),
    "public_url": env.str("VIDEOAPI_PUBLIC_URL", default="").rstrip("/"),
    "preload": tuple(env.list("VIDEOAPI_PRELOAD", default=[])),
    "threads": env.int("VIDEOAPI_THREADS", default=256),
    "max_waiting_per_client": env.int("VIDEOAPI_MAX_WAITING_PER_CLIENT", default=0),
    "sync_seconds": env.float("VIDEOAPI_SYNC_TIMEOUT", default=0.0),
    "cancel_on_disconnect": env.bool("VIDEOAPI_CANCEL_ON_DISCONNECT", default=True),
    "max_priority": env.int("VIDEOAPI_MAX_PRIORITY", default=0),
    "max_queued": env.int("VIDEOAPI_MAX_QUEUED", default=500),
    "max_queued_per_model": env.int("VIDEOAPI_MAX_QUEUED_PER_MODEL", default=250),
    "max_queued_per_client": env.int("VIDEOAPI_MAX_QUEUED_PER_CLIENT", default=125),
    "keep_days": env.float("VIDEOAPI_KEEP_DAYS", default=0.0),
    "keep_bytes": env.int("VIDEOAPI_KEEP_BYTES", default=0),
    "load_seconds": env.float("VIDEOAPI_LOAD_SECONDS", default=3600.0),
    "run_seconds": env.float("VIDEOAPI_RUN_SECONDS", default=4 * 3600.0),
    "cancel_seconds": env.float("VIDEOAPI_CANCEL_SECONDS", default=10.0),
    "model_memory_mib": env.int("VIDEOAPI_MODEL_MEMORY_MIB", default=0),
    "idle_seconds": env.float("VIDEOAPI_IDLE_SECONDS", default=0.0),
    "stall_seconds": env.float("VIDEOAPI_STALL_SECONDS", default=1800.0),
    "slots": tuple(env.str("VIDEOAPI_SLOTS", default="*").split(";")),
    "embed_metadata": env.bool("VIDEOAPI_EMBED_METADATA", default=True),
    "fetch": env.bool("VIDEOAPI_FETCH", default=True),
    "fetch_seconds": env.float("VIDEOAPI_FETCH_SECONDS", default=30.0),
    "fetch_private": env.bool("VIDEOAPI_FETCH_PRIVATE", default=False),
    "webhooks": env.bool("VIDEOAPI_WEBHOOKS", default=True),
    "webhook_secret": env.str("VIDEOAPI_WEBHOOK_SECRET", default=""),
    "webhook_private": env.bool("VIDEOAPI_WEBHOOK_PRIVATE", default=False),
    "webhook_seconds": env.float("VIDEOAPI_WEBHOOK_SECONDS", default=15.0),
    "max_body_bytes": env.int("VIDEOAPI_MAX_BODY_BYTES", default=32 * 2**20),
    "body_seconds": env.float("VIDEOAPI_BODY_SECONDS", default=30.0),
    "max_clip_bytes": env.int("VIDEOAPI_MAX_CLIP_BYTES", default=100 * 2**20),
    "grace_seconds": env.float("VIDEOAPI_GRACE_SECONDS", default=30.0),
    "check_seconds": env.float("VIDEOAPI_CHECK_SECONDS", default=5.0),
    "stale_seconds": env.float("VIDEOAPI_STALE_SECONDS", default=30.0),
}

# Django's own limit, for forms: images can be among their texts.
DATA_UPLOAD_MAX_MEMORY_SIZE = VIDEOAPI["max_body_bytes"]

if "VIDEOAPI_WEBHOOK_RETRIES" in env:
    VIDEOAPI["webhook_retries"] = tuple(env.list("VIDEOAPI_WEBHOOK_RETRIES", cast=float))

# Web pages of these origins may call the API, with a key but never with a login; the admin is not theirs.
CORS_ALLOW_ALL_ORIGINS = env.str("VIDEOAPI_CORS_ORIGINS", default="") == "*"
CORS_ALLOWED_ORIGINS = [] if CORS_ALLOW_ALL_ORIGINS else env.list("VIDEOAPI_CORS_ORIGINS", default=[])
CORS_URLS_REGEX = r"^/(?!admin/|static/)"
CORS_ALLOW_HEADERS = [
    "authorization",
    "content-type",
    "idempotency-key",
    "last-event-id",
    "prefer",
    "range",
    "x-api-key",
]
CORS_EXPOSE_HEADERS = ["Accept-Ranges", "Content-Range", "Location", "Preference-Applied", "Retry-After"]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            # gunicorn and the worker share one terminal: the second column says who speaks.
            "format": "%(asctime)s {role:<7} %(levelname)-7s %(message)s".format(
                role=env.str("VIDEOAPI_ROLE", default="worker" if "videoworker" in sys.argv else "manage")
            )
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.str("VIDEOAPI_LOG_LEVEL", default="INFO")},
    "loggers": {
        # It announces every look at the queue.
        "django_tasks_db": {"level": "WARNING"},
        "django_tasks": {"level": "WARNING"},
        # Over the root's handler, in place of gunicorn's own.
        "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
        "gunicorn.access": {"level": "INFO", "handlers": [], "propagate": True},
    },
}
