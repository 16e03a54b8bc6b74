"""Families of critics measured on pairs with known W1: one row per pair, solver and seed, resumable."""

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wassergan.benchmark.w1.pair import Pair
from wassergan.benchmark.w1.registry import PAIRS
from wassergan.distances import FAMILIES, W1Estimator
from wassergan.errors import UserError, flag, worded
from wassergan.storage.files import read_text, write_text

GRADIENT_SAMPLES = 4096
CONFIDENCE = 0.999


@dataclass(frozen=True)
class Effort:
    """Resources of every solver: the earlier of steps and seconds, batches of real and fake samples, test points."""

    steps: int | None = None
    seconds: float | None = None
    batch_size: int = 1024
    test_count: int = 2**17


@dataclass(frozen=True)
class Row:
    """One solver on one pair with one seed.

    Attributes:
        pair: its name.
        solver: family of critics.
        seed: of samples, starts and batches.
        effort: its resources.
        w1: the truth.
        w1_error: its standard error.
        gap: raw E f(real) - E f(fake) on fresh points.
        constant: certified Lipschitz constant.
        estimate: gap / constant, the unbiased value of a bound; of `heuristic` families the raw gap.
        standard_error: of gap / constant.
        deviation: 100 (estimate - w1) / w1, per cent.
        lower: lower confidence bound at 99.9 %, valid at every sample size.
        lower_deviation: 100 (lower - w1) / w1, per cent.
        valid: lower is at most w1 plus three standard errors of the truth.
        heuristic: gap over the largest observed gradient norm, for families without a useful certificate.
        validation: the value by which families are chosen.
        cosine: mean over P (over Q for shells, where f* has its tips on P) of the cosine between ∇f and ∇f*.
        l2: mean over P of ‖∇f - ∇f*‖².
        gradient_norm_max: the largest observed gradient norm.
        steps: taken, including trials.
        seconds: of training.
        parameters: trained numbers.
        lower_asymptotic: the same scores' bound by Welch's t; None in files of releases whose only bound it was.
        asymptotic_deviation: 100 (lower_asymptotic - w1) / w1, per cent.
    """

    pair: str
    solver: str
    seed: int
    effort: dict[str, Any]
    w1: float
    w1_error: float
    gap: float
    constant: float
    estimate: float
    standard_error: float
    deviation: float
    lower: float
    lower_deviation: float
    valid: bool
    heuristic: float | None
    validation: float
    cosine: float
    l2: float
    gradient_norm_max: float
    steps: int
    seconds: float
    parameters: int
    lower_asymptotic: float | None = None
    asymptotic_deviation: float | None = None


def run(
    pairs: Sequence[str],
    solvers: Sequence[str],
    seeds: int,
    effort: Effort,
    path: Path,
    *,
    device: torch.device | str = "cpu",
    log: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Run the rows that the file lacks, and write it after every row, so that a run can be interrupted and resumed.

    Args:
        pairs: names from `PAIRS`.
        solvers: names from `FAMILIES`.
        seeds: 0 to this, exclusive.
        effort: of every row; rows of another effort stay in the file, and new ones are added.
        path: JSON, a list of rows.
        device: where to train.
        log: called after every new row.

    Returns:
        The requested rows.

    Raises:
        UserError: the file holds something else.
    """
    rows = read_rows(path)
    known = {_key(row): row for row in rows}
    asked = []
    for name in pairs:
        for seed in range(seeds):
            for solver in solvers:
                key = (name, solver, seed, json.dumps(asdict(effort)))
                if key not in known:
                    known[key] = run_one(PAIRS[name](), name, solver, seed, effort, device=device)
                    rows.append(known[key])
                    write_rows(path, rows)
                    log(known[key])
                asked.append(known[key])
    return asked


def run_one(
    pair: Pair, name: str, solver: str, seed: int, effort: Effort, *, device: torch.device | str = "cpu"
) -> Row:
    """Train one solver on one pair and measure it against the truth."""
    rng = torch.Generator(device).manual_seed(zlib.crc32(f"{name} {solver} {seed}".encode()))
    estimator = W1Estimator(
        families=[solver],
        confidence=CONFIDENCE,
        steps=effort.steps,
        budget_seconds=effort.seconds,
        batch_size=effort.batch_size,
        test_count=effort.test_count,
        diameter=None,
    )
    fit = estimator.estimate(pair.real, pair.fake, rng=rng).best
    cosine, l2 = direction(fit.critic, pair, pair.gauge(GRADIENT_SAMPLES, rng=rng))
    truth = pair.truth
    estimate = fit.gap if FAMILIES[solver].heuristic else fit.value
    return Row(
        name,
        solver,
        seed,
        asdict(effort),
        truth.w1,
        truth.standard_error,
        fit.gap,
        fit.certificate.constant,
        estimate,
        fit.standard_error,
        100 * (estimate / truth.w1 - 1),
        fit.lower,
        100 * (fit.lower / truth.w1 - 1),
        fit.lower <= truth.w1 + 3 * truth.standard_error,
        fit.heuristic,
        fit.validation,
        cosine,
        l2,
        fit.gradient_norm_max,
        fit.steps,
        fit.seconds,
        fit.parameters,
        fit.lower_asymptotic,
        100 * (fit.lower_asymptotic / truth.w1 - 1),
    )


def direction(critic: nn.Module, pair: Pair, points: Tensor) -> tuple[float, float]:
    """Mean cosine and mean squared distance between ∇f and ∇f* at points (n, dim)."""
    points = points.detach().requires_grad_(True)
    (ours,) = torch.autograd.grad(critic(points).sum(), points)
    best = pair.potential_gradient(points.detach())
    cosine = torch.nn.functional.cosine_similarity(ours, best, dim=1)
    return cosine.mean().item(), (ours - best).square().sum(1).mean().item()


def read_rows(path: Path) -> list[Row]:
    """The rows of a file; none if it does not exist.

    Raises:
        UserError: the file holds something else.
    """
    if not path.exists():
        return []
    try:
        return [Row(**row) for row in json.loads(read_text(path))]
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path} holds no rows of this benchmark",
            hint=worded(command_line=f"give another {flag('out')}", python="name another file"),
        ) from error


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Replace the file in one step."""
    write_text(path, json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def _key(row: Row) -> tuple[str, str, int, str]:
    return row.pair, row.solver, row.seed, json.dumps(row.effort)
