"""What a bound on the distance of distributions is asked to claim, checked at once and by one rule everywhere."""

import math
from typing import Any, SupportsIndex

from wassergan.errors import UserError, unknown_name

FINITE_SAMPLE, ASYMPTOTIC = "finite-sample", "asymptotic"
METHODS = (FINITE_SAMPLE, ASYMPTOTIC)


def check_confidence(confidence: Any) -> float:
    """A number in (0, 1) whose risk 1 - confidence is a number in (0, 1) as well."""
    value = _number(confidence, "The confidence")
    if not (0 < value < 1 and 0 < 1 - value < 1):
        raise UserError("The confidence must lie between 0 and 1", found=f"{confidence}")
    return value


def check_positive(number: Any, *, name: str) -> float:
    """A positive, finite number."""
    value = _number(number, name)
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
    value = _number(tolerance, "The tolerance")
    if not (math.isfinite(value) and value >= 0):
        raise UserError("The tolerance must be finite and not negative", found=f"{tolerance}")
    return value


def check_budget(seconds: Any) -> float:
    """A positive number, infinity included."""
    value = _number(seconds, "The budget")
    if not value > 0:
        raise UserError("The budget must be positive", found=f"{seconds} seconds")
    return value


def check_count(count: Any, *, name: str, least: int = 1) -> int:
    """A whole number from `least` on."""
    if isinstance(count, bool) or not isinstance(count, SupportsIndex):
        raise UserError(f"{name} must be a whole number", found=f"{count!r}")
    value = count.__index__()
    if value < least:
        raise UserError(f"{name} must be at least {least}", found=f"{value}")
    return value


def check_method(method: Any) -> str:
    """The name of a way to bound the distance of distributions."""
    if method not in METHODS:
        raise unknown_name("method of bounds", str(method), METHODS)
    return str(method)


def _number(value: Any, name: str) -> float:
    try:
        if isinstance(value, bool | str | bytes):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise UserError(f"{name} must be a number", found=f"{value!r}") from None
