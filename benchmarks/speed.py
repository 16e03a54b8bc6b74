"""Time plain textbook loops against ours, in alternation in one process.

    python benchmarks/speed.py                       all cases, five rounds each
    python benchmarks/speed.py clip-mlp --rounds 7   one of them

Both sides train the same networks with the same algorithm on the same data. The plain loops are written as the papers'
algorithm boxes read, with PyTorch's own optimisers. Results go to docs/results/speed.json, and as a table to
docs/results/speed.md.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch import nn

from wassergan.constraints import constraint_named
from wassergan.data.arrays import array_source
from wassergan.networks import build_networks
from wassergan.objectives import objective_named
from wassergan.training import OptimizerSettings, Trainer

RESULTS = Path(__file__).parents[1] / "docs" / "results"


@dataclass(frozen=True)
class Case:
    """One comparison: networks, constraint, optimiser, and how many generator steps a round takes."""

    network: str
    shape: tuple[int, ...]
    constraint: str
    optimizer: OptimizerSettings
    steps: int
    widths: tuple[tuple[int, ...], tuple[int, ...]] = ((256, 512, 1024), (1024, 512, 256))
    latent_dim: int = 128
    critic_steps: int = 5
    batch_size: int = 64


ADAM = OptimizerSettings("adam", rate=1e-4, beta1=0.0, beta2=0.9)
CASES = {
    "clip-mlp": Case("mlp", (784,), "clip", OptimizerSettings("rmsprop", rate=5e-5), steps=12, latent_dim=100),
    "penalty-conv": Case("conv", (3, 32, 32), "gp", ADAM, steps=1),
    "tiny-digits": Case("mlp", (64,), "gp", ADAM, steps=40, widths=((128, 128), (128, 128)), latent_dim=16),
}


def networks(case: Case) -> tuple[nn.Module, nn.Module]:
    return build_networks(
        case.network,
        case.shape,
        head=nn.Tanh(),
        latent_dim=case.latent_dim,
        generator_widths=case.widths[0],
        critic_widths=case.widths[1],
        maps=64,
        activation="leaky_relu",
        critic_activation="leaky_relu",
        generator_norm="batch" if case.network == "conv" else "none",
        critic_norm="layer",
        seed=0,
    )


def plain_optimizer(settings: OptimizerSettings, network: nn.Module) -> torch.optim.Optimizer:
    if settings.name == "rmsprop":
        return torch.optim.RMSprop(network.parameters(), lr=settings.rate)
    return torch.optim.Adam(network.parameters(), lr=settings.rate, betas=(settings.beta1, settings.beta2))


class Plain:
    """Arjovsky et al. 2017, algorithm 1, and Gulrajani et al. 2017, algorithm 1, as they stand."""

    def __init__(self, case: Case, data: torch.Tensor) -> None:
        self.case, self.data = case, data
        self.generator, self.critic = networks(case)
        self.critic_optimizer = plain_optimizer(case.optimizer, self.critic)
        self.generator_optimizer = plain_optimizer(case.optimizer, self.generator)
        self.losses: list[float] = []

    def train(self, steps: int) -> None:
        for _ in range(steps):
            for _ in range(self.case.critic_steps):
                self.critic_step(self.real(), self.latent())
            self.generator_step(self.latent())

    def real(self) -> torch.Tensor:
        return self.data[torch.randint(len(self.data), (self.case.batch_size,))]

    def latent(self) -> torch.Tensor:
        return torch.randn(self.case.batch_size, self.case.latent_dim)

    def critic_step(self, real: torch.Tensor, latent: torch.Tensor, mix: torch.Tensor | None = None) -> torch.Tensor:
        fake = self.generator(latent).detach()
        loss = self.critic(fake).mean() - self.critic(real).mean()
        if self.case.constraint == "gp":
            mix = torch.rand(len(real), *[1] * (real.dim() - 1)) if mix is None else mix
            between = (mix * real + (1 - mix) * fake).requires_grad_(True)
            (gradient,) = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
            loss = loss + 10 * ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()
        self.critic_optimizer.zero_grad()
        loss.backward()
        self.critic_optimizer.step()
        if self.case.constraint == "clip":
            for parameter in self.critic.parameters():
                parameter.data.clamp_(-0.01, 0.01)
        return loss.detach()

    def generator_step(self, latent: torch.Tensor) -> torch.Tensor:
        loss = -self.critic(self.generator(latent)).mean()
        self.generator_optimizer.zero_grad()
        loss.backward()
        self.generator_optimizer.step()
        return loss.detach()


class Ours:
    """The library's trainer, averaged generator and statistics included."""

    def __init__(self, case: Case, data: torch.Tensor, *, precision: str) -> None:
        generator, critic = networks(case)
        values = data.movedim(1, -1) if data.dim() == 4 else data
        source = array_source(values.numpy(), layout="NHWC" if data.dim() == 4 else "auto", scale="array")
        self.trainer = Trainer(
            generator,
            critic,
            source,
            objective=objective_named("wasserstein"),
            constraint=constraint_named(case.constraint),
            latent_dim=case.latent_dim,
            batch_size=case.batch_size,
            critic_steps=case.critic_steps,
            generator_optimizer=case.optimizer,
            critic_optimizer=case.optimizer,
            precision=precision,
        )

    def train(self, steps: int) -> None:
        self.trainer.train(steps=self.trainer.step + steps, tick_due=lambda step: False)


def timed(work: Callable[[int], None], steps: int) -> float:
    # One thread's own time leaves out what other processes take; several threads need the clock on the wall.
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    work(steps)
    return steps / (clock() - start)


def compare(case: Case, rounds: int) -> dict[str, object]:
    """Median generator steps per second of each side, and the median of the ratios round by round."""
    data = torch.rand(4096, *case.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    plain = Plain(case, data)
    sides = {"plain": plain, **{name: Ours(case, data, precision=name) for name in ("float32", "bf16")}}
    for side in sides.values():
        side.train(max(1, case.steps // 4))
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            speeds[name].append(timed(side.train, case.steps))
    ratios = {
        name: [ours / theirs for ours, theirs in zip(speeds[name], speeds["plain"], strict=True)]
        for name in ("float32", "bf16")
    }
    return {
        "steps_per_second": {name: median(values) for name, values in speeds.items()},
        "ratio": {name: median(values) for name, values in ratios.items()},
        "ratio_range": {name: [min(values), max(values)] for name, values in ratios.items()},
    }


def table(results: dict[str, dict[str, object]]) -> str:
    head = ("case", "threads", "plain, steps/s", "ours float32", "ours bf16", "float32 / plain", "bf16 / plain")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, result in results.items():
        speed, ratio, spread = (result[key] for key in ("steps_per_second", "ratio", "ratio_range"))
        cells = [f"{ratio[p]:.2f} ({spread[p][0]:.2f} to {spread[p][1]:.2f})" for p in ("float32", "bf16")]
        lines.append(
            f"| {name} | {result['threads']} | {speed['plain']:.2f} | {speed['float32']:.2f} | {speed['bf16']:.2f} | "
            + " | ".join(cells)
            + " |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    path = RESULTS / "speed.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for name in arguments.cases or CASES:
        results[name] = {"threads": torch.get_num_threads(), "torch": torch.__version__, "rounds": arguments.rounds}
        results[name] |= compare(CASES[name], arguments.rounds)
        print(name, json.dumps(results[name]), flush=True)
        path.write_text(json.dumps(results, indent=1) + "\n")
    (RESULTS / "speed.md").write_text("# Speed\n\nWritten by `python benchmarks/speed.py`.\n\n" + table(results) + "\n")


if __name__ == "__main__":
    main()
