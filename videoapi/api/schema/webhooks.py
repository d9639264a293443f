"""What the server sends of its own accord: `videoapi.engine.webhooks` does."""

from __future__ import annotations

from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import OpenApiRequest, OpenApiResponse, OpenApiWebhook, extend_schema
from rest_framework import serializers

from videoapi.api.schema import examples
from videoapi.api.schema.bodies import ListedJob
from videoapi.models import Event

HEADERS = {
    "webhook-id": "The `id` of the message; the same at each attempt, so that a receiver knows what it has had before.",
    "webhook-timestamp": "When it was sent, in seconds since 1970.",
    "webhook-signature": "Standard Webhooks' signature, `v1,...`, by the secret of the key or of the server.",
}


class WebhookEvent(serializers.Serializer[Any]):
    """A message of Standard Webhooks, with what OpenAI's clients read of an event besides."""

    id = serializers.CharField(help_text="Of the message.")
    object = serializers.ChoiceField(choices=("event",), help_text="As OpenAI has it.")
    type = serializers.ChoiceField(choices=Event.values, help_text="What has happened.")
    timestamp = serializers.DateTimeField(help_text="When it happened.")
    created_at = serializers.IntegerField(help_text="The same, in seconds since 1970.")
    data = ListedJob(help_text="The generation as it is when the message is sent.")  # type: ignore[assignment]


VIDEO_EVENT = OpenApiWebhook(
    "videoEvent",
    extend_schema(
        summary="Something has happened to a generation",
        description="Sent to the `webhook_url` of its request, or of its key: `video.created`, `video.progress` (the "
        "newest, at most one in five seconds), and one of `video.completed`, `video.failed` and `video.cancelled`. It "
        "may come twice.",
        tags=["Webhooks"],
        request={"application/json": OpenApiRequest(WebhookEvent, examples=[examples.WEBHOOK])},
        responses={
            "2XX": OpenApiResponse(None, "It has arrived."),
            "410": OpenApiResponse(None, "It is not sent again."),
            "default": OpenApiResponse(None, "It is sent again later, but for progress."),
        },
    ),
)


def complete_webhooks(result: Any, generator: SchemaGenerator, **more: Any) -> Any:
    """The schema with the components and the headers of the webhooks, which drf-spectacular leaves out."""
    headers = [
        {"name": name, "in": "header", "required": True, "description": description, "schema": {"type": "string"}}
        for name, description in HEADERS.items()
    ]
    for methods in result["webhooks"].values():
        for operation in methods.values():
            operation["parameters"] = headers
    return {**result, "components": generator.registry.build({})}
