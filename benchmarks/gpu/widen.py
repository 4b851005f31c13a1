"""A larger model that says what a small one says: `python benchmarks/gpu/widen.py SMALL FACTOR TARGET`.

Random weights of any size can be timed, but they state no scores, so nothing follows on their judgements. This repeats
each channel, head and neuron of a Llama FACTOR times and divides by FACTOR where they are summed up, which leaves its
function as it is: SmolLM2-135M-Instruct times 4 has 1.8 billion parameters, and answers and judges like itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

SUMMED = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Matrices whose inputs are repeated, so their products are summed FACTOR times."""


def widen(small: LlamaForCausalLM, factor: int) -> LlamaForCausalLM:
    """The same function with FACTOR times the width; the numbers of layers and of channels a head stay."""
    own = small.config
    wide = LlamaConfig(**own.to_dict())
    for field in ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads"):
        setattr(wide, field, getattr(own, field) * factor)
    wide.head_dim = own.hidden_size // own.num_attention_heads
    with torch.device(small.device):
        model = LlamaForCausalLM(wide).to(small.dtype)
    weights = small.state_dict()
    for name, parameter in model.named_parameters():
        old = weights[name]
        if any(part in name for part in SUMMED):
            parameter.data = old.repeat(factor, factor) / factor
        elif old.dim() == 2:
            parameter.data = old.repeat(1, factor)
        else:
            # The last norm stands before the tied head, which sums the repeated channels too.
            parameter.data = old.repeat(factor) / (factor if name == "model.norm.weight" else 1)
    return model


def main() -> None:
    source, factor, target = sys.argv[1:]
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16)
    wide = widen(model, int(factor))
    wide.save_pretrained(target)
    AutoTokenizer.from_pretrained(source).save_pretrained(target)
    (Path(target) / "generation_config.json").write_bytes((Path(source) / "generation_config.json").read_bytes())
    print(f"{wide.num_parameters():,} parameters in {target}")


if __name__ == "__main__":
    main()
