"""The bodies of the answers at OpenAI's addresses, for the schema alone: `videoapi.api.openai.bodies` makes them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from videoapi.api.schema.bodies import ErrorDetail
from videoapi.resolution import SIZE


class OpenAIVideo(serializers.Serializer[Any]):
    """OpenAI's Video; besides, the seed, the frames, the rate and the warnings."""

    id = serializers.UUIDField(help_text="Of the generation, at the other addresses too.")
    object = serializers.ChoiceField(choices=("video",), help_text="As OpenAI has it.")
    model = serializers.CharField(help_text="Its own name, when the request had an alias.")
    status = serializers.ChoiceField(
        choices=("queued", "in_progress", "completed", "failed"),
        help_text="A cancelled one has `failed`, and one that is no longer kept is `completed`.",
    )
    progress = serializers.IntegerField(min_value=0, max_value=100, help_text="Per cent.")
    created_at = serializers.IntegerField(help_text="When the request was accepted, in seconds since 1970.")
    completed_at = serializers.IntegerField(allow_null=True, help_text="When the video was done.")
    expires_at = serializers.IntegerField(
        allow_null=True, help_text="When its file goes, where the operator has a limit."
    )
    prompt = serializers.CharField(help_text="As it was sent.")
    size = serializers.RegexField(f"^{SIZE.pattern}$", help_text="Width and height in pixels.")
    seconds = serializers.CharField(help_text="The video's duration.")
    remixed_from_video_id = serializers.UUIDField(
        allow_null=True, help_text="The video that it is a remix, an edit or an extension of, if that is here."
    )
    error = ErrorDetail(allow_null=True, help_text="Why it failed or was cancelled.")
    seed = serializers.IntegerField(min_value=0, help_text="Send it to get the same video.")
    num_frames = serializers.IntegerField(min_value=1, help_text="Exactly as many frames are in the file.")
    fps = serializers.IntegerField(min_value=1, help_text="Frames per second.")
    warnings = serializers.ListField(
        child=serializers.CharField(), help_text="What had to be cut or rounded, or has no effect."
    )


class OpenAIVideoStarted(OpenAIVideo):
    ids = serializers.ListField(
        required=False, child=serializers.UUIDField(), help_text="Of all `n` videos, where they are more than one."
    )


class OpenAIVideoList(serializers.Serializer[Any]):
    object = serializers.ChoiceField(choices=("list",), help_text="As in OpenAI's lists.")
    data = OpenAIVideo(many=True, help_text="One page of videos.")  # type: ignore[assignment]
    first_id = serializers.UUIDField(allow_null=True, help_text="Of this page.")
    last_id = serializers.UUIDField(allow_null=True, help_text="The `after` of the next page.")
    has_more = serializers.BooleanField(help_text="There is a next page.")


class OpenAIVideoDeleted(serializers.Serializer[Any]):
    id = serializers.UUIDField(help_text="Of the video that was deleted.")
    object = serializers.ChoiceField(choices=("video.deleted",), help_text="As OpenAI has it.")
    deleted = serializers.BooleanField(help_text="It is gone.")
