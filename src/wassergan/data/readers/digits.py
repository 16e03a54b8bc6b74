"""The 1797 handwritten digits that scikit-learn carries: 8×8, grey levels 0 to 16."""

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wassergan.data.codec import pixel_codec
from wassergan.data.readers.arrays import ArrayReader
from wassergan.data.source import Source
from wassergan.data.split import split_rows
from wassergan.storage.files import reading

TOP_LEVEL = 16
HELDOUT_SHARE = 360 / 1797  # a tenth would be too few to measure a distance against


def digit_labels() -> NDArray[np.int64]:
    """Which digit each picture shows, (1797,)."""
    return _rows()[:, -1].astype(np.int64)


def digits_source(*, heldout: float = HELDOUT_SHARE, seed: int = 0) -> Source:
    """The bundled digits. User units: whole grey levels 0..16 as float32, (n, 8, 8).

    Args:
        heldout: share held out.
        seed: chooses the held-out rows.
    """
    pictures = _rows()[:, :-1].reshape(-1, 8, 8).astype(np.float32)
    return Source(
        "digits",
        "image",
        (1, 8, 8),
        ArrayReader(pictures),
        pixel_codec("NHW", dtype="float32", top=TOP_LEVEL),
        split_rows(len(pictures), heldout=heldout, seed=seed),
    )


def _rows() -> NDArray[np.float64]:
    """64 grey levels and the label, (1797, 65): from scikit-learn's file, as its import takes longer than all else."""
    package = find_spec("sklearn")
    assert package is not None and package.origin is not None
    file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if file.is_file():
        with reading(file) as packed, gzip.open(packed) as lines:
            return np.loadtxt(lines, delimiter=",")
    from sklearn.datasets import load_digits  # where its files lie elsewhere

    digits = load_digits()
    return np.column_stack([digits.data, digits.target])
