"""The bodies of the answers about models, for the schema alone: `videoapi.api.descriptions` makes them."""

from __future__ import annotations

from typing import Any, get_args

from rest_framework import serializers

from videoapi.fields import ObjectField
from videoapi.resolution import SIZE
from videoapi.types import Mode


class Model(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="What requests name in `model`: a model's own name or an alias.")
    object = serializers.ChoiceField(choices=("model",), help_text="As in OpenAI's lists.")
    created = serializers.IntegerField(help_text="When the server read its models, in seconds since 1970.")
    owned_by = serializers.CharField(help_text="The distribution of its plugin.")
    modes = serializers.ListField(
        child=serializers.ChoiceField(choices=get_args(Mode)), help_text="What it makes videos from."
    )
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


class Backend(serializers.Serializer[Any]):
    name = serializers.CharField(help_text="Of the plugin.")
    distribution = serializers.CharField(help_text="The package that the plugin is from.")
    version = serializers.CharField(help_text="Of the package.")


class ModelDefaults(serializers.Serializer[Any]):
    """Without the fields that the model does not take."""

    width = serializers.IntegerField(required=False, min_value=1, help_text="Pixels.")
    height = serializers.IntegerField(required=False, min_value=1, help_text="Pixels.")
    num_frames = serializers.IntegerField(required=False, min_value=1, help_text="Frames.")
    fps = serializers.IntegerField(required=False, min_value=1, help_text="Frames per second.")
    step = serializers.IntegerField(required=False, min_value=1, help_text="Denoising steps.")
    cfg_scale = serializers.FloatField(required=False, min_value=0, help_text="Guidance scale.")
    negative_prompt = serializers.CharField(required=False, allow_blank=True, help_text="Empty for none.")


class FrameGrid(serializers.Serializer[Any]):
    step = serializers.IntegerField(min_value=1, help_text="It makes `step` * k + `offset` frames.")
    offset = serializers.IntegerField(min_value=0, help_text="The rest is cut off, so that there are as many as asked.")


class ModelLimits(serializers.Serializer[Any]):
    max_side = serializers.IntegerField(help_text="Pixels of `width` and of `height`.")
    max_pixels = serializers.IntegerField(help_text="`width` times `height`.")
    max_frames = serializers.IntegerField(help_text="Of `num_frames`.")
    max_fps = serializers.IntegerField(help_text="Of `fps`.")
    max_step = serializers.IntegerField(help_text="Of `step`.")
    max_cfg_scale = serializers.FloatField(help_text="Of `cfg_scale`.")
    max_prompt_length = serializers.IntegerField(help_text="Characters of `prompt` and of `negative_prompt`.")
    max_seed = serializers.IntegerField(help_text="Of `seed`.")
    min_priority = serializers.IntegerField(help_text="Of `priority`.")
    max_priority = serializers.IntegerField(help_text="Of `priority`.")
    max_runtime = serializers.FloatField(help_text="Seconds that a generation may take.")
    max_body_bytes = serializers.IntegerField(help_text="Of the whole request.")


class ImageInput(serializers.Serializer[Any]):
    formats = serializers.ListField(child=serializers.CharField(), help_text="Of the file, whatever its name.")
    max_bytes = serializers.IntegerField(help_text="Of the file.")
    max_pixels = serializers.IntegerField(help_text="Width times height.")
    min_side = serializers.IntegerField(help_text="Pixels of the shorter side.")
    max_frames = serializers.IntegerField(help_text="Of an animated one, whose first is used.")


class ClipInput(serializers.Serializer[Any]):
    formats = serializers.ListField(child=serializers.CharField(), help_text="Of the file, whatever its name.")
    max_bytes = serializers.IntegerField(help_text="Of the file.")
    max_pixels = serializers.IntegerField(help_text="Of a frame: width times height.")


class Inputs(serializers.Serializer[Any]):
    """Nothing where the model takes no files."""

    image = ImageInput(required=False, help_text="What an image may be.")
    clip = ClipInput(required=False, help_text="What a clip may be.")
    urls = serializers.BooleanField(required=False, help_text="They may be named by an http or https URL.")


class ModelDescription(Model):
    """All that a request for the model is checked against, by the request's own names."""

    loaded = serializers.BooleanField(
        allow_null=True, help_text="A worker has it in memory; null while the database does not answer."
    )
    workers = serializers.IntegerField(
        allow_null=True, min_value=0, help_text="That serve it; null while the database does not answer."
    )
    backend = Backend(help_text="The plugin that makes its videos.")
    aliases = serializers.ListField(child=serializers.CharField(), help_text="Its other names.")
    description = serializers.CharField(allow_blank=True, help_text="What it is good for.")
    defaults = ModelDefaults(help_text="What a request that does not say gets.")
    size_multiple = serializers.IntegerField(min_value=2, help_text="`width` and `height` are multiples of it.")
    audio = serializers.BooleanField(help_text="Its videos have sound.")
    native_sizes = serializers.ListField(
        child=serializers.RegexField(f"^{SIZE.pattern}$"),
        help_text="`size`s that it was made for, the best first; others may be sent too.",
    )
    frame_grid = FrameGrid(help_text="The numbers of frames that it can make.")
    limits = ModelLimits(help_text="The most that a request may ask for.")
    inputs = Inputs(help_text="What the files of a request may be.")
    unsupported = serializers.ListField(
        child=serializers.CharField(), help_text="Fields of the request that it does not take: a 400."
    )
    params = ObjectField(help_text="The JSON Schema of the request's `params`.")
    interruptible = serializers.BooleanField(help_text="A cancel stops it at its next step, and leaves it loaded.")


class Capabilities(serializers.Serializer[Any]):
    """LocalAI's entry."""

    id = serializers.CharField(help_text="A model's own name or an alias.")
    object = serializers.ChoiceField(choices=("model",), help_text="As in OpenAI's lists.")
    capabilities = serializers.ListField(
        child=serializers.ChoiceField(choices=("video", "FLAG_VIDEO")),
        help_text="`video`; at `/api/models/capabilities` LocalAI's `FLAG_VIDEO`.",
    )
    input_modalities = serializers.ListField(
        child=serializers.ChoiceField(choices=("text", "image", "video")), help_text="What goes in."
    )
    output_modalities = serializers.ListField(
        child=serializers.ChoiceField(choices=("video", "audio")), help_text="What comes out."
    )
    backend = serializers.CharField(help_text="The name of its plugin.")


class CapabilityList(serializers.Serializer[Any]):
    object = serializers.ChoiceField(choices=("list",), help_text="As in OpenAI's lists.")
    data = Capabilities(many=True, help_text="Every model, and every alias.")  # type: ignore[assignment]
