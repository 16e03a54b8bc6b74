"""`wassergan env`."""

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

PACKAGES = (
    *("wassergan", "torch", "numpy", "scipy", "scikit-learn", "pillow", "matplotlib", "POT", "pyarrow"),
    *("tensorboard", "onnx", "onnxscript", "safetensors"),
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def env(as_json: bool) -> None:
    """Say what this installation runs on: versions, processors, accelerators. Paste it into bug reports.

    \b
    Example:
      wassergan env --json
    """
    facts = environment()
    if as_json:
        click.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        click.echo(f"{name:<16} {value}")


def environment() -> dict[str, Any]:
    """Versions of the packages, the machine, and what torch can use of it."""
    import torch

    facts: dict[str, Any] = {name: _version(name) for name in PACKAGES}
    facts |= {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch_threads": torch.get_num_threads(),
        "cuda": torch.version.cuda or "none",
        "devices": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
    }
    return facts


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
