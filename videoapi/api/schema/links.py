"""Which id in an answer another operation takes, by operation and status."""

from __future__ import annotations

from typing import Any

ID = "$response.body#/id"


def _link(operation: str, description: str, **parameters: str) -> dict[str, Any]:
    return {"operationId": operation, "description": description, "parameters": parameters}


_JOB = {
    "job": _link("getVideo", "How far it is.", id=ID),
    "events": _link("streamVideoEvents", "The same, as it happens.", id=ID),
    "preview": _link("getPreview", "How it looks now.", id=ID),
    "cancel": _link("cancelVideo", "Cancel it.", id=ID),
}
_FILES = {
    "file": _link("getVideoFile", "The mp4.", name="{$response.body#/id}.mp4"),
    "thumbnail": _link("getThumbnail", "A picture of it.", name="{$response.body#/id}.jpg"),
}
LINKS: dict[str, dict[str, dict[str, Any]]] = {
    "createVideo": {"200": {"job": _JOB["job"], **_FILES}, "202": _JOB},
    "getVideo": {"200": {**_JOB, **_FILES}},
    "listModels": {"200": {"load": _link("loadModel", "Load it.", name="$response.body#/data/0/id")}},
}
