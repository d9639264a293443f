"""videoapi: a self-hosted video-generation server.

This module is the whole contract of a backend plugin: import from `videoapi`, never from a module inside it.
Importing it does not import Django.
"""

from videoapi.exceptions import Cancelled, ConfigurationError, InvalidRequest, ModelError, OutOfMemory
from videoapi.hookspecs import hookimpl
from videoapi.modelfile import ModelFile
from videoapi.types import (
    Audio,
    BatchPipeline,
    BatchProgress,
    Clip,
    Defaults,
    FrameGrid,
    GenerationRequest,
    Limits,
    Mode,
    ModelSpec,
    Phase,
    Pipeline,
    Progress,
)

__version__ = "0.1.0"

__all__ = [
    "Audio",
    "BatchPipeline",
    "BatchProgress",
    "Cancelled",
    "Clip",
    "ConfigurationError",
    "Defaults",
    "FrameGrid",
    "GenerationRequest",
    "InvalidRequest",
    "Limits",
    "Mode",
    "ModelError",
    "ModelFile",
    "ModelSpec",
    "OutOfMemory",
    "Phase",
    "Pipeline",
    "Progress",
    "hookimpl",
]
