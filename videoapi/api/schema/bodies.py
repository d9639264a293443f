"""The bodies of the answers, for the schema alone: `videoapi.api.bodies` makes them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

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


class Video(serializers.Serializer[Any]):
    """LocalAI's answer, and what the server has decided for the client."""

    created = serializers.IntegerField(help_text="When the request was accepted, in seconds since 1970.")
    id = serializers.UUIDField(help_text="Of the generation.")
    # DRF takes the fields out of the class: `data` stays its own.
    data = File(many=True, help_text="One video once it is completed, none before.")  # type: ignore[assignment]
    model = serializers.CharField(help_text="Its own name, when the request had an alias.")
    seed = serializers.IntegerField(min_value=0, help_text="Send it to get the same video.")
    width = serializers.IntegerField(min_value=1, help_text="Pixels.")
    height = serializers.IntegerField(min_value=1, help_text="Pixels.")
    num_frames = serializers.IntegerField(min_value=1, help_text="Exactly as many frames are in the file.")
    fps = serializers.IntegerField(min_value=1, help_text="Frames per second.")
    seconds = serializers.FloatField(help_text="The video's duration.")
    timings = serializers.DictField(
        child=serializers.FloatField(), help_text="Seconds of each phase, with `queued` before and the `total` after."
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
    step = serializers.IntegerField(min_value=0, help_text="Of the denoising, or of what else the model counts.")
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
        required=False, help_text="For `Last-Event-ID`. Statuses and phases have one, steps have none."
    )
    event = serializers.ChoiceField(choices=EVENTS, help_text="`progress`, but the last one is called as the end.")
    data = EventDataField(help_text="JSON: the generation, or of an event that has been overtaken what it was about.")  # type: ignore[assignment]


class JobList(serializers.Serializer[Any]):
    object = serializers.ChoiceField(choices=("list",), help_text="As in OpenAI's lists.")
    data = Job(many=True, help_text="One page of generations.")  # type: ignore[assignment]
    first_id = serializers.UUIDField(allow_null=True, help_text="Of this page.")
    last_id = serializers.UUIDField(allow_null=True, help_text="The `after` of the next page.")
    has_more = serializers.BooleanField(help_text="There is a next page.")


class Model(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="What requests name in `model`: a model's own name or an alias.")
    object = serializers.ChoiceField(choices=("model",), help_text="As in OpenAI's lists.")
    owned_by = serializers.CharField(help_text="The distribution of its plugin.")
    available = serializers.BooleanField(help_text="A request for it would be accepted now.")
    reason = serializers.CharField(required=False, help_text="Why it is not available.")


class ModelList(serializers.Serializer[Any]):
    object = serializers.ChoiceField(choices=("list",), help_text="As in OpenAI's lists.")
    data = Model(many=True, help_text="Every model, and every alias.")  # type: ignore[assignment]


class ModelOrder(serializers.Serializer[Any]):
    model = serializers.CharField(help_text="Its own name, when the address had an alias.")
    action = serializers.ChoiceField(choices=("load", "unload"), help_text="What the workers were asked.")
    workers = serializers.IntegerField(
        min_value=1, help_text="How many were asked; each does it when a slot has no other work."
    )


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
