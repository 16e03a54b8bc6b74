import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from wassergan.constraints import OrthogonalWeights, get_constraint
from wassergan.errors import UserError
from wassergan.lipschitz import Averaged, Concatenated, GroupSort, MaxMin, certify
from wassergan.networks import ConvCritic, MLPCritic, ResNetCritic


def scaled(rows: list[list[float]]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows))
    layer.weight.data = torch.tensor(rows)
    return layer


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def orthogonal(kind: str, *, method: str = "qr") -> tuple[nn.Module, tuple[int, ...]]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "mlp":
            critic, shape = MLPCritic((6,), widths=(32, 32, 32), activation="maxmin"), (6,)
        else:
            critic, shape = ConvCritic((2, 9, 8), maps=6, norm="none", activation="maxmin"), (2, 9, 8)  # type: ignore[assignment]
    OrthogonalWeights(method).prepare(critic)
    return critic.double(), shape


def test_the_constant_is_the_product_of_known_norms_layer_by_layer() -> None:
    # Norms 3, 1 (MaxMin), 5 and 1.5 (the slope of the leaky side), 2.
    critic = nn.Sequential(scaled([[3.0, 0.0], [0.0, 1.0]]), MaxMin(), scaled([[3.0, 4.0]]), nn.LeakyReLU(1.5))
    certificate = certify(nn.Sequential(critic, scaled([[2.0]])))
    assert [layer.bound for layer in certificate.layers] == pytest.approx([3, 1, 5, 1.5, 2], rel=1e-9)
    assert [layer.name for layer in certificate.layers] == ["0.0", "0.1", "0.2", "0.3", "1"]
    assert [layer.kind for layer in certificate.layers] == ["Linear", "MaxMin", "Linear", "LeakyReLU", "Linear"]
    assert certificate.constant == pytest.approx(45, rel=1e-9)


def test_certified_in_float64_where_power_iteration_would_be_short() -> None:
    # Two close singular values: a few power iterations from a bad start stay below the larger.
    layer = nn.Linear(50, 50, bias=False)
    q, _ = torch.linalg.qr(normal(50, 50))
    values = torch.linspace(1, 1.001, 50, dtype=torch.float64)
    layer.weight.data = (q * values) @ q.T
    assert certify(layer).constant == pytest.approx(1.001, rel=1e-11)
    assert certify(layer).constant >= 1.001 * (1 - 1e-14)


@pytest.mark.parametrize(
    "layer", [nn.SiLU(), nn.GELU(), nn.ELU(2.0), nn.Softplus(threshold=40), nn.Tanh(), nn.Sigmoid(), nn.ReLU()]
)
def test_activations_are_no_steeper_than_said_and_nearly_as_steep(layer: nn.Module) -> None:
    points = torch.linspace(-8, 8, 160_001, dtype=torch.float64).requires_grad_()
    (slopes,) = torch.autograd.grad(layer(points).sum(), points)
    steepest, said = slopes.abs().max().item(), certify(layer).constant
    assert said - 1e-3 < steepest <= said


def test_blocks_keep_the_constant() -> None:
    branch = nn.Sequential(scaled([[3.0, 0.0], [0.0, 1.0]]), nn.ReLU())
    block = Averaged(branch)
    with torch.no_grad():
        block.balance.fill_(math.log(3))  # a share of 3/4: 1/4 + 3/4 · 3
    assert certify(block).constant == pytest.approx(2.5)
    # At a point where the ReLU is open the Jacobian is 1/4 + 3/4 diag(3, 1).
    jacobian = torch.autograd.functional.jacobian(lambda v: block(v)[0], torch.ones(1, 2))[:, 0]
    torch.testing.assert_close(jacobian, torch.diag(torch.tensor([2.5, 1.0])))
    joined = Concatenated(scaled([[3.0]]), scaled([[4.0]]))
    assert certify(joined).constant == pytest.approx(5 / math.sqrt(2))  # √((3² + 4²) / 2)
    assert joined(torch.ones(1, 1)).shape == (1, 2)
    slopes = (joined(torch.ones(1, 1)) - joined(torch.zeros(1, 1))).norm().item()
    assert slopes == pytest.approx(5 / math.sqrt(2))
    with pytest.raises(UserError, match="nothing to concatenate"):
        Concatenated()


def test_mean_pooling_of_tiles() -> None:
    pooling = nn.AvgPool2d(2)
    basis = torch.eye(16, dtype=torch.float64).view(16, 1, 4, 4)
    exact = torch.linalg.matrix_norm(pooling(basis).flatten(1), ord=2).item()
    assert certify(pooling).constant == pytest.approx(exact)


class Doubling(nn.Linear):
    def forward(self, values: Tensor) -> Tensor:
        return 2 * super().forward(values)


@pytest.mark.parametrize(
    "layer", [nn.LayerNorm(3), nn.Hardshrink(), nn.InstanceNorm3d(3), nn.Bilinear(2, 2, 1), Doubling(3, 3), nn.Module()]
)
def test_what_cannot_be_bounded_is_refused_by_name(layer: nn.Module) -> None:
    critic = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.ReLU(), layer))
    with pytest.raises(UserError, match=rf"Layer '1.1' \({type(layer).__name__}\) cannot be bounded. Use linear"):
        certify(critic)


def test_weights_that_are_not_finite_are_refused() -> None:
    with pytest.raises(UserError, match="Linear has no bound: weights that are not finite"):
        certify(scaled([[float("inf")]]))


@pytest.mark.parametrize("method", ["qr", "cayley", "exponential"])
@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_orthogonal_critics_are_certified_and_no_pair_of_points_beats_the_certificate(kind: str, method: str) -> None:
    critic, shape = orthogonal(kind, method=method)
    constant = certify(critic).constant
    assert constant <= 1.0001
    assert steepest_pair(critic, shape, pairs=2000, ascents=50) <= constant * (1 + 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_a_million_pairs_and_adversarial_ones_never_exceed_the_certificate(kind: str) -> None:
    critic, shape = orthogonal(kind)
    steepest = steepest_pair(critic, shape, pairs=1_000_000, ascents=300)
    assert steepest <= certify(critic).constant * (1 + 1e-9)
    # The search is worth something. A random critic need not be as steep anywhere as its certificate allows.
    assert steepest > (0.5 if kind == "mlp" else 0.2)


def steepest_pair(critic: nn.Module, shape: tuple[int, ...], *, pairs: int, ascents: int) -> float:
    """The largest |f(x) - f(y)| / ‖x - y‖ over random pairs, near and far, then ascent from the best of them."""
    rng = torch.Generator().manual_seed(1)
    best, start = 0.0, (torch.zeros(1, *shape), torch.ones(1, *shape))
    for count in [2000] * (pairs // 2000):
        x = 3 * torch.randn(count, *shape, generator=rng, dtype=torch.float64)
        distance = 10 ** (-3 * torch.rand(count, *[1] * len(shape), generator=rng, dtype=torch.float64))
        y = x + distance * torch.randn(count, *shape, generator=rng, dtype=torch.float64)
        with torch.no_grad():
            slopes = slopes_between(critic, x, y)
        index = slopes.argmax()
        if slopes[index] > best:
            best, start = slopes[index].item(), (x[index : index + 1], y[index : index + 1])
    x, y = (each.clone().requires_grad_() for each in start)
    optimizer = torch.optim.Adam([x, y], lr=0.02)
    for _ in range(ascents):
        slope = slopes_between(critic, x, y).sum()
        optimizer.zero_grad()
        (-slope).backward()
        optimizer.step()
        best = max(best, slope.item())
    return best


def slopes_between(critic: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with parametrize.cached():  # the weights are the same for both
        return (critic(x) - critic(y)).abs() / (x - y).flatten(1).norm(dim=1)


def test_networks_with_known_chains_are_certified_and_the_residual_one_is_refused() -> None:
    mlp = MLPCritic((2, 2), widths=(3,))
    product = math.prod(torch.linalg.svdvals(mlp.body[i].weight.detach())[0].item() for i in (0, 2))
    assert certify(mlp).constant == pytest.approx(product, rel=1e-5)
    assert certify(mlp).layers[0].name == "body.0"
    with pytest.raises(UserError, match="ResNetCritic cannot be bounded"):
        certify(ResNetCritic((3, 8, 8), maps=4))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.LayerNorm(5), r"Layer '1' \(LayerNorm\) cannot be bounded"),
        (nn.PReLU(), r"PReLU \(layer '1'\) in the critic has a slope that training moves"),
        (nn.Dropout().eval(), r"Dropout \(layer '1'\) in the critic has a slope that training moves"),
        (nn.SiLU(), r"The critic is not 1-Lipschitz with orthogonal weights: a constant of 1\.1"),
    ],
)
def test_the_constraint_refuses_what_it_cannot_hold_and_leaves_such_a_critic_as_it_was(
    layer: nn.Module, message: str
) -> None:
    critic = nn.Sequential(nn.Linear(6, 5), layer, nn.Linear(5, 1))
    with pytest.raises(UserError, match=message):
        get_constraint("orthogonal").prepare(critic)


def test_the_constraint_refuses_a_critic_without_linear_layers() -> None:
    with pytest.raises(UserError, match="found no linear layer"):
        get_constraint("orthogonal").prepare(nn.Sequential(nn.Flatten(), GroupSort(2)))


def test_preparing_twice_changes_nothing_and_the_state_goes_round() -> None:
    critic, _ = orthogonal("mlp")
    other, _ = orthogonal("mlp")
    constraint = get_constraint("orthogonal")
    points = normal(5, 6)
    before = critic(points)
    constraint.prepare(critic)
    assert torch.equal(critic(points), before)
    with torch.no_grad():
        next(critic.parameters()).add_(1.0)
    other.load_state_dict(critic.state_dict())
    assert torch.equal(other(points), critic(points))
