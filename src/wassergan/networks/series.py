"""Generators and critics of series (C, T): causal convolutions, gated recurrence, and critics of changes in time."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from wassergan.errors import UserError, parameter
from wassergan.networks.activations import get_activation
from wassergan.networks.conv import norm_layer, with_planes

KERNEL = 3  # steps that a causal convolution sees at once
CRITIC_KERNEL, SHORTEST = 5, 4  # of the critic; it halves the steps while more than so many are left
MOST_DOUBLINGS = 2  # of the critic's maps


def series_shape(shape: tuple[int, ...], network: str) -> tuple[int, int]:
    """Check that a sample is a series, and return (channels, steps).

    Raises:
        UserError: it is not.
    """
    if len(shape) != 2:
        raise UserError(
            f"Network '{network}' needs series",
            found=f"samples of shape {shape}",
            hint=f"say {parameter('layout', 'NTC')} for series, or use {parameter('network', 'mlp')}",
        )
    return shape[0], shape[1]


class NoiseInTime(nn.Module):
    """A latent vector to the numbers that each step is given: noise of its own, and what all steps share.

    Half of the latent numbers, rounded down to as many for each step, belong to single steps; the rest, and a learnt
    vector for each step, are there from the first step on. So step t depends on nothing that belongs to later steps.

    Args:
        latent_dim: numbers in a latent vector.
        steps: T.
        maps: numbers that each step is given.
    """

    def __init__(self, latent_dim: int, steps: int, maps: int) -> None:
        super().__init__()
        self.steps, self.own = steps, latent_dim // 2 // steps
        shared = latent_dim - steps * self.own
        self.shared = nn.Linear(shared, maps)
        self.each = nn.Linear(self.own, maps, bias=False) if self.own else None
        self.places = nn.Parameter(torch.randn(maps, steps) / maps**0.5)

    def forward(self, latent: Tensor) -> Tensor:
        """(n, latent_dim) to (n, maps, T)."""
        own = self.steps * self.own
        given: Tensor = self.shared(latent[:, own:])[:, :, None] + self.places
        if self.each is None:
            return given
        # As rows of a matrix: PyTorch 2.6 exports no product with more axes for any number of samples.
        noise: Tensor = self.each(latent[:, :own].reshape(-1, self.own)).unflatten(0, (-1, self.steps))
        both: Tensor = given + noise.mT
        return both


class StepNorm(nn.Module):
    """Layer normalisation over the maps of each step, by itself: over all steps it would show the future to the past.

    Args:
        maps: of a step.
    """

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(maps)

    def forward(self, hidden: Tensor) -> Tensor:
        """(n, maps, T) to the same shape."""
        normed: Tensor = self.norm(hidden.mT).mT
        return normed


def step_norm(name: str, maps: int) -> nn.Module:
    """`layer` (of each step), `batch` (over samples and steps) or `none`.

    Raises:
        UserError: the name is not known.
    """
    if name == "batch":
        return nn.BatchNorm1d(maps)
    return StepNorm(maps) if name == "layer" else norm_layer(name, maps)


class CausalBlock(nn.Module):
    """Residual block: norm, SiLU, a convolution over this step and earlier ones, SiLU, a linear map of each step.

    Args:
        maps: kept.
        dilation: steps between those that the convolution sees.
        norm: see `step_norm`.
    """

    def __init__(self, maps: int, dilation: int, *, norm: str) -> None:
        super().__init__()
        self.reach = (KERNEL - 1) * dilation
        self.norm = step_norm(norm, maps)
        self.past = nn.Conv1d(maps, maps, KERNEL, dilation=dilation)
        self.mix = nn.Conv1d(maps, maps, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """(n, maps, T) to the same shape."""
        before = functional.pad(functional.silu(self.norm(hidden)), (self.reach, 0))
        changed: Tensor = hidden + self.mix(functional.silu(self.past(before)))
        return changed

    def step(self, hidden: Tensor, memory: list[Tensor]) -> Tensor:
        """The next step (n, maps) alone, given what earlier steps left in `memory`, to which it adds its own."""
        memory.append(functional.silu(self.norm(hidden[:, :, None])[:, :, 0]))
        places = range(len(memory) - 1 - self.reach, len(memory), self.past.dilation[0])
        seen = torch.cat([memory[each] if each >= 0 else torch.zeros_like(memory[-1]) for each in places], 1)
        past = functional.linear(seen, self.past.weight.mT.flatten(1), self.past.bias)
        changed: Tensor = hidden + functional.linear(functional.silu(past), self.mix.weight[:, :, 0], self.mix.bias)
        return changed


class CausalStack(nn.Sequential):
    """Blocks of dilated causal convolutions, so many that the last step sees the first one.

    Args:
        steps: T.
        maps: of every block.
        norm: see `step_norm`.
    """

    def __init__(self, steps: int, maps: int, *, norm: str) -> None:
        doublings = range(max(1, math.ceil(math.log2(max(1, (steps - 1) / (KERNEL - 1)) + 1))))
        super().__init__(*(CausalBlock(maps, 2**each, norm=norm) for each in doublings))

    def memory(self) -> list[list[Tensor]]:
        """What `step` is given at the first step."""
        return [[] for _ in self]

    def step(self, hidden: Tensor, memory: list[list[Tensor]]) -> Tensor:
        """(n, maps) of the next step to the same, as the whole stack has it at that step."""
        for block, own in zip(self, memory, strict=True):
            assert isinstance(block, CausalBlock)
            hidden = block.step(hidden, own)
        return hidden


class CausalGenerator(nn.Module):
    """Dilated causal convolutions until the last step sees the first one. Source: van den Oord et al. 2016, 1609.03499.

    Args:
        latent_dim: numbers in a latent vector.
        shape: (channels, steps).
        head: maps samples into the range of the data.
        maps: of every block.
        norm: `layer`, `batch` or `none`.
    """

    def __init__(
        self, latent_dim: int, shape: tuple[int, ...], *, head: nn.Module, maps: int = 64, norm: str = "layer"
    ) -> None:
        super().__init__()
        channels, steps = series_shape(shape, "conv")
        self.noise = NoiseInTime(latent_dim, steps, maps)
        self.blocks = CausalStack(steps, maps, norm=norm)
        self.last = nn.Sequential(step_norm(norm, maps), nn.SiLU(), nn.Conv1d(maps, channels, 1))
        self.head = head

    def forward(self, latent: Tensor) -> Tensor:
        """(n, latent_dim) to (n, C, T)."""
        samples: Tensor = self.head(self.last(self.blocks(self.noise(latent))))
        return samples


class RecurrentGenerator(nn.Module):
    """Gated recurrent units from the first step to the last. Source: Cho et al. 2014, arXiv 1406.1078.

    Args:
        latent_dim: numbers in a latent vector.
        shape: (channels, steps).
        head: maps samples into the range of the data.
        maps: numbers in the state.
        norm: `layer` or `none`, before the last map.
    """

    def __init__(
        self, latent_dim: int, shape: tuple[int, ...], *, head: nn.Module, maps: int = 64, norm: str = "layer"
    ) -> None:
        super().__init__()
        channels, steps = series_shape(shape, "recurrent")
        self.noise = NoiseInTime(latent_dim, steps, maps)
        self.given = nn.Conv1d(maps, 3 * maps, 1)
        self.gates, self.candidate = nn.Linear(maps, 2 * maps), nn.Linear(maps, maps)
        self.last = nn.Sequential(step_norm(norm, maps), nn.SiLU(), nn.Conv1d(maps, channels, 1))
        self.head = head

    def forward(self, latent: Tensor) -> Tensor:
        """(n, latent_dim) to (n, C, T)."""
        given = self.given(functional.silu(self.noise(latent)))
        state, states = torch.zeros_like(given[:, : len(self.candidate.bias), 0]), []
        for step in given.unbind(2):
            keep, reset, new = step.chunk(3, 1)
            old_keep, old_reset = self.gates(state).chunk(2, 1)
            share = torch.sigmoid(keep + old_keep)
            proposed = torch.tanh(new + torch.sigmoid(reset + old_reset) * self.candidate(state))
            state = share * state + (1 - share) * proposed
            states.append(state)
        samples: Tensor = self.head(self.last(torch.stack(states, 2)))
        return samples


class WithDifferences(nn.Module):
    """Each series and its differences from step to step, over √5: ‖x‖² + ‖Δx‖² ≤ 5 ‖x‖², so the norm does not grow."""

    def forward(self, series: Tensor) -> Tensor:
        """(n, C, T) to (n, 2 C, T); the first difference is 0."""
        changes = functional.pad(series.diff(dim=2), (1, 0))
        return torch.cat([series, changes], 1) / 5**0.5

    def lipschitz_proof(self) -> tuple[float, str]:
        """(a - b)² ≤ 2 a² + 2 b²: every value stands in at most two differences."""
        return 1.0 + 1e-12, "the series and their differences, at most 5 times the square, over the root of 5"


class SeriesCritic(nn.Module):
    """Convolutions over series and their differences, halving the steps, then one linear layer over all that is left.

    They are two-dimensional convolutions over (T, 1), for which spectral norms, orthogonal kernels and certificates are
    there.

    Args:
        shape: (channels, steps).
        maps: of the first convolution; doubled twice at most.
        norm: `layer`, `batch` or `none`, behind every convolution but the first.
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
        channels, steps = series_shape(shape, "conv")
        layers: list[nn.Module] = [WithDifferences(), nn.Unflatten(2, (steps, 1))]
        channels, stage = 2 * (channels + context_dim), 0
        while stage == 0 or steps > SHORTEST:
            wider = maps * 2 ** min(stage, MOST_DOUBLINGS)
            stride = 2 if steps > SHORTEST else 1
            layers.append(
                nn.Conv2d(channels, wider, (CRITIC_KERNEL, 1), stride=(stride, 1), padding=(CRITIC_KERNEL // 2, 0))
            )
            if stage:
                layers.append(norm_layer(norm, wider))
            layers.append(get_activation(activation))
            channels, steps, stage = wider, -(-steps // stride), stage + 1
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * steps, 1))

    def forward(self, samples: Tensor, context: Tensor | None = None) -> Tensor:
        """(n, C, T), and (n, context_dim) if there is any, to (n,)."""
        return torch.squeeze(self.body(with_planes(samples, context)), 1)

    def lipschitz_chain(self) -> nn.Sequential:
        """All layers; the rest is reshaping."""
        return self.body
