"""gunicorn's configuration. One process, many threads: the web only waits."""

import os
from typing import Any

bind = f"{os.environ.get('BIND', '127.0.0.1')}:{os.environ.get('PORT', '8080')}"
worker_class = "gthread"
workers = 1
threads = int(os.environ.get("VIDEOAPI_THREADS", "256"))
worker_connections = 2000
# The heartbeat of the main loop, not a limit of requests, which may take as long as their video.
timeout = 60
graceful_timeout = int(float(os.environ.get("VIDEOAPI_GRACE_SECONDS", "30"))) + 5
control_socket_disable = True
accesslog = "-"
access_log_format = '%(h)s "%(r)s" %(s)s %(B)s bytes %(M)s ms'
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {
        "gunicorn.error": {"level": "INFO", "propagate": True, "handlers": []},
        "gunicorn.access": {"level": "INFO", "propagate": True, "handlers": []},
    },
    "formatters": {"line": {"format": "%(asctime)s web     %(levelname)-7s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"level": "INFO", "handlers": ["stderr"]},
}


def post_worker_init(worker: Any) -> None:
    """Let waiting requests see that the server is told to stop."""
    from videoapi.engine.wait import waiter

    waiter.is_serving = lambda: worker.alive
