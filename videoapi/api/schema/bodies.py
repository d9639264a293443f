"""The bodies of the answers, for the schema alone: `videoapi.api.bodies` makes them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from videoapi.fields import ObjectField
from videoapi.models import State
from videoapi.models.queryset import UNFINISHED

EVENTS = ("progress", *(state.value for state in State if state not in UNFINISHED))


class ErrorDetail(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="For programs: what is wrong, such as `unknown_field`.")
    message = serializers.CharField(help_text="For people: what is wrong, and the way out.")
    type = serializers.ChoiceField(
        choices=("invalid_request_error", "server_error"), help_text="Whose fault it is: the request's or the server's."
    )
    param = serializers.CharField(allow_null=True, help_text="The field or header that is wrong, where there is one.")


class Error(serializers.Serializer[Any]):
    error = ErrorDetail(help_text="Every error has this shape.")


class File(serializers.Serializer[Any]):
    url = serializers.CharField(
        required=False,
        help_text="The address of the mp4: a path, unless the operator has set a public address. That of a key's video "
        "has a signature, with which it works for a while without the key.",
    )
    b64_json = serializers.CharField(
        required=False, help_text="The mp4 in base64, in place of `url`, for `response_format` `b64_json`."
    )
    id = serializers.UUIDField(required=False, help_text="Of this one's generation, where `n` is more than 1.")
    seed = serializers.IntegerField(required=False, min_value=0, help_text="Its own, where `n` is more than 1.")


class Video(serializers.Serializer[Any]):
    """LocalAI's answer, and what the server has decided for the client."""

    created = serializers.IntegerField(help_text="When the request was accepted, in seconds since 1970.")
    id = serializers.UUIDField(help_text="Of the generation; of several videos of one request, of the first.")
    # DRF takes the fields out of the class: `data` stays its own.
    data = File(many=True, help_text="The videos that are completed.")  # type: ignore[assignment]
    model = serializers.CharField(help_text="Its own name, when the request had an alias.")
    seed = serializers.IntegerField(min_value=0, help_text="Send it to get the same; of several videos, the first's.")
    width = serializers.IntegerField(min_value=1, help_text="Pixels.")
    height = serializers.IntegerField(min_value=1, help_text="Pixels.")
    num_frames = serializers.IntegerField(min_value=1, help_text="Exactly as many frames are in the file.")
    fps = serializers.IntegerField(min_value=1, help_text="Frames per second.")
    seconds = serializers.FloatField(help_text="The video's duration.")
    timings = serializers.DictField(
        child=serializers.FloatField(),
        help_text="Seconds of each phase, summed over several videos, with `queued` before the first and the `total`.",
    )
    warnings = serializers.ListField(
        child=serializers.CharField(), help_text="What had to be cut or rounded, or has no effect."
    )


class Job(Video):
    """A generation and how far it is."""

    status = serializers.ChoiceField(choices=State.values, help_text="Only the first two go on.")
    phase = serializers.CharField(
        allow_null=True, help_text="While it is in progress: `loading`, `encoding prompt`, `denoising`, and so on."
    )
    detail = serializers.CharField(allow_null=True, help_text="What the model's process printed last while it loads.")
    step = serializers.IntegerField(
        min_value=0, help_text="Of the denoising, or of what else the model counts; summed over several videos."
    )
    total_steps = serializers.IntegerField(min_value=0, help_text="0 until the model has counted them.")
    progress = serializers.IntegerField(min_value=0, max_value=100, help_text="Per cent.")
    cancel_requested = serializers.BooleanField(help_text="It was to be cancelled; what had ended stays as it is.")
    error = ErrorDetail(allow_null=True, help_text="Why it failed or was cancelled.")
    queue_position = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        help_text="1 is the next. In `GET /video/{id}` and in its events alone, while it is queued.",
    )
    eta_seconds = serializers.FloatField(
        required=False,
        allow_null=True,
        help_text="Until it is done, from what the model's last generations took. In `GET /video/{id}` and in its "
        "events alone; null while there is nothing to go by.",
    )


class ListedJob(Job):
    """One generation by itself, in a list or a message."""

    prompt = serializers.CharField(help_text="As it was sent.")


class InputFacts(serializers.Serializer[Any]):
    """What is known of an image or a clip, which is not kept; nothing of an old one."""

    sha256 = serializers.CharField(required=False, help_text="The digest of the file, in hexadecimal.")
    bytes = serializers.IntegerField(required=False, min_value=1, help_text="Its size.")
    width = serializers.IntegerField(required=False, min_value=1, help_text="Pixels.")
    height = serializers.IntegerField(required=False, min_value=1, help_text="Pixels.")


class WholeRequest(serializers.Serializer[Any]):
    """Every field that decides what the video is, but for those that the model does not take."""

    model = serializers.CharField(help_text="Its own name.")
    prompt = serializers.CharField(help_text="As it was sent.")
    negative_prompt = serializers.CharField(required=False, allow_blank=True, help_text="Empty for none.")
    width = serializers.IntegerField(required=False, min_value=1, help_text="Pixels.")
    height = serializers.IntegerField(required=False, min_value=1, help_text="Pixels.")
    num_frames = serializers.IntegerField(required=False, min_value=1, help_text="Of the file.")
    fps = serializers.IntegerField(required=False, min_value=1, help_text="Frames per second.")
    seed = serializers.IntegerField(required=False, min_value=0, help_text="Of the first video.")
    step = serializers.IntegerField(required=False, min_value=1, help_text="Denoising steps.")
    cfg_scale = serializers.FloatField(required=False, min_value=0, help_text="Guidance scale.")
    params = ObjectField(required=False, help_text="The model's own options, with their defaults.")
    n = serializers.IntegerField(required=False, min_value=2, help_text="How many videos, where it is more than 1.")
    start_image = InputFacts(required=False, help_text="What is known of the first frame.")
    end_image = InputFacts(required=False, help_text="What is known of the last frame.")
    input_reference = InputFacts(required=False, help_text="What is known of the first frame, or of the clip.")


class WholeJob(Job):
    """The same, and what was asked for."""

    request = WholeRequest(help_text="Send it to `POST /video` for the same again, with the files that it names.")


class Progress(serializers.Serializer[Any]):
    """What an event that has been overtaken still tells."""

    status = serializers.ChoiceField(choices=State.values, help_text="To which it came.")
    phase = serializers.CharField(allow_null=True, help_text="To which it came.")
    attempt = serializers.IntegerField(min_value=0, help_text="0 while it waits for the first; 2 after a worker died.")
    at = serializers.DateTimeField(help_text="When it came to this.")


class JobProgress(Job):
    """What the newest event tells: the generation."""

    attempt = serializers.IntegerField(required=False, min_value=0, help_text="Where the event has an `id`.")
    at = serializers.DateTimeField(required=False, help_text="When it came to this; where the event has an `id`.")


class EventDataField(serializers.CharField):
    """JSON in a text."""

    choices = (JobProgress, Progress)


class Event(serializers.Serializer[Any]):
    id = serializers.CharField(
        required=False,
        help_text="For `Last-Event-ID`. Statuses and phases have one; steps and events of several videos have none.",
    )
    event = serializers.ChoiceField(choices=EVENTS, help_text="`progress`, but the last one is called as the end.")
    data = EventDataField(help_text="JSON: the generation, or of an event that has been overtaken what it was about.")  # type: ignore[assignment]


class JobList(serializers.Serializer[Any]):
    object = serializers.ChoiceField(choices=("list",), help_text="As in OpenAI's lists.")
    data = ListedJob(many=True, help_text="One page of generations.")  # type: ignore[assignment]
    first_id = serializers.UUIDField(allow_null=True, help_text="Of this page.")
    last_id = serializers.UUIDField(allow_null=True, help_text="The `after` of the next page.")
    has_more = serializers.BooleanField(help_text="There is a next page.")


class Health(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=("ok",), help_text="The process answers.")


class Readiness(serializers.Serializer[Any]):
    """Whoever may not read gets the status alone."""

    status = serializers.ChoiceField(choices=("ok", "unavailable"), help_text="`unavailable` comes with a 503.")
    reasons = serializers.ListField(
        required=False, child=serializers.CharField(), help_text="Why the server is unavailable."
    )
    models = serializers.ListField(required=False, child=serializers.CharField(), help_text="Those that are installed.")
    unavailable = serializers.DictField(
        required=False, child=serializers.CharField(), help_text="The models that cannot be asked for now, and why."
    )
    workers = serializers.IntegerField(required=False, min_value=0, help_text="How many are alive.")
    plugins = serializers.DictField(
        required=False, child=serializers.CharField(), help_text="`ok`, or why the plugin does not load, by its name."
    )
