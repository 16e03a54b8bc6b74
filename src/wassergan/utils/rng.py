"""Independent random streams from one seed."""

from zlib import crc32

import numpy as np
import torch


def derived_seed(seed: int, *path: str | int) -> int:
    """A seed for the stream named by `path`; different paths give independent streams.

    >>> derived_seed(0, "latent") != derived_seed(0, "penalty") != derived_seed(1, "penalty")
    True
    """
    words = [part if isinstance(part, int) else crc32(part.encode()) for part in path]
    return int(np.random.SeedSequence([seed, *words]).generate_state(1, np.uint64)[0] >> 1)


def derived_rng(seed: int, *path: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for the stream named by `path`, on a device."""
    return torch.Generator(device).manual_seed(derived_seed(seed, *path))
