"""The 1797 handwritten digits that scikit-learn carries: 8×8, grey levels 0 to 16."""

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from wassergan.data.arrays import ArrayReader
from wassergan.data.codec import pixel_codec
from wassergan.data.source import Source, split_rows

TOP_LEVEL = 16
HELDOUT_SHARE = 360 / 1797  # a tenth would be too few to measure a distance against


def digit_labels() -> NDArray[np.int64]:
    """Which digit each picture shows, (1797,)."""
    labels: NDArray[np.int64] = load_digits().target.astype(np.int64)
    return labels


def digits_source(*, heldout: float = HELDOUT_SHARE, seed: int = 0) -> Source:
    """The bundled digits. User units: whole grey levels 0..16 as float32, (n, 8, 8).

    Args:
        heldout: share held out.
        seed: chooses the held-out rows.
    """
    pictures = load_digits().images.astype(np.float32)
    return Source(
        "digits",
        "image",
        (1, 8, 8),
        ArrayReader(pictures),
        pixel_codec("NHW", dtype="float32", top=TOP_LEVEL),
        split_rows(len(pictures), heldout=heldout, seed=seed),
    )
