"""How often bounds on W1 of distributions lie above the truth, cell by cell: docs/results/coverage.md.

    python benchmarks/coverage.py                       # what docs/results/coverage.json does not hold; then the page
    python benchmarks/coverage.py --runs 50 --only flag # some cells, few runs, to look

A cell is a pair of distributions of known W1, two sample sizes and a confidence; its runs are independent draws.
`scores` bounds W1 from the scores of a 1-Lipschitz critic that is settled beforehand (on the line f(x) = x or -x,
else the direction between the means of 20 other draws a side), `sorted` does the same with scores that come in
ascending order, `interval` is `w1_interval(population=True)` from the points themselves, and `estimator` is
`W1Estimator`.
"""

import argparse
import json
import math
import os
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
JSON, PAGE = (ROOT / "docs" / "results" / f"coverage.{kind}" for kind in ("json", "md"))
SIZES = ((8, 8), (40, 4000), (4000, 40), (400, 400), (5000, 200))
SMALL_SIZES = ((8, 8), (40, 400), (400, 40), (200, 200))
CONFIDENCES = (0.9, 0.95, 0.99, 0.999)
SIGNIFICANCE = 1e-3
TRAINING = 20


@dataclass(frozen=True)
class Pair:
    """Draws of P and Q, (runs, n, dim) of each, their W1, and the sign of the critic f(x) = ± x on the line."""

    real: object
    fake: object
    w1: float
    sign: float = 1.0
    diameter: float | None = None


def shifted(draw, by, scale=1.0):
    return Pair(lambda rng, size: scale * by + draw(rng, size), draw, scale * by)


def stretched(draw, mean, by, swap):
    """One side is the other times 1 + by: on a half-line W1 is by times the mean."""

    def long(rng, size):
        return (1 + by) * draw(rng, size)

    return Pair(draw, long, by * mean, -1.0) if swap else Pair(long, draw, by * mean)


def flags(p, q):
    def of(rate):
        return lambda rng, size: (rng.random(size) < rate).astype(float)

    return Pair(of(p), of(q), abs(p - q), 1.0 if p >= q else -1.0, diameter=1.0)


def counts(p, q):
    # Poisson distributions are ordered by their means.
    def of(mean):
        return lambda rng, size: rng.poisson(mean, size).astype(float)

    return Pair(of(p), of(q), abs(p - q), 1.0 if p >= q else -1.0)


def with_far_mode(rate, far):
    def draw(rng, size):
        return rng.normal(size=size) + far * (rng.random(size) < rate)

    return draw


def lines():
    """By name: shift number to a pair on the line; shift 0 is P = Q."""
    import numpy as np

    def normal(rng, size):
        return rng.normal(size=size)

    def lognormal(sigma):
        return lambda rng, size: rng.lognormal(0.0, sigma, size)

    def pareto(rng, size):
        return 1 + rng.pareto(1.5, size)

    def student(rng, size):
        return rng.standard_t(2, size)

    shifts = (0.0, 0.1, 0.5, 1.0)
    factors, swapped = (0.0, 0.2, 1.0, 0.5), (False, False, False, True)
    families = {"normal 1": [shifted(normal, by) for by in shifts], "t(2)": [shifted(student, by) for by in shifts]}
    for p in (0.001, 0.01, 0.05):
        families[f"flag {100 * p:g} %"] = [flags(p, p), flags(2 * p, p), flags(p + 0.2, p), flags(0.0, p)]
    families["coin"] = [flags(0.5, 0.5), flags(0.6, 0.5), flags(0.5, 0.1), flags(0.1, 0.5)]
    means = {"lognormal(0, 1)": math.exp(0.5), "lognormal(0, 2)": math.exp(2.0), "Pareto(1.5)": 3.0}
    for name, draw in (("lognormal(0, 1)", lognormal(1)), ("lognormal(0, 2)", lognormal(2)), ("Pareto(1.5)", pareto)):
        families[name] = [stretched(draw, means[name], by, swap) for by, swap in zip(factors, swapped, strict=True)]
    families["1 % at 50"] = [shifted(with_far_mode(0.01, 50.0), by) for by in shifts]
    # The far mode on one side alone: W1 is the cost of moving it, since adding a nonnegative number orders them.
    families["0.5 % at 1000"] = [
        shifted(with_far_mode(0.005, 1000.0), 0.0),
        Pair(with_far_mode(0.005, 1000.0), normal, 5.0),
        Pair(normal, with_far_mode(0.005, 1000.0), 5.0, -1.0),
        Pair(with_far_mode(0.01, 1000.0), with_far_mode(0.005, 1000.0), 5.0),
    ]
    families["counts"] = [counts(2, 2), counts(2.2, 2), counts(3, 2), counts(0.5, 2)]
    assert all(np.isfinite(pair.w1) for group in families.values() for pair in group)
    return families


def spaces():
    """Normal distributions in 4 and 16 dimensions, shifted along (1, ..., 1): W1 is the length of the shift."""

    def pairs(dim):
        def draw(rng, size):
            return rng.normal(size=(*size, dim))

        return [
            Pair(lambda rng, size, by=by: draw(rng, size) + by / math.sqrt(dim), draw, by) for by in (0, 0.1, 0.5, 1)
        ]

    return {f"normal {dim}": pairs(dim) for dim in (4, 16)}


def scores_of(pair, runs, n, m, rng):
    """Scores of a 1-Lipschitz critic that these draws had no part in, (runs, n) and (runs, m)."""
    import numpy as np

    x, y = pair.real(rng, (runs, n)), pair.fake(rng, (runs, m))
    if x.ndim == 2:
        return pair.sign * x, pair.sign * y
    drift = pair.real(rng, (runs, TRAINING)).mean(1) - pair.fake(rng, (runs, TRAINING)).mean(1)
    drift /= np.linalg.norm(drift, axis=1, keepdims=True) * (1 + 1e-12)
    return np.einsum("rnd,rd->rn", x, drift), np.einsum("rnd,rd->rn", y, drift)


def in_orders(x, y):
    """Every row of both sides in the order in which `critic_lower_bound` bets on it."""
    import numpy as np
    import torch

    from wassergan.distances.orders import keyed, shuffled

    rows = []
    for real, fake in zip(
        torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(np.ascontiguousarray(y)), strict=True
    ):
        order = keyed(None, real, fake)
        rows.append([shuffled(side, order).numpy() for side in (real, fake)])
    return [np.stack(side) for side in zip(*rows, strict=True)]


def bounds_of(x, y, confidences=CONFIDENCES):
    """`critic_lower_bound` of every row, all rows at once, one array for each confidence.

    An order is drawn once for all confidences, on which it does not depend; the first rows are held against the
    public function.
    """
    import numpy as np

    from wassergan.distances import critic_lower_bound
    from wassergan.distances.mean_bounds import betting_lower_bounds

    ordered = in_orders(x, y)
    for confidence in confidences:
        bounds = betting_lower_bounds(*ordered, confidence=confidence)
        alone = [critic_lower_bound(a, b, confidence=confidence) for a, b in zip(x[:2], y[:2], strict=True)]
        assert np.allclose(alone, bounds[: len(alone)], rtol=1e-9, atol=0), (alone, bounds[:2])
        yield bounds


def welch_of(x, y, confidence):
    """Welch's lower bounds of every row."""
    import numpy as np
    from scipy import special

    variances = [side.var(1, ddof=1) / side.shape[1] for side in (x, y)]
    total = sum(variances)
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = 1 / sum((v / total) ** 2 / (side.shape[1] - 1) for v, side in zip(variances, (x, y), strict=True))
        margin = np.where(total > 0, special.stdtrit(freedom, confidence) * np.sqrt(total), 0.0)
    return np.maximum(0.0, x.mean(1) - y.mean(1) - margin)


def score_cells(name, pair, n, m, runs, rng, ordered):
    import numpy as np

    x, y = scores_of(pair, runs, n, m, rng)
    if ordered:
        x, y = np.sort(x, axis=1), np.sort(y, axis=1)
    for confidence, lower in zip(CONFIDENCES, bounds_of(x, y), strict=True):
        welch = welch_of(x, y, confidence)
        yield (
            confidence,
            {
                "above": int((lower > pair.w1).sum()),
                "welch_above": int((welch > pair.w1 * (1 + 1e-12)).sum()),
                "share": float(np.median(lower) / pair.w1) if pair.w1 else None,
                "welch_share": float(np.median(welch) / pair.w1) if pair.w1 else None,
            },
        )


def whole_cells(kind, pair, n, m, runs, rng):
    """`w1_interval` and `W1Estimator` from the points, at 90 %, where violations would show first."""
    import torch

    from wassergan.distances import W1Estimator, w1_interval

    above = below = 0
    for run in range(runs):
        x, y = (side(rng, (1, count))[0].reshape(count, -1) for side, count in ((pair.real, n), (pair.fake, m)))
        seeded = torch.Generator().manual_seed(run)
        if kind == "interval":
            found = w1_interval(
                x,
                y,
                rng=seeded,
                population=True,
                confidence=0.9,
                tolerance=0.3,
                budget_seconds=0.2,
                diameter=pair.diameter,
            )
            below += pair.diameter is not None and found.upper < pair.w1
        else:
            found = W1Estimator(families="atoms", steps=2, batch_size=32, confidence=0.9).estimate(x, y, rng=seeded)
        above += found.lower > pair.w1
    yield 0.9, {"above": above} | ({"upper_below": below} if pair.diameter is not None and kind == "interval" else {})


def cells(runs):
    """Key to work, in order: each gives one record per confidence."""
    families = lines() | spaces()
    for kind in ("scores", "sorted"):
        for name, pairs in families.items():
            for shift, pair in enumerate(pairs):
                if kind == "sorted" and shift > 1:
                    continue
                for n, m in SIZES:
                    key = f"{kind}|{name}|{shift}|{n}|{m}"
                    yield (
                        key,
                        runs,
                        lambda rng, count, p=pair, n=n, m=m, o=kind == "sorted", name=name: score_cells(
                            name, p, n, m, count, rng, o
                        ),
                    )
    for kind, sizes in (("interval", SMALL_SIZES), ("estimator", ((40, 400), (200, 200)))):
        for name in ("flag 5 %", "lognormal(0, 2)", "coin", "normal 4"):
            for shift in (0, 2):
                for n, m in sizes:
                    count = max(1, runs // 4)  # a run takes hundreds of times that of one on scores
                    key = f"{kind}|{name}|{shift}|{n}|{m}"
                    pair = families[name][shift]
                    yield key, count, lambda rng, count, k=kind, p=pair, n=n, m=m: whole_cells(k, p, n, m, count, rng)


def excess(above, runs, confidence):
    """Probability of so many bounds above the truth, or more, if each is there with the stated risk."""
    from scipy.stats import binom

    return float(binom.sf(above - 1, runs, 1 - confidence))


def run(runs, only, path):
    import numpy as np

    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for key, count, work in cells(runs):
        if only not in key or f"{key}|{count}" in known:
            continue
        rng = np.random.default_rng(zlib.crc32(key.encode()))
        known[f"{key}|{count}"] = {str(confidence): record for confidence, record in work(rng, count)}
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(known, indent=0) + "\n", encoding="utf-8")
        partial.replace(path)
        print(key, known[f"{key}|{count}"], flush=True)
    return known


def records(known):
    for key, group in known.items():
        kind, name, shift, n, m, runs = key.split("|")
        for confidence, record in group.items():
            yield kind, name, int(shift), int(n), int(m), int(runs), float(confidence), record


def page(known):
    """The table as Markdown: by kind and family, over shifts and sizes; then the cells where Welch's t fails worst."""
    rows = list(records(known))
    tests = [
        (excess(record["above"], runs, c), kind, name, shift, n, m, c)
        for kind, name, shift, n, m, runs, c, record in rows
    ]
    worst = min(tests)
    verdict = "holds" if worst[0] * len(tests) >= SIGNIFICANCE else "FAILS"
    welch = [
        (excess(record["welch_above"], runs, c), kind, name, shift, n, m, runs, c, record)
        for kind, name, shift, n, m, runs, c, record in rows
        if kind == "scores"
    ]
    failed = [each for each in welch if each[0] * len(welch) < SIGNIFICANCE]
    parts = [
        "# How often the bounds on W1 of distributions lie above the truth",
        "Made by `python benchmarks/coverage.py`. " + " ".join(__doc__.split("\n\n")[2].split()),
        f"The claim {verdict}: of {len(tests)} cells with {sum(row[5] for row in rows)} bounds in all, the cell that "
        f"speaks most against it has probability {worst[0]:.2g} ({', '.join(str(part) for part in worst[1:])}); "
        f"{len(tests)} cells allow {SIGNIFICANCE / len(tests):.1g}. Shift 0 is P = Q. Welch's t on the same scores "
        f'(`method="asymptotic"`) fails in {len(failed)} of {len(welch)} cells by the same test.',
        "Per cent of the bounds above the truth: the worst cell over sizes and shifts, in brackets that of Welch's t.",
    ]
    for kind in dict.fromkeys(row[0] for row in rows):
        own = [row for row in rows if row[0] == kind]
        confidences = sorted({row[6] for row in own})
        lines = [["distributions", "cells", "bounds", *(f"{100 * (1 - c):.3g} % allowed" for c in confidences)]]
        for name in dict.fromkeys(row[1] for row in own):
            of_name = [row for row in own if row[1] == name]
            cells_of = []
            for c in confidences:
                group = [row for row in of_name if row[6] == c]
                text = f"{max(100 * row[7]['above'] / row[5] for row in group):.1f}"
                if kind == "scores":
                    text += f" ({max(100 * row[7]['welch_above'] / row[5] for row in group):.1f})"
                cells_of.append(text)
            lines.append([name, str(len(of_name)), str(sum(row[5] for row in of_name)), *cells_of])
        parts += [f"## {kind}", table(lines)]
    uppers = [(row[7]["upper_below"], row[5]) for row in rows if "upper_below" in row[7]]
    if uppers:
        parts.append(
            f"Upper bounds with a known diameter (coins and flags, 90 %): {sum(u for u, _ in uppers)} of "
            f"{sum(runs for _, runs in uppers)} below the truth."
        )
    lines = [["distributions", "shift", "n", "m", "confidence", "above the truth, %", "Welch's t, %"]]
    for _, _, name, shift, n, m, runs, c, record in sorted(failed, key=lambda each: each[0])[:20]:
        above = (100 * record[side] / runs for side in ("above", "welch_above"))
        lines.append([name, str(shift), str(n), str(m), f"{100 * c:g} %", *(f"{value:.1f}" for value in above)])
    parts += ["## Where Welch's t fails worst", table(lines)]
    lines = [["distributions", "shift", "n", "m", *(f"{100 * c:g} %" for c in CONFIDENCES)]]
    for key, group in known.items():
        kind, name, shift, n, m, _ = key.split("|")
        if kind == "scores" and name in ("normal 1", "normal 16", "lognormal(0, 1)", "coin") and shift in "23":
            shares = (f"{group[str(c)]['share']:.2f} ({group[str(c)]['welch_share']:.2f})" for c in CONFIDENCES)
            lines.append([name, shift, n, m, *shares])
    parts += ["## How tight: median of bound / W1, in brackets Welch's t", table(lines)]
    return "\n\n".join(parts) + "\n"


def table(lines):
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (lines[0], ["---"] * len(lines[0]), *lines[1:]))


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=1000, help="draws of each cell")
    parser.add_argument("--only", default="", help="cells whose key holds this text")
    parser.add_argument("--json", type=Path, default=JSON, help="where the cells are kept")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write")
    asked = parser.parse_args(arguments)
    known = run(asked.runs, asked.only, asked.json)
    asked.page.write_text(page(known), encoding="utf-8")
    if asked.json == JSON:
        from results import stamp

        stamp("coverage")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(sys.argv[1:])
