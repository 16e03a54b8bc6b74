import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance

from wassergan.distances import exact_w1, max_sliced_w1, random_directions, sliced_w1, sliced_w1_estimate
from wassergan.errors import UserError


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def clouds(n, m, d, seed=0, dtype=torch.float64):
    generator = rng(seed)
    return torch.randn(n, d, generator=generator, dtype=dtype), torch.randn(
        m, d, generator=generator, dtype=dtype
    ) + 0.5


@pytest.mark.parametrize(("n", "m"), [(7, 7), (7, 12), (20, 30), (1, 9)])
@pytest.mark.parametrize("orthogonal", [False, True])
def test_each_direction_agrees_with_scipy(n, m, orthogonal):
    x, y = clouds(n, m, 3)
    estimate = sliced_w1_estimate(x, y, projections=5, rng=rng(), orthogonal=orthogonal)
    directions = random_directions(3, 5, rng=rng(), orthogonal=orthogonal)
    expected = [wasserstein_distance(x @ u, y @ u) for u in directions]
    assert estimate.per_direction.numpy() == pytest.approx(np.array(expected), abs=1e-12)
    assert estimate.value.item() == pytest.approx(np.mean(expected), abs=1e-12)
    assert estimate.standard_error == pytest.approx(np.std(expected, ddof=1) / 5**0.5, abs=1e-12)


@pytest.mark.parametrize(("n", "m"), [(7, 7), (7, 12), (1, 9)])
def test_weights_agree_with_scipy_and_with_repeated_rows(n, m):
    x, y = clouds(n, m, 3)
    a, b = torch.arange(n, dtype=torch.float64) + (n == 1), torch.rand(m, generator=rng(3), dtype=torch.float64) + 0.1
    weights = {"x_weights": a, "y_weights": b, "normalize": True}
    estimate = sliced_w1_estimate(x, y, projections=5, rng=rng(), **weights)
    expected = [wasserstein_distance(x @ u, y @ u, a, b) for u in random_directions(3, 5, rng=rng())]
    assert estimate.per_direction.numpy() == pytest.approx(np.array(expected), abs=1e-12)
    one_side = sliced_w1(x, y, projections=5, rng=rng(), x_weights=a, normalize=True).item()
    repeated = sliced_w1(x.repeat_interleave(a.long(), 0), y, projections=5, rng=rng()).item()
    assert one_side == pytest.approx(repeated, abs=1e-12)
    blocks = sliced_w1([x[:3], x[3:]] if n > 3 else [x], y, projections=5, rng=rng(), **weights).item()
    assert blocks == pytest.approx(np.mean(expected), abs=1e-12)


def test_one_block_is_a_series_of_blocks():
    x, y = clouds(5, 4, 2)
    whole = sliced_w1(x, y, projections=3, rng=rng()).item()
    assert sliced_w1([x], (y.numpy(),), projections=3, rng=rng()).item() == whole


def test_weights_have_derivatives():
    x, y = clouds(5, 4, 2)
    a = torch.tensor([0.1, 0.3, 0.2, 0.25, 0.15], dtype=torch.float64, requires_grad=True)
    x.requires_grad_()

    def value(points, weights):
        return sliced_w1(points, y, projections=3, rng=rng(), x_weights=weights, normalize=True)

    assert torch.autograd.gradcheck(value, (x, a))


def test_bad_weights_are_refused():
    x, y = clouds(5, 4, 2)
    for weights, words in ((torch.ones(4), "shape"), (torch.ones(5), "sum to one"), (-torch.ones(5), "negative")):
        with pytest.raises(UserError, match=words):
            sliced_w1(x, y, rng=rng(), x_weights=weights)


def test_a_translation_has_a_closed_form():
    # E |u·t| = ‖t‖ E |u_1|, and E |u_1| = 1/2 on the sphere in three dimensions.
    x, _ = clouds(50, 1, 3)
    estimate = sliced_w1_estimate(x, x + torch.tensor([0.0, 2.0, 0.0]), projections=4000, rng=rng())
    assert abs(estimate.value.item() - 1) < 4 * estimate.standard_error
    assert estimate.standard_error == pytest.approx(2 / 12**0.5 / 4000**0.5, rel=0.05)  # |u_1| is uniform on [0, 1]


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_directions_are_unit_and_uniform(dim):
    for orthogonal in (False, True):
        u = random_directions(dim, 6000, rng=rng(), orthogonal=orthogonal)
        assert u.dtype == torch.float64
        assert u.norm(dim=1).numpy() == pytest.approx(1, abs=1e-12)
        # Under the uniform distribution the mean is 0 and the covariance 1/dim.
        assert u.mean(0).abs().max() < 4 / 6000**0.5
        assert (u.T @ u / 6000 - torch.eye(dim) / dim).abs().max() < 4 / 6000**0.5


def test_orthogonal_directions_are_bases():
    u = random_directions(4, 10, rng=rng(), orthogonal=True)
    for block in u.split(4):
        assert (block @ block.T - torch.eye(len(block))).abs().max() < 1e-12


def test_orthogonal_directions_vary_less():
    x, y = clouds(40, 40, 4)
    spread = {
        kind: np.std([sliced_w1(x, y, projections=4, rng=rng(seed), orthogonal=kind).item() for seed in range(200)])
        for kind in (False, True)
    }
    assert spread[True] < 0.9 * spread[False]


def test_blocks_are_what_one_tensor_is():
    x, y = clouds(11, 17, 3)
    whole = sliced_w1(x, y, projections=9, rng=rng())
    parts = sliced_w1([x[:4].numpy(), x[4:].numpy()], y.split(5), projections=9, rng=rng())
    assert parts.item() == pytest.approx(whole.item(), abs=1e-14)


def test_groups_of_directions_change_nothing(monkeypatch):
    x, y = clouds(11, 17, 3)
    whole = sliced_w1(x, y, projections=9, rng=rng())
    monkeypatch.setattr("wassergan.distances.sliced._BLOCK_BYTES", 2 * 28 * 32)
    assert sliced_w1(list(x.split(4)), y, projections=9, rng=rng()).item() == pytest.approx(whole.item(), abs=1e-14)


def test_single_precision_stays_close():
    x, y = clouds(200, 300, 20, dtype=torch.float32)
    single = sliced_w1(x, y, rng=rng())
    assert single.dtype == torch.float64
    assert single.item() == pytest.approx(sliced_w1(x.double(), y.double(), rng=rng()).item(), rel=1e-6)


def test_inputs_are_left_alone():
    x, y = clouds(6, 6, 1)
    before = x.clone(), y.clone()
    sliced_w1(x, y, rng=rng())
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])


def test_gradients_against_finite_differences():
    x, y = clouds(4, 6, 2)
    assert torch.autograd.gradcheck(
        lambda a, b: sliced_w1(a, b, projections=3, rng=rng()), (x.requires_grad_(), y.requires_grad_())
    )


def test_max_sliced_is_between_sliced_and_exact():
    x, y = clouds(60, 80, 5)
    value, direction = max_sliced_w1(x, y, rng=rng())
    assert sliced_w1(x, y, rng=rng()) < value <= exact_w1(x, y).upper
    assert value.item() == pytest.approx(wasserstein_distance(x @ direction, y @ direction), abs=1e-12)


def test_max_sliced_finds_the_direction_of_a_translation():
    x, _ = clouds(30, 1, 6)
    shift = torch.tensor([3.0, 0, 0, 4, 0, 0])
    value, direction = max_sliced_w1(x, x + shift, rng=rng(), projections=1)
    assert value.item() == pytest.approx(5, abs=1e-12)
    assert direction.abs().numpy() == pytest.approx(np.array([0.6, 0, 0, 0.8, 0, 0]), abs=1e-12)


def test_max_sliced_climbs():
    # Equal means: the difference of the means says nothing, the second coordinate everything.
    x = torch.tensor([[1.0, 9.0], [-1.0, -9.0]], dtype=torch.float64)
    y = torch.tensor([[1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    values = [max_sliced_w1(x, y, rng=rng(3), projections=1, steps=k)[0].item() for k in (0, 1, 20)]
    assert values[0] < values[1] <= values[2] == pytest.approx(8, abs=1e-9)


def test_max_sliced_of_one_sample_with_itself_is_zero():
    x, _ = clouds(5, 1, 2)
    assert max_sliced_w1(x, x, rng=rng())[0] == 0


def test_max_sliced_carries_gradients():
    x, _ = clouds(5, 1, 2)
    x.requires_grad_()
    max_sliced_w1(x, x.detach() + torch.tensor([2.0, 0.0]), rng=rng())[0].backward()
    assert x.grad.numpy() == pytest.approx(np.tile([-0.2, 0], (5, 1)), abs=1e-12)


def test_an_iterator_is_refused():
    x, y = clouds(5, 5, 2)
    with pytest.raises(UserError, match="x is read once for every group of directions: an iterator"):
        sliced_w1(iter(x.split(2)), y, rng=rng())


def test_blocks_that_change_are_refused():
    class Shrinking:
        reads = 0

        def __iter__(self):
            self.reads += 1
            return iter([torch.zeros(4 - self.reads, 2)])

    with pytest.raises(UserError, match="y must give the same rows every time it is read: 3 rows, then 2"):
        sliced_w1(torch.zeros(2, 2), Shrinking(), rng=rng())


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([], "x must hold at least one point: no block"),
        ([torch.zeros(1, 2), torch.zeros(1, 3)], "must have the same dimension: 2 and 3 columns"),
        ([torch.zeros(1, 2), torch.full((1, 2), torch.nan)], r"a block of x must be finite: nan at \[0, 0\]"),
    ],
)
def test_bad_blocks_are_refused(blocks, message):
    with pytest.raises(UserError, match=message):
        sliced_w1(blocks, torch.zeros(1, 2), rng=rng())


def test_bad_numbers_are_refused():
    with pytest.raises(UserError, match="projections must be a whole number of at least 1: 0"):
        sliced_w1(torch.zeros(1, 2), torch.zeros(1, 2), projections=0, rng=rng())
    with pytest.raises(UserError, match="steps must be a whole number of at least 0: -1"):
        max_sliced_w1(torch.zeros(1, 2), torch.zeros(1, 2), steps=-1, rng=rng())
