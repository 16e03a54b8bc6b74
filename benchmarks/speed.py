"""Time plain textbook loops against ours, in alternation in one process.

    python benchmarks/speed.py                       all cases, five rounds each
    python benchmarks/speed.py clip-mlp --rounds 7   one of them

Both sides train the same networks with the same algorithm on the same data. The plain loops are written as the papers'
algorithm boxes read, with PyTorch's own optimisers: in float32, and as users who know their way would run them, under
autocast to bf16 with channels last. Results go to docs/results/speed.json, those of each processor apart, and as tables
to docs/results/speed.md. On a processor without units for bf16 the sides in bf16 are left out: they would be emulated.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import torch
from results import processor, stamp
from torch import nn

from wassergan.constraints import get_constraint
from wassergan.data.readers.arrays import array_source
from wassergan.networks import build_networks
from wassergan.objectives import get_objective
from wassergan.session.build import has_bf16_units
from wassergan.training import Execution, Optimization, OptimizerSettings, Trainer

RESULTS = Path(__file__).parents[1] / "docs" / "results"
OWED = """## Owed

Any GPU: none was at hand. The goals there are ten times the plain loop for the clipping MLP and five times for the
penalty ConvNet; CUDA graphs (`--cuda-graphs`) are tested for what they compute, on the CPU, and not for their speed.
"""


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
    maps: int = 64


ADAM = OptimizerSettings("adam", lr=1e-4, beta1=0.0, beta2=0.9)
CASES = {
    "clip-mlp": Case("mlp", (784,), "clip", OptimizerSettings("rmsprop", lr=5e-5), steps=12, latent_dim=100),
    "penalty-conv": Case("conv", (3, 32, 32), "gp", ADAM, steps=4),
    "picture-recipe": Case("conv", (1, 28, 28), "lp", ADAM, steps=12, latent_dim=64, critic_steps=1, maps=16),
    "picture-recipe-colour": Case("conv", (3, 32, 32), "lp", ADAM, steps=8, latent_dim=64, critic_steps=1, maps=16),
    "tiny-digits": Case("mlp", (64,), "gp", ADAM, steps=200, widths=((128, 128), (128, 128)), latent_dim=16),
}


def networks(case: Case) -> tuple[nn.Module, nn.Module]:
    return build_networks(
        case.network,
        case.shape,
        head=nn.Tanh(),
        latent_dim=case.latent_dim,
        generator_widths=case.widths[0],
        critic_widths=case.widths[1],
        maps=case.maps,
        activation="leaky_relu",
        critic_activation="leaky_relu",
        generator_norm="batch" if case.network == "conv" else "none",
        critic_norm="layer",
        seed=0,
    )


def plain_optimizer(settings: OptimizerSettings, network: nn.Module) -> torch.optim.Optimizer:
    if settings.name == "rmsprop":
        return torch.optim.RMSprop(network.parameters(), lr=settings.lr)
    return torch.optim.Adam(network.parameters(), lr=settings.lr, betas=(settings.beta1, settings.beta2))


class Plain:
    """Arjovsky et al. 2017, algorithm 1, and Gulrajani et al. 2017, algorithm 1, as they stand."""

    def __init__(self, case: Case, data: torch.Tensor, *, autocast: bool = False) -> None:
        self.case, self.data, self.autocast = case, data, autocast
        self.generator, self.critic = networks(case)
        if autocast and data.dim() == 4:
            self.data = data.to(memory_format=torch.channels_last)
            for network in (self.generator, self.critic):
                network.to(memory_format=torch.channels_last)
        self.critic_optimizer = plain_optimizer(case.optimizer, self.critic)
        self.generator_optimizer = plain_optimizer(case.optimizer, self.generator)
        self.losses: list[float] = []

    def train(self, steps: int) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.autocast):
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
        if self.case.constraint in ("gp", "lp"):
            mix = torch.rand(len(real), *[1] * (real.dim() - 1)) if mix is None else mix
            between = (mix * real + (1 - mix) * fake).requires_grad_(True)
            (gradient,) = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
            excess = gradient.float().flatten(1).norm(dim=1) - 1
            loss = loss + 10 * ((excess if self.case.constraint == "gp" else excess.clamp_min(0)) ** 2).mean()
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
            objective=get_objective("wasserstein"),
            constraint=get_constraint(case.constraint),
            latent_dim=case.latent_dim,
            batch_size=case.batch_size,
            critic_steps=case.critic_steps,
            optimization=Optimization(case.optimizer, case.optimizer),
            execution=Execution(precision),
        )

    def train(self, steps: int) -> None:
        self.trainer.train(steps=self.trainer.step + steps, tick_due=lambda step: False)


def timed(work: Callable[[int], None], steps: int) -> float:
    # One thread's own time leaves out what other processes take; several threads need the clock on the wall.
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    work(steps)
    return steps / (clock() - start)


def compare(case: Case, rounds: int) -> dict[str, Any]:
    """Median generator steps per second of each side, and the median of the ratios round by round."""
    data = torch.rand(4096, *case.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    has_units = has_bf16_units(torch.device("cpu"))
    precisions = ("float32", "bf16") if has_units else ("float32",)
    sides: dict[str, Plain | Ours] = {"plain": Plain(case, data)}
    if has_units:
        sides["plain bf16"] = Plain(case, data, autocast=True)
    sides |= {name: Ours(case, data, precision=name) for name in precisions}
    for side in sides.values():
        side.train(max(1, case.steps // 4))
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            speeds[name].append(timed(side.train, case.steps))
    ratios = {
        name: [ours / theirs for ours, theirs in zip(speeds[name], speeds["plain"], strict=True)] for name in precisions
    }
    if has_units:
        pairs = zip(speeds["bf16"], speeds["plain bf16"], strict=True)
        ratios["bf16 / plain bf16"] = [ours / theirs for ours, theirs in pairs]
    return {
        "steps_per_second": {name: median(values) for name, values in speeds.items()},
        "ratio": {name: median(values) for name, values in ratios.items()},
        "ratio_range": {name: [min(values), max(values)] for name, values in ratios.items()},
    }


def table(cases: dict[str, dict[str, Any]]) -> str:
    sides, compared = ("plain", "plain bf16", "float32", "bf16"), ("float32", "bf16", "bf16 / plain bf16")
    head = ["case", "date", "threads", "rounds", *(f"{side}, steps/s" for side in sides)]
    head += ["float32 / plain", "bf16 / plain", "bf16 / plain bf16"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, result in cases.items():
        speeds = [result["steps_per_second"].get(side) for side in sides]
        ratios = [(result["ratio"].get(side), result["ratio_range"].get(side)) for side in compared]
        cells = [name, result["date"], result["threads"], result["rounds"]]
        cells += ["" if speed is None else f"{speed:.2f}" for speed in speeds]
        cells += ["" if ratio is None else f"{ratio:.2f} ({ends[0]:.2f} to {ends[1]:.2f})" for ratio, ends in ratios]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
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
    here = results.setdefault(processor(), {})
    for name in arguments.cases or CASES:
        facts = {"date": date.today().isoformat(), "threads": torch.get_num_threads(), "torch": torch.__version__}
        here[name] = facts | {"rounds": arguments.rounds} | compare(CASES[name], arguments.rounds)
        print(name, json.dumps(here[name]), flush=True)
        path.write_text(json.dumps(results, indent=1) + "\n")
        write_tables(results)
    stamp("speed")


def write_tables(results: dict[str, dict[str, dict[str, Any]]]) -> None:
    parts = ["# Speed\n\nWritten by `python benchmarks/speed.py`. Ratios are medians over rounds, with their range.\n"]
    parts += ["`plain bf16` is the plain loop under autocast to bf16, with channels last.\n"]
    parts += [f"## {machine}\n\n{table(cases)}\n" for machine, cases in results.items()]
    parts.append(OWED)
    (RESULTS / "speed.md").write_text("\n".join(parts))


if __name__ == "__main__":
    main()
