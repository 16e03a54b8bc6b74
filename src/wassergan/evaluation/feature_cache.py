"""Features of real samples, kept in a folder: each evaluation of a run needs the same ones again."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wassergan.data.readers.filearray import FileArray
from wassergan.errors import WorkError
from wassergan.storage.arrays import save_array
from wassergan.storage.files import filling, make_folder, reading, replacing

SEAL_BYTES = 32


class FeatureCache:
    """A folder of features, one file for each sample of the data and each way to describe it.

    Behind the array stands a checksum of it and of what it was computed from: a file that was cut off, changed or
    written by another program is not used.

    Args:
        folder: made when the first features are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, part: str, origin: list[Any], count: int) -> Tensor | None:
        """The features (count, d) that were kept, float32; None where they have to be computed.

        Args:
            part: of the data, for the name of the file.
            origin: all that the features were computed from, in plain JSON types.
            count: of the samples.
        """
        try:
            with reading(self.path(part, origin), follow=False) as file:
                held = FileArray.open(self.path(part, origin))
                if held.dtype != np.float32 or held.ndim != 2 or len(held) != count:
                    return None
                features = torch.from_numpy(np.asarray(held))
                file.seek(-SEAL_BYTES, os.SEEK_END)
                return features if file.read() == _seal(features, origin) else None
        except Exception:  # damaged bytes surface as whatever NumPy's and Python's own parsers raise
            return None

    def keep(self, part: str, origin: list[Any], features: Tensor) -> None:
        """Write them down, if the folder can be written to and is not full; else the next evaluation computes them."""
        with suppress(WorkError):
            make_folder(self._folder)
            with replacing(self.path(part, origin)) as temporary, filling(temporary) as file:
                save_array(file, features.numpy())
                file.write(_seal(features, origin))

    def path(self, part: str, origin: list[Any]) -> Path:
        """The file of some features."""
        return self._folder / f"features-{part}-{_digest(origin)}.npy"


def _digest(origin: list[Any]) -> str:
    return hashlib.sha256(json.dumps(origin).encode()).hexdigest()[:20]


def _seal(features: Tensor, origin: list[Any]) -> bytes:
    content = np.ascontiguousarray(features.numpy()).tobytes()
    return hashlib.sha256(_digest(origin).encode() + content).digest()
