"""Fine-tuning a model on one machine or many, on top of TRL: what `sft` and `dpo` have in common.

Importing this package prepares the process for the libraries below it, so it comes before torch and transformers:
models and data are local artifacts here, and nothing may ask a hub for anything, or tell it.
"""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if "RANK" not in os.environ:
    # Without torchrun one process drives one GPU: several visible ones would become torch.nn.DataParallel, which TRL
    # refuses.
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
