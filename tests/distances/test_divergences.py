import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from wassergan.distances import js_divergence, kl_divergence, on_common_support, total_variation
from wassergan.errors import UserError

DIVERGENCES = [total_variation, kl_divergence, js_divergence]
masses = arrays(np.float64, 5, elements=st.one_of(st.just(0.0), st.floats(1e-6, 1.0))).filter(lambda v: v.sum() > 0)
laws = masses.map(lambda v: v / v.sum())


@given(laws, laws)
def test_agrees_with_scipy(p, q):
    assert total_variation(p, q) == pytest.approx(sum(max(u - v, 0) for u, v in zip(p, q, strict=True)), abs=1e-12)
    assert kl_divergence(p, q) == pytest.approx(entropy(p, q), abs=1e-9)
    # scipy takes a root of rounding noise: its square is good to 1e-9 only.
    assert js_divergence(p, q) == pytest.approx(np.nan_to_num(jensenshannon(p, q)) ** 2, abs=1e-9)


@given(laws, laws)
def test_inequalities(p, q):
    tv, kl, js = (float(d(p, q)) for d in DIVERGENCES)
    assert 2 * tv**2 <= kl + 1e-12  # Pinsker
    assert tv**2 / 2 <= js + 1e-12 <= tv * math.log(2) + 2e-12
    assert 0 <= js <= math.log(2)
    assert js == pytest.approx(float(js_divergence(q, p)), abs=1e-15)


@given(laws)
def test_zero_at_equality(p):
    assert [float(d(p, p)) for d in DIVERGENCES] == [0, 0, 0]


def test_disjoint_supports():
    p, q = np.array([0.3, 0.7, 0.0]), np.array([0.0, 0.0, 1.0])
    assert total_variation(p, q) == 1
    assert kl_divergence(p, q) == math.inf
    assert js_divergence(p, q) == math.log(2)
    assert js_divergence(p, q, base=2) == 1


def test_one_coin_in_bits():
    p, q = np.array([1.0, 0.0]), np.array([0.25, 0.75])
    assert kl_divergence(p, q, base=2) == pytest.approx(2)


def test_histograms_are_normalised_when_asked():
    assert total_variation(np.array([3, 1]), np.array([1, 1]), normalize=True) == 0.25


def test_batches_broadcast():
    p = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    assert torch.equal(total_variation(p, torch.tensor([0.5, 0.5])), torch.tensor([0.5, 0.0]))


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_kind_and_dtype_are_kept(divergence, dtype):
    p = np.array([0.5, 0.5], dtype=dtype)
    assert divergence(p, p).dtype == dtype
    assert isinstance(divergence(p, p), np.ndarray | np.floating)
    t = torch.from_numpy(p)
    assert divergence(t, t).dtype == t.dtype


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_gradients_against_finite_differences(divergence):
    p = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64, requires_grad=True)
    q = torch.tensor([0.4, 0.5, 0.1], dtype=torch.float64, requires_grad=True)
    # normalize=True: the checks perturb one weight at a time, off the simplex.
    assert torch.autograd.gradcheck(lambda a, b: divergence(a, b, normalize=True), (p, q))


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_gradients_are_finite_at_zeros(divergence):
    p = torch.tensor([0.0, 0.4, 0.6], dtype=torch.float64, requires_grad=True)
    q = torch.tensor([0.0, 0.5, 0.5], dtype=torch.float64, requires_grad=True)
    divergence(p, q).backward()
    assert torch.isfinite(p.grad).all()  # type: ignore[arg-type]
    assert torch.isfinite(q.grad).all()  # type: ignore[arg-type]


def test_supports_are_united():
    x, y = np.array([[0, 0], [1, 0], [0, 0]]), np.array([[1, 0], [2, 0]])
    p, q = on_common_support(x, np.array([0.25, 0.5, 0.25]), y, np.array([0.5, 0.5]))
    assert p.tolist() == [0.5, 0.5, 0.0]
    assert q.tolist() == [0.0, 0.5, 0.5]
    assert total_variation(p, q) == 0.5


def test_weights_on_a_common_support_keep_their_graph():
    p = torch.tensor([0.5, 0.5], requires_grad=True)
    a, b = on_common_support(torch.tensor([0.0, 1.0]), p, torch.tensor([1.0]), torch.tensor([1.0]))
    total_variation(a, b).backward()
    assert p.grad is not None


@pytest.mark.parametrize("base", [1.0, 0.5, math.inf, math.nan])
def test_a_base_that_is_none_is_refused(base):
    with pytest.raises(UserError, match="base of the logarithm must be finite and above one"):
        kl_divergence(np.array([1.0]), np.array([1.0]), base=base)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match=r"one probability per point of one support: shapes \(1,\) and \(2,\)"):
        total_variation(np.array([1.0]), np.array([0.5, 0.5]))
    with pytest.raises(UserError, match="x and y must have the same dimension: 1 and 2 columns"):
        on_common_support(np.zeros(1), np.ones(1), np.zeros((1, 2)), np.ones(1))
    with pytest.raises(UserError, match=r"q must hold one weight per point: shape \(2,\) for 1 points"):
        on_common_support(np.zeros(1), np.ones(1), np.zeros(1), np.ones(2))
    with pytest.raises(UserError, match=r"x must have shape \(points,\) or \(points, dimensions\)"):
        on_common_support(np.zeros((1, 1, 1)), np.ones(1), np.zeros(1), np.ones(1))


@pytest.mark.parametrize("function", [total_variation, kl_divergence, js_divergence])
def test_lists_and_data_frames_are_taken(function) -> None:
    p, q = np.array([[0.2, 0.8]]), np.array([[0.5, 0.5]])
    expected = function(p, q)
    for left, right in [
        (p.tolist(), q.tolist()),
        (pd.DataFrame(p), pd.DataFrame(q)),
        (np.ma.masked_array(p), np.ma.masked_array(q)),
        (p.astype(">f8"), q),
        ([torch.tensor(row) for row in p], q),
    ]:
        np.testing.assert_array_equal(np.asarray(function(left, right)), expected)
    merged = on_common_support([0.0, 1.0], [0.2, 0.8], [1.0], [1.0])  # type: ignore[type-var]
    assert [each.tolist() for each in merged] == [[0.2, 0.8], [0.0, 1.0]]  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="p holds masked values: 1 of 2"):
        function(np.ma.masked_array(p, mask=[[True, False]]), q)


@pytest.mark.parametrize("base", ["e", None, 1 + 1j, True])
def test_a_base_is_a_number(base: object) -> None:
    with pytest.raises(UserError, match="The base of the logarithm must be a number"):
        kl_divergence(np.array([1.0]), np.array([1.0]), base=base)  # type: ignore[arg-type]
