"""Missing values as the figures and the metrics take them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data import Codec


def without_missing(samples: NDArray[Any], codec: Codec) -> NDArray[np.float64]:
    """Samples in float64, with NaN where a value is missing."""
    values = samples.astype(np.float64)
    values[codec.missing(samples)] = np.nan
    return values
