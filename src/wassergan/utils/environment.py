"""The runtime environment, for bug reports and for the record of a run."""

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

PACKAGES = (
    *("wassergan", "torch", "numpy", "scipy", "scikit-learn", "pillow", "matplotlib", "POT", "pyarrow"),
    *("tensorboard", "onnx", "onnxscript", "safetensors", "torch-fidelity"),
)


def environment() -> dict[str, Any]:
    """Versions of the packages, the machine, and the hardware that torch can use."""
    facts: dict[str, Any] = {name: _version(name) for name in PACKAGES}
    facts |= {
        "torch": str(torch.__version__),  # includes the build, which pip's version may lack
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch_threads": torch.get_num_threads(),
        "cuda": torch.version.cuda or "none",
        "devices": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
    }
    return facts


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
