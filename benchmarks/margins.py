"""The finite-sample bound beside Welch's t on the 28 pairs of funnels: the last section of docs/results/w1.md.

    python benchmarks/margins.py

The scores are those of the optimal critic, which every pair knows, on 2^18 fresh points a side; 4096 others tune the
bets, as `W1Estimator` has it. What a bound lies below the mean of its scores, its margin, depends on their spread
alone, which critics near the optimum share. So the section adds to what trained critics miss (the estimates in
docs/results/w1.json) the margins of both kinds. Pairs are kept in docs/results/w1_margins.json as they come. Needs no
training: minutes on a core.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import mean

import torch

from wassergan.benchmark.w1.min_funnels import STANDARD_PAIRS
from wassergan.benchmark.w1.registry import PAIRS
from wassergan.benchmark.w1.runner import read_rows
from wassergan.benchmark.w1.table import chosen
from wassergan.distances import critic_lower_bound

RESULTS = Path(__file__).parents[1] / "docs" / "results"
JSON, PAGE, ROWS = RESULTS / "w1_margins.json", RESULTS / "w1.md", RESULTS / "w1.json"
TEST, TUNING, BLOCK, CONFIDENCE = 2**18, 4096, 2**14, 0.999
HEADING = "## The finite-sample bound beside Welch's t"


def scores(pair, draw, rng):
    """Of the optimal critic: those that tune, and those that are bet on."""
    blocks = [pair.potential(draw(BLOCK, rng=rng)) for _ in range(TEST // BLOCK)]
    return pair.potential(draw(TUNING, rng=rng)), torch.cat(blocks)


def margins(pair):
    """In per cent of W1: how far each bound lies below the mean of its scores."""
    rng = torch.Generator().manual_seed(1)
    (tuning_real, real), (tuning_fake, fake) = (scores(pair, draw, rng) for draw in (pair.real, pair.fake))
    w1, gap = pair.truth.w1, (real.mean() - fake.mean()).item()
    finite = critic_lower_bound(real, fake, confidence=CONFIDENCE, tuning=(tuning_real, tuning_fake))
    welch = critic_lower_bound(real, fake, confidence=CONFIDENCE, method="asymptotic")
    return {"w1": w1, "finite": 100 * (gap - finite) / w1, "welch": 100 * (gap - welch) / w1}


def section(found):
    """Markdown: what trained critics miss, then the bound by either method at 2^18 test points."""
    rows = read_rows(ROWS)
    groups = {
        "learned-atoms": [row for row in rows if row.solver == "learned-atoms"],
        "estimator, all": chosen(rows, "estimator, all"),
    }
    missed = {name: {pair: own_mean(group, pair) for pair in found} for name, group in groups.items()}
    lines = [["pair", "margin, Welch", "margin, finite-sample"]]
    lines[0] += [f"{name}: {kind}" for name in groups for kind in ("estimate", "bound, Welch", "bound, finite-sample")]
    columns = {}
    for pair, margin in found.items():
        values = [-margin["welch"], -margin["finite"]]
        for name in groups:
            estimate = missed[name][pair]
            values += [estimate, estimate - margin["welch"], estimate - margin["finite"]]
        columns[pair] = values
        lines.append([pair, *(f"{value:+.2f}" for value in values)])
    means = [mean(abs(values[place]) for values in columns.values()) for place in range(len(lines[0]) - 1)]
    lines.append(["mean, absolute", *(f"{value:.2f}" for value in means)])
    about = (
        "Made by `python benchmarks/margins.py`, per cent of W1, 99.9 %, 2^18 test points a side. Welch's t was "
        "the bound of the tables above and holds only as samples grow; the finite-sample bound, the default "
        "since, holds at every size. Margins are those of the optimal critic's scores; the estimate is what the "
        "trained critics of the tables above give without margin, mean over three seeds; a bound is the estimate "
        "less the margin."
    )
    return f"{HEADING}\n\n{about}\n\n" + "\n".join(
        "| " + " | ".join(cells) + " |" for cells in (lines[0], ["---"] * len(lines[0]), *lines[1:])
    )


def own_mean(rows, pair):
    return mean(row.deviation for row in rows if row.pair == pair)


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    found = json.loads(JSON.read_text(encoding="utf-8")) if JSON.exists() else {}
    for dim, count in STANDARD_PAIRS:
        name = f"funnels-{dim}-{count}"
        if name not in found:
            found[name] = margins(PAIRS[name]())
            JSON.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            print(name, found[name], flush=True)
    page = PAGE.read_text(encoding="utf-8").split(f"\n{HEADING}")[0].rstrip()
    PAGE.write_text(f"{page}\n\n{section(found)}\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
