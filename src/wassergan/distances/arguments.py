"""Numbers and sources of randomness that a caller hands over, checked."""

import math
import operator
from typing import Any

import numpy as np
import torch

from wassergan.errors import UserError

Randomness = torch.Generator | np.random.Generator | int


def as_generator(rng: Any) -> torch.Generator:
    """A torch generator: the caller's, or one seeded by a whole number or by a draw of a NumPy generator.

    Raises:
        UserError: anything else, or a negative seed.
    """
    if isinstance(rng, torch.Generator):
        return rng
    if isinstance(rng, np.random.Generator):
        return torch.Generator().manual_seed(int(rng.integers(2**63)))
    if isinstance(rng, np.random.RandomState):
        return torch.Generator().manual_seed(int(rng.randint(2**31)))
    if rng is None or isinstance(rng, bool | float):
        seed = None
    else:
        try:
            seed = operator.index(rng)
        except TypeError:
            seed = None
    if seed is None or not 0 <= seed < 2**63:
        raise UserError(
            "rng must be a torch generator, a NumPy generator or a seed",
            found=f"{rng!r}",
            mend="pass rng=0, for example",
        )
    return torch.Generator().manual_seed(seed)


def whole(value: Any, *, name: str, least: int) -> int:
    """A whole number of at least `least`.

    Raises:
        UserError: no whole number, or one below.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise UserError(f"{name} must be a whole number of at least {least}", found=f"{value!r}")
    return number


def tolerance_of(value: Any) -> float:
    """A relative tolerance: finite and not negative.

    Raises:
        UserError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise UserError("The tolerance must be a number", found=f"{value!r}")
    if not (math.isfinite(value) and value >= 0):
        raise UserError("The tolerance must be finite and not negative", found=f"{value}")
    return float(value)
