"""The gradient of a convolutional critic's loss in closed form: matrix products over patches, no graph.

A stage of `ConvCritic` is z = W ⋆ h + b, y = γ x̂(z) + β with x̂ = (z - mean) r, a = leaky_relu(y). As in
`closed_form`, deltas δ run backwards from the scores to the input gradient, and the penalty's slope v is pushed forward
as tangents u. The normalisation is no linear map, so the points between also receive an adjoint p of their values. With
J = ∂x̂/∂z (symmetric: r (I - 1 1ᵀ/N - x̂ x̂ᵀ/N) over the N values of a sample) and d = γ δ_y, the derivative of dᵀ J(z)
u by z is

    -(r/N) [ (dᵀJu) x̂ + (uᵀx̂) Jd + (dᵀx̂) Ju ],

and from there p runs down like any other delta, in one batch with those of the real and fake samples. The products
themselves are those of `convolutions`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wassergan.constraints import Constraint
from wassergan.networks import ConvCritic
from wassergan.objectives import Objective
from wassergan.training.analytic.convolutions import KERNEL, PADDING, STRIDE, convolution_of
from wassergan.training.analytic.mlp import CONSTRAINTS, Loss, gradient_norm_penalty, is_plain


@dataclass(frozen=True)
class Stage:
    """A convolution, the normalisation behind it if there is one, and a leaky ReLU.

    Attributes:
        conv: 4×4, stride 2, padding 1.
        norm: over channels and pixels together.
        slope: of the activation on the negative side, at least 0.
    """

    conv: nn.Conv2d
    norm: nn.GroupNorm | None
    slope: float

    def set_gradients(self, kernel: Tensor, bias: Tensor, norm: tuple[Tensor, Tensor] | None) -> None:
        """Put gradients into the weights: by the kernel as a matrix, and by scale and shift of every value."""
        out, into = self.conv.weight.shape[:2]
        dtype = self.conv.weight.dtype
        self.conv.weight.grad = kernel.view(out, *KERNEL, into).permute(0, 3, 1, 2).to(dtype).contiguous()
        self.conv.bias.grad = bias.to(dtype)  # type: ignore[union-attr]
        if self.norm is not None and norm is not None:
            for parameter, each in zip((self.norm.weight, self.norm.bias), norm, strict=True):
                parameter.grad = each.view(-1, out).sum(0).to(dtype)


class Pass:
    """One stage in one critic step: its weights, and what it computes on the way.

    Args:
        stage: whose weights they are.
        dtype: of the matrices and of all values.
        grid: height and width of the input.
    """

    # Of all samples: the input as the convolution takes it; (n, values) before the norm, behind the activation.
    given: Tensor
    linear: Tensor
    made: Tensor
    moments: tuple[Tensor, Tensor]  # mean and 1 / deviation, (n, 1)
    # Of the points between: δ_y; δ_z, and as the convolution takes it; u_h as it takes it; Ju; the curvature's share of
    # the adjoint of z.
    delta_normed: Tensor
    delta: Tensor
    deltas: Tensor
    tangent: Tensor
    tangent_normed: Tensor
    curve: Tensor

    def __init__(self, stage: Stage, dtype: torch.dtype, grid: tuple[int, int]) -> None:
        assert stage.conv.bias is not None
        self.slope, self.grid = stage.slope, grid
        self.made_grid = (grid[0] // 2, grid[1] // 2)
        self.convolution = convolution_of(stage.conv.weight.permute(0, 2, 3, 1).flatten(1).to(dtype), grid)
        self.bias = stage.conv.bias.to(dtype)
        self.scale = self.shift = None
        if stage.norm is not None:
            pixels = self.made_grid[0] * self.made_grid[1]
            self.scale, self.shift = stage.norm.weight.repeat(pixels), stage.norm.bias.repeat(pixels)
            self.eps = stage.norm.eps

    def forward(self, given: Tensor) -> Tensor:
        """(n, values of the stage before) to (n, values)."""
        self.given = self.convolution.given(given.view(len(given), *self.grid, -1))
        self.linear = normed = self.convolution.convolve(self.given, self.bias)
        if self.scale is not None:
            normed, *moments = torch.native_layer_norm(
                self.linear, self.linear.shape[1:], self.scale, self.shift, self.eps
            )
            self.moments = (moments[0], moments[1])
        self.made = nn.functional.leaky_relu(normed, self.slope)
        return self.made

    def vjp(self, delta: Tensor, rows: slice) -> Tensor:
        """δ_a to δ_h, for some rows; keeps what the penalty's gradient needs."""
        self.delta_normed = self._through_activation(delta, rows)
        self.delta = self._normalised(self.delta_normed, rows, self.scale)[0]
        self.deltas = self.convolution.deltas(self.delta)
        return self.convolution.transposed(self.deltas)

    def jvp(self, tangent: Tensor, rows: slice) -> Tensor:
        """u_h to u_a, for some rows; sets the curvature's share of their adjoint."""
        self.tangent = self.convolution.given(tangent.view(len(tangent), *self.grid, -1))
        moved = self.convolution.convolve(self.tangent, None)
        if self.scale is not None:
            self.tangent_normed = self._normalised(moved, rows, torch.ones_like(self.scale))[0]
            self.curve = self._curvature(moved, rows)
            moved = self.tangent_normed * self.scale.to(moved.dtype)
        return self._through_activation(moved, rows)

    def descend(self, adjoint: Tensor, rows: slice) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """The adjoint of a to that of z, for some rows, and the gradients by scale and shift of every value."""
        adjoint, *by_norm = self._normalised(self._through_activation(adjoint, rows), rows, self.scale)
        return adjoint, (by_norm[0], by_norm[1]) if by_norm else None

    def _through_activation(self, values: Tensor, rows: slice) -> Tensor:
        return torch.ops.aten.leaky_relu_backward(values, self.made[rows], self.slope, True)  # type: ignore[no-any-return]

    def _normalised(self, values: Tensor, rows: slice, scale: Tensor | None) -> tuple[Tensor, ...]:
        """J (scale · values), and the gradients by scale and shift; the values themselves without a normalisation."""
        if self.scale is None:
            return (values,)
        mean, deviation = (each[rows] for each in self.moments)
        found = torch.ops.aten.native_layer_norm_backward(
            values, self.linear[rows], self.linear.shape[1:], mean, deviation, scale, self.shift, [True, True, True]
        )
        return tuple(found)

    def _curvature(self, tangent: Tensor, rows: slice) -> Tensor:
        """-(r/N) [(dᵀJu) x̂ + (uᵀx̂) Jd + (dᵀx̂) Ju], (n, values)."""
        assert self.scale is not None
        mean, deviation = (each[rows].to(tangent.dtype) for each in self.moments)
        normed = (self.linear[rows] - mean) * deviation
        scaled = self.delta_normed * self.scale.to(tangent.dtype)
        factor = -deviation / normed.shape[1]
        curve = normed * (factor * _dots(scaled, self.tangent_normed))
        curve.addcmul_(self.delta, factor * _dots(tangent, normed))
        return curve.addcmul_(self.tangent_normed, factor * _dots(scaled, normed))


class ConvCriticGradients:
    """Losses and weight gradients of a `ConvCritic` with leaky ReLUs.

    Args:
        stages: from the sample on.
        head: the linear layer at the end, over channels, rows and columns.
    """

    def __init__(self, stages: list[Stage], head: nn.Linear) -> None:
        self._stages, self._head = stages, head

    @classmethod
    def of(cls, critic: nn.Module, constraint: Constraint) -> "ConvCriticGradients | None":
        """The closed form of a prepared critic under a constraint, or None where autograd is needed.

        On a GPU it is left to cuDNN and autograd, whose kernels need no patches.
        """
        if not is_plain(critic, ConvCritic) or type(constraint) not in CONSTRAINTS:
            return None
        if next(critic.parameters()).device.type != "cpu":
            return None
        *layers, flatten, head = critic.body
        stages = _stages(layers)
        if not stages or type(flatten) is not nn.Flatten or not is_plain(head, nn.Linear):
            return None
        return cls(stages, head)

    @torch.no_grad()
    def backward(self, real: Tensor, fake: Tensor, loss: Loss, context: Tensor | None = None) -> dict[str, Tensor]:
        """Put the gradient of loss and penalty into the weights' `grad`; return detached statistics.

        Args:
            real: (n, C, H, W).
            fake: (n, C, H, W).
            loss: what is to be differentiated.
            context: None: a critic that is told conditions has no form here.
        """
        assert context is None
        batches = [real, fake]
        if loss.penalised:
            batches.extend(loss.points(real, fake))
        dtype = torch.bfloat16 if loss.precision == torch.bfloat16 else real.dtype
        values = torch.cat([each.permute(0, 2, 3, 1).to(dtype) for each in batches])
        count, scored = len(real), len(real) + len(fake)
        passes, values, head = self._forward(values)
        scores = torch.mv(values[:scored], head).to(real.dtype) + self._head.bias
        real_scores, fake_scores = scores[:count], scores[count:]
        statistics = {"real_mean": real_scores.mean(), "fake_mean": fake_scores.mean()}
        by_score = torch.cat(loss.objective.critic_loss_derivatives(real_scores, fake_scores))
        by_head = torch.mv(values[:scored].T, by_score.to(dtype))

        between = slice(scored, len(values))
        if loss.penalised:
            statistics["penalty"], tangent = _slopes(passes, head, between, loss, real.dtype)
            for each in passes:
                tangent = each.jvp(tangent, between)
            by_head += tangent.sum(0)

        # Where nothing is normalised, the values of the points between have no adjoint: their rows are left out.
        curved = loss.penalised and any(each.scale is not None for each in passes)
        rows = slice(0, len(values) if curved else scored)
        adjoint = values.new_zeros(rows.stop, len(head))
        torch.mul(by_score.to(dtype)[:, None], head, out=adjoint[:scored])
        for stage, each in zip(self._stages[::-1], passes[::-1], strict=True):
            adjoint, by_norm = each.descend(adjoint, rows)
            if loss.penalised and by_norm is not None:
                adjoint[between] += each.curve
                by_norm[0].add_((each.delta_normed * each.tangent_normed).sum(0))
            deltas = each.convolution.deltas(adjoint)
            kernel = each.convolution.by_kernel(each.given, deltas)
            if loss.penalised:
                kernel += each.convolution.by_kernel(each.tangent, each.deltas)
            stage.set_gradients(kernel, adjoint.view(-1, len(kernel)).sum(0), by_norm)
            if each is not passes[0]:
                adjoint = each.convolution.transposed(deltas)
        self._head.weight.grad = by_head.view(*passes[-1].made_grid, -1).movedim(-1, 0).reshape(1, -1).to(real.dtype)
        self._head.bias.grad = by_score.sum()[None]
        return statistics

    @torch.no_grad()
    def generator_loss(
        self, fake: Tensor, objective: Objective, precision: torch.dtype, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The generator's loss, a scalar, and its gradient by the fakes that the critic scores.

        Args:
            fake: (n, C, H, W).
            objective: of the scores.
            precision: of the passes through the critic.
            context: None: a critic that is told conditions has no form here.
        """
        assert context is None
        dtype = torch.bfloat16 if precision == torch.bfloat16 else self._head.weight.dtype
        passes, values, head = self._forward(fake.permute(0, 2, 3, 1).to(dtype))
        scores = torch.mv(values, head).to(self._head.weight.dtype) + self._head.bias
        delta = objective.generator_loss_derivatives(scores).to(dtype)[:, None] * head
        gradient = _descended(passes, delta, slice(0, len(fake)))
        return objective.generator_loss(scores), gradient.view(len(fake), *passes[0].grid, -1).permute(0, 3, 1, 2).to(
            fake.dtype
        )

    def _forward(self, values: Tensor) -> tuple[list[Pass], Tensor, Tensor]:
        """All stages, what the last makes of samples (n, H, W, C), and the head's weights, channels last too."""
        passes: list[Pass] = []
        grid = (values.shape[1], values.shape[2])
        for stage in self._stages:
            passes.append(Pass(stage, values.dtype, grid))
            values = passes[-1].forward(values)
            grid = passes[-1].made_grid
        return passes, values, self._head.weight.view(-1, grid[0] * grid[1]).T.flatten().to(values.dtype)


def _slopes(passes: list[Pass], head: Tensor, between: slice, loss: Loss, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The penalty, and the gradient of its share of the loss by the input gradients, (n, values of a sample)."""
    delta = _descended(passes, head.expand(between.stop - between.start, -1), between)
    penalty, pushed = gradient_norm_penalty(loss, delta.to(dtype))
    return penalty, pushed.to(head.dtype)


def _descended(passes: list[Pass], delta: Tensor, rows: slice) -> Tensor:
    """A gradient by what the last stage makes of some rows to that by the samples, (n, values of a sample)."""
    for each in passes[::-1]:
        delta = each.vjp(delta, rows)
    return delta


def _dots(left: Tensor, right: Tensor) -> Tensor:
    """Products of rows, (n, 1)."""
    dots: Tensor = torch.linalg.vecdot(left, right)
    return dots[:, None]


def _stages(layers: list[nn.Module]) -> list[Stage]:
    """What the layers of a critic make, or nothing if one of them is not as `ConvCritic` builds it."""
    stages: list[Stage] = []
    rest = [layer for layer in layers if type(layer) is not nn.Identity]
    while rest:
        conv, *rest = rest
        norm = rest.pop(0) if rest and isinstance(rest[0], nn.GroupNorm) else None
        activation, *rest = rest or [nn.Identity()]
        if not (_is_sound(conv) and is_plain(activation, nn.LeakyReLU) and activation.negative_slope >= 0):
            return []
        if norm is not None and not (is_plain(norm, nn.GroupNorm) and norm.num_groups == 1):
            return []
        assert isinstance(conv, nn.Conv2d)
        stages.append(Stage(conv, norm, activation.negative_slope))
    return stages


def _is_sound(conv: nn.Module) -> bool:
    return (
        is_plain(conv, nn.Conv2d)
        and (conv.kernel_size, conv.stride, conv.padding) == (KERNEL, STRIDE, PADDING)
        and (conv.dilation, conv.groups, conv.padding_mode) == ((1, 1), 1, "zeros")
    )
