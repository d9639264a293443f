"""gunicorn's configuration. One process, many threads: the web only waits."""

import atexit
import math
import os
import struct
from socket import SO_RCVTIMEO, SOL_SOCKET
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


def when_ready(server: Any) -> None:
    """Connections inherit it: a client that stops in the middle of a request must not keep its thread for ever."""
    for listener in server.LISTENERS:
        listener.sock.setsockopt(SOL_SOCKET, SO_RCVTIMEO, struct.pack("ll", math.ceil(VIDEOAPI["body_seconds"]), 0))


def post_worker_init(worker: Any) -> None:
    """Let waiting requests see that the server is told to stop, and start what the web server does besides."""
    from videoapi.api.bodies import generation_body
    from videoapi.conf import get_conf
    from videoapi.engine.wait import waiter
    from videoapi.engine.webhooks import WebhookSender

    waiter.is_serving = lambda: worker.alive
    conf = get_conf()
    if conf.webhooks:
        sender = WebhookSender(conf, generation_body)
        sender.start()
        atexit.register(sender.stop)
