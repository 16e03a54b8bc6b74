"""The Lipschitz constraints on a critic, one small class each.

A constraint acts at three moments: `prepare` once before training, `penalty` in the critic's loss, `project`
after each optimiser step. Each does nothing unless its class says otherwise, so the loop calls all three.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from wassergan.errors import UserError, parameter, unknown_name
from wassergan.lipschitz import (
    Orthogonal,
    SpectralNorm,
    advance_spectral_norms,
    bound_convolution,
    certify,
    orthogonalise,
    spectrally_normalise,
)
from wassergan.utils.rng import uniform_rows

__all__ = [
    "CONSTRAINTS",
    "LARGEST_ORTHOGONAL",
    "Clipping",
    "Constraint",
    "GradientNormPenalty",
    "GradientPenalty",
    "LipschitzPenalty",
    "OrthogonalWeights",
    "SpectralNormalisation",
    "Unconstrained",
    "ZeroCentredPenalty",
    "get_constraint",
    "input_gradient_norms",
    "points_between",
    "refuse_layers",
]

Critic = Callable[[Tensor], Tensor]  # a module, or one with its other inputs fixed
LARGEST_ORTHOGONAL = 1.001  # includes the float32 rounding of some dozen layers


def input_gradient_norms(critic: Critic, points: Tensor, *, differentiable: bool = False) -> Tensor:
    """Gradient norms ‖∇f(x_i)‖₂ of a critic at n points, one Euclidean norm per sample over all its axes.

    The norm is differentiable at 0 (its gradient is 0 there) and is computed in at least float32. The passes through
    the critic use the precision that autocast sets.

    Args:
        critic: maps (n, ...) to n scores; must not mix samples.
        points: (n, ...) of any rank.
        differentiable: keep the graph, so that a penalty on the norms reaches the critic's weights.

    Returns:
        (n,) gradient norms, in score units per unit of the input.
    """
    with torch.enable_grad():
        points = _full_precision(points).detach().requires_grad_(True)
        scores = _full_precision(critic(points))
        # f(x_i) depends on x_i alone, so the gradient of the sum holds each sample's own gradient.
        (gradients,) = torch.autograd.grad(scores.sum(), points, create_graph=differentiable)
        with torch.autocast(points.device.type, enabled=False):
            norms: Tensor = torch.linalg.vector_norm(_full_precision(gradients).flatten(1), dim=1)
        return norms


def points_between(real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """Random points on the segments between paired samples: u x + (1 - u) y, with one u ~ U[0, 1] per sample.

    Source: Gulrajani et al. 2017, arXiv 1704.00028, section 4.

    Args:
        real: (n, ...) samples of any rank.
        fake: the same shape.
        rng: draws u; on the samples' device.

    Raises:
        UserError: the two batches differ in shape.
    """
    if real.shape != fake.shape:
        raise UserError("Real and fake batches differ in shape", found=f"{tuple(real.shape)} and {tuple(fake.shape)}")
    real, fake = _full_precision(real), _full_precision(fake)
    # Not `lerp`: a weight that is broadcast is taken number by number there, at ten times the cost.
    return (real - fake).mul_(uniform_rows(rng, real)).add_(fake)


def _full_precision(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


class Constraint:
    """Base class of the constraints; it does nothing at any of the three moments.

    A constraint holds only its settings, not the state of a training: one object may serve several critics at a time.
    """

    name = "none"
    lipschitz = False

    def prepare(self, critic: nn.Module) -> None:
        """Parametrise the critic, or refuse it if the constraint cannot apply to it.

        Raises:
            UserError: the critic has a layer that makes the constraint meaningless.
        """

    def parametrise(self, critic: nn.Module) -> None:
        """The effect of `prepare` on the names and shapes of the critic's weights, on any device including `meta`."""

    def penalty(self, critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
        """The term that is added to the critic's loss: a scalar, weighted, differentiable in the weights."""
        return real.new_zeros(())

    def project(self, critic: nn.Module) -> None:
        """Bring the weights back into the allowed set after the optimiser's step."""


class Unconstrained(Constraint):
    """No constraint: only for objectives that are meaningful without one (the GAN of 2014, hinge)."""


class Clipping(Constraint):
    """Weight clipping: every parameter in [-limit, limit] after each step.

    Guarantees some Lipschitz constant K that depends on the architecture, unknown and far from 1: the critic's
    gap approximates K·W1 over a narrow class of functions. Source: Arjovsky et al. 2017, algorithm 1.
    """

    name = "clip"
    lipschitz = True

    def __init__(self, limit: float = 0.01) -> None:
        if not limit > 0:
            raise UserError("The clipping limit must be positive", found=f"{limit}")
        self.limit = limit

    def prepare(self, critic: nn.Module) -> None:
        """Clip the initial weights too, so that the constraint holds from the first score on."""
        self.project(critic)

    @torch.no_grad()
    def project(self, critic: nn.Module) -> None:
        """Clip the parameters; running statistics are buffers and are not changed."""
        parameters: list[Tensor] = list(critic.parameters())
        torch._foreach_clamp_min_(parameters, -self.limit)
        torch._foreach_clamp_max_(parameters, self.limit)


class GradientNormPenalty(Constraint, ABC):
    """weight · E[cost(‖∇f(x̂)‖)] with x̂ on segments between real and fake samples, unless a class says otherwise."""

    lipschitz = True

    def __init__(self, weight: float = 10.0) -> None:
        if not weight > 0:
            raise UserError("The penalty's weight must be positive", found=f"{weight}")
        self.weight = weight

    def prepare(self, critic: nn.Module) -> None:
        """Refuse batch normalisation: it couples samples, so the gradient norm of a single sample is not defined."""
        refuse_layers(
            critic,
            nn.modules.batchnorm._BatchNorm,
            why=f"couples the samples of a batch, so '{self.name}' cannot measure each sample's gradient norm",
            hint="use layer or group normalisation, or none",
        )

    def points(self, real: Tensor, fake: Tensor, rng: torch.Generator) -> tuple[Tensor, ...]:
        """Where gradient norms are taken: batches of as many points as there are real samples."""
        return (points_between(real, fake, rng),)

    def penalty(self, critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
        """One gradient norm per sample, in at least float32; the cost is averaged over the batch."""
        batches = self.points(real.detach(), fake.detach(), rng)
        # One pass for each batch: a condition that is fixed in the critic belongs to the samples in order.
        costs = [self.cost(input_gradient_norms(critic, points, differentiable=True)).mean() for points in batches]
        return self.weight * torch.stack(costs).mean()

    @abstractmethod
    def cost(self, norms: Tensor) -> Tensor:
        """The cost of each gradient norm, (n,) to (n,)."""

    @abstractmethod
    def cost_derivative(self, norms: Tensor) -> Tensor:
        """The derivative of the cost by each gradient norm, (n,) to (n,)."""


class GradientPenalty(GradientNormPenalty):
    """Two-sided penalty: weight · E(‖∇f(x̂)‖ - 1)².

    Encourages gradient norm 1 on segments between samples; guarantees nothing. Source: Gulrajani et al. 2017,
    arXiv 1704.00028, equation 3.
    """

    name = "gp"

    def cost(self, norms: Tensor) -> Tensor:
        """(slope - 1)²: gradient norms under 1 are penalised too."""
        return (norms - 1).square()

    def cost_derivative(self, norms: Tensor) -> Tensor:
        """2 (norm - 1)."""
        return 2 * (norms - 1)


class LipschitzPenalty(GradientNormPenalty):
    """One-sided penalty: weight · E max(0, ‖∇f(x̂)‖ - 1)².

    Encourages gradient norms of at most 1 on segments between samples; guarantees nothing. Source: Petzka, Fischer,
    Lukovnikov 2018, arXiv 1709.08894, equation 8.
    """

    name = "lp"

    def cost(self, norms: Tensor) -> Tensor:
        """max(0, slope - 1)²: gradient norms under 1 are not penalised."""
        return (norms - 1).clamp_min(0).square()

    def cost_derivative(self, norms: Tensor) -> Tensor:
        """2 max(0, norm - 1)."""
        return 2 * (norms - 1).clamp_min(0)


class ZeroCentredPenalty(GradientNormPenalty):
    """R1 + R2: (weight / 2) · (E‖∇f(x)‖² + E‖∇f(y)‖²) at real samples x and at fake samples y.

    Holds the critic flat where it has samples; its gap is no multiple of W1, and no gradient norm is bounded elsewhere.
    With it a critic has a best height, and training near the data's distribution does not circle. Source: Mescheder,
    Geiger, Nowozin 2018, arXiv 1801.04406, equations 9 and 10; both at once: Huang et al. 2025, arXiv 2501.05441,
    section 2, whose relativistic loss is the Wasserstein one where its outer function is linear.
    """

    name = "r1r2"

    def points(self, real: Tensor, fake: Tensor, rng: torch.Generator) -> tuple[Tensor, ...]:
        """The samples themselves."""
        return _full_precision(real), _full_precision(fake)

    def cost(self, norms: Tensor) -> Tensor:
        """norm²."""
        return norms.square()

    def cost_derivative(self, norms: Tensor) -> Tensor:
        """2 norm."""
        return 2 * norms


class SpectralNormalisation(Constraint):
    """Every linear and convolution weight, the last one included, divided by its largest singular value.

    Guarantees (up to the error of the power iteration) that linear layers have norm 1. A kernel is normalised
    as the matrix (out, in·k·k), as in the paper; a convolution's own norm differs from that, by at most the factor
    √(k·k), so the measured gradient norm is logged. Source: Miyato et al. 2018, arXiv 1802.05957, equation 8.
    """

    name = "sn"
    lipschitz = True

    def prepare(self, critic: nn.Module) -> None:
        """Parametrise the layers; refuse normalisation layers, which would rescale the gradient again."""
        refuse_layers(
            critic,
            (
                nn.modules.batchnorm._BatchNorm,
                nn.LayerNorm,
                nn.GroupNorm,
                nn.modules.instancenorm._InstanceNorm,
            ),
            why="rescales what it is given, so spectral normalisation of the weights bounds nothing",
            hint=f"take the normalisation out of the critic ({parameter('critic_norm', 'none')})",
        )
        self.parametrise(critic)
        if not any(isinstance(module, SpectralNorm) for module in critic.modules()):
            raise UserError("Spectral normalisation found no linear or convolution layer in the critic")

    def parametrise(self, critic: nn.Module) -> None:
        """Adds the two vectors of the power iteration to every weight."""
        spectrally_normalise(critic)

    def project(self, critic: nn.Module) -> None:
        """A few power iterations per weight: σ follows the step and is fixed between two steps."""
        advance_spectral_norms(critic)


_NOT_HELD: tuple[type[nn.Module], ...] = (nn.Conv1d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NOT_HELD += (nn.PReLU, nn.RReLU)
_NOT_HELD += (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
_NOT_HELD += (nn.AlphaDropout, nn.FeatureAlphaDropout)


class OrthogonalWeights(Constraint):
    """Linear layers with orthonormal rows or columns, convolutions of norm at most 1; `certify` proves the constant.

    Guarantees gradient norms of at most 1 everywhere, up to float32 rounding. MaxMin activations can also reach a norm
    of 1; a ReLU can only reduce it. Source: Anil, Lucas, Grosse 2019, arXiv 1811.05381.
    """

    name = "orthogonal"
    lipschitz = True

    def __init__(self, method: str = "qr") -> None:
        self.method = method

    def prepare(self, critic: nn.Module) -> None:
        """Parametrise the layers, then prove the constant: a layer without a bound is refused before training."""
        refuse_layers(
            critic,
            _NOT_HELD,
            why="has a slope that training moves and orthogonal weights do not hold",
            hint="use linear layers and convolutions over two or three axes with activations of fixed slope",
        )
        certify(critic)
        self.parametrise(critic)
        if not any(isinstance(module, Orthogonal) for module in critic.modules()):
            raise UserError("Orthogonal weights found no linear layer in the critic")
        constant = certify(critic).constant
        if constant > LARGEST_ORTHOGONAL:
            raise UserError(
                "The critic is not 1-Lipschitz with orthogonal weights",
                found=f"a constant of {constant:.4g}",
                hint=f"use an activation with slopes of at most 1 ({parameter('critic_activation', 'maxmin')} or "
                "leaky_relu)",
            )

    def parametrise(self, critic: nn.Module) -> None:
        """Every weight of a linear layer or a convolution that is not parametrised yet."""
        for module in list(critic.modules()):
            if parametrize.is_parametrized(module):
                continue
            if isinstance(module, nn.Linear):
                orthogonalise(module, method=self.method)
            elif isinstance(module, nn.Conv2d | nn.Conv3d):
                bound_convolution(module)


def refuse_layers(
    critic: nn.Module, kinds: type[nn.Module] | tuple[type[nn.Module], ...], *, why: str, hint: str
) -> None:
    """Raise a UserError that names the first layer of one of the kinds, if the critic has one."""
    for name, module in critic.named_modules():
        if isinstance(module, kinds):
            layer = f"{type(module).__name__} (layer '{name}')" if name else type(module).__name__
            raise UserError(f"{layer} in the critic {why}", hint=hint)


CONSTRAINTS: dict[str, type[Constraint]] = {
    kind.name: kind
    for kind in (
        Clipping,
        GradientPenalty,
        LipschitzPenalty,
        ZeroCentredPenalty,
        SpectralNormalisation,
        OrthogonalWeights,
        Unconstrained,
    )
}


def get_constraint(name: str, *, clip: float = 0.01, penalty_weight: float = 10.0) -> Constraint:
    """Build a constraint from its name: `clip`, `gp`, `lp`, `r1r2`, `sn`, `orthogonal` or `none`.

    Args:
        name: the constraint.
        clip: the limit of weight clipping.
        penalty_weight: the weight of `gp`, `lp` and `r1r2`.

    Raises:
        UserError: the name is not known, or a number is out of range.
    """
    if name not in CONSTRAINTS:
        raise unknown_name("constraint", name, CONSTRAINTS)
    kind = CONSTRAINTS[name]
    if issubclass(kind, Clipping):
        return kind(clip)
    if issubclass(kind, GradientNormPenalty):
        return kind(penalty_weight)
    return kind()
