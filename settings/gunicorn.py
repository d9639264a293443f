"""gunicorn's configuration. One process, many threads: the web only waits."""

import os
from typing import Any

# Before the import: the role is in the format of the log lines.
os.environ.setdefault("VIDEOAPI_ROLE", "web")

from settings.base import LOGGING, VIDEOAPI

host = VIDEOAPI["bind"]
bind = f"[{host}]:{VIDEOAPI['port']}" if ":" in host else f"{host}:{VIDEOAPI['port']}"
worker_class = "gthread"
workers = 1
threads = VIDEOAPI["threads"]
worker_connections = 2000
# The heartbeat of the main loop, not a limit of requests, which may take as long as their video.
timeout = 60
graceful_timeout = int(VIDEOAPI["grace_seconds"]) + 5
control_socket_disable = True
accesslog = "-"
# Without the query, where addresses of videos carry their signatures.
access_log_format = '%(h)s "%(m)s %(U)s" %(s)s %(M)s ms'
logconfig_dict = LOGGING


def post_worker_init(worker: Any) -> None:
    """Let waiting requests see that the server is told to stop."""
    from videoapi.engine.wait import waiter

    waiter.is_serving = lambda: worker.alive
