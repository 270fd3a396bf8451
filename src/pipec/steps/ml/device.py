"""The one place that chooses a device, says which, and sets what PyTorch keeps for the whole process."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch


def choose(threads: int, log: Callable[[str], None]) -> torch.device:
    """Return the device to train on: the first GPU if there is one, else the CPU with `threads` cores; and say so."""
    # Read when CUDA starts: without it cuBLAS may add in another order on every call (CUDA, cuBLAS reproducibility).
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(max(1, threads))
    if torch.cuda.is_available():
        others = torch.cuda.device_count() - 1
        log(f"training on GPU 0, {torch.cuda.get_device_name(0)}" + (f" ({others} more left idle)" if others else ""))
        return torch.device("cuda", 0)
    log(f"training on the CPU with {max(1, threads)} threads: no GPU was found")
    return torch.device("cpu")
