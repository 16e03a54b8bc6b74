"""Residual generator and critic for (C, H, W) samples, built for 32 to 128 pixels and usable at any size."""

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from wassergan.networks.conv import halvings, image_shape, norm_layer, with_planes


class UpBlock(nn.Module):
    """Residual block: norm, ReLU, enlarge to `grid`, 3×3, norm, ReLU, 3×3; the shortcut is enlarged too."""

    def __init__(self, before: int, after: int, grid: tuple[int, int], *, norm: str) -> None:
        super().__init__()
        self.grid = grid
        self.norm1, self.norm2 = norm_layer(norm, before), norm_layer(norm, after)
        self.conv1, self.conv2 = nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """(n, before, h, w) to (n, after, *grid)."""
        wide = interpolate(relu(self.norm1(hidden)), self.grid)
        residual = self.conv2(relu(self.norm2(self.conv1(wide))))
        enlarged: Tensor = residual + self.shortcut(interpolate(hidden, self.grid))
        return enlarged


class DownBlock(nn.Module):
    """Residual block: ReLU, 3×3, ReLU, 3×3, then the mean over 2×2 if `halve`; the shortcut likewise."""

    def __init__(self, before: int, after: int, *, norm: str, halve: bool, first: bool = False) -> None:
        super().__init__()
        self.halve, self.first = halve, first
        self.norm1 = norm_layer("none" if first else norm, before)
        self.norm2 = norm_layer(norm, after)
        self.conv1, self.conv2 = nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1) if halve or before != after else nn.Identity()

    def forward(self, hidden: Tensor) -> Tensor:
        """(n, before, h, w) to (n, after, ceil(h/2), ceil(w/2)) if halved, else the same grid."""
        entry = hidden if self.first else relu(self.norm1(hidden))
        residual = self.conv2(relu(self.norm2(self.conv1(entry))))
        mixed: Tensor = residual + self.shortcut(hidden)
        return avg_pool2d(mixed, 2, ceil_mode=True) if self.halve else mixed


class ResNetGenerator(nn.Module):
    """A linear layer onto the smallest grid, then one `UpBlock` per doubling. Source: Gulrajani et al. 2017, app. F.

    Args:
        latent_dim: numbers in a latent vector.
        shape: (channels, height, width).
        head: maps samples into the range of the data.
        maps: maps in every block.
        norm: `batch`, `layer` or `none`.
    """

    def __init__(
        self,
        latent_dim: int,
        shape: tuple[int, ...],
        *,
        head: nn.Module,
        maps: int = 128,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        channels, height, width = image_shape(shape, "resnet")
        grids = halvings(height, width)[::-1]
        self.start = (maps, *grids[0])
        self.project = nn.Linear(latent_dim, maps * grids[0][0] * grids[0][1])
        self.blocks = nn.Sequential(*(UpBlock(maps, maps, grid, norm=norm) for grid in grids[1:]))
        self.last = nn.Sequential(norm_layer(norm, maps), nn.ReLU(), nn.Conv2d(maps, channels, 3, padding=1))
        self.head = head

    def forward(self, latent: Tensor) -> Tensor:
        """(n, latent_dim) to (n, C, H, W)."""
        hidden = self.blocks(self.project(latent).unflatten(1, self.start))
        samples: Tensor = self.head(self.last(hidden))
        return samples


class ResNetCritic(nn.Module):
    """`DownBlock`s to a grid of 8 or so, two blocks at that size, the mean over the grid, one linear layer.

    For 32×32 this is the critic of Gulrajani et al. 2017, appendix F; each further doubling adds one block.

    Args:
        shape: (channels, height, width).
        maps: maps in every block.
        norm: `none` (as in the paper at 32×32), `layer` or `batch`.
        context_dim: numbers that encode the condition of a sample; each is a constant channel.
    """

    def __init__(self, shape: tuple[int, ...], *, maps: int = 128, norm: str = "none", context_dim: int = 0) -> None:
        super().__init__()
        channels, height, width = image_shape(shape, "resnet")
        channels += context_dim
        stages = max(1, len(halvings(height, width, smallest=8)) - 1)
        blocks = [DownBlock(channels, maps, norm=norm, halve=True, first=True)]
        blocks += [DownBlock(maps, maps, norm=norm, halve=True) for _ in range(stages - 1)]
        blocks += [DownBlock(maps, maps, norm=norm, halve=False) for _ in range(2)]
        self.blocks = nn.Sequential(*blocks)
        self.score = nn.Linear(maps, 1)

    def forward(self, samples: Tensor, context: Tensor | None = None) -> Tensor:
        """(n, C, H, W), and (n, context_dim) if there is any, to (n,)."""
        hidden = relu(self.blocks(with_planes(samples, context))).mean(dim=(2, 3))
        return torch.squeeze(self.score(hidden), 1)
