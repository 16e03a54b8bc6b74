"""Two-point statistics: products of values at a lag along an axis, whose means the generator is led to."""

import torch
from torch import Tensor, nn

from wassergan.errors import UserError, parameter
from wassergan.training.distributed import SINGLE_PROCESS, DistributedContext
from wassergan.training.options import Likelihood

MEMORY = 800  # latest generated samples whose statistics are averaged; long memories lead on where it is right already
CONSTANT = 1e-6  # variance of a channel in model space, up to which it does not vary
LEAST = 0.05  # deviation of a statistic, at least: of its channel's variance, or for a mean of its deviation


def products_along(values: Tensor, axis: int, most: int) -> Tensor:
    """The mean product of two values at each lag up to `most` along an axis, (n, C, *sides) to (n, C, most + 1)."""
    lines = values.movedim(axis, 2)
    lines = lines.reshape(*lines.shape[:3], -1)  # (n, C, side, rest)
    products = lines @ lines.mT / lines.shape[3]  # of all pairs of places along the axis
    return torch.stack([products.diagonal(lag, 2, 3).mean(2) for lag in range(most + 1)], 2)


class TwoPoint(nn.Module):
    """Leads a generator to the mean two-point statistics of the data, beside the critic.

    A statistic is the mean product of a channel's deviations from a centre at two places a lag apart along an axis, up
    to half of its side; lag 0 is the variance about the centre, and each channel's mean is one more. What two networks
    that follow each other get wrong in the mean over many samples, such as how far a rare phase reaches, a critic of
    few samples hardly sees. Real statistics are averaged over all batches so far, generated ones over the latest 800
    samples. The distance is the mean over statistics of (generated - real)² / (variance from sample to sample + u²),
    where u, a twentieth of the variance of the channel's values (for its mean: of their deviation), bounds the pull of
    what hardly differs from sample to sample.
    Source: Torquato 2002, Random Heterogeneous Materials, section 2.2, for the function.

    Args:
        shape: of a sample, (channels, *sides).
        weight: of the distance in the generator's loss; 0 leaves it out.
        processes: those that train together.

    Raises:
        UserError: a weight below 0, or samples without an axis.
    """

    centre: Tensor
    real: Tensor
    real_square: Tensor
    made: Tensor
    batches: Tensor

    def __init__(
        self, shape: tuple[int, ...], weight: float, *, processes: DistributedContext = SINGLE_PROCESS
    ) -> None:
        super().__init__()
        if not weight >= 0:
            raise UserError("The weight of two-point statistics must be at least 0", found=f"{weight}")
        self._axes = tuple(axis for axis, side in enumerate(shape[1:], 2) if side > 1)
        if weight and not self._axes:
            raise UserError(
                "Two-point statistics are of samples on a grid",
                found=f"samples of {shape[0]} numbers" if len(shape) == 1 else f"samples of shape {shape}",
                hint=f"leave {parameter('two_point')} out",
            )
        self.weight, self._processes = weight, processes
        self._lags = tuple(shape[axis - 1] // 2 + 1 for axis in self._axes)
        count = shape[0] * (1 + sum(self._lags)) if weight else 0
        self.register_buffer("centre", torch.zeros(shape[0] if weight else 0))
        for name in ("real", "real_square", "made"):
            self.register_buffer(name, torch.zeros(count))
        self.register_buffer("batches", torch.zeros(()))

    def of(self, samples: Tensor) -> Tensor:
        """(n, C, *sides) to statistics (n, k): by axis, each channel's at lags 0, 1, ..., then the means."""
        values = samples.float()
        values = values - self.centre.view(-1, *(1,) * (values.dim() - 2))
        found = [products_along(values, axis, values.shape[axis] // 2).flatten(1) for axis in self._axes]
        return torch.cat([*found, values.flatten(2).mean(2)], 1)

    def _units(self) -> Tensor:
        """Of each statistic, the deviation that it counts with at least, (k,); 0 of channels that do not vary."""
        variances = self.real[: self._lags[0] * len(self.centre)].view(len(self.centre), -1)[:, 0]
        variances = torch.where(variances > CONSTANT, variances, 0)
        of_lags = [variances.repeat_interleave(count) for count in self._lags]
        return LEAST * torch.cat([*of_lags, variances.sqrt()])

    def follow(self, real: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
        """Take a batch of each kind into the averages.

        Args:
            real: (n, *shape).
            made: generated samples, through which gradients go back.

        Returns:
            What to add to the generator's loss, a number whose gradient leads to smaller distances; and the distance,
            detached.
        """
        with torch.no_grad():
            mean = self._processes.average(real.float().flatten(2).mean((0, 2)))
            self.centre.copy_(torch.where(self.batches == 0, mean, self.centre))
            self.batches.add_(1)
            each = self.of(real)
            for kept, now in ((self.real, each.mean(0)), (self.real_square, each.square().mean(0))):
                kept.lerp_(self._processes.average(now), 1 / self.batches)
        now = self.of(made).mean(0)
        with torch.no_grad():
            share = min(1.0, len(made) * self._processes.count / MEMORY)
            self.made.lerp_(self._processes.average(now.detach()), (1 / self.batches).clamp(min=share))
            units = self._units()
            variance = (self.real_square - self.real.square()).clamp(min=0)
            apart = torch.where(units > 0, self.made - self.real, 0)
            pull = apart / torch.where(units > 0, variance + units.square(), 1)
            distance = (pull * apart).mean()
        return 2 * self.weight * (pull * now).mean(), distance


def require_no_likelihood(weight: float, likelihood: Likelihood) -> None:
    """Refuse to lead a generator that follows a likelihood: it draws nothing as long as it follows that alone.

    Raises:
        UserError: says what to leave out.
    """
    if weight and likelihood.weight:
        raise UserError(
            "A generator that follows a likelihood is not led to two-point statistics",
            found=f"{parameter('two_point', weight)} and {parameter('likelihood', likelihood.weight)}",
            hint=f"leave one of them out, or use {parameter('likelihood', 0)}",
        )
