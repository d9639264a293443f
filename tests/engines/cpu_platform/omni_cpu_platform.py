"""vLLM's CPU platform with what vLLM-Omni asks of one besides."""

import psutil
import torch
from vllm.platforms.cpu import CpuPlatform
from vllm_omni.platforms.interface import OmniPlatform, OmniPlatformEnum


class CPU(OmniPlatform, CpuPlatform):
    _omni_enum = OmniPlatformEnum.OOT
    device_type = "cpu"
    dist_backend = "gloo"

    @classmethod
    def get_diffusion_attn_backend_cls(cls, selected_backend, head_size, allow_trtllm_default=False):
        return "omni_cpu_attention.Backend"

    @classmethod
    def get_default_stage_config_path(cls):
        return "vllm_omni/deploy"

    @classmethod
    def supports_diffusion_dense_flash_attention(cls):
        return False

    @classmethod
    def supports_torch_inductor(cls):
        return False

    @classmethod
    def get_torch_device(cls, local_rank=None):
        return torch.device("cpu")

    @classmethod
    def get_device_count(cls):
        return 1

    @classmethod
    def get_device_version(cls):
        return None

    @classmethod
    def set_device(cls, device):
        """There is one."""

    @classmethod
    def synchronize(cls):
        """Nothing runs beside."""

    @classmethod
    def empty_cache(cls):
        """There is none."""

    @classmethod
    def reset_peak_memory_stats(cls, device=None):
        """There are none."""

    @classmethod
    def max_memory_reserved(cls, device=None):
        return 0

    @classmethod
    def max_memory_allocated(cls, device=None):
        return 0

    @classmethod
    def get_free_memory(cls, device=None):
        return psutil.virtual_memory().available

    @classmethod
    def get_device_memory(cls, device=None):
        memory = psutil.virtual_memory()
        return memory.available, memory.total

    @classmethod
    def get_omni_ar_worker_cls(cls):
        raise NotImplementedError

    @classmethod
    def get_omni_generation_worker_cls(cls):
        raise NotImplementedError
