"""The `vllm-omni` backend of videoapi. It needs neither torch nor vllm here: the engine is another server."""
