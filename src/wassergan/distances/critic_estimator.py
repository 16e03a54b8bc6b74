"""Certified critics: lower bounds on W1 between two distributions, with a confidence level, from samples alone."""

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from wassergan.constraints import input_gradient_norms, points_between
from wassergan.distances.arguments import (
    ASYMPTOTIC,
    FINITE_SAMPLE,
    Randomness,
    as_generator,
    check_budget,
    check_confidence,
    check_count,
    check_diameter,
    check_method,
)
from wassergan.distances.checks import Array, as_points, same_dimension
from wassergan.distances.critic_families import CERTIFIED, Family, get_families
from wassergan.distances.critic_training import Effort, Look, Trained, train_best
from wassergan.distances.orders import keyed, shuffled
from wassergan.distances.population import RESTS_ON, critic_lower_bound
from wassergan.errors import UserError
from wassergan.lipschitz import Certificate, certify
from wassergan.objectives import critic_gap

DEFAULT_STEPS = 2000
FIT_SHARE, VALIDATION_SHARE = 0.5, 0.15
VALIDATION_SAMPLES = 4096
POOL = 2**19  # fresh points of a sampler that one fit uses repeatedly
TEST_SAMPLES = 2**16
POOL_NUMBERS, TEST_NUMBERS = 2**26, 2**25  # the most numbers held, which shortens both for large samples
FEWEST = 20
GRADIENT_NORM_SAMPLES = 4096
_ROWS = 2**13


class Sampler(Protocol):
    """Draws fresh, independent points from a distribution."""

    def __call__(self, count: int, *, rng: torch.Generator) -> Tensor:
        """(count, d) points on the generator's device."""
        ...


@dataclass(frozen=True)
class Fit:
    """One trained critic, and what its scores on the unused test split show.

    Attributes:
        family: its name.
        critic: maps (n, d) in the samples' own units to (n,), float64, evaluation mode.
        certificate: proves its Lipschitz constant K.
        validation: the best validation gap / K, by which families are chosen.
        gap: E f(real) - E f(fake) on the test split, raw.
        value: gap / K, unbiased for a number that is at most W1.
        standard_error: of `value`.
        lower: lower confidence bound of W1, see `critic_lower_bound`.
        lower_asymptotic: the same by Welch's t, for comparison: it holds as samples grow, not at every size.
        gradient_norm_max: the largest gradient norm observed on segments between test samples, at most K.
        heuristic: gap / gradient_norm_max; a guess without any guarantee, None for certified families.
        steps: of training, including trials.
        seconds: of training, including trials.
        parameters: number of trained parameters.
        curve: the evaluations on the validation split.
    """

    family: str
    critic: nn.Module
    certificate: Certificate
    validation: float
    gap: float
    value: float
    standard_error: float
    lower: float
    lower_asymptotic: float
    gradient_norm_max: float
    heuristic: float | None
    steps: int
    seconds: float
    parameters: int
    curve: tuple[Look, ...]


@dataclass(frozen=True)
class W1Estimate:
    """The best family by the validation split, and every family that was tried.

    Attributes:
        best: its `lower` holds with `confidence`, since it was chosen without the test split.
        fits: by family.
        confidence: of the lower bound.
        method: "finite-sample" or "asymptotic".
        rests_on: the assumptions of the confidence, in words.
    """

    best: Fit
    fits: dict[str, Fit]
    confidence: float
    method: str
    rests_on: str

    @property
    def lower(self) -> float:
        """The lower confidence bound of W1."""
        return self.best.lower


class W1Estimator:
    """Trains certified critics between two samples or samplers and bounds W1 of the distributions from below.

    W1 = sup of E f(real) - E f(fake) over 1-Lipschitz f, so every certified critic gives a lower bound, up to sampling
    error. There are three splits: critics are fitted on the first, stopped and chosen on the second, and bounded on the
    third, which is used for nothing else.

    Args:
        families: one or several names of `FAMILIES`; `gp`, `lp`, `sn` and `clip` have certificates far above their
            gradient norms and are there for comparison.
        confidence: probability that the lower bound holds, in (0, 1).
        steps: per family; the trial of each start adds 3 %.
        budget_seconds: for all families together, shared equally; training stops at the earlier of both limits.
        batch_size: real and fake samples each, per step.
        test_count: fresh test points from a sampler, fewer if points are large; arrays are split 50, 15 and 35 per
            cent.
        diameter: of the set that supports both distributions, if known; optional, see `critic_lower_bound`.
        method: of the bound: "finite-sample", valid at every sample size, or "asymptotic", see `critic_lower_bound`.

    Raises:
        UserError: an unknown family, or a number out of range.
    """

    def __init__(
        self,
        *,
        families: Sequence[str] | str = CERTIFIED,
        confidence: float = 0.999,
        steps: int | None = None,
        budget_seconds: float | None = None,
        batch_size: int = 1024,
        test_count: int = TEST_SAMPLES,
        diameter: float | None = None,
        method: str = FINITE_SAMPLE,
    ) -> None:
        self._families = get_families(families)
        if not self._families:
            raise UserError("An estimate needs at least one family of critics")
        steps = None if steps is None else check_count(steps, name="The number of steps")
        self._batch_size = check_count(batch_size, name="The batch size", least=2)
        self._test_count = check_count(test_count, name="The number of test samples", least=2)
        if budget_seconds is not None:
            budget_seconds = check_budget(budget_seconds)
        elif steps is None:
            steps = DEFAULT_STEPS
        share = None if budget_seconds is None else budget_seconds / len(self._families)
        self._effort = Effort(steps, share)
        self._method, self._confidence = check_method(method), check_confidence(confidence)
        self._diameter = check_diameter(diameter, self._method)

    def estimate(self, real: Array | Sampler, fake: Array | Sampler, *, rng: Randomness) -> W1Estimate:
        """Train every family, choose the best, and bound W1.

        Args:
            real: independent draws (n, d) of P, n ≥ 20, or a sampler.
            fake: of Q, the same.
            rng: splits, starts, batches and fresh points; a generator on the samples' device, or a seed.

        Raises:
            UserError: invalid samples, or too few.
            WorkError: training diverged to values that are not finite.
        """
        rng = as_generator(rng)
        real, fake = (self._drawn(side, name, rng) for side, name in ((real, "real"), (fake, "fake")))
        order = keyed(rng, *(side for side in (real, fake) if isinstance(side, Tensor)))
        (fit_real, val_real, test_real), (fit_fake, val_fake, test_fake) = (
            _in_three(side, order) if isinstance(side, Tensor) else side for side in (real, fake)
        )
        same_dimension(fit_real, fit_fake)
        units = _Units.of(fit_real, fit_fake)
        inside = [units.inside(points) for points in (fit_real, fit_fake, val_real, val_fake)]
        fits = {}
        for family in self._families:
            trained = train_best(family, *inside, effort=self._effort, batch_size=self._batch_size, rng=rng)
            fits[family.name] = self._judged(family, trained, units, (val_real, val_fake), (test_real, test_fake), rng)
        best = max(fits.values(), key=lambda fit: fit.validation)
        return W1Estimate(best, fits, self._confidence, self._method, RESTS_ON[self._method])

    def critic(self, real: Array, fake: Array, *, rng: Randomness) -> tuple[nn.Module, Certificate]:
        """The best critic fitted to these samples, with its certificate; score it on other samples.

        Args:
            real: draws (n, d) of P.
            fake: of Q.
            rng: splits, starts and batches; a generator on the samples' device, or a seed.

        Raises:
            UserError: invalid samples.
            WorkError: training diverged to values that are not finite.
        """
        rng = as_generator(rng)
        real, fake = as_points(real, name="real").detach(), as_points(fake, name="fake").detach()
        same_dimension(real, fake)
        order = keyed(rng, real, fake)
        (fit_real, val_real), (fit_fake, val_fake) = (_in_two(side, order) for side in (real, fake))
        units = _Units.of(fit_real, fit_fake)
        inside = [units.inside(points) for points in (fit_real, fit_fake, val_real, val_fake)]
        trained = [
            train_best(family, *inside, effort=self._effort, batch_size=self._batch_size, rng=rng)
            for family in self._families
        ]
        best = units.outside(max(trained, key=lambda each: each.validation).critic.double().eval())
        return best, certify(best)

    def _drawn(self, side: Array | Sampler, name: str, rng: torch.Generator) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """An array's points, or three samples of a sampler."""
        if callable(side) and not isinstance(side, Tensor):
            _check_sampler(side, name, rng)
            dim = as_points(side(1, rng=rng), name=name).shape[1]
            counts = (min(POOL, POOL_NUMBERS // dim), VALIDATION_SAMPLES, min(self._test_count, TEST_NUMBERS // dim))
            fit, validation, test = (as_points(side(max(2, count), rng=rng), name=name) for count in counts)
            return fit, validation, test
        points = as_points(side, name=name).detach()
        if len(points) < FEWEST:
            raise UserError(f"{name} must hold at least {FEWEST} points to be split in three", found=f"{len(points)}")
        return points

    def _judged(
        self,
        family: Family,
        trained: "Trained",
        units: "_Units",
        validation: tuple[Tensor, Tensor],
        test: tuple[Tensor, Tensor],
        rng: torch.Generator,
    ) -> Fit:
        critic = units.outside(trained.critic.double().eval())
        certificate = certify(critic)
        real, fake = test
        tuning_real, tuning_fake, real_scores, fake_scores = (scores_of(critic, side) for side in (*validation, *test))
        gap, constant = critic_gap(real_scores, fake_scores).item(), certificate.constant
        error = math.sqrt(real_scores.var().item() / len(real) + fake_scores.var().item() / len(fake)) / constant
        bound = partial(critic_lower_bound, real_scores, fake_scores, lipschitz=constant, confidence=self._confidence)
        asymptotic = bound(method=ASYMPTOTIC)
        finite = bound(diameter=self._diameter, tuning=(tuning_real, tuning_fake), rng=rng)
        lower = asymptotic if self._method == ASYMPTOTIC else finite
        count = min(GRADIENT_NORM_SAMPLES, len(real), len(fake))
        between = points_between(real[:count].double(), fake[:count].double(), rng)
        slope = input_gradient_norms(critic, between).max().item()
        return Fit(
            family.name,
            critic,
            certificate,
            trained.validation * units.length,
            gap,
            gap / constant,
            error,
            lower,
            asymptotic,
            slope,
            gap / slope if family.heuristic and slope > 0 else None,
            trained.steps,
            trained.seconds,
            sum(parameter.numel() for parameter in critic.parameters() if parameter.requires_grad),
            tuple(Look(look.step, look.seconds, look.validation * units.length) for look in trained.curve),
        )


def _check_sampler(sampler: Any, name: str, rng: torch.Generator) -> None:
    try:
        inspect.signature(sampler).bind(1, rng=rng)
    except ValueError:  # builtins without a signature
        if not isinstance(sampler, type):
            return
        raise UserError(f"{name} is a type and no sampler", found=sampler.__name__) from None
    except TypeError as error:
        raise UserError(
            f"{name} is a function that is no sampler",
            found=str(error),
            hint="take (count, *, rng) and give (count, d)",
        ) from None


def _in_three(points: Tensor, order: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Random splits for fitting, choosing and bounding."""
    first = int(FIT_SHARE * len(points))
    second = max(2, int(VALIDATION_SHARE * len(points)))
    fit, validation, test = shuffled(points, order).split([first, second, len(points) - first - second])
    return fit, validation, test


def _in_two(points: Tensor, order: torch.Generator) -> tuple[Tensor, Tensor]:
    """A random split for fitting and the rest for choosing, at least one point each."""
    cut = max(1, int(len(points) * FIT_SHARE / (FIT_SHARE + VALIDATION_SHARE)))
    fit, validation = shuffled(points, order).split([cut, len(points) - cut])
    return fit, validation


class Similar(nn.Module):
    """f(x) = r g((x - m) / r): the critic g of standardised points, in the samples' own units, with the same constant.

    Args:
        critic: g.
        centre: m, (d,).
        length: r > 0.
    """

    centre: Tensor

    def __init__(self, critic: nn.Module, centre: Tensor, length: float) -> None:
        super().__init__()
        self.chain = nn.Sequential(critic)
        self.register_buffer("centre", centre)
        self.length = length

    def forward(self, points: Tensor) -> Tensor:
        """(n, d) to (n,)."""
        scores: Tensor = self.length * self.chain((points - self.centre) / self.length)
        return scores

    def lipschitz_chain(self) -> nn.Sequential:
        """The critic: a shift changes no gradient, and the two scales cancel."""
        return self.chain


def scores_of(critic: nn.Module, points: Tensor) -> Tensor:
    """Scores in float64 without a graph, block by block: (n, d) to (n,)."""
    with torch.no_grad():
        return torch.cat([critic(block.double()) for block in points.split(_ROWS)])


@dataclass(frozen=True)
class _Units:
    """Where the samples lie and how far they spread: the units in which critics are trained."""

    centre: Tensor
    length: float

    @classmethod
    def of(cls, real: Tensor, fake: Tensor) -> "_Units":
        """Mean, and root mean square deviation per coordinate, of both samples together."""
        sides = (real, fake)
        count = len(real) + len(fake)
        centre = torch.stack([side.sum(0, dtype=torch.float64) for side in sides]).sum(0) / count
        squares = [(part.double() - centre).square().sum() for side in sides for part in side.split(_ROWS)]
        spread = (torch.stack(squares).sum() / (count * len(centre))).sqrt().item()
        if not math.isfinite(spread):
            raise UserError("The samples' variance overflows", hint="rescale the points")
        return cls(centre, spread or 1.0)

    def inside(self, points: Tensor) -> Tensor:
        return ((points.double() - self.centre) / self.length).float()

    def outside(self, critic: nn.Module) -> nn.Module:
        return Similar(critic, self.centre, self.length).eval()
