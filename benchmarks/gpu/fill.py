"""A stranger on a GPU: takes what is free of the visible one, holds it, and lets go. SECONDS; prints lines of JSON.

It waits until more than half is free, so that it disturbs nobody at work: who comes next finds the GPU full.
"""

from __future__ import annotations

import json
import sys
import time

import torch

_LEFT = 512 << 20
"""Bytes that are left: to take the last is refused."""
_PATIENCE = 120
"""Seconds to wait for a GPU to be free."""


def main() -> None:
    seconds = float(sys.argv[1])
    if not torch.cuda.is_available():
        tell("skipped: no GPU", 0)
        return
    until = time.monotonic() + _PATIENCE
    free, total = torch.cuda.mem_get_info()
    while free < total // 2:
        if time.monotonic() > until:
            tell("skipped: never free", free)
            return
        time.sleep(0.02)
        free, total = torch.cuda.mem_get_info()
    held: list[torch.Tensor] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        free, _ = torch.cuda.mem_get_info()
        if free > 2 * _LEFT:
            try:
                held.append(torch.empty(free - _LEFT, dtype=torch.uint8, device="cuda"))
                tell("holds", sum(each.numel() for each in held))
            except torch.OutOfMemoryError:
                pass
        time.sleep(0.02)
    tell("lets go", sum(each.numel() for each in held))


def tell(what: str, count: int) -> None:
    print(json.dumps({"at": time.time(), "fill": what, "gib": round(count / (1 << 30), 1)}), flush=True)


if __name__ == "__main__":
    main()
