"""Discriminative and predictive scores of series by recurrent networks, after Yoon, Jarrett, van der Schaar 2019.

Several networks are trained at once, for all seeds: the same products, in batches.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wassergan.evaluation.evaluate import MetricRow

SEEDS, BATCH, LAYERS, TRAIN_SHARE = 5, 128, 2, 0.8
STEPS, LR = 150, 1e-2  # of an evaluation; the published protocol has thousands of steps at 1e-3
LEAST_STEPS, LEAST_SERIES = 4, 40
MOST_SERIES = 4000  # of each kind
LEAST_HIDDEN = 16  # with the few that are published, hundreds of steps do not see series that run backwards
FEATURES = "recurrent networks"


@dataclass(frozen=True)
class Score:
    """The mean of the networks of all seeds, and its standard error."""

    value: float
    error: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Score":
        """From the value of each seed."""
        return cls(float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5))


class StackedGRUs(nn.Module):
    """Several networks side by side: two layers of gated recurrent units each, and a linear map of every step.

    Args:
        models: how many.
        inputs: numbers at a step.
        hidden: numbers in a state.
        outputs: numbers that come out.
        rng: draws the weights.
    """

    def __init__(self, models: int, inputs: int, hidden: int, outputs: int, *, rng: torch.Generator) -> None:
        super().__init__()

        def drawn(*shape: int, fan: int) -> nn.Parameter:
            return nn.Parameter((2 * torch.rand(models, *shape, generator=rng) - 1) / fan**0.5)

        sizes = [inputs] + [hidden] * (LAYERS - 1)
        self.given = nn.ParameterList([drawn(size, 3 * hidden, fan=hidden) for size in sizes])
        self.held = nn.ParameterList([drawn(hidden, 3 * hidden, fan=hidden) for _ in sizes])
        self.biases = nn.ParameterList([drawn(1, 3 * hidden, fan=hidden) for _ in sizes])
        self.weight, self.bias = drawn(hidden, outputs, fan=hidden), drawn(1, outputs, fan=hidden)
        self.hidden = hidden

    def forward(self, series: Tensor) -> tuple[Tensor, Tensor]:
        """(models, n, T, inputs) to outputs at every step (models, n, T, outputs), and at the last."""
        models, count, steps, _ = series.shape
        gates = (2 * self.hidden, self.hidden)  # how much of a state is kept, and looked at, and what is new
        for given, held, bias in zip(self.given, self.held, self.biases, strict=True):
            moved = torch.baddbmm(bias, series.flatten(1, 2), given).unflatten(1, (count, steps))
            state, states = series.new_zeros(models, count, self.hidden), []
            for step in moved.unbind(2):
                given_gates, given_new = step.split(gates, 2)
                held_gates, held_new = torch.bmm(state, held).split(gates, 2)
                share, reset = torch.sigmoid(given_gates + held_gates).chunk(2, 2)
                state = torch.lerp(torch.tanh(torch.addcmul(given_new, reset, held_new)), state, share)
                states.append(state)
            series = torch.stack(states, 2)
        outputs = torch.baddbmm(self.bias, series.flatten(1, 2), self.weight).unflatten(1, (count, steps))
        return outputs, outputs[:, :, -1]


def score_rows(
    generated: NDArray[np.float64],
    training: NDArray[np.float64],
    heldout: NDArray[np.float64],
    *,
    seed: int = 0,
    steps: int | None = None,
) -> list[MetricRow]:
    """Both scores with their floors, of series (n, C, T); none where the series are too short or too few.

    Args:
        generated: series.
        training: as many of them score the floor.
        heldout: real ones.
        seed: of the networks.
        steps: of training each network; `STEPS` unless given.
    """
    fewest = min(len(generated), len(training), len(heldout), MOST_SERIES)
    if heldout.shape[2] < LEAST_STEPS or fewest < LEAST_SERIES:
        return []
    scaled = Scaling(heldout)
    fake, seen, real = (scaled(each[:MOST_SERIES]) for each in (generated, training, heldout))
    told = f"two layers of gated recurrent units, {steps or STEPS} steps, {SEEDS} seeds; after Yoon et al. 2019"
    found = []
    for name, label, measure, note in (
        ("discriminative_score", "Discriminative score", discriminative_score, "|accuracy - 0.5|, 0 is best"),
        (
            "predictive_score",
            "Predictive score",
            predictive_score,
            "mean absolute error on real series, scaled to 0..1",
        ),
    ):
        most = len(real) if measure is predictive_score else fewest
        value, floor = (
            measure(real[:most], each[:fewest], seed=seed, steps=steps or STEPS, lr=LR) for each in (fake, seen)
        )
        found.append(
            MetricRow(
                *(name, label, value.value, value.error, floor.value, floor.error, "lower", FEATURES),
                *(fewest, most, f"{note}; {told}"),
            )
        )
    return found


class Scaling:
    """To [0, 1] by the range of each channel of real series; what is missing is the middle, and is told.

    Args:
        real: (n, C, T), NaN where a value is missing.
    """

    def __init__(self, real: NDArray[np.float64]) -> None:
        flat = np.moveaxis(real, 1, 0).reshape(real.shape[1], -1)
        there = [row[~np.isnan(row)] for row in flat]
        self._low = np.array([row.min() if row.size else 0.0 for row in there])
        high = np.array([row.max() if row.size else 1.0 for row in there])
        self._width = np.where(high > self._low, high - self._low, 1.0)
        self._with_gaps = bool(np.isnan(real).any())

    def __call__(self, series: NDArray[np.float64]) -> Tensor:
        """(n, C, T) to (n, T, C), with a channel for what is missing where something is."""
        gone = np.isnan(series)
        values = np.where(gone, 0.5, (series - self._low[:, None]) / self._width[:, None])
        # In front: the last channel is what is predicted.
        both = np.concatenate([gone.astype(float), values], 1) if self._with_gaps else values
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(both, 1, 2))).float()


def discriminative_score(real: Tensor, fake: Tensor, *, seed: int, steps: int, lr: float = 1e-3) -> Score:
    """|accuracy - 0.5| of networks that tell real from generated series (n, T, C), on a fifth that they did not see."""
    with _own_randomness(seed) as rng:
        networks = StackedGRUs(SEEDS, real.shape[2], _hidden(real), 1, rng=rng)
        sides = [_halves(each, rng) for each in (real, fake)]
        optimizer = torch.optim.Adam(networks.parameters(), lr=lr)
        for _ in range(steps):
            batches = [_batch(train, rng) for train, _ in sides]
            logits = networks(torch.cat(batches, 1))[1][:, :, 0]
            truth = torch.cat([torch.ones(batches[0].shape[:2]), torch.zeros(batches[1].shape[:2])], 1)
            loss = nn.functional.binary_cross_entropy_with_logits(logits, truth) * SEEDS
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            right = [networks(test)[1][:, :, 0] for _, test in sides]
            correct = torch.cat([right[0] > 0, right[1] <= 0], 1).double().mean(1)
    return Score.of([abs(each - 0.5) for each in correct.tolist()])


def predictive_score(real: Tensor, fake: Tensor, *, seed: int, steps: int, lr: float = 1e-3) -> Score:
    """Mean absolute error, on real series, of networks that learnt from generated ones to predict the last channel.

    From all other channels up to a step they predict the last channel at the next one; where there is one channel
    alone, from its own past.
    """
    with _own_randomness(seed) as rng:
        channels = real.shape[2]
        inputs = slice(0, max(1, channels - 1))
        networks = StackedGRUs(SEEDS, max(1, channels - 1), _hidden(real), 1, rng=rng)
        optimizer = torch.optim.Adam(networks.parameters(), lr=lr)
        own = fake.expand(SEEDS, *fake.shape)

        def errors(series: Tensor) -> Tensor:
            told = torch.sigmoid(networks(series[:, :, :-1, inputs])[0][..., 0])
            return (told - series[:, :, 1:, -1]).abs().mean((1, 2))

        for _ in range(steps):
            loss = errors(_batch(own, rng)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            found = errors(real.expand(SEEDS, *real.shape))
    return Score.of(found.tolist())


def _hidden(series: Tensor) -> int:
    """Half as many as channels, as published, but enough to learn in few steps."""
    return max(LEAST_HIDDEN, series.shape[2] // 2)


def _halves(series: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Training and test series of each network, (SEEDS, n, T, C)."""
    orders = torch.stack([torch.randperm(len(series), generator=rng) for _ in range(SEEDS)])
    cut = max(1, int(TRAIN_SHARE * len(series)))
    return series[orders[:, :cut]], series[orders[:, cut:]]


def _batch(series: Tensor, rng: torch.Generator) -> Tensor:
    """Some series for each network, (SEEDS, BATCH, T, C)."""
    chosen = torch.randint(series.shape[1], (SEEDS, min(BATCH, series.shape[1])), generator=rng)
    return series[torch.arange(SEEDS)[:, None], chosen]


@contextmanager
def _own_randomness(seed: int) -> Iterator[torch.Generator]:
    """A random generator of its own; with gradients, wherever this is called from."""
    with torch.enable_grad():
        yield torch.Generator().manual_seed(seed % 2**63)
