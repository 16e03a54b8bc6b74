"""Exact sums of masses: what a certificate says about a total must not depend on the order of its parts."""

import torch
from torch import Tensor

_UNIT = 2.0**52


def _parts(mass: Tensor) -> tuple[Tensor, Tensor]:
    """Multiples of 2⁻⁵², which add up exactly in any order while the sums stay within ±2, and the remainders."""
    high = (mass * _UNIT).round() / _UNIT
    return high, mass - high


def cumulative(mass: Tensor) -> Tensor:
    """Running sums of signed masses along the last axis, with partial sums within ±2; each is rounded once."""
    high, low = _parts(mass)
    return high.cumsum(-1) + low.cumsum(-1)


def grouped(index: Tensor, mass: Tensor, groups: int) -> Tensor:
    """The mass of each group, shape (groups,), rounded once; the total is at most 2.

    Args:
        index: the group of each mass, shape (n,).
        mass: shape (n,).
        groups: their number.
    """
    if len(mass) and mass.min() == mass.max() == 1 / len(mass):
        return torch.bincount(index, minlength=groups).double() / len(mass)
    high, low = (torch.zeros(groups, dtype=torch.float64).index_add_(0, index, part) for part in _parts(mass))
    return high + low
