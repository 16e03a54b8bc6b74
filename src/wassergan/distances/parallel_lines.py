"""The textbook example of two parallel lines: why a distance of distributions must see how far apart they are.

P is the distribution of (0, Z), Q that of (θ, Z), with Z uniform on [0, 1] (Arjovsky, Chintala, Bottou 2017, arXiv
1701.07875, example 1). For θ ≠ 0 they share no point: TV = 1, KL = ∞, JS = log 2 for every θ, while W1 = |θ|.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import orthogonal

from wassergan.distances.divergences import js_divergence, kl_divergence, on_common_support, total_variation
from wassergan.distances.exact import exact_w1
from wassergan.objectives import Objective, get_objective

OBJECTIVES = ("minimax", "wasserstein")
_STEP = 1e-4  # of the central differences that give the derivatives of TV and JS


@dataclass(frozen=True)
class Distances:
    """The four distances between the lines at 0 and θ, and their derivatives in θ where these exist."""

    theta: float
    total_variation: float
    kl: float
    js: float
    w1: float
    total_variation_slope: float
    js_slope: float
    w1_slope: float


@dataclass(frozen=True)
class Training:
    """A one-parameter generator z ↦ (θ, z) under one objective, step by step.

    Attributes:
        objective: its name.
        theta: position of the generated line before each step.
        gradient: derivative of the generator's loss in θ at each step, against the critic trained so far.
    """

    objective: str
    theta: list[float]
    gradient: list[float]


def line(theta: Tensor, points: int) -> Tensor:
    """The vertical line at θ, `points` equidistant points, shape (points, 2)."""
    heights = (torch.arange(points, dtype=theta.dtype) + 0.5) / points
    return torch.stack([theta.expand(points), heights], dim=1)


def distances_between_lines(theta: float, *, points: int = 64) -> Distances:
    """All four distances between the line at 0 and the line at θ, computed from their points.

    Args:
        theta: signed distance between the lines.
        points: number of points that represent a line; the values do not depend on it.
    """
    values = _values(theta, points)
    after, before = _values(theta + _STEP, points), _values(theta - _STEP, points)
    # At 0 the overlap ends with a jump, so there is no derivative. W1 has a kink there; autograd returns 0.
    tv_slope, js_slope = (
        float("nan") if theta == 0 else (after[k] - before[k]) / (2 * _STEP) for k in ("total_variation", "js")
    )
    moving = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    transport = exact_w1(line(torch.zeros_like(moving), points), line(moving, points)).value
    (w1_slope,) = torch.autograd.grad(transport, moving)
    return Distances(
        theta,
        values["total_variation"],
        values["kl"],
        values["js"],
        transport.item(),
        tv_slope,
        js_slope,
        w1_slope.item(),
    )


def _values(theta: float, points: int) -> dict[str, float]:
    real, fake = (line(torch.tensor(t, dtype=torch.float64), points) for t in (0.0, theta))
    weights = torch.full((points,), 1 / points, dtype=torch.float64)
    p, q = on_common_support(real, weights, fake, weights)
    measures = {"total_variation": total_variation, "kl": kl_divergence, "js": js_divergence}
    return {name: float(measure(p, q)) for name, measure in measures.items()}


def train_on_lines(
    name: str,
    *,
    start: float,
    rng: torch.Generator,
    steps: int = 50,
    critic_steps: int = 10,
    warm_up: int = 300,
    lr: float = 0.02,
    points: int = 64,
) -> Training:
    """Train the one-parameter generator against a critic that is kept near its optimum.

    Args:
        name: `minimax`, the objective of 2014 with a free critic, or `wasserstein` with a critic that is
            1-Lipschitz by construction: orthogonal weights and MaxMin (Anil et al. 2019, arXiv 1811.05381).
        start: θ before the first step.
        rng: draws the critic's first weights.
        steps: generator steps, by gradient descent.
        critic_steps: critic steps before each of them.
        warm_up: critic steps before the first.
        lr: learning rate of θ: how far a gradient of 1 moves it.
        points: points per line.
    """
    objective = get_objective(name)
    critic = _critic(objective, rng)
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2, betas=(0.0, 0.9))
    theta, thetas, gradients = start, [], []
    real = line(torch.zeros(()), points)
    for step in range(steps):
        fake = line(torch.tensor(theta), points)
        for _ in range(critic_steps + (warm_up if step == 0 else 0)):
            optimizer.zero_grad()
            objective.critic_loss(critic(real), critic(fake)).backward()
            optimizer.step()
        moving = torch.tensor(theta, requires_grad=True)
        (slope,) = torch.autograd.grad(objective.generator_loss(critic(line(moving, points))), moving)
        thetas.append(theta)
        gradients.append(slope.item())
        theta -= lr * slope.item()
    return Training(name, thetas, gradients)


class _MaxMin(nn.Module):
    """Sorts each pair of channels: 1-Lipschitz, and it preserves the norm of every gradient."""

    def forward(self, x: Tensor) -> Tensor:
        pairs: Tensor = x.unflatten(-1, (-1, 2))
        return pairs.sort(dim=-1).values.flatten(-2)


def _critic(objective: Objective, rng: torch.Generator) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):  # layers, and the completion of their bases, draw from the global stream
        torch.manual_seed(int(torch.randint(2**31, (), generator=rng)))
        layers = [nn.Linear(2, 16), nn.Linear(16, 16), nn.Linear(16, 1)]
        for layer in layers:
            nn.init.orthogonal_(layer.weight, generator=rng)
            nn.init.zeros_(layer.bias)
            if objective.needs_lipschitz:
                orthogonal(layer)
    between = [_MaxMin(), _MaxMin()] if objective.needs_lipschitz else [nn.LeakyReLU(0.2), nn.LeakyReLU(0.2)]
    return nn.Sequential(layers[0], between[0], layers[1], between[1], layers[2])
