"""Checks of numbers, names and sources of randomness passed by a caller, with the same rules everywhere."""

import inspect
import math
from typing import Any, SupportsIndex

import numpy as np
import torch

from wassergan.errors import UserError, unknown_name

FINITE_SAMPLE, ASYMPTOTIC = "finite-sample", "asymptotic"
METHODS = (FINITE_SAMPLE, ASYMPTOTIC)
Randomness = torch.Generator | np.random.Generator | int
_LARGEST = 2**63 - 1
LONGEST = 80  # characters of a value in a message
_NO_NUMBERS = (
    bool,
    str,
    bytes,
    bytearray,
    complex,  # NumPy's complex128 among them
    np.bool_,
    np.complexfloating,
    np.datetime64,
    np.timedelta64,
    np.void,
    np.ma.MaskedArray,
)


def as_generator(rng: Any) -> torch.Generator:
    """A torch generator: the caller's, or one seeded by an integer or by a draw from a NumPy generator.

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
            found=shown(rng),
            hint="pass rng=0, for example",
        )
    return torch.Generator().manual_seed(seed)


def check_confidence(confidence: Any) -> float:
    """A number in (0, 1) whose risk 1 - confidence is a number in (0, 1) as well."""
    value = check_number(confidence, name="The confidence")
    if not (0 < value < 1 and 0 < 1 - value < 1):
        raise UserError("The confidence must lie between 0 and 1", found=shown(confidence))
    return value


def check_positive(number: Any, *, name: str) -> float:
    """A positive, finite number."""
    value = check_number(number, name=name)
    if not (math.isfinite(value) and value > 0):
        raise UserError(f"{name} must be positive and finite", found=shown(number))
    return value


def check_diameter(diameter: Any, method: str) -> float | None:
    """A positive, finite number, or None for an unknown diameter."""
    if diameter is None:
        return None
    if method == ASYMPTOTIC:
        raise UserError(
            "A diameter serves finite-sample bounds alone", found="the asymptotic method", hint="leave it out"
        )
    return check_positive(diameter, name="The diameter")


def check_tolerance(tolerance: Any) -> float:
    """A finite number that is not negative."""
    value = check_number(tolerance, name="The tolerance")
    if not (math.isfinite(value) and value >= 0):
        raise UserError("The tolerance must be finite and not negative", found=shown(tolerance))
    return value


def check_budget(seconds: Any) -> float:
    """A positive number, infinity included."""
    value = check_number(seconds, name="The budget")
    if not value > 0:
        raise UserError("The budget must be positive", found=f"{shown(seconds)} seconds")
    return value


def check_count(count: Any, *, name: str, least: int = 1) -> int:
    """An integer of at least `least`."""
    value = None if isinstance(count, bool) or not isinstance(count, SupportsIndex) else _index(count)
    if value is None or value < least:
        raise UserError(f"{name} must be a whole number of at least {least}", found=shown(count))
    if value > _LARGEST:
        raise UserError(f"{name} must be below 2^63", found=f"a number of {value.bit_length()} bits")
    return value


def check_method(method: Any) -> str:
    """The name of a method that bounds the distance of distributions."""
    if not isinstance(method, str) or method not in METHODS:
        raise unknown_name("method of bounds", method if isinstance(method, str) else shown(method), METHODS)
    return str(method)


def check_number(value: Any, *, name: str) -> float:
    """A float from one real number of any type; strings, booleans, dates and arrays of several numbers are refused."""
    number = _float(value)
    if number is None:
        raise UserError(f"{name} must be a number", found=shown(value))
    return number


def check_flag(value: Any, *, name: str) -> bool:
    """True or False, and nothing that is only truthy or falsy."""
    if not isinstance(value, bool | np.bool_):
        raise UserError(f"{name} must be True or False", found=shown(value))
    return bool(value)


def check_function(value: Any, *arguments: Any, name: str) -> None:
    """A callable that accepts these arguments, as far as its signature shows."""
    if not callable(value):
        raise UserError(f"{name} must be a function", found=shown(value))
    try:
        inspect.signature(value).bind(*arguments)
    except ValueError:  # builtins without a signature
        return
    except TypeError as error:
        raise UserError(f"{name} must be a function of {len(arguments)} arguments", found=str(error)) from None


def check_names(names: Any, *, name: str) -> tuple[str, ...]:
    """Strings in any sequence, or one comma-separated string."""
    if isinstance(names, str):
        return tuple(each.strip() for each in names.split(",")) if names.strip() else ()
    try:
        found = list(names)
    except Exception:
        raise UserError(f"{name} are given by their names", found=shown(names)) from None
    for each in found:
        if not isinstance(each, str):
            raise UserError(f"{name} are given by their names", found=shown(each))
    return tuple(map(str, found))


def shown(value: Any) -> str:
    """A value in a message: short, on one line, even if its type cannot be printed."""
    if isinstance(value, int) and abs(value) > _LARGEST:  # beyond 4300 digits they cannot be printed
        return f"a whole number of {value.bit_length()} bits"
    try:
        text = " ".join(repr(value).split())
    except Exception:
        text = f"a {type(value).__name__}"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _float(value: Any) -> float | None:
    if isinstance(value, _NO_NUMBERS) or getattr(value, "ndim", None):
        return None
    if isinstance(value, np.ndarray) and value.dtype.kind not in "fiu":
        return None
    if isinstance(value, torch.Tensor) and (value.is_complex() or value.dtype == torch.bool):
        return None
    try:
        return float(value)
    except Exception:  # third-party objects may raise anything when asked for a number
        return None


def _index(value: SupportsIndex) -> int | None:
    """Arrays have `__index__` too, which raises unless they hold one integer."""
    try:
        return value.__index__()
    except Exception:
        return None
