"""Optimal budgeted rejection against bisection, against other acceptances, and on margins of tables."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from wassergan.sampling.acceptance import Calibration, group_of, log_factor
from wassergan.sampling.margins import PARTS, Margins
from wassergan.utils.column_layout import ColumnLayout


def by_bisection(ratios: np.ndarray, share: float) -> float:
    low, high = -700.0 - ratios.max(), 700.0 - ratios.min()
    for _ in range(200):
        middle = (low + high) / 2
        if np.exp(np.minimum(ratios + middle, 0)).mean() < share:
            low = middle
        else:
            high = middle
    return high


@given(
    ratios=st.lists(st.floats(-30, 30), min_size=1, max_size=40),
    draws=st.one_of(st.integers(2, 50), st.floats(1.001, 100)),
)
def test_the_factor_gives_the_mean_acceptance_that_is_asked_for(ratios: list[float], draws: float) -> None:
    values = torch.tensor(ratios, dtype=torch.float64)
    found = log_factor(values, 1 / draws)
    assert float((values + found).clamp(max=0).exp().mean()) == pytest.approx(1 / draws, rel=1e-9)
    assert found == pytest.approx(by_bisection(values.numpy(), 1 / draws), abs=1e-6)
    assert log_factor(values, 1.0) == math.inf


@given(seed=st.integers(0, 2**31), draws=st.integers(2, 6))
def test_no_other_acceptance_of_the_same_budget_comes_nearer_to_the_data(seed: int, draws: int) -> None:
    """Theorem 3.2 of Verine et al. on finite distributions, in total variation and Kullback-Leibler divergence."""
    numbers = np.random.default_rng(seed)
    p, q = numbers.dirichlet(np.ones(8)), numbers.dirichlet(np.ones(8))
    # As many draws of each value as its chance says, so that their mean is the expectation.
    counts = np.maximum((q * 20_000).round(), 1).astype(int)
    q = counts / counts.sum()
    ratios = torch.from_numpy(np.log(p / q))
    calibration = Calibration(
        ratios.repeat_interleave(torch.from_numpy(counts)),
        torch.zeros(counts.sum(), dtype=torch.int64),
        torch.zeros(0, 0),
        torch.zeros(counts.sum(), 0, dtype=torch.int64),
    )
    best = calibration.acceptance(draws).log(ratios, None, None).exp().numpy()
    assert (q * best).sum() == pytest.approx(1 / draws)

    def distances(accepted: np.ndarray) -> np.ndarray:
        kept = q * accepted / (q * accepted).sum()
        return np.array([np.abs(kept - p).sum(), (kept * np.log(kept / p)).sum(), (p * np.log(p / kept)).sum()])

    for _ in range(30):
        other = numbers.random(8) ** numbers.choice([0.3, 1, 3]) * 0.999 + 1e-3
        low, high = 0.0, 1e6  # scaled and cut off at 1 to the same budget
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if (q * np.minimum(middle * other, 1)).sum() < 1 / draws else (low, middle)
        assert (distances(best) <= distances(np.minimum(high * other, 1)) + 1e-6).all()


def test_each_frequent_condition_keeps_its_own_share_and_the_rest_one_together(rng: torch.Generator) -> None:
    patterns = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    context = torch.cat([patterns[:1].expand(500, 2), patterns[1:].expand(300, 2), torch.rand(200, 2, generator=rng)])
    groups = group_of(patterns, context, 1000)
    assert groups.tolist() == [0] * 500 + [1] * 300 + [2] * 200
    ratios = torch.randn(1000, generator=rng) + 3 * groups
    calibration = Calibration(ratios, groups, patterns, torch.zeros(1000, 0, dtype=torch.int64))
    kept = calibration.acceptance(4).log(ratios, context, None).exp()
    for group in range(3):
        assert float(kept[groups == group].mean()) == pytest.approx(0.25)
    assert group_of(patterns, None, 3).tolist() == [2, 2, 2]


def test_what_is_kept_of_a_table_has_the_shares_of_the_data_in_every_column(rng: torch.Generator) -> None:
    """The classifier's ratios are wrong on purpose: they prefer one level of each column."""
    cells = torch.stack([torch.randint(3, (20_000,), generator=rng), torch.randint(5, (20_000,), generator=rng)], 1)
    ratios = torch.randn(20_000, generator=rng) + 1.5 * (cells[:, 0] == 0) - 1.0 * (cells[:, 1] == 4)
    shares = (torch.tensor([0.3, 0.5, 0.2]), torch.tensor([0.1, 0.2, 0.2, 0.2, 0.3]))
    calibration = Calibration(ratios, torch.zeros(20_000, dtype=torch.int64), torch.zeros(0, 0), cells, shares)
    kept = calibration.acceptance(4).log(ratios, None, cells).exp()
    assert float(kept.mean()) == pytest.approx(0.25, abs=1e-9)
    for column, wanted in enumerate(shares):
        found = torch.zeros(len(wanted), dtype=torch.float64).index_add_(0, cells[:, column], kept) / kept.sum()
        torch.testing.assert_close(found, wanted.double(), rtol=0, atol=2e-3)


def test_columns_that_go_with_each_other_do_not_overshoot(rng: torch.Generator) -> None:
    """Fifteen columns that nearly repeat one another."""
    common = torch.randint(4, (20_000,), generator=rng)
    columns = []
    for _ in range(15):
        other = torch.rand(20_000, generator=rng) < 0.15
        columns.append(torch.where(other, torch.randint(4, (20_000,), generator=rng), common))
    cells = torch.stack(columns, 1)
    shares = tuple(torch.bincount(column, minlength=4).double() / 20_000 for column in columns)
    ratios = torch.randn(20_000, generator=rng) + 1.0 * (common == 0)
    calibration = Calibration(ratios, torch.zeros(20_000, dtype=torch.int64), torch.zeros(0, 0), cells, shares)
    kept = calibration.acceptance(4).log(ratios, None, cells).exp()
    for column, wanted in zip(columns, shares, strict=True):
        found = torch.zeros(4, dtype=torch.float64).index_add_(0, column, kept) / kept.sum()
        torch.testing.assert_close(found, wanted, rtol=0, atol=3e-3)


LAYOUTS = (
    ColumnLayout(3),  # three levels
    ColumnLayout(0, places=(0.0,)),  # a number that is always there
    ColumnLayout(2, open_option=1, places=(0.0, 0.0)),  # a number or a special value
    ColumnLayout(0, places=(0.0,), circle=True),
)


def rows_of(count: int, rng: torch.Generator) -> Tensor:
    one_hot = torch.nn.functional.one_hot
    levels = one_hot(torch.randint(3, (count,), generator=rng), 3).float()
    special = one_hot((torch.rand(count, generator=rng) < 0.8).long(), 2).float()
    numbers, angle = torch.randn(count, 2, generator=rng), torch.rand(count, generator=rng) * 6
    point = torch.stack([angle.cos(), angle.sin()], 1)
    return torch.cat([levels, numbers[:, :1], special, numbers[:, 1:] * special[:, 1:], point], 1)


def test_margins_are_levels_and_parts_of_equal_counts(rng: torch.Generator) -> None:
    rows = rows_of(8000, rng)
    margins = Margins.fit(LAYOUTS, rows)
    assert margins.sizes == (3, PARTS, 1 + PARTS, PARTS)
    cells = margins.cells(rows)
    assert torch.equal(cells[:, 0], rows[:, :3].argmax(1))
    for column in (1, 3):
        counts = torch.bincount(cells[:, column], minlength=PARTS)
        assert counts.min() > 900 and counts.max() < 1100
    special = rows[:, 4] > 0
    assert (cells[special, 2] == 0).all() and (cells[~special, 2] >= 1).all()
    order = rows[~special, 6].argsort()
    assert (cells[~special, 2][order].diff() >= 0).all()  # higher parts hold larger numbers
    again = Margins.from_state(LAYOUTS, margins.state())
    assert torch.equal(again.cells(rows), cells)
    with pytest.raises(ValueError, match="other columns"):
        Margins.from_state(LAYOUTS[:2], margins.state())


@pytest.mark.parametrize(
    "changed",
    [
        {"groups": torch.full((4,), 7)},
        {"ratios": torch.tensor([0.0, torch.nan, 0.0, 0.0])},
        {"cells": torch.full((4, 1), 2)},
        {"cells": torch.zeros(3, 1, dtype=torch.int64)},
        {"shares": [torch.tensor([-1.0, 2.0])]},
        {"patterns": torch.zeros(3)},
    ],
)
def test_draws_from_a_file_that_do_not_belong_together_are_refused(changed: dict[str, object]) -> None:
    state = {
        "ratios": torch.zeros(4),
        "groups": torch.zeros(4, dtype=torch.int64),
        "patterns": torch.zeros(0, 2),
        "cells": torch.zeros(4, 1, dtype=torch.int64),
        "shares": [torch.tensor([0.5, 0.5])],
    }
    assert len(Calibration.from_state(state).ratios) == 4
    with pytest.raises(ValueError, match="belong together"):
        Calibration.from_state(state | changed)
