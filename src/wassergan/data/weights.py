"""Weights of rows, as surveys have them: how many like it each row stands for."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.errors import UserError

Weights = NDArray[np.float64]


def checked_weights(
    values: Any, *, count: int, name: str, row_name: Callable[[int], str] = lambda row: f"row {row}"
) -> Weights:
    """Weights (count,) whose largest is 1.

    Args:
        values: numbers that are not negative; in proportion to them rows are drawn and counted.
        count: of rows.
        name: what the weights are called.
        row_name: says where a row stands.

    Raises:
        UserError: another number of them; one that is negative, missing or infinite; or none above 0.
    """
    weights = _numbers(values, name)
    if weights.shape != (count,):
        raise UserError(f"{count} rows need {count} weights", found=f"{name} of shape {weights.shape}")
    for wrong, what in (
        (np.isnan(weights), "missing"),
        (np.isinf(weights), "infinite"),
        (np.nan_to_num(weights) < 0, "negative"),
    ):
        if wrong.any():
            raise UserError(
                f"{name} holds weights that are {what}",
                found=f"{int(wrong.sum())} of {count}, the first in {row_name(int(wrong.argmax()))}",
                hint="give each row a finite number from 0 on; 0 leaves a row out",
            )
    if not weights.any():
        raise UserError(f"{name} holds zero weights alone", hint="give the rows that are to be learnt from a weight")
    scaled: Weights = weights / weights.max()
    return scaled


def _numbers(values: Any, name: str) -> Weights:
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    if np.ma.is_masked(values):
        raise UserError(f"{name} holds weights that are missing", found="a mask", hint="fill them in")
    if hasattr(values, "to_numpy"):
        values = values.to_numpy()
    if isinstance(values, np.ndarray) and values.dtype.kind == "O":  # nothing in pandas, which no float is made from
        values = [np.nan if each is None or type(each).__name__ == "NAType" else each for each in values.tolist()]
    try:
        numbers: Weights = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} holds weights that are no numbers", found=f"{error}"[:80]) from error
    return numbers


def effective_count(weights: Weights) -> float:
    """How many rows of equal weight tell as much: (Σw)² / Σw².

    Source: Kish 1965, Survey Sampling, section 11.7.
    """
    return float(weights.sum() ** 2 / (weights**2).sum())


def are_equal(weights: Weights) -> bool:
    """Whether no row counts more than another."""
    return bool((weights == weights[0]).all())


def proportional_positions(weights: Weights, count: int, *, rng: torch.Generator) -> Tensor:
    """Positions (count,) in proportion to weights (n,), in random order.

    A systematic sample: each position comes ⌊count·w/Σw⌋ or ⌈count·w/Σw⌉ times; with equal weights and as many as
    there are, each once. Source: Madow 1949, Ann. Math. Statist. 20(3).

    Args:
        weights: not negative, not all 0.
        count: how many positions.
        rng: of the start, and of the order.
    """
    ends = np.cumsum(weights)
    start = torch.rand((), generator=rng, dtype=torch.float64).item()
    marks = (np.arange(count) + start) * (ends[-1] / count)
    # Rounding may push the last mark to the end of all, behind which nothing is.
    last = int(np.flatnonzero(weights)[-1])
    found = torch.from_numpy(np.searchsorted(ends, marks, side="right").clip(max=last).astype(np.int64))
    return found[torch.randperm(count, generator=rng)]
