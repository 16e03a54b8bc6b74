"""The gradient of a critic's loss in closed form, for chains of linear layers and leaky ReLUs.

For f(x) = wᵀ D₂ W₂ D₁ W₁ x + ... with D the slopes of the activations at x, everything that a critic step needs is a
handful of matrix products. Backwards from the scores: δ_l = D_l W_{l+1}ᵀ δ_{l+1}. The input gradient is g = W₁ᵀ δ₁. A
penalty φ(‖g‖) has, with v = φ'(‖g‖) g / ‖g‖ pushed forward through the same linear maps, u₀ = v, u_l = D_l W_l u_{l-1},
the weight gradients ∂φ/∂W_l = δ_l u_{l-1}ᵀ: D is constant almost everywhere. That is what autograd finds with a double
backward, in a few times as many operations; the tests hold both to each other.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeGuard, TypeVar

import torch
from torch import Tensor, nn

from wassergan.constraints import (
    Clipping,
    Constraint,
    GradientNormPenalty,
    GradientPenalty,
    LipschitzPenalty,
    Unconstrained,
    ZeroCentredPenalty,
)
from wassergan.networks import MLPCritic
from wassergan.objectives import Objective

# A subclass may do other things.
CONSTRAINTS = (GradientPenalty, LipschitzPenalty, ZeroCentredPenalty, Clipping, Unconstrained)
M = TypeVar("M", bound=nn.Module)
# The overloads themselves, and `mm` for `@`: some lookups less at each call.
leaky_relu_backward = torch.ops.aten.leaky_relu_backward.default
leaky_relu_backward_into = torch.ops.aten.leaky_relu_backward.grad_input


@dataclass(frozen=True)
class Loss:
    """What a critic step minimises, and how it is computed.

    Attributes:
        objective: of the scores.
        constraint: its penalty is added.
        penalty_factor: on the penalty; 0 leaves it out.
        rng: the penalty's random numbers.
        precision: of the passes through the critic; losses, norms and penalties are taken in float32.
    """

    objective: Objective
    constraint: Constraint
    penalty_factor: float
    rng: torch.Generator
    precision: torch.dtype

    @property
    def penalised(self) -> bool:
        """Whether a penalty on gradient norms takes part."""
        return isinstance(self.constraint, GradientNormPenalty) and self.penalty_factor > 0

    def points(self, real: Tensor, fake: Tensor) -> tuple[Tensor, ...]:
        """Where the penalty takes gradient norms: batches like the two."""
        assert isinstance(self.constraint, GradientNormPenalty)
        return self.constraint.points(real, fake, self.rng)


class MLPCriticGradients:
    """Losses and weight gradients of a critic that is a chain of linear layers and leaky ReLUs.

    Args:
        layers: its linear layers, in order; the last has one output.
        slopes: of each leaky ReLU between them, on the negative side.
    """

    def __init__(self, layers: list[nn.Linear], slopes: list[float]) -> None:
        self._layers, self._slopes = layers, slopes

    @classmethod
    def of(cls, critic: nn.Module, constraint: Constraint) -> "MLPCriticGradients | None":
        """The closed form of a prepared critic under a constraint, or None where autograd is needed."""
        if not is_plain(critic, MLPCritic) or type(constraint) not in CONSTRAINTS:
            return None
        *hidden, head = critic.body
        layers = [layer for layer in (*hidden[::2], head) if is_plain(layer, nn.Linear)]
        activations = [layer for layer in hidden[1::2] if is_plain(layer, nn.LeakyReLU)]
        if len(layers) + len(activations) < len(critic.body):
            return None
        return cls(layers, [layer.negative_slope for layer in activations])

    @torch.no_grad()
    def backward(self, real: Tensor, fake: Tensor, loss: Loss, context: Tensor | None = None) -> dict[str, Tensor]:
        """Put the gradient of loss and penalty into the weights' `grad`; return detached statistics.

        Args:
            real: (n, *shape).
            fake: (n, *shape).
            loss: what is to be differentiated.
            context: (n, k), the conditions of real and fake alike; slopes are taken in the samples alone.
        """
        batches = [real, fake]
        if loss.penalised:
            batches.extend(loss.points(real, fake))
        weights: list[Tensor] = [layer.weight for layer in self._layers]
        biases: list[Tensor] = [layer.bias for layer in self._layers]
        count, scored = real.shape[0], real.shape[0] + fake.shape[0]
        points = torch.cat(batches).flatten(1)
        free = points.shape[1]
        if context is not None:
            points = torch.cat([points, context.to(points).repeat(len(batches), 1)], 1)
        if loss.precision == torch.bfloat16:
            points = points.bfloat16()
            weights, biases = ([each.bfloat16() for each in some] for some in (weights, biases))
        inputs, linear = self._forward(points, weights, biases)
        scores = torch.addmv(biases[-1], inputs[-1][:scored], weights[-1][0]).to(real.dtype)
        real_scores, fake_scores = scores[:count], scores[count:]
        real_mean, fake_mean = scores.view(2, count).mean(1)
        statistics = {"real_mean": real_mean, "fake_mean": fake_mean}

        # Backwards: deltas[l] is the gradient by linear[l] of the loss of real and fake scores, and of the score itself
        # of the points between, at which the penalty needs the gradient norm.
        by_score = list(loss.objective.critic_loss_derivatives(real_scores, fake_scores))
        if loss.penalised:
            by_score.append(real_scores.new_ones(len(points) - scored))
        deltas = self._vjp(torch.cat(by_score).to(points.dtype)[:, None], linear, weights)
        if loss.penalised:
            statistics["penalty"], pushed = gradient_norm_penalty(
                loss, (deltas[0][scored:] @ weights[0][:, :free]).to(real.dtype)
            )
            self._jvp(pushed, inputs, linear, weights)

        for layer, delta, given in zip(self._layers, deltas, inputs, strict=True):
            layer.weight.grad = torch.mm(delta.T, given).to(real.dtype)
            layer.bias.grad = delta[:scored].sum(0, dtype=real.dtype)
        return statistics

    @torch.no_grad()
    def generator_loss(
        self, fake: Tensor, objective: Objective, precision: torch.dtype, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The generator's loss, a scalar, and its gradient by the fakes that the critic scores.

        Args:
            fake: (n, *shape).
            objective: of the scores.
            precision: of the passes through the critic.
            context: (n, k), the conditions of the fakes.
        """
        weights: list[Tensor] = [layer.weight for layer in self._layers]
        biases: list[Tensor] = [layer.bias for layer in self._layers]
        points = fake.flatten(1)
        free = points.shape[1]
        if context is not None:
            points = torch.cat([points, context.to(points)], 1)
        if precision == torch.bfloat16:
            points = points.bfloat16()
            weights, biases = ([each.bfloat16() for each in some] for some in (weights, biases))
        inputs, linear = self._forward(points, weights, biases)
        scores = torch.addmv(biases[-1], inputs[-1], weights[-1][0]).to(self._layers[0].weight.dtype)
        by_score = objective.generator_loss_derivatives(scores).to(points.dtype)
        gradient = self._vjp(by_score[:, None], linear, weights)[0] @ weights[0][:, :free]
        return objective.generator_loss(scores), gradient.view_as(fake).to(fake.dtype)

    def _forward(
        self, points: Tensor, weights: list[Tensor], biases: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """What each layer is given, and what each but the last makes of it."""
        inputs, linear = [points], []
        for weight, bias, slope in zip(weights, biases, self._slopes, strict=False):
            linear.append(torch.addmm(bias, inputs[-1], weight.T))
            inputs.append(nn.functional.leaky_relu(linear[-1], slope))
        return inputs, linear

    def _vjp(self, delta: Tensor, linear: list[Tensor], weights: list[Tensor]) -> list[Tensor]:
        """The gradients by what each layer makes, the last's own included, in the order of the layers."""
        deltas = [delta]
        for weight, before, slope in zip(weights[:0:-1], linear[::-1], self._slopes[::-1], strict=True):
            deltas.append(leaky_relu_backward(torch.mm(deltas[-1], weight), before, slope, False))
        return deltas[::-1]

    def _jvp(self, pushed: Tensor, inputs: list[Tensor], linear: list[Tensor], weights: list[Tensor]) -> None:
        """Put u_l in the place of the inputs of the points between, which nothing needs any more."""
        first = inputs[0].shape[0] - pushed.shape[0]
        inputs[0][first:, : pushed.shape[1]] = pushed
        inputs[0][first:, pushed.shape[1] :] = 0  # conditions are not perturbed
        for weight, slope, before, (given, made) in zip(weights, self._slopes, linear, pairwise(inputs), strict=False):
            product = torch.mm(given[first:], weight.T)
            leaky_relu_backward_into(product, before[first:], slope, False, grad_input=made[first:])


def is_plain(layer: nn.Module, kind: type[M]) -> TypeGuard[M]:
    """Whether a module is exactly of a kind: no subclass, parametrisation, hook or frozen or missing parameter."""
    hooked = layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks
    trained = all(each is not None and each.requires_grad for each in layer._parameters.values())
    return type(layer) is kind and trained and not hooked


def gradient_norm_penalty(loss: Loss, gradients: Tensor) -> tuple[Tensor, Tensor]:
    """The penalty on the critic's input gradients (n, d), and the gradient of its share of the loss by them."""
    constraint = loss.constraint
    assert isinstance(constraint, GradientNormPenalty)
    norms = torch.linalg.vector_norm(gradients, dim=1)
    by_norm = constraint.cost_derivative(norms).mul_(loss.penalty_factor * constraint.weight / norms.shape[0])
    # Where the gradient norm is 0 the norm's gradient is taken as 0, as autograd does.
    share = by_norm / norms.masked_fill(norms == 0, torch.inf)
    return constraint.weight * constraint.cost(norms).mean(), share[:, None] * gradients
