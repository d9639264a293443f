"""Which id in an answer another operation takes, by operation and status."""

from __future__ import annotations

from typing import Any

ID, FIRST = "$response.body#/id", "$response.body#/data/0/id"


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
_OPENAI = {
    "retrieve": _link("retrieveOpenAIVideo", "How far it is.", id=ID),
    "content": _link("getOpenAIVideoContent", "The video.", id=ID),
    "delete": _link("deleteOpenAIVideo", "Delete it.", id=ID),
}
LINKS: dict[str, dict[str, dict[str, Any]]] = {
    "createVideo": {"200": {"job": _JOB["job"], **_FILES}, "202": _JOB},
    "getVideo": {"200": {**_JOB, **_FILES}},
    **{f"{verb}OpenAIVideo": {"200": _OPENAI} for verb in ("create", "retrieve", "edit", "extend", "remix")},
    "listModels": {
        "200": {
            "model": _link("getModel", "What it takes.", name=FIRST),
            "load": _link("loadModel", "Load it.", name=FIRST),
        }
    },
}
