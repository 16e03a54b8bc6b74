"""Training of critics that estimate W1: a short trial of every start, then the best one with the remaining effort."""

import copy
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wassergan.distances.critic_families import Family
from wassergan.distances.ctransform import CTransform
from wassergan.errors import WorkError
from wassergan.lipschitz import certify
from wassergan.objectives import critic_gap, critic_loss

TRIAL_SHARE = 0.03  # fraction of the effort spent on the trial of each start
# Cones whose heights differ by less than the steps or the soft minimum's temperature die out. Heights differ by about
# the distance to the nearest sample of the other side, or by the gap where distributions overlap, both in units of the
# samples' spread. If this difference is below the threshold, steps and temperature shrink in proportion, down to a
# tenth.
FULL_PACE, SLOWEST_PACE = 0.5, 0.1
NEIGHBOURS = 1024
WARM_SHARE = 0.8  # fraction of the steps with a soft minimum
LOOKS = 10  # evaluations on the validation split during training; a trial has one, at its end


@dataclass(frozen=True)
class Look:
    """One evaluation on the validation split: steps, seconds, and the gap over the certified constant."""

    step: int
    seconds: float
    validation: float


@dataclass(frozen=True)
class Effort:
    """The length of training: steps, seconds, or the earlier of both."""

    steps: int | None
    seconds: float | None

    def share(self, part: float) -> "Effort":
        """A part of it, of at least one step."""
        return Effort(
            None if self.steps is None else max(1, round(part * self.steps)),
            None if self.seconds is None else part * self.seconds,
        )

    def progress(self, step: int, seconds: float) -> float:
        """From 0 to 1, the end."""
        done = [0.0 if self.steps is None else step / self.steps]
        if self.seconds is not None:
            done.append(seconds / self.seconds)
        return max(done)


@dataclass
class Trained:
    """A critic of standardised points at its best evaluation."""

    critic: nn.Module
    validation: float
    steps: int
    seconds: float
    curve: list[Look]


def train_best(
    family: Family,
    real: Tensor,
    fake: Tensor,
    val_real: Tensor,
    val_fake: Tensor,
    *,
    effort: Effort,
    batch_size: int,
    rng: torch.Generator,
) -> Trained:
    """A short trial of every start, then training of the winner from its start with the remaining effort."""
    started = time.perf_counter()
    # Penalties pair real with fake samples, so both batches have the size that the smaller sample allows.
    batch_size = min(batch_size, len(real), len(fake))

    def run(critic: nn.Module, share: float, looks: int, pace: float = 1.0) -> Trained:
        batches = zip(_batches(real, batch_size, rng), _batches(fake, batch_size, rng), strict=True)
        return _fitted(
            family, critic, batches, val_real, val_fake, effort=effort.share(share), looks=looks, pace=pace, rng=rng
        )

    starts = family.starts(real, fake, rng)
    trials: list[Trained] = []
    pace = 1.0
    if len(starts) > 1:
        trials = [run(copy.deepcopy(start), TRIAL_SHARE, 1) for start in starts]
        further = family.more_starts(starts[_best_of(trials)], real, fake, rng)
        trials += [run(copy.deepcopy(start), TRIAL_SHARE, 1) for start in further]
        best = _best_of(trials)
        starts = [[*starts, *further][best]]
        pace = _pace(real, fake, trials[best].validation)
    left = 1.0 if effort.seconds is None else max(0.1, 1 - (time.perf_counter() - started) / effort.seconds)
    trained = run(starts[0], left, LOOKS, pace)
    trained.steps += sum(trial.steps for trial in trials)
    trained.seconds = time.perf_counter() - started
    return trained


def _pace(real: Tensor, fake: Tensor, gap: float) -> float:
    """Factor of learning rates and temperatures: 1 for distributions far apart in the samples' units, else less."""
    nearest = torch.cdist(fake[:NEIGHBOURS], real[:NEIGHBOURS]).amin(1).mean().item()
    return min(1.0, max(SLOWEST_PACE, max(gap, nearest) / FULL_PACE))


def _best_of(trials: Sequence[Trained]) -> int:
    return max(range(len(trials)), key=lambda index: trials[index].validation)


def _fitted(
    family: Family,
    critic: nn.Module,
    batches: Iterator[tuple[Tensor, Tensor]],
    val_real: Tensor,
    val_fake: Tensor,
    *,
    effort: Effort,
    looks: int,
    pace: float,
    rng: torch.Generator,
) -> Trained:
    """Stochastic ascent of the gap; keeps the weights of the best evaluation."""
    constraint = family.constraint()
    constraint.prepare(critic)
    trained = [parameter for parameter in critic.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=pace * family.lr)
    best, best_state, curve = -math.inf, copy.deepcopy(critic.state_dict()), []
    started, step, looked = time.perf_counter(), 0, 0
    while True:
        seconds = time.perf_counter() - started
        progress = effort.progress(step, seconds)
        if progress * looks >= looked + 1:
            looked = int(progress * looks)
            value = _validation(critic, val_real, val_fake)
            if not math.isfinite(value):
                raise WorkError(
                    f"Training '{family.name}' critics diverged", found=f"a value of {value} at step {step}"
                )
            curve.append(Look(step, seconds, value))
            if value > best:
                best, best_state = value, copy.deepcopy(critic.state_dict())
        if progress >= 1:
            critic.load_state_dict(best_state)
            return Trained(critic, best, step, time.perf_counter() - started, curve)

        for group in optimizer.param_groups:
            group["lr"] = pace * family.lr * 0.5 * (1 + math.cos(math.pi * progress))
        if isinstance(critic, CTransform):
            critic.temperature = pace * family.temperature * max(0.0, 1 - progress / WARM_SHARE)
        real, fake = next(batches)
        real_scores, fake_scores = critic(torch.cat([real, fake])).split([len(real), len(fake)])
        loss = critic_loss(real_scores, fake_scores) + constraint.penalty(critic, real, fake, rng)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        constraint.project(critic)
        step += 1


def _validation(critic: nn.Module, real: Tensor, fake: Tensor) -> float:
    """The gap over the certified constant, in evaluation mode."""
    critic.eval()
    with torch.no_grad():
        gap = critic_gap(critic(real).double(), critic(fake).double()).item()
    critic.train()
    return gap / certify(critic).constant


def _batches(points: Tensor, size: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Random batches of one size, at most the number of points; the remainder of an epoch is dropped."""
    while True:
        order = torch.randperm(len(points), generator=rng, device=rng.device).to(points.device)
        parts = order.split(size)
        for part in parts[: len(points) // size]:
            yield points[part]
