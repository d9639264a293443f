"""The entry point that vLLM-Omni asks for a platform."""


def register():
    return "omni_cpu_platform.CPU"
