import numpy as np
import pytest
import torch
from scipy import integrate, optimize, stats
from torch import Tensor

from wassergan.networks.logistic_mixture import chance_below, drawn, log_density

LOGITS, PLACES, SCALES = (torch.tensor(each) for each in ([0.3, -1.0, 1.0], [-1.0, 0.0, 2.5], [0.05, 1.0, 0.4]))
WEIGHTS = np.exp(LOGITS.double().numpy()) / np.exp(LOGITS.double().numpy()).sum()


def density(value: float) -> float:
    """By SciPy."""
    parts = stats.logistic.pdf(value, PLACES.double().numpy(), SCALES.double().numpy())
    return float((WEIGHTS * parts).sum())


def chance(value: float, places: Tensor = PLACES) -> float:
    return float((WEIGHTS * stats.logistic.cdf(value, places.double().numpy(), SCALES.double().numpy())).sum())


def quantile(level: float, places: Tensor) -> float:
    found: float = optimize.brentq(lambda value: chance(value, places) - level, -50, 50, xtol=1e-13)
    return found


@pytest.mark.parametrize("value", [-40.0, -1.0, -0.98, 0.0, 2.0, 60.0])
def test_density_and_distribution_function_are_those_of_scipy(value: float) -> None:
    found = log_density(torch.tensor(value), LOGITS, PLACES, SCALES).item()
    assert found == pytest.approx(np.log(density(value)), abs=2e-4)
    assert chance_below(torch.tensor(value), LOGITS, PLACES, SCALES).item() == pytest.approx(chance(value), abs=1e-6)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_the_gradient_of_a_density_is_that_of_finite_differences(shape: tuple[int, ...]) -> None:
    rng = torch.Generator().manual_seed(0)
    values, *rest = (torch.randn((*shape, *own), generator=rng).double() for own in [(), (4,), (4,), (4,)])
    rest[-1] = rest[-1].exp()
    inputs = [each.requires_grad_() for each in (values, *rest)]
    assert torch.autograd.gradcheck(log_density, inputs)


def test_the_density_integrates_to_one() -> None:
    def of(value: float) -> float:
        return log_density(torch.tensor(value).double(), LOGITS.double(), PLACES.double(), SCALES.double()).exp().item()

    total, _ = integrate.quad(of, -40, 40, points=[-1.0, 0.0, 2.5], limit=400)
    assert total == pytest.approx(1, abs=1e-6)


def evens(count: int) -> Tensor:
    return torch.rand(count, 2, generator=torch.Generator().manual_seed(0))


def test_draws_have_the_distribution() -> None:
    found = drawn(evens(20_000), *(each.expand(20_000, 3) for each in (LOGITS, PLACES, SCALES)))
    places = [chance(each) for each in found.tolist()]
    assert stats.kstest(places, "uniform").pvalue > 0.01


def test_the_gradient_of_a_draw_is_that_of_the_quantile_at_its_chance() -> None:
    """By finite differences of quantiles that SciPy finds; for a draw far from the place of its component too."""
    for even in ([0.1, 0.3], [0.5, 0.9], [0.99, 0.5], [0.3, 0.999]):
        places = PLACES.clone().requires_grad_(True)
        value = drawn(torch.tensor(even), LOGITS, places, SCALES)
        (found,) = torch.autograd.grad(value, places)
        level = chance(value.item())
        for number in range(3):
            moved = 1e-3 * torch.eye(3, dtype=torch.float64)[number]
            ends = [quantile(level, PLACES.double() + way * moved) for way in (1, -1)]
            assert found[number].item() == pytest.approx((ends[0] - ends[1]) / 2e-3, abs=2e-3)
