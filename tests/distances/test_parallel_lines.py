import math

import pytest
import torch

from wassergan.distances.parallel_lines import distances_between_lines, line, train_on_lines
from wassergan.errors import UserError


@pytest.mark.parametrize("theta", [-1.0, -0.3, 1e-3, 0.5, 2.0])
@pytest.mark.parametrize("points", [1, 40])
def test_lines_that_do_not_touch(theta, points):
    found = distances_between_lines(theta, points=points)
    assert found.total_variation == pytest.approx(1, abs=1e-12)
    assert found.kl == math.inf
    assert found.js == pytest.approx(math.log(2), abs=1e-12)
    assert found.w1 == pytest.approx(abs(theta), abs=1e-12)
    assert found.total_variation_slope == 0
    assert found.js_slope == 0
    assert found.w1_slope == pytest.approx(math.copysign(1, theta), abs=1e-12)


def test_one_line():
    found = distances_between_lines(0.0)
    assert (found.total_variation, found.kl, found.js, found.w1, found.w1_slope) == (0, 0, 0, 0, 0)
    assert math.isnan(found.js_slope)


def test_a_line_is_vertical_and_uniform():
    points = line(torch.tensor(0.25), 4)
    assert points.tolist() == [[0.25, 0.125], [0.25, 0.375], [0.25, 0.625], [0.25, 0.875]]


def test_the_wasserstein_generator_arrives_and_the_other_stands_still():
    trained = {
        name: train_on_lines(name, start=-0.4, rng=torch.Generator().manual_seed(0), steps=25)
        for name in ("minimax", "wasserstein")
    }
    assert trained["minimax"].theta[-1] == pytest.approx(-0.4, abs=1e-3)
    assert max(map(abs, trained["minimax"].gradient)) < 1e-2
    assert abs(trained["wasserstein"].theta[-1]) < 0.05
    # ∓1 for W1 on the way: θ < 0 is pushed up.
    assert trained["wasserstein"].gradient[:15] == pytest.approx([-1] * 15, abs=0.02)
    assert max(map(abs, trained["wasserstein"].gradient)) <= 1 + 1e-5  # the critic is 1-Lipschitz


def test_an_unknown_objective_is_refused():
    with pytest.raises(UserError, match=r"Unknown objective: 'wassertein'\. Did you mean 'wasserstein'"):
        train_on_lines("wassertein", start=1.0, rng=torch.Generator())


def test_the_global_random_state_takes_no_part():
    gradients = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        found = train_on_lines("wasserstein", start=-0.4, rng=torch.Generator().manual_seed(0), steps=2, warm_up=5)
        gradients.append(found.gradient)
        assert torch.equal(torch.get_rng_state(), before)
    assert gradients[0] == gradients[1]
