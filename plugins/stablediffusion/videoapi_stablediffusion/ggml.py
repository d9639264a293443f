"""The same backend under LocalAI's newer name, `stablediffusion-ggml`."""

from videoapi_stablediffusion.plugin import load_model, register_models

__all__ = ["load_model", "register_models"]
