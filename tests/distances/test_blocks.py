"""Plans and potentials improved in blocks: never worse, close to the optimum, and certain once proved."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from wassergan.distances import blocks as blocks_module
from wassergan.distances import column_generation, exact_w1, w1_interval
from wassergan.distances.blocks import Blocks
from wassergan.distances.cells import c_transform
from wassergan.distances.column_generation import Pace, lower_bound, refine, upper_bound
from wassergan.distances.problem import pose

FAMILIES = ("normal", "duplicates", "lattice", "line", "heavy", "tiny", "large", "apart", "weights")


def clouds(family: str, n: int, m: int, dim: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng([n, m, dim])
    x, y = rng.normal(size=(n, dim)), rng.normal(size=(m, dim))
    if family == "duplicates":
        x, y = x[rng.integers(0, 40, n)], np.concatenate([x[:40], y])[rng.integers(0, 80, m)]
    elif family == "lattice":
        x, y = np.round(2 * x), np.round(2 * y)
    elif family == "line":
        x, y = (np.repeat(each[:, :1], dim, axis=1) for each in (x, y))
    elif family == "heavy":
        x, y = rng.standard_cauchy((n, dim)), rng.standard_cauchy((m, dim))
    elif family == "apart":
        y += 3.0
    scale = {"tiny": 1e-5, "large": 1e5}.get(family, 1.0)
    a, b = (np.full(k, 1 / k) for k in (n, m))
    if family == "weights":
        a, b = (w * (rng.random(len(w)) < 0.8) * rng.random(len(w)) for w in (a, b))
    points = torch.from_numpy(scale * x), torch.from_numpy(scale * y)
    return *points, torch.from_numpy(a / a.sum()), torch.from_numpy(b / b.sum())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("n", "m", "dim"), [(700, 700, 3), (900, 500, 2)])
def test_blocks_never_make_it_worse_and_come_near_the_optimum(
    family: str, n: int, m: int, dim: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks_module, "BLOCK", 64)
    problem = pose(*clouds(family, n, m, dim))
    truth = exact_w1(
        problem.x.cells.points, problem.y.cells.points, x_weights=problem.x.mass, y_weights=problem.y.mass
    ).value.item()
    bounds = next(iter(refine(problem, rng=torch.Generator().manual_seed(0), pace=Pace(math.inf))))
    x, y = problem.x.cells, problem.y.cells
    to_y = c_transform(x, y, torch.zeros(len(problem.y), dtype=torch.float64), keep=16)
    arcs = torch.arange(len(x.points)).repeat_interleave(to_y.nearest.shape[1]), to_y.nearest.flatten()
    blocks = Blocks(problem, bounds.plan, (to_y.values, torch.zeros_like(problem.y.mass)), arcs, 0)
    uppers, lowers = [bounds.upper], [lower_bound(problem, to_y.values, torch.zeros_like(problem.y.mass))]
    for _ in range(6):
        blocks.improve_plan()
        blocks.improve_potentials()
        uppers.append(upper_bound(problem, blocks.plan))
        lowers.append(lower_bound(problem, c_transform(x, y, blocks.g, keep=1).values, blocks.g))
    room = 1e-9 * problem.diameter
    assert max(lowers) <= truth + room and min(uppers) >= truth - room
    assert all(after <= before + room for before, after in zip(uppers, uppers[1:], strict=False))
    if family not in ("line", "heavy", "apart"):  # the nearest partners alone do not bind there
        assert lowers[-1] >= max(0.85 * truth, lowers[0]) - room
        assert uppers[-1] <= 1.1 * truth + room


@pytest.mark.parametrize("step", ["allows_solve", "allows_transform"])
def test_an_interval_goes_on_in_blocks_where_a_step_does_not_fit(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 1500, 3))
    truth = exact_w1(x, y).value.item()
    widths = {}
    allowed = getattr(Pace, step)

    def too_long(self: Pace, first: Any, *more: Any) -> bool:
        sizes = [len(first.x) + len(first.y)] if not more else [len(each.points) for each in (first, more[0])]
        if sum(sizes) < 3000:
            return bool(allowed(self, first, *more))
        self.refused = True
        return False

    monkeypatch.setattr(Pace, step, too_long)
    monkeypatch.setattr(blocks_module, "BLOCK", 128)
    for with_blocks in (False, True):
        with monkeypatch.context() as patch:
            if not with_blocks:
                patch.setattr(column_generation, "_in_blocks", lambda *_: iter(()))
            found = w1_interval(x, y, rng=0, tolerance=0.05, budget_seconds=600)
        assert found.lower <= truth * (1 + 1e-9) and found.upper >= truth * (1 - 1e-9)
        widths[with_blocks] = found.width
        assert found.stopped == ("tolerance" if with_blocks else "budget")
    assert widths[False] > 0.3 and widths[True] <= 0.05
