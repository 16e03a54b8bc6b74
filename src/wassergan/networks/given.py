"""Fields given fields: a generator that refines a condition on its grid, and a critic that sees both."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from wassergan.errors import UserError
from wassergan.networks.conv import ConvCritic, halvings, image_shape, norm_layer
from wassergan.networks.resizing import Grid, Resize
from wassergan.networks.resnet import ResNetCritic

SHARED = 64  # latent numbers that the whole field shares; further ones are noise at places of their own
FEATURES = 8  # maps of the condition that every grid is told
PLACES = 4  # learnt planes on every grid: what the place alone says, such as a coast
WHOLE_SIDE = 4  # to so many rows and columns the condition shrinks where all of it is seen at once
SMALL_START = 0.1  # of the last weights: at first, samples are the resized condition and little noise


def noise_places(latent_dim: int, grids: list[Grid]) -> tuple[Grid | None, int, int]:
    """Where the numbers of a latent vector go: the grid of the noise, its planes, and the numbers that all share.

    The finest grid is taken whose places the numbers beyond the first `SHARED` suffice for.

    >>> noise_places(448, [(32, 48), (16, 24), (8, 12)])
    ((16, 24), 1, 64)
    >>> noise_places(32, [(32, 48), (16, 24)])
    (None, 0, 32)
    """
    spare = latent_dim - SHARED
    for grid in grids:
        if spare >= math.prod(grid):
            planes = spare // math.prod(grid)
            return grid, planes, latent_dim - planes * math.prod(grid)
    return None, 0, latent_dim


class Refinement(nn.Module):
    """A residual block at one grid: what was made on a coarser one, and what condition, noise and place say here.

    Args:
        before: maps of what was made.
        maps: of what comes out.
        told: channels of what is said.
        grid: of the output.
        norm: `layer`, `batch` or `none`.
    """

    def __init__(self, before: int, maps: int, told: int, grid: Grid, *, norm: str) -> None:
        super().__init__()
        self.grid = grid
        self.places = nn.Parameter(torch.randn(PLACES, *grid) / 2)
        self.made = nn.Conv2d(before, maps, 1) if before != maps else nn.Identity()
        self.told = nn.Conv2d(told + PLACES, maps, 1)
        self.norm1, self.norm2 = norm_layer(norm, maps), norm_layer(norm, maps)
        self.conv1, self.conv2 = nn.Conv2d(maps, maps, 3, padding=1), nn.Conv2d(maps, maps, 3, padding=1)

    def forward(self, made: Tensor, told: Tensor) -> Tensor:
        """(n, before, h, w) and (n, told, *grid) to (n, maps, *grid)."""
        places = self.places.expand(len(told), *self.places.shape).to(told.dtype)
        hidden = functional.interpolate(self.made(made), self.grid) + self.told(torch.cat([told, places], 1))
        residual = self.conv1(functional.silu(self.norm1(hidden)))
        refined: Tensor = hidden + self.conv2(functional.silu(self.norm2(residual)))
        return refined


class GivenGenerator(nn.Module):
    """From the smallest grid to that of the samples; at every grid it is told the condition and features of it.

    The sample is the condition, resized bilinearly, and what the network adds. The latent vector's first numbers are
    shared by all places; further ones are noise at the places of one grid. In evaluation mode they are multiplied by
    `spread` e^(`tails` ξ), with ξ ~ N(0, 1) the sum of the shared numbers over its deviation: draws lie farther or less
    far out by chance, so that they have heavier tails. That is 1 unless the two are set.

    Args:
        latent_dim: numbers in a latent vector.
        shape: (channels, height, width) of a sample.
        given: those of a condition, which comes before the latent vector, its numbers in a row.
        head: maps samples into the range of the data.
        maps: maps at every grid but the finest, which has half as many.
        norm: `layer`, `batch` or `none`.
    """

    spread: Tensor
    tails: Tensor
    later: ClassVar = {
        "spread": 1.0,
        "tails": 0.0,
    }  # buffers that older checkpoints lack, and what they stand for there

    def __init__(
        self,
        latent_dim: int,
        shape: tuple[int, ...],
        given: tuple[int, ...],
        *,
        head: nn.Module,
        maps: int = 32,
        norm: str = "layer",
    ) -> None:
        super().__init__()
        channels, *sides = image_shape(shape, "conv")
        self.given = given
        told, before = given[0], (given[1], given[2])
        grids = halvings(*sides)
        self.noise_grid, self.planes, self.shared = noise_places(latent_dim, grids)
        grids = grids[::-1]
        finest = max(1, maps // 2)
        widths = [*[maps] * (len(grids) - 1), finest] if len(grids) > 1 else [finest]
        self.start = (widths[0], *grids[0])
        self.features = nn.Sequential(
            nn.Conv2d(told, maps, 3, padding=1), nn.SiLU(), nn.Conv2d(maps, FEATURES, 3, padding=1), nn.SiLU()
        )
        small = (min(WHOLE_SIDE, before[0]), min(WHOLE_SIDE, before[1]))
        self.whole = nn.Sequential(Resize(before, small), nn.Flatten())
        self.project = nn.Linear(self.shared + FEATURES * math.prod(small), math.prod(self.start))
        self.resized = nn.ModuleList(Resize(before, grid) for grid in grids)
        planes = [self.planes if grid == self.noise_grid else 0 for grid in grids]
        self.stages = nn.ModuleList(
            Refinement(before, width, told + FEATURES + noise, grid, norm=norm)
            for before, width, noise, grid in zip([widths[0], *widths], widths, planes, grids, strict=False)
        )
        self.outward = nn.Conv2d(finest, channels, 3, padding=1)
        self.last = nn.Sequential(norm_layer(norm, finest), nn.SiLU())
        self.base = nn.Conv2d(told, channels, 1)
        nn.init.dirac_(self.base.weight)
        with torch.no_grad():
            for scale, parameter in ((0.0, self.base.bias), (SMALL_START, self.outward.weight)):
                assert parameter is not None
                parameter.mul_(scale)
        self.head = head
        for name, value in self.later.items():
            self.register_buffer(name, torch.full((), value))

    def forward(self, latent: Tensor) -> Tensor:
        """(n, numbers of a condition + latent_dim) to (n, C, H, W)."""
        given, shared, local = latent.split(
            [math.prod(self.given), self.shared, latent.shape[1] - math.prod(self.given) - self.shared], 1
        )
        if not self.training:
            factor = (self.spread * torch.exp(self.tails * self.sizes(shared)))[:, None]
            shared, local = factor * shared, factor * local
        field = given.unflatten(1, self.given)
        features = self.features(field)
        hidden = self.project(torch.cat([shared, self.whole(features).to(shared.dtype)], 1)).unflatten(1, self.start)
        told = field
        for stage, resize in zip(self.stages, self.resized, strict=True):
            told = resize.exactly(field)  # type: ignore[operator]
            noise = [] if self.noise_grid is None or resize.after != self.noise_grid else [self._planes(local)]
            hidden = stage(hidden, torch.cat([told, resize(features).to(told.dtype), *noise], 1))
        with torch.autocast(told.device.type, enabled=False):
            base = functional.conv2d(told, self.base.weight.to(told.dtype), self.base.bias.to(told.dtype))  # type: ignore[union-attr]
        samples: Tensor = self.head(base + self.outward(self.last(hidden)).to(base.dtype))
        return samples

    def sizes(self, shared: Tensor) -> Tensor:
        """ξ of the shared latent numbers (n, shared), (n,)."""
        found: Tensor = shared.sum(1) / self.shared**0.5
        return found

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *further: Any) -> None:
        """Also of checkpoints that know no spread, or no tails."""
        for name, value in self.later.items():
            state_dict.setdefault(f"{prefix}{name}", torch.full((), value))
        super()._load_from_state_dict(state_dict, prefix, *further)

    def _planes(self, local: Tensor) -> Tensor:
        """Noise of single places as planes of its grid."""
        assert self.noise_grid is not None
        planes: Tensor = local.unflatten(1, (self.planes, *self.noise_grid))
        return planes

    def scored(self, latent: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Samples, and the score of two draws for each condition against the real sample.

        Args:
            latent: (n, numbers of a condition + 2 latent_dim): the condition, and two latent vectors.
            real: (n, C, H, W).

        Returns:
            The first draws (n, C, H, W), and their `ensemble_score`.
        """
        numbers = math.prod(self.given)
        given, first, second = latent.split([numbers, *[(latent.shape[1] - numbers) // 2] * 2], 1)
        both = self(torch.cat([torch.cat([given, each], 1) for each in (first, second)]))
        one, other = both.float().chunk(2)
        return one, ensemble_score(one, other, real)


def ensemble_score(one: Tensor, other: Tensor, real: Tensor) -> Tensor:
    """√D times the fair CRPS of two draws, E|x - y| - E|x - x'| / 2, at single places and in means over 2×2 and 4×4.

    It is smallest for draws from the distribution of y given the condition (Gneiting and Raftery 2007, section 4.2).
    With the factor, D numbers in a sample, its gradient is of the size of a critic's of slope 1.

    Args:
        one: (n, C, H, W).
        other: the same shape, of other latents.
        real: the same shape.
    """
    parts = []
    for side in (1, 2, 4):
        if min(real.shape[2:]) < side:
            break
        x, z, y = (functional.avg_pool2d(each, side) if side > 1 else each for each in (one, other, real))
        errors = ((x - y).abs() + (z - y).abs()) / 2
        parts.append((errors - (x - z).abs() / 2).mean())
    size: int = real[0].numel()
    score: Tensor = torch.stack(parts).mean() * size**0.5
    return score


class GivenCritic(nn.Module):
    """A critic of pictures that sees the condition on their grid.

    Where both have as many channels, it is given the difference from the resized condition, and that: for a fixed
    condition a shift of the sample, which changes no gradient norm.

    Args:
        kind: `conv` or `resnet`.
        shape: (channels, height, width) of what is scored.
        given: those of its condition.
        further: arguments of the critic of pictures.
    """

    def __init__(self, kind: str, shape: tuple[int, ...], given: tuple[int, ...], *, further: dict[str, Any]) -> None:
        super().__init__()
        channels, height, width = image_shape(shape, kind)
        self.given, self.is_difference = given, given[0] == channels
        self.resized = Resize((given[1], given[2]), (height, width))
        of_pictures = ConvCritic if kind == "conv" else ResNetCritic
        self.critic = of_pictures((channels + given[0], height, width), **further)

    def forward(self, samples: Tensor, context: Tensor) -> Tensor:
        """(n, C, H, W) and conditions with their numbers in a row (n, k) to (n,)."""
        told = self.resized.exactly(context.unflatten(1, self.given)).to(samples.dtype)
        shown = samples - told if self.is_difference else samples
        scores: Tensor = self.critic(torch.cat([shown, told], 1))
        return scores

    def lipschitz_chain(self) -> nn.Sequential:
        """Of the sample alone, for a fixed condition."""
        if not isinstance(self.critic, ConvCritic):
            raise UserError(f"{type(self.critic).__name__} cannot be bounded", hint="use the network conv")
        return self.critic.lipschitz_chain()
