"""Passes through a convolutional generator and back, as matrix products without a graph.

A stage of `ConvGenerator` is z = Wᵀ ⋆ h + b, behind it a normalisation and a ReLU, and all is cropped to its grid. A
transposed convolution is the adjoint of a convolution: its own adjoints are that convolution, and the gradient by the
kernel with both sides exchanged. All of them are those of `convolutions`; values lie with their channels last.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from wassergan.networks import Bounded, ConvGenerator, Matched
from wassergan.networks.conv import NearestUp
from wassergan.training.analytic.convolutions import KERNEL, PADDING, STRIDE, Convolution, convolution_of
from wassergan.training.analytic.mlp import is_plain

KEPT = ("_given", "_made", "_moments", "_scale", "_shift", "_convolution", "_shape", "_latent", "_hidden", "_squashed")


class Norm(Protocol):
    """A normalisation of values (n, h, w, C), and the ReLU behind it.

    Attributes:
        takes_bias: it adds the layer's bias to what it is given; else the layer does.
    """

    takes_bias: bool

    def forward(self, values: Tensor, bias: Tensor | None) -> Tensor:
        """The same shape; keeps what `backward` needs."""

    def backward(self, gradient: Tensor) -> Tensor:
        """The gradient by the values; puts those of scale and shift into the weights."""


class Unnormalised:
    """Nothing but the ReLU."""

    takes_bias = False

    def forward(self, values: Tensor, bias: Tensor | None) -> Tensor:
        """In place."""
        self._made = values.relu_()
        return self._made

    def backward(self, gradient: Tensor) -> Tensor:
        """Where the ReLU let something through."""
        return torch.ops.aten.threshold_backward(gradient, self._made, 0)  # type: ignore[no-any-return]


class BatchNormalised(Unnormalised):
    """Over all samples and pixels; the running statistics follow.

    What a batch is shifted by leaves no trace but in the running mean, and has the gradient 0.
    """

    takes_bias = True

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        self._norm = norm

    def forward(self, values: Tensor, bias: Tensor | None) -> Tensor:
        """By PyTorch's kernel for channels last."""
        norm, self._given = self._norm, values.permute(0, 3, 1, 2)
        assert norm.num_batches_tracked is not None and norm.momentum is not None
        norm.num_batches_tracked.add_(1)
        made, *self._moments = torch.native_batch_norm(
            self._given, norm.weight, norm.bias, norm.running_mean, norm.running_var, True, norm.momentum, norm.eps
        )
        if bias is not None:
            assert norm.running_mean is not None
            norm.running_mean.add_(bias, alpha=norm.momentum)
        return super().forward(made.permute(0, 2, 3, 1), None)

    def backward(self, gradient: Tensor) -> Tensor:
        """Likewise."""
        norm = self._norm
        found, norm.weight.grad, norm.bias.grad = torch.ops.aten.native_batch_norm_backward(
            super().backward(gradient).permute(0, 3, 1, 2),
            self._given,
            norm.weight,
            norm.running_mean,
            norm.running_var,
            *self._moments,
            True,
            norm.eps,
            [True, True, True],
        )
        return found.permute(0, 2, 3, 1)  # type: ignore[no-any-return]


class LayerNormalised(Unnormalised):
    """Over the channels and pixels of a sample, scaled and shifted per channel."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        self._norm = norm

    def forward(self, values: Tensor, bias: Tensor | None) -> Tensor:
        """Over rows that hold a sample each."""
        self._given, pixels = values, values.shape[1] * values.shape[2]
        self._scale = self._norm.weight.repeat(pixels).to(values.dtype)
        self._shift = self._norm.bias.repeat(pixels).to(values.dtype)
        made, *self._moments = torch.native_layer_norm(
            values.flatten(1), self._scale.shape, self._scale, self._shift, self._norm.eps
        )
        return super().forward(made.view_as(values), None)

    def backward(self, gradient: Tensor) -> Tensor:
        """Scale and shift of a channel are those of all its pixels."""
        found, by_scale, by_shift = torch.ops.aten.native_layer_norm_backward(
            super().backward(gradient).flatten(1),
            self._given.flatten(1),
            self._scale.shape,
            *self._moments,
            self._scale,
            self._shift,
            [True, True, True],
        )
        for parameter, each in ((self._norm.weight, by_scale), (self._norm.bias, by_shift)):
            set_gradient(parameter, each.view(-1, len(parameter)).sum(0, dtype=parameter.dtype))
        return found.view_as(gradient)  # type: ignore[no-any-return]


class Upsampling:
    """A transposed convolution onto a grid of twice the sides.

    Args:
        up: 4×4, stride 2, padding 1.
        adds_bias: itself; else the normalisation behind it does, and the gradient is 0.
    """

    def __init__(self, up: nn.ConvTranspose2d, *, adds_bias: bool) -> None:
        self._up, self._adds_bias = up, adds_bias

    @property
    def left_bias(self) -> Tensor | None:
        """The bias that is not added here."""
        return None if self._adds_bias else self._up.bias

    def forward(self, values: Tensor) -> Tensor:
        """(n, h, w, in) to (n, 2 h, 2 w, out)."""
        assert self._up.bias is not None
        grid = (2 * values.shape[1], 2 * values.shape[2])
        whole = self._up.kernel() if isinstance(self._up, NearestUp) else self._up.weight
        kernel = whole.to(values.dtype).permute(0, 2, 3, 1).flatten(1)
        self._convolution: Convolution = convolution_of(kernel, grid)
        self._shape, self._given = values.shape, self._convolution.deltas(values.flatten(1))
        made = self._convolution.pixels(self._given)
        return made + self._up.bias.to(values.dtype) if self._adds_bias else made.contiguous()

    def backward(self, gradient: Tensor) -> Tensor:
        """The gradient by what was given; puts its own gradients into the weights."""
        up = self._up
        assert up.bias is not None
        up.bias.grad = gradient.sum((0, 1, 2), dtype=up.bias.dtype) if self._adds_bias else torch.zeros_like(up.bias)
        laid = self._convolution.given(gradient)
        by_kernel = self._convolution.by_kernel(laid, self._given)
        by_kernel = by_kernel.view(len(by_kernel), *KERNEL, -1).permute(0, 3, 1, 2)
        set_gradient(up.weight, up.by_weight(by_kernel) if isinstance(up, NearestUp) else by_kernel)
        return self._convolution.convolve(laid, None).view(self._shape)


class ConvGeneratorPasses:
    """A convolutional generator's forward and backward pass.

    Args:
        generator: whose weights are used where they are.
        norms: behind the first layer and behind each stage but the last.
    """

    def __init__(self, generator: ConvGenerator, norms: list[Norm]) -> None:
        self._generator, self._norms = generator, norms
        layers = [stage[0] if isinstance(stage, nn.Sequential) else stage for stage in generator.stages]
        upward = [layer for layer in layers if isinstance(layer, nn.ConvTranspose2d)]
        left = [each.takes_bias for each in norms[1:]]
        self._stages = [
            Upsampling(layer, adds_bias=not takes) for layer, takes in zip(upward, [*left, False], strict=True)
        ]
        self._grids = [generator.start[1:], *generator.grids]

    @classmethod
    def of(cls, generator: nn.Module) -> "ConvGeneratorPasses | None":
        """The passes of a generator in training mode, or None where it is not as `ConvGenerator` builds it."""
        if not is_plain(generator, ConvGenerator) or generator.project.weight.device.type != "cpu":
            return None
        *hidden, last = generator.stages
        sequences = [stage for stage in (generator.first, *hidden) if isinstance(stage, nn.Sequential)]
        layers = [layer for stage in sequences for layer in stage]
        upward = [layer for layer in (*layers, last) if isinstance(layer, nn.ConvTranspose2d)]
        rest = [layer for layer in layers if not isinstance(layer, nn.ConvTranspose2d)]
        norms = [_norm_of(norm, relu) for norm, relu in zip(rest[::2], rest[1::2], strict=False)]
        counts = {len(generator.stages), len(sequences), len(upward), len(norms), len(rest) / 2}
        plain = is_plain(generator.project, nn.Linear) and all(is_plain(each, nn.Sequential) for each in sequences)
        if None in norms or len(counts) > 1 or not plain or not all(map(_is_sound, upward)):
            return None
        return cls(generator, [norm for norm in norms if norm is not None])

    @torch.no_grad()
    def forward(self, latent: Tensor, precision: torch.dtype) -> Tensor:
        """(n, latent_dim) to fakes (n, C, H, W); keeps what `backward` needs.

        Args:
            latent: conditions before them.
            precision: bfloat16 for the products, or the latents' own.
        """
        dtype = torch.bfloat16 if precision == torch.bfloat16 else latent.dtype
        widest, height, width = self._generator.start
        project = self._generator.project
        self._latent = latent.to(dtype)
        weight = project.weight.to(dtype).view(widest, height * width, -1).transpose(0, 1).flatten(0, 1)
        bias = project.bias.view(widest, -1).T.flatten().to(dtype)
        hidden = torch.addmm(bias, self._latent, weight.T).view(-1, height, width, widest)
        left = None
        for norm, stage, grid in zip(self._norms, self._stages, self._grids[:-1], strict=True):
            hidden = stage.forward(_cropped(norm.forward(hidden, left), grid))
            left = stage.left_bias
        self._hidden = _cropped(hidden, self._grids[-1]).permute(0, 3, 1, 2)
        return self._head(self._hidden)

    @torch.no_grad()
    def backward(self, by_fake: Tensor) -> None:
        """Put the gradients into the weights' `grad`, and forget what was kept.

        Args:
            by_fake: the gradient by the fakes of the last `forward`.
        """
        gradient = self._by_hidden(by_fake).permute(0, 2, 3, 1).contiguous()
        wholes = [self._grids[0], *((2 * height, 2 * width) for height, width in self._grids[:-1])]
        for norm, stage, made, given in zip(
            self._norms[::-1], self._stages[::-1], wholes[:0:-1], wholes[-2::-1], strict=True
        ):
            gradient = norm.backward(_uncropped(stage.backward(_uncropped(gradient, made)), given))
        project, (widest, height, width) = self._generator.project, self._generator.start
        rows = gradient.flatten(1)
        by_weight = (rows.T @ self._latent).view(height * width, widest, -1).transpose(0, 1)
        set_gradient(project.weight, by_weight.reshape(project.weight.shape))
        set_gradient(project.bias, rows.sum(0, dtype=project.bias.dtype).view(-1, widest).T.reshape(-1))
        self.forget()

    def forget(self) -> None:
        """Let go of what the last `forward` keeps, if no `backward` follows."""
        for each in (self, *self._norms, *self._stages):
            for name in KEPT:
                vars(each).pop(name, None)

    def _head(self, hidden: Tensor) -> Tensor:
        head = self._generator.head
        if is_plain(head, Bounded) or is_plain(head, Matched):
            self._squashed = head.squashed(hidden)
            return head.within(self._squashed)
        fakes: Tensor = head(hidden)
        return fakes

    def _by_hidden(self, by_fake: Tensor) -> Tensor:
        """Through the head; by autograd where it is another than the usual one."""
        head = self._generator.head
        if is_plain(head, Bounded) or is_plain(head, Matched):
            return head.by_values(by_fake.to(self._squashed.dtype), self._squashed).to(self._hidden.dtype)
        with torch.enable_grad():
            hidden = self._hidden.detach().requires_grad_(True)
            fakes: Tensor = head(hidden)
            (fakes * by_fake).sum().backward()
        assert hidden.grad is not None
        return hidden.grad


def _cropped(values: Tensor, grid: tuple[int, int]) -> Tensor:
    """(n, h, w, C), without the last row or column where a grid has one less."""
    return values[:, : grid[0], : grid[1]].contiguous()


def _uncropped(gradient: Tensor, grid: tuple[int, int]) -> Tensor:
    """The gradient by values that were cropped from a grid."""
    missing = (0, 0, 0, grid[1] - gradient.shape[2], 0, grid[0] - gradient.shape[1])
    return nn.functional.pad(gradient, missing) if any(missing) else gradient


def set_gradient(parameter: Tensor, gradient: Tensor) -> None:
    """Put a gradient into a parameter's `grad`, in its own type and order of memory, as optimisers expect it."""
    parameter.grad = torch.empty_like(parameter).copy_(gradient)


def _norm_of(norm: nn.Module, activation: nn.Module) -> Norm | None:
    if not is_plain(activation, nn.ReLU):
        return None
    if is_plain(norm, nn.Identity):
        return Unnormalised()
    if is_plain(norm, nn.GroupNorm) and norm.num_groups == 1:
        return LayerNormalised(norm)
    if is_plain(norm, nn.BatchNorm2d) and norm.training and norm.track_running_stats and norm.momentum is not None:
        return BatchNormalised(norm)
    return None


def _is_sound(up: nn.Module) -> bool:
    return is_plain(up, NearestUp) or (
        is_plain(up, nn.ConvTranspose2d)
        and (up.kernel_size, up.stride, up.padding) == (KERNEL, STRIDE, PADDING)
        and (up.output_padding, up.dilation, up.groups) == ((0, 0), (1, 1), 1)
    )
