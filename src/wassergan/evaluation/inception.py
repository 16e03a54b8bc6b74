"""The Inception network of 2015 behind published FID and KID values, from the package torch-fidelity."""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from wassergan.errors import UserError, WorkError, parameter
from wassergan.storage.arrays import load_tensors

PACKAGE, LAYER = "torch_fidelity", "2048"


def inception_features(weights: Path | None, device: torch.device) -> tuple[Callable[[Tensor], Tensor], str]:
    """A map from pictures (k, C, H, W) in [-1, 1] to (k, 2048), and a digest of its weights.

    Args:
        weights: a state dict in torch-fidelity's names; None downloads the package's own.
        device: where to compute.

    Raises:
        UserError: the package or the file is missing, or the file is not such a state dict.
        WorkError: the weights could not be downloaded.
    """
    extractor_class = _extractor_class()
    if weights is not None:
        _check(weights)
    try:
        network = extractor_class("inception", [LAYER], feature_extractor_weights_path=weights and str(weights))
    except OSError as error:  # urllib's errors are among them
        raise WorkError(
            "The Inception weights could not be fetched",
            found=str(error),
            hint=f"get them on a connected machine and give the file: {parameter('features', 'inception:WEIGHTS.pth')}",
        ) from error
    except RuntimeError as error:  # names or shapes of the weights
        raise UserError(
            f"{weights} does not hold the weights of this network", found=str(error).splitlines()[0]
        ) from error
    network = network.to(device)

    def extract(batch: Tensor) -> Tensor:
        features: Tensor = network(as_bytes(batch).to(device))[0]
        return features

    return extract, _digest(network)


def as_bytes(batch: Tensor) -> Tensor:
    """Pictures in [-1, 1] as RGB bytes (k, 3, H, W); grey ones get three equal channels."""
    levels = ((batch.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return levels.expand(-1, 3, -1, -1)


def _extractor_class() -> Any:
    """The network's class, imported without the package itself, which imports torchvision for its data sets."""
    if PACKAGE in sys.modules:
        return importlib.import_module(f"{PACKAGE}.feature_extractor_inceptionv3").FeatureExtractorInceptionV3
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.submodule_search_locations is None:
        raise UserError(
            "Inception features come from the package torch-fidelity, which is not installed",
            hint="pip install 'wassergan[inception]'",
        )
    door = ModuleType(PACKAGE)
    door.__path__ = list(spec.submodule_search_locations)
    sys.modules[PACKAGE] = door
    try:
        return importlib.import_module(f"{PACKAGE}.feature_extractor_inceptionv3").FeatureExtractorInceptionV3
    finally:
        for name in [each for each in sys.modules if each.split(".")[0] == PACKAGE]:
            del sys.modules[name]


def _check(weights: Path) -> None:
    """Refuse a file that holds anything but tensors: the package would run pickled code."""
    if not weights.is_file():
        raise UserError(f"There is no {weights}", hint="give the file of the Inception weights")
    try:
        content = load_tensors(weights)
    except Exception as error:
        raise UserError(f"{weights} is no file of weights alone", found=str(error).splitlines()[0]) from error
    if not isinstance(content, dict):
        raise UserError(f"{weights} is no state dict", found=type(content).__name__)


def _digest(network: torch.nn.Module) -> str:
    total = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        total.update(name.encode())
        total.update(value.cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:16]
