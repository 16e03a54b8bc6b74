"""Pairs by single precision first: against the full matrix in double precision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from wassergan.distances.screen import _Heights, between, reaches, screened, single_error


def clouds(rng, kind, n, m, dim):
    x, y = rng.normal(size=(n, dim)), rng.normal(size=(m, dim))
    if kind == "lattice":
        x, y = np.round(x), np.round(y)
    if kind == "offset":
        x, y = x + 1000, y + 1000
    if kind == "scales":
        x, y = (each * 10.0 ** rng.integers(-6, 3, size=(len(each), 1)) for each in (x, y))
    return torch.from_numpy(x), torch.from_numpy(y)


KINDS = st.sampled_from(("normal", "lattice", "offset", "scales"))
CASE = {
    "seed": st.integers(0, 2**32 - 1),
    "kind": KINDS,
    "n": st.integers(1, 70),
    "m": st.integers(1, 70),
    "dim": st.integers(1, 4),
}


@settings(max_examples=60, deadline=None)
@given(**CASE, blocks=st.sampled_from((1, 64, 160_000)))
def test_no_pair_within_its_potentials_is_missed(seed, kind, n, m, dim, blocks):
    """f is the c-transform of g: every row has a pair whose length is its potentials' sum, where rounding decides."""
    rng = np.random.default_rng(seed)
    x, y = clouds(rng, kind, n, m, dim)
    lengths, g = cdist(x, y), rng.normal(size=m)
    f = (lengths - g).min(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wassergan.distances.screen._BLOCK", blocks)
        found = screened(x, y, torch.from_numpy(f), torch.from_numpy(g), n * m)
    assert found is not None
    rows, cols = found
    keys = rows * m + cols
    assert (np.diff(keys) > 0).all()
    over = lengths - f[:, None] - g
    rounding = 1e-12 * (1 + np.abs(lengths).max() + np.abs(g).max() + np.abs(f).max())
    needed = np.zeros((n, m), dtype=bool)
    needed[np.arange(n), over.argmin(1)] = True
    assert np.isin(np.flatnonzero(needed), keys).all()
    slack = single_error(x, y, torch.from_numpy(f), torch.from_numpy(g))
    assert over.flat[keys].max() <= 1.5 * slack + rounding


@settings(max_examples=40, deadline=None)
@given(**CASE)
def test_margins_widen_rows_and_columns(seed, kind, n, m, dim):
    rng = np.random.default_rng(seed)
    x, y = clouds(rng, kind, n, m, dim)
    f, g, over_rows, over_cols = (torch.from_numpy(rng.normal(size=size)) for size in (n, m, n, m))
    pairs = screened(x, y, f, g, n * m, margins=(over_rows, over_cols))
    assert pairs is not None
    rows, cols = pairs
    over = cdist(x, y) - f.numpy()[:, None] - g.numpy()
    wanted = np.flatnonzero(over <= np.maximum(over_rows.numpy()[:, None], over_cols.numpy()))
    assert np.isin(wanted, rows * m + cols).all()
    slack = 3 * single_error(x, y, f.abs() + over_rows.abs(), g.abs() + over_cols.abs())
    beyond = over[rows, cols] - np.maximum(over_rows.numpy()[rows], over_cols.numpy()[cols])
    assert (beyond <= slack).all()


def test_more_pairs_than_allowed_are_no_list():
    x = torch.zeros(5, 2, dtype=torch.float64)
    nothing = torch.zeros(5, dtype=torch.float64)
    assert screened(x, x, nothing, nothing, 24) is None
    found = screened(x, x, nothing, nothing, 25)
    assert found is not None and len(found[0]) == 25


@settings(max_examples=100, deadline=None)
@given(**CASE, size=st.integers(-3, 8))
def test_the_error_of_single_precision_is_bounded(seed, kind, n, m, dim, size):
    """In units of a typical coordinate, potentials are up to 10⁸: the bound that is used is twice the error's."""
    rng = np.random.default_rng(seed)
    x, y = clouds(rng, kind, n, m, dim)
    f, g = rng.normal(size=n) * 10.0**size, rng.normal(size=m) * 10.0**size
    over = _Heights(y, torch.from_numpy(g), n).over(x.numpy().astype(np.float32)) - f.astype(np.float32)[:, None]
    true = cdist(x, y) - g - f[:, None]
    assert (over - true).max() <= single_error(x, y, torch.from_numpy(f), torch.from_numpy(g)) / 2


@pytest.mark.parametrize(("share", "rank"), [(1, 1), (1, 4), (3, 2), (7, 50)])
def test_reaches_are_order_statistics_of_some_columns(share, rank):
    rng = np.random.default_rng(0)
    x, y = clouds(rng, "normal", 90, 40, 2)
    g = rng.normal(size=40)
    heights = np.sort((cdist(x, y) - g)[:, ::share], axis=1)
    expected = heights[:, min(rank, heights.shape[1]) - 1]
    assert reaches(x, y, torch.from_numpy(g), share=share, rank=rank).numpy() == pytest.approx(expected, abs=1e-5)


def test_lengths_between_are_those_of_the_matrix():
    rng = np.random.default_rng(0)
    x, y = clouds(rng, "scales", 20, 30, 3)
    rows, cols = rng.integers(0, 20, 50), rng.integers(0, 30, 50)
    assert between(x, y, rows, cols) == pytest.approx(cdist(x, y)[rows, cols], rel=1e-14)
