"""Time that our default needs to reach what a plain textbook WGAN loop reaches in a minute, on the digits.

    python benchmarks/time_to_quality.py [--seconds 60] [--rounds 3]

Both sides train in this process, in turn, on the same 1437 training digits; every score is the sliced W1 (256
directions) of 2000 samples against the 360 held-out digits, in [-1, 1]. Clocks run during training alone. Writes
docs/results/time_to_quality.json and .md.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from results import write_results
from torch import Tensor, nn

from wassergan import TrainSettings
from wassergan.data import Source, open_source
from wassergan.distances import sliced_w1
from wassergan.modality.recipes import resolve_for
from wassergan.session.build import build_trainer

SAMPLES = 2000
SCORES_PER_RUN = 60


@dataclass
class FitHistory:
    """Scores over training time."""

    seconds: list[float]
    scores: list[float]

    def best(self) -> float:
        return min(self.scores)

    def time_to(self, score: float) -> float:
        """Seconds until a score as good was first seen; infinite if never."""
        reached = [second for second, got in zip(self.seconds, self.scores, strict=True) if got <= score]
        return reached[0] if reached else float("inf")


class TextbookLoop:
    """The WGAN of 2017 as tutorials write it: MLPs, weight clipping, RMSprop 5e-5, five critic steps."""

    def __init__(self, source: Source, seed: int) -> None:
        torch.manual_seed(seed)
        self.real = source.train(torch.arange(source.train_count)).flatten(1)
        size = self.real.shape[1]
        self.generator = nn.Sequential(
            nn.Linear(100, 256), nn.LeakyReLU(0.2), nn.Linear(256, 512), nn.LeakyReLU(0.2),
            nn.Linear(512, 1024), nn.LeakyReLU(0.2), nn.Linear(1024, size), nn.Tanh(),
        )  # fmt: skip
        self.critic = nn.Sequential(
            nn.Linear(size, 1024), nn.LeakyReLU(0.2), nn.Linear(1024, 512), nn.LeakyReLU(0.2),
            nn.Linear(512, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1),
        )  # fmt: skip
        self.generator_optimizer = torch.optim.RMSprop(self.generator.parameters(), lr=5e-5)
        self.critic_optimizer = torch.optim.RMSprop(self.critic.parameters(), lr=5e-5)

    def step(self) -> None:
        for _ in range(5):
            real = self.real[torch.randint(len(self.real), (64,))]
            fake = self.generator(torch.randn(64, 100)).detach()
            loss = self.critic(fake).mean() - self.critic(real).mean()
            self.critic_optimizer.zero_grad()
            loss.backward()
            self.critic_optimizer.step()
            for parameter in self.critic.parameters():
                parameter.data.clamp_(-0.01, 0.01)
        loss = -self.critic(self.generator(torch.randn(64, 100))).mean()
        self.generator_optimizer.zero_grad()
        loss.backward()
        self.generator_optimizer.step()

    def sample(self) -> Tensor:
        with torch.no_grad():
            return self.generator(torch.randn(SAMPLES, 100))


class OurDefault:
    """`wassergan train digits`, step by step."""

    def __init__(self, source: Source, seed: int) -> None:
        settings = TrainSettings(data="digits", seed=seed, steps=1)
        self.trainer = build_trainer(resolve_for(settings, source), source)

    def step(self) -> None:
        self.trainer.train(steps=self.trainer.step + 1, tick_due=lambda step: False)

    def sample(self) -> Tensor:
        return self.trainer.sample(SAMPLES).flatten(1)


def follow(
    model: TextbookLoop | OurDefault, heldout: Tensor, seconds: float, enough: Callable[[float], bool]
) -> FitHistory:
    """Train for some seconds or until a score is enough, scoring at even distances with the clock stopped."""
    course, spent, due = FitHistory([], []), 0.0, 0.0
    while spent < seconds:
        started = time.perf_counter()
        model.step()
        spent += time.perf_counter() - started
        if spent >= due:
            rng = torch.Generator().manual_seed(0)
            score = sliced_w1(model.sample(), heldout, projections=256, rng=rng).item()
            course.seconds.append(spent)
            course.scores.append(score)
            if enough(score):
                break
            due = max(spent * 1.02, spent + seconds / SCORES_PER_RUN / 4)
    return course


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="training time of the plain loop")
    parser.add_argument("--rounds", type=int, default=3, help="pairs, one seed each")
    options = parser.parse_args()
    torch.set_num_threads(1)
    source = open_source("digits")
    heldout = source.heldout(torch.arange(source.heldout_count)).flatten(1)
    rows = []
    for seed in range(options.rounds):
        plain = follow(TextbookLoop(source, seed), heldout, options.seconds, lambda score: False)
        goal = plain.best()
        ours = follow(OurDefault(source, seed), heldout, options.seconds, lambda score, goal=goal: score <= goal)
        row = {
            "seed": seed,
            "best_plain": goal,
            "plain_seconds": plain.time_to(goal),
            "our_seconds": ours.time_to(goal),
            "ratio": plain.time_to(goal) / ours.time_to(goal),
        }
        rows.append(row)
        print({name: round(value, 3) for name, value in row.items()}, flush=True)
    median = statistics.median(row["ratio"] for row in rows)
    print(f"median ratio {median:.1f}")
    write_results(
        "time_to_quality",
        f"Time to the best sliced W1 of a plain WGAN loop in {options.seconds:.0f} s (digits)",
        rows,
        summary={"median_ratio": median, "threads": 1},
        command="python benchmarks/time_to_quality.py",
    )


if __name__ == "__main__":
    main()
