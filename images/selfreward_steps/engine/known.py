"""Architectures that vLLM need not look into: imported by a process that is to become a server.

vLLM (0.26 to 0.32) starts another Python that imports everything once more, to learn what an architecture can do: a
fifth of a machine's first start. A class that it has been given it looks into by itself.
"""

from vllm import ModelRegistry

for _architecture in ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"):
    if _architecture in ModelRegistry.models:
        ModelRegistry.register_model(_architecture, ModelRegistry.models[_architecture].load_model_cls())
