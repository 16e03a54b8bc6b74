import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wassergan.distances import CTransform
from wassergan.distances.ctransform import soft_minimum
from wassergan.errors import UserError
from wassergan.lipschitz import certify


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def critic(*, count: int = 6, dim: int = 3, peaks: bool = True, learned: bool = True) -> CTransform:
    made = CTransform(normal(count, dim), peaks=peaks, learned=learned)
    with torch.no_grad():
        made.offsets.copy_(normal(count, seed=1))
    return made


@pytest.mark.parametrize("peaks", [True, False])
def test_values_agree_with_the_formula_written_out(peaks: bool) -> None:
    made, points = critic(peaks=peaks), normal(40, 3, seed=2)
    heights = [
        min((x - y).norm().item() + b.item() for y, b in zip(made.atoms, made.offsets, strict=True)) for x in points
    ]
    expected = torch.tensor(heights, dtype=torch.float64) * (-1 if peaks else 1)
    torch.testing.assert_close(made.eval()(points).detach(), expected, rtol=0, atol=1e-12)


def test_a_point_on_an_atom_far_from_the_origin_loses_no_digits() -> None:
    # Through matrix products alone the distance would be off by 1e-2 and more.
    atoms = torch.tensor([[1e6, 1e6], [1e6, -1e6]], dtype=torch.float64)
    made = CTransform(atoms).eval()
    values = made(atoms + torch.tensor([0.0, 1e-5], dtype=torch.float64))
    torch.testing.assert_close(values.detach(), torch.full((2,), -1e-5, dtype=torch.float64), rtol=1e-4, atol=0)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 5.0])
def test_the_soft_minimum_s_gradients_agree_with_finite_differences(temperature: float) -> None:
    inputs = tuple(each.requires_grad_() for each in (normal(7, 3), normal(5, 3, seed=1), normal(5, seed=2)))
    assert torch.autograd.gradcheck(lambda *args: soft_minimum(*args, temperature=temperature), inputs)


def test_the_soft_minimum_lies_below_the_minimum_by_at_most_its_entropy() -> None:
    made, points = critic(), normal(200, 3, seed=2)
    hard = -made.eval()(points)
    for temperature in (1.0, 0.1, 0.01):
        soft = soft_minimum(points, made.atoms, made.offsets, temperature=temperature)
        assert (soft <= hard + 1e-12).all()
        assert (soft >= hard - temperature * torch.log(torch.tensor(6.0)) - 1e-12).all()


@given(seed=st.integers(0, 10_000), temperature=st.sampled_from([0.0, 0.1, 1.0]), peaks=st.booleans())
def test_no_pair_of_points_is_steeper_than_one(seed: int, temperature: float, peaks: bool) -> None:
    made = critic(peaks=peaks)
    made.temperature = temperature
    made.train()
    points = 3 * normal(60, 3, seed=seed)
    apart = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    heights = made(points)
    assert ((heights[:, None] - heights).abs() <= apart * (1 + 1e-12) + 1e-12).all()


def test_the_certificate_is_one_and_fixed_atoms_stay() -> None:
    made = critic(learned=False)
    assert certify(made).constant == 1
    assert certify(made).layers[0].how == "a minimum of cones of slope 1"
    made(normal(5, 3)).sum().backward()
    assert made.atoms.grad is None and made.offsets.grad is not None


@pytest.mark.parametrize("temperature", [0.0, 0.3])
def test_a_point_on_an_atom_gives_finite_gradients(temperature: float) -> None:
    made = critic()
    made.temperature = temperature
    points = made.atoms.detach().clone().requires_grad_()
    made(points).sum().backward()
    assert points.grad is not None and points.grad.isfinite().all()
    assert made.atoms.grad is not None and made.atoms.grad.isfinite().all()


def test_evaluation_takes_the_true_minimum_whatever_the_temperature() -> None:
    made = critic()
    made.temperature = 1.0
    points = normal(20, 3, seed=3)
    soft, hard = made.train()(points), made.eval()(points)
    assert (soft > hard + 1e-3).all()  # f = -u, and the soft u lies below


def test_state_goes_round_with_its_side() -> None:
    made, other = critic(peaks=False), critic(peaks=True)
    other.load_state_dict(made.state_dict())
    assert torch.equal(other.eval()(normal(9, 3)), made.eval()(normal(9, 3)))


@pytest.mark.parametrize("learned", [False, True])
def test_one_spread_moves_all_the_atoms_and_learns(learned: bool) -> None:
    atoms, points = normal(4, 3), normal(30, 3, seed=2)
    made = CTransform(atoms, learned=learned, spread=2.5)
    heights = torch.cdist(points, 2.5 * atoms, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
    torch.testing.assert_close(made.eval()(points).detach(), -heights, rtol=0, atol=1e-12)
    assert certify(made).constant == 1
    made.train()
    for temperature in (0.0, 0.3):
        made.temperature = temperature
        step = 1e-6
        made.log_spread.grad = None
        made(points).sum().backward()
        assert made.log_spread.grad is not None
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                made.log_spread += sign * step
                values.append(made(points).sum().item())
                made.log_spread -= sign * step
        assert made.log_spread.grad.item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5)
    assert (made.atoms.grad is not None) == learned
    assert not CTransform(atoms, learned=learned).log_spread.requires_grad


@pytest.mark.parametrize("spread", [0.0, -1.0, float("inf"), float("nan")])
def test_a_spread_is_positive(spread: float) -> None:
    with pytest.raises(UserError, match="The atoms' spread must be positive"):
        CTransform(torch.zeros(1, 2), spread=spread)


@pytest.mark.parametrize("atoms", [torch.zeros(0, 2), torch.zeros(3)])
def test_atoms_are_points(atoms: torch.Tensor) -> None:
    with pytest.raises(UserError, match="atoms must (have shape|hold at least one point)"):
        CTransform(atoms)
