"""Attention by PyTorch's own function; vLLM-Omni's class knows no CPU."""

from vllm_omni.diffusion.attention.backends.sdpa import SDPABackend, SDPAImpl


class Attention(SDPAImpl):
    def forward(self, query, key, value, attn_metadata=None):
        return self._forward_impl(query, key, value, attn_metadata)


class Backend(SDPABackend):
    @staticmethod
    def get_impl_cls():
        return Attention
