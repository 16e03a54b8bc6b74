"""Convolutional generator and critic for (C, H, W) samples of any height, width and channel count."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from wassergan.errors import UserError, parameter, unknown_name
from wassergan.networks.activations import get_activation

SMALLEST_GRID = 4  # the grid on which the generator starts and the critic ends has a side of 4 to 7
NORMS = ("none", "layer", "batch")
UPSAMPLINGS = TRANSPOSED, NEAREST = "transposed", "nearest"
SUMMED = 0.375  # of the initial 3×3 weights, so that sums of one to four are three quarters of free 4×4 ones


def image_shape(shape: tuple[int, ...], network: str) -> tuple[int, int, int]:
    """Check that a sample is a grid large enough to convolve, and return (channels, height, width).

    Raises:
        UserError: it is not.
    """
    if len(shape) != 3 or min(shape[1:]) < SMALLEST_GRID:
        raise UserError(
            f"Network '{network}' needs pictures or fields of at least {SMALLEST_GRID}x{SMALLEST_GRID}",
            found=f"samples of shape {shape}",
            hint=f"use {parameter('network', 'mlp')}",
        )
    channels, height, width = shape
    return channels, height, width


def halvings(height: int, width: int, *, smallest: int = SMALLEST_GRID) -> list[tuple[int, int]]:
    """Grids obtained by halving the sample's, rounded up, while the shorter side is at least `smallest`.

    >>> halvings(33, 49)
    [(33, 49), (17, 25), (9, 13), (5, 7)]
    """
    grids = [(height, width)]
    while min(grids[-1]) >= 2 * smallest - 1:
        grids.append(((grids[-1][0] + 1) // 2, (grids[-1][1] + 1) // 2))
    return grids


def norm_layer(name: str, channels: int) -> nn.Module:
    """`layer` (over channels and pixels, affine per channel), `batch` or `none`.

    Raises:
        UserError: the name is not known.
    """
    match name:
        case "layer":
            return nn.GroupNorm(1, channels)
        case "batch":
            return nn.BatchNorm2d(channels)
        case "none":
            return nn.Identity()
    raise unknown_name("norm", name, NORMS)


def upsampling_layer(name: str, before: int, after: int) -> nn.ConvTranspose2d:
    """What doubles a grid.

    Raises:
        UserError: the name is not known.
    """
    match name:
        case "transposed":
            return nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)
        case "nearest":
            return NearestUp(before, after)
    raise unknown_name("upsampling", name, UPSAMPLINGS)


def channels_last(network: nn.Module) -> nn.Module:
    """The same network with kernels over two axes in this format; those over three axes gain nothing by theirs."""
    if any(weight.dim() == 5 for weight in network.parameters()):
        return network
    changed: nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return changed


def with_planes(samples: Tensor, context: Tensor | None) -> Tensor:
    """Samples (n, C, ...) over any axes with one constant channel per number of their context (n, k)."""
    if context is None:
        return samples
    planes = context.to(samples.dtype)[(..., *(None,) * (samples.dim() - 2))].expand(-1, -1, *samples.shape[2:])
    return torch.cat([samples, planes], 1)


class ConvCritic(nn.Module):
    """4×4 convolutions of stride 2, doubling the maps (64, 128, 256 for 32×32), then one linear layer.

    Normalisation follows every convolution but the first. Source: Gulrajani et al. 2017, arXiv 1704.00028
    (the critic of DCGAN with layer instead of batch normalisation).

    Args:
        shape: (channels, height, width).
        maps: maps of the first convolution.
        norm: `layer`, `batch` or `none`.
        activation: `leaky_relu`, `silu` or `maxmin`.
        context_dim: numbers that encode the condition of a sample; each is a constant channel.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        maps: int = 64,
        norm: str = "layer",
        activation: str = "leaky_relu",
        context_dim: int = 0,
    ) -> None:
        super().__init__()
        channels, height, width = image_shape(shape, "conv")
        channels += context_dim
        layers: list[nn.Module] = []
        for stage in range(len(halvings(height, width)) - 1 or 1):
            wider = maps * 2**stage
            # With kernel 4, stride 2 and padding 1, floor(h / 2) outputs see every row of an odd side too.
            layers.append(nn.Conv2d(channels, wider, 4, stride=2, padding=1))
            if stage:
                layers.append(norm_layer(norm, wider))
            layers.append(get_activation(activation))
            channels, height, width = wider, height // 2, width // 2
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, 1))

    def forward(self, samples: Tensor, context: Tensor | None = None) -> Tensor:
        """(n, C, H, W), and (n, context_dim) if there is any, to (n,)."""
        return torch.squeeze(self.body(with_planes(samples, context)), 1)

    def lipschitz_chain(self) -> nn.Sequential:
        """All layers; the rest is reshaping."""
        return self.body


class NearestUp(nn.ConvTranspose2d):
    """Every value four times, then a 3×3 convolution: a transposed 4×4 convolution of stride 2 with alike places.

    Its kernel is the sum of four shifted 3×3 ones. So all four places of a 2×2 cell have the same sum of weights, and
    what is flat stays flat, where free kernels leave a pattern of period two. Source: Odena, Dumoulin, Olah 2016,
    doi 10.23915/distill.00003.

    Args:
        before: maps of the input.
        after: of the output.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 3)
        with torch.no_grad():
            self.weight.mul_(SUMMED)

    def kernel(self) -> Tensor:
        """(before, after, 4, 4)."""
        wide = functional.pad(self.weight, (1, 1, 1, 1))
        return wide[..., 1:, 1:] + wide[..., :-1, 1:] + wide[..., 1:, :-1] + wide[..., :-1, :-1]

    def by_weight(self, by_kernel: Tensor) -> Tensor:
        """The gradient by the weight, (before, after, 3, 3), from that by the kernel."""
        rows = by_kernel[..., 1:, :] + by_kernel[..., :-1, :]
        return rows[..., 1:] + rows[..., :-1]

    def forward(self, values: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(n, before, h, w) to (n, after, 2 h, 2 w)."""
        return functional.conv_transpose2d(values, self.kernel(), self.bias, stride=2, padding=1)


class ConvGenerator(nn.Module):
    """A linear layer onto the smallest grid, then transposed 4×4 convolutions of stride 2, halving the maps.

    The mirror of `ConvCritic`; odd sides are cropped after doubling. Source: Radford et al. 2016,
    arXiv 1511.06434 (DCGAN), whose batch normalisation it keeps by default.

    Args:
        latent_dim: numbers in a latent vector.
        shape: (channels, height, width).
        head: maps samples into the range of the data.
        maps: maps before the last layer.
        norm: `batch`, `layer` or `none`.
        upsampling: `transposed`, or `nearest` for layers that are `NearestUp`.
    """

    def __init__(
        self,
        latent_dim: int,
        shape: tuple[int, ...],
        *,
        head: nn.Module,
        maps: int = 64,
        norm: str = "batch",
        upsampling: str = TRANSPOSED,
    ) -> None:
        super().__init__()
        channels, height, width = image_shape(shape, "conv")
        grids = halvings(height, width)
        if len(grids) == 1:
            grids.append(((height + 1) // 2, (width + 1) // 2))
        self.grids = grids[-2::-1]
        widest = maps * 2 ** (len(self.grids) - 1)
        self.start = (widest, *grids[-1])
        self.project = nn.Linear(latent_dim, widest * grids[-1][0] * grids[-1][1])
        self.first = nn.Sequential(norm_layer(norm, widest), nn.ReLU())
        stages = []
        for stage in range(len(self.grids)):
            before = widest // 2**stage
            last = stage == len(self.grids) - 1
            after = channels if last else before // 2
            up = upsampling_layer(upsampling, before, after)
            stages.append(up if last else nn.Sequential(up, norm_layer(norm, after), nn.ReLU()))
        self.stages = nn.ModuleList(stages)
        self.head = head

    def forward(self, latent: Tensor) -> Tensor:
        """(n, latent_dim) to (n, C, H, W)."""
        hidden = self.first(self.project(latent).unflatten(1, self.start))
        for stage, (height, width) in zip(self.stages, self.grids, strict=True):
            hidden = stage(hidden)[..., :height, :width]
        samples: Tensor = self.head(hidden)
        return samples
