"""The speed of presets on this machine: generator steps and samples per second."""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median

import torch

from wassergan.config.settings import TrainSettings
from wassergan.errors import UserError
from wassergan.modality.recipes import resolve_for
from wassergan.session.build import build_trainer, open_data, weight_count
from wassergan.training import Trainer

WARM_UP_SHARE = 0.2


@dataclass(frozen=True)
class Speed:
    """One preset on one device in one precision.

    Attributes:
        preset: its name.
        constraint: its name.
        network: `mlp`, `conv` or `resnet`.
        weights: of generator and critic.
        device: where it trained.
        precision: of the passes through the networks.
        threads: of the CPU.
        steps_per_second: generator steps, median of the rounds.
        samples_per_second: real samples seen by the critic, median of the rounds.
        slowest: generator steps per second in the slowest round.
        fastest: the same in the fastest.
    """

    preset: str
    constraint: str
    network: str
    weights: int
    device: str
    precision: str
    threads: int
    steps_per_second: float
    samples_per_second: float
    slowest: float
    fastest: float


def measure(settings: Sequence[TrainSettings], *, seconds: float, rounds: int = 5) -> Iterator[Speed]:
    """Train each without ticks, in alternating `rounds`, so that fluctuations of the machine affect all equally.

    Args:
        settings: what to train, as given by the user.
        seconds: for each, without warm-up.
        rounds: of each.

    Raises:
        UserError: settings with which no run can start.
    """
    if not settings:
        raise UserError("There is nothing to measure", hint="name a preset")
    resolved, trainers = [], []
    for each in settings:
        source = open_data(each, log=lambda sentence: None)
        chosen = resolve_for(each, source)
        trainer = build_trainer(chosen, source)
        resolved.append((chosen, torch.get_num_threads()))
        trainers.append(trainer)
    speeds: list[list[float]] = [[] for _ in trainers]
    for index in range(-1, rounds):
        for trainer, (_, threads), rates in zip(trainers, resolved, speeds, strict=True):
            torch.set_num_threads(threads)
            rate = _rate(trainer, seconds * (WARM_UP_SHARE if index < 0 else 1 / rounds))
            if index >= 0:
                rates.append(rate)
    for trainer, (chosen, threads), rates in zip(trainers, resolved, speeds, strict=True):
        yield Speed(
            chosen.preset,
            chosen.constraint,
            chosen.network,
            weight_count(trainer.generator, trainer.critic),
            str(trainer.device),
            trainer.precision,
            threads,
            median(rates),
            median(rates) * trainer.critic_steps * trainer.batch_size,
            min(rates),
            max(rates),
        )


def _rate(trainer: Trainer, seconds: float) -> float:
    """Generator steps per second over a stretch of so many seconds, at least one step."""
    first, start = trainer.step, time.perf_counter()
    trainer.train(
        steps=sys.maxsize,
        tick_due=lambda step: False,
        interrupted=lambda: trainer.step > first and time.perf_counter() >= start + seconds,
    )
    if trainer.device.type == "cuda":
        torch.cuda.synchronize(trainer.device)
    return (trainer.step - first) / (time.perf_counter() - start)


def markdown(speeds: Sequence[Speed]) -> str:
    """A table, one row each."""
    head = ("preset", "constraint", "network", "weights", "device", "precision", "threads", "steps/s", "samples/s")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for speed in speeds:
        cells = [str(value) for value in list(asdict(speed).values())[:7]]
        cells += [
            f"{speed.steps_per_second:.3g} ({speed.slowest:.3g} to {speed.fastest:.3g})",
            f"{speed.samples_per_second:.4g}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
