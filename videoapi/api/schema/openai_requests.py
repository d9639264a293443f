"""The requests at OpenAI's addresses, for the schema alone: `videoapi.api.openai.requests` reads them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from videoapi.fields import DataField, StrictCharField
from videoapi.serializers import RESPONSE_FORMATS, VideoRequestSerializer


class ImageField(DataField):
    """Or an object with the address: `{"image_url": ...}`."""


class ClipField(DataField):
    """Or an object with the id of a video: `{"id": ...}`."""


class Form:
    """Its fields come in multipart/form-data."""


class OpenAIVideoRequest(VideoRequestSerializer):
    """Every field of `POST /video`."""

    input_reference = ImageField(
        required=False,
        help_text="First frame, or a clip for a model that takes one: the file, as in `POST /video`, or `image_url`.",
    )
    response_format = serializers.ChoiceField(
        choices=RESPONSE_FORMATS, default="url", help_text="Has no effect: the file is at `/v1/videos/{id}/content`."
    )


class OpenAIEditRequest(OpenAIVideoRequest):
    """Every field of `POST /video`, with the video in the place of `input_reference`."""

    model = StrictCharField(required=False, max_length=200, help_text="Needed with a file; else the video's own.")
    video = ClipField(help_text="The clip: the file, likewise, or the `id` of a video whose request is made again.")
    input_reference = None  # type: ignore[assignment]


class OpenAIExtensionRequest(OpenAIEditRequest):
    """Every field of `POST /video`, with the video in the place of the images that it could begin with."""

    start_image = None  # type: ignore[assignment]


class OpenAIRemixRequest(serializers.Serializer[Any]):
    prompt = StrictCharField(help_text="What the new video shows.")


class OpenAIVideoForm(Form, OpenAIVideoRequest): ...


class OpenAIEditForm(Form, OpenAIEditRequest): ...


class OpenAIExtensionForm(Form, OpenAIExtensionRequest): ...
