"""What the processes of one model say to each other: JSON, and pictures as their bytes. Nothing is pickled."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from multiprocessing.connection import Connection
from typing import Any

from PIL import Image

from videoapi import GenerationRequest

PICTURES = ("start_image", "end_image")
Message = dict[str, Any]


def send(connection: Connection, **message: Any) -> None:
    """Raises OSError when the other side is gone."""
    connection.send_bytes(json.dumps(message).encode())


def receive(connection: Connection) -> Message:
    """Raises EOFError or OSError when the other side is gone."""
    message: Message = json.loads(connection.recv_bytes())
    return message


def send_request(connection: Connection, number: int, request: GenerationRequest) -> None:
    """The request's pictures follow it."""
    values = {field.name: getattr(request, field.name) for field in fields(request)}
    # A still part of a clip is one object several times.
    places: dict[int, int] = {}
    pictures: list[Image.Image] = []

    def place(picture: Image.Image) -> int:
        if id(picture) not in places:
            places[id(picture)] = len(pictures)
            pictures.append(picture)
        return places[id(picture)]

    for name in PICTURES:
        values[name] = None if values[name] is None else place(values[name])
    values["clip"] = None if request.clip is None else [place(each) for each in request.clip]
    values["params"] = dict(request.params)
    send(connection, kind="request", number=number, request=values, sizes=[each.size for each in pictures])
    for picture in pictures:
        connection.send_bytes(picture.tobytes())


def receive_pictures(connection: Connection, message: Message) -> list[Image.Image]:
    """Those that follow the message of a request."""
    return [Image.frombytes("RGB", tuple(size), connection.recv_bytes()) for size in message["sizes"]]


def make_request(message: Message, pictures: Sequence[Image.Image]) -> GenerationRequest:
    """The request that was sent."""
    values = dict(message["request"])
    for name in PICTURES:
        values[name] = None if values[name] is None else pictures[values[name]]
    values["clip"] = None if values["clip"] is None else [pictures[place] for place in values["clip"]]
    return GenerationRequest(**values)
