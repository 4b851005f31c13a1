"""What must import before a run is worth starting."""

from __future__ import annotations

from typing import Final

from choice import Device, Engine

_VLLM: Final = (
    "import torch, vllm.entrypoints.openai.api_server;"
    "from vllm.platforms import current_platform as platform; platform.import_kernels();"
    "assert platform.device_type == {device!r}, 'it would serve on ' + platform.device_type + ', not on {device}'"
)
# Its kernels are a library for each kind of processor, of which it loads one. To vLLM a library that does not load is
# only a warning, without the reason: the loader tells that.
_KERNELS: Final = (
    "import ctypes, glob;"
    "hasattr(torch.ops._C, 'rms_norm') or [ctypes.CDLL(each) for each in glob.glob(vllm.__path__[0] + '/_C*.so')];"
    "torch.ops._C.rms_norm"
)
TORCH: Final = {
    Device.CPU: "import torch",
    Device.GPU: (
        "import torch; assert torch.cuda.is_available(), 'it cannot use the GPU: its CUDA 13 needs driver 580 or newer;"
        " make setup DEVICE=cpu does without'"
    ),
}
TRAINERS: Final = "from trl import DPOTrainer, SFTTrainer"
ENGINES: Final = {
    Engine.VLLM: _VLLM.format(device="cuda"),
    Engine.VLLM_CPU: f"{_VLLM.format(device='cpu')}; {_KERNELS}",
    Engine.TRANSFORMERS: (
        "import uvicorn; from transformers.cli.serve import is_serve_available;"
        "from transformers.cli.serving import chat_completion, server;"
        "assert is_serve_available(), 'what transformers serve needs is not installed'"
    ),
}
