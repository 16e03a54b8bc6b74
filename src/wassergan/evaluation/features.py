"""Features of samples, by name; the metrics are computed on them."""

import hashlib
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from wassergan.errors import UserError, parameter, unknown_name
from wassergan.storage.files import reading

LARGEST_PIXELS = 3072  # numbers of a 32×32 picture with colours; larger pictures are averaged down
CONV_MAPS = (32, 64, 128)
CONV_SEED = 20170126
CHUNK = 256
MODULE_SUFFIXES = (".pt", ".pth", ".ts", ".pt2")


@dataclass(frozen=True)
class Samples:
    """What features need to know about their samples.

    Args:
        name: used in messages.
        shape: of one sample in model space, (C, H, W) or (D,).
        are_pictures: their values are grey or colour levels.
    """

    name: str
    shape: tuple[int, ...]
    are_pictures: bool = False

    @property
    def are_flat(self) -> bool:
        """Whether a sample is a vector, not a grid."""
        return len(self.shape) == 1


@dataclass(frozen=True)
class Features:
    """A map from samples to vectors.

    Attributes:
        name: for the protocol.
        note: what it is, in words.
        extract: samples (k, *shape) float32 in model space to (k, d).
        identity: distinguishes this map from others of the same name, for caches; empty if caching is not worth it.
    """

    name: str
    note: str
    extract: Callable[[Tensor], Tensor]
    identity: str = ""

    def of(self, chunks: Iterator[Tensor], *, log: Callable[[int], None] = lambda done: None) -> Tensor:
        """Features (n, d) float32 on the CPU of samples in chunks of any size.

        Raises:
            UserError: the map does not give one finite vector per sample.
        """
        found: list[Tensor] = []
        for chunk in chunks:
            for part in chunk.split(CHUNK):
                with torch.inference_mode():
                    features = self.extract(part)
                found.append(self._checked(features, len(part)))
            log(len(chunk))
        return torch.cat(found)

    def _checked(self, features: Any, count: int) -> Tensor:
        shape = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        if not isinstance(features, Tensor) or features.dim() < 2 or len(features) != count:
            raise UserError(
                f"The features {self.name} are not one vector per sample", found=f"{shape} for {count} samples"
            )
        vectors: Tensor = features.flatten(1).float().cpu()
        if not torch.isfinite(vectors).all():
            raise UserError(f"The features {self.name} hold values that are not finite")
        return vectors


def get_features(name: str, samples: Samples, *, device: torch.device) -> Features:
    """Features by name, or from a file.

    Args:
        name: `pixels`, `random-conv`, `inception`, `inception:WEIGHTS`, or a TorchScript (`.pt`) or exported (`.pt2`)
            module that takes (k, *shape) float32 in model space and gives (k, d).
        samples: their description.
        device: where to compute.

    Raises:
        UserError: an unknown name, a file that cannot be loaded, or samples that do not suit.
    """
    stem, _, argument = name.partition(":")
    if stem in FEATURES and (stem == "inception" or not argument):
        return FEATURES[stem](samples, device, argument)
    if Path(name).suffix in MODULE_SUFFIXES:
        return module_features(Path(name), device)
    raise unknown_name("features", name, (*FEATURES, "FILE.pt", "FILE.pt2"))


def _pixels(samples: Samples, device: torch.device, argument: str) -> Features:
    size = math.prod(samples.shape)
    if samples.are_flat or size <= LARGEST_PIXELS:
        return Features("pixels", "the values themselves, in model units", lambda batch: batch.flatten(1))
    sides = samples.shape[1:]
    factor = (LARGEST_PIXELS / size) ** (1 / len(sides))
    small = tuple(max(1, int(side * factor)) for side in sides)
    pooled: Callable[[Tensor, Any], Tensor] = (
        functional.adaptive_avg_pool3d if len(sides) == 3 else functional.adaptive_avg_pool2d
    )
    name = "x".join(map(str, small))
    return Features(
        f"pixels-{name}",
        f"the values, averaged down to {name}, in model units",
        lambda batch: pooled(batch, small).flatten(1),
    )


def _random_conv(samples: Samples, device: torch.device, argument: str) -> Features:
    if samples.are_flat or len(samples.shape) == 4:
        raise UserError(
            "Random convolutions describe pictures and fields", hint=f"use {parameter('features', 'pixels')}"
        )
    layers = [(weight.to(device), bias.to(device)) for weight, bias in random_layers(samples.shape[0])]
    return Features(
        "random-conv",
        f"{len(CONV_MAPS)} layers of random convolutions, fixed seed",
        lambda batch: through_layers(batch.to(device), layers),
        identity=f"{CONV_MAPS}, {CONV_SEED}",
    )


def random_layers(channels: int) -> list[tuple[Tensor, Tensor]]:
    """Weights and biases of 3×3 convolutions, always the same; drawn without the global random numbers."""
    rng = torch.Generator().manual_seed(CONV_SEED)
    layers = []
    for maps in CONV_MAPS:
        weight = torch.randn(maps, channels, 3, 3, generator=rng) * math.sqrt(2 / (9 * channels))
        layers.append((weight, 0.1 * torch.randn(maps, generator=rng)))
        channels = maps
    return layers


def through_layers(batch: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Means over the quarters of every layer's maps, (k, 4 × all maps), of (k, C, H, W)."""
    found = []
    for weight, bias in layers:
        batch = functional.relu(functional.conv2d(batch, weight, bias, padding=1))
        found.append(functional.adaptive_avg_pool2d(batch, 2).flatten(1))
        if min(batch.shape[2:]) > 1:
            batch = functional.avg_pool2d(batch, 2)
    return torch.cat(found, dim=1)


def module_features(path: Path, device: torch.device) -> Features:
    """Features from a TorchScript file or an exported program; both contain code, so use only files that you trust.

    Raises:
        UserError: there is no such file, or it cannot be loaded.
    """
    if not path.is_file():
        raise UserError(f"There is no {path}", hint="give a TorchScript (.pt) or exported (.pt2) module")
    try:
        module = _load(path, device)
    except Exception as error:  # damaged bytes surface as whatever zip's and torch's own parsers raise
        raise UserError(
            f"{path} cannot be loaded as a module",
            found=str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
            hint="save it with torch.jit.save, or with torch.export.save under a name that ends in .pt2",
        ) from error

    def extract(batch: Tensor) -> Tensor:
        try:
            features: Tensor = module(batch.to(device))
        except (RuntimeError, TypeError, ValueError, AssertionError) as error:
            raise UserError(
                f"The module {path} does not take these samples",
                found=f"{tuple(batch.shape)} float32: {str(error).strip().splitlines()[-1]}",
                hint="export it for that shape, with a first axis of any size",
            ) from error
        return features

    with reading(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return Features(path.name, f"the module {path.name}, sha256 {digest}", extract, identity=digest)


def _load(path: Path, device: torch.device) -> Callable[[Tensor], Tensor]:
    if path.suffix == ".pt2":
        with reading(path) as file:
            program: Callable[[Tensor], Tensor] = torch.export.load(file).module().to(device)
        return program
    with warnings.catch_warnings():
        # Files in this format are there, and read for as long as PyTorch does.
        warnings.filterwarnings("ignore", r"`torch\.jit\.load` is deprecated")
        with reading(path) as file:
            scripted: Callable[[Tensor], Tensor] = torch.jit.load(file, map_location=device).eval()
    return scripted


def _inception(samples: Samples, device: torch.device, argument: str) -> Features:
    from wassergan.evaluation.inception import inception_features

    if not samples.are_pictures or samples.shape[0] not in (1, 3):
        raise UserError(
            "The Inception network sees pictures in grey or RGB",
            found=f"{samples.name} samples of shape {samples.shape}",
            hint=f"use {parameter('features', 'pixels')}, random-conv or a module of your own",
        )
    extract, digest = inception_features(Path(argument) if argument else None, device)
    return Features("inception", f"Inception pool features (2048), weights sha256 {digest}", extract, identity=digest)


FEATURES: dict[str, Callable[[Samples, torch.device, str], Features]] = {
    "pixels": _pixels,
    "random-conv": _random_conv,
    "inception": _inception,
}
