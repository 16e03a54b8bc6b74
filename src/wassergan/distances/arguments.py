"""Numbers, names and sources of randomness that a caller hands over, checked at once and by one rule everywhere."""

import math
from typing import Any, SupportsIndex

import numpy as np
import torch

from wassergan.errors import UserError, unknown_name

FINITE_SAMPLE, ASYMPTOTIC = "finite-sample", "asymptotic"
METHODS = (FINITE_SAMPLE, ASYMPTOTIC)
Randomness = torch.Generator | np.random.Generator | int
_LARGEST = 2**63 - 1


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
    seed = None if isinstance(rng, bool) or not isinstance(rng, SupportsIndex) else _index(rng)
    if seed is None or not 0 <= seed < 2**63:
        raise UserError(
            "rng must be a torch generator, a NumPy generator or a seed",
            found=_shown(rng),
            mend="pass rng=0, for example",
        )
    return torch.Generator().manual_seed(seed)


def check_confidence(confidence: Any) -> float:
    """A number in (0, 1) whose risk 1 - confidence is a number in (0, 1) as well."""
    value = check_number(confidence, name="The confidence")
    if not (0 < value < 1 and 0 < 1 - value < 1):
        raise UserError("The confidence must lie between 0 and 1", found=f"{confidence}")
    return value


def check_positive(number: Any, *, name: str) -> float:
    """A positive, finite number."""
    value = check_number(number, name=name)
    if not (math.isfinite(value) and value > 0):
        raise UserError(f"{name} must be positive and finite", found=f"{number}")
    return value


def check_diameter(diameter: Any, method: str) -> float | None:
    """A positive, finite number, or None for a diameter that nobody knows."""
    if diameter is None:
        return None
    if method == ASYMPTOTIC:
        raise UserError(
            "A diameter serves finite-sample bounds alone", found="the asymptotic method", mend="leave it out"
        )
    return check_positive(diameter, name="The diameter")


def check_tolerance(tolerance: Any) -> float:
    """A finite number that is not negative."""
    value = check_number(tolerance, name="The tolerance")
    if not (math.isfinite(value) and value >= 0):
        raise UserError("The tolerance must be finite and not negative", found=f"{tolerance}")
    return value


def check_budget(seconds: Any) -> float:
    """A positive number, infinity included."""
    value = check_number(seconds, name="The budget")
    if not value > 0:
        raise UserError("The budget must be positive", found=f"{seconds} seconds")
    return value


def check_count(count: Any, *, name: str, least: int = 1) -> int:
    """A whole number from `least` on."""
    value = None if isinstance(count, bool) or not isinstance(count, SupportsIndex) else _index(count)
    if value is None or value < least:
        raise UserError(f"{name} must be a whole number of at least {least}", found=_shown(count))
    if value > _LARGEST:
        raise UserError(f"{name} must be below 2^63", found=f"a number of {value.bit_length()} bits")
    return value


def check_method(method: Any) -> str:
    """The name of a way to bound the distance of distributions."""
    if not isinstance(method, str) or method not in METHODS:
        raise unknown_name("method of bounds", str(method), METHODS)
    return str(method)


def check_number(value: Any, *, name: str) -> float:
    """A float, which a number of any type gives and a text does not."""
    try:
        if isinstance(value, bool | str | bytes):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise UserError(f"{name} must be a number", found=_shown(value)) from None


def _index(value: SupportsIndex) -> int | None:
    """Arrays have `__index__` too, which raises unless they hold one whole number."""
    try:
        return value.__index__()
    except (TypeError, ValueError, RuntimeError):
        return None


def _shown(value: Any) -> str:
    """Whole numbers beyond 4300 digits have no text."""
    if isinstance(value, int) and abs(value) > _LARGEST:
        return f"a whole number of {value.bit_length()} bits"
    return repr(value)
