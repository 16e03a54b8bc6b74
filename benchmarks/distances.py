"""Measure the distances: exact solves beside POT, intervals at 2000 and 100 000 points, sliced W1 of a million.

    python benchmarks/distances.py                 all five parts
    python benchmarks/distances.py exact sliced    some of them

Every case runs in a process of its own, so that its peak memory is its own. Exact solves are timed against POT's in
alternation within one process, by its CPU time on one thread; the memory of each is that of one more process. Results
go to docs/results/distances.json, and as tables to docs/results/distances.md.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).parents[1] / "docs" / "results"
FAMILIES = ("shifted", "mixture", "uniform", "duplicates", "heavy", "same")
CASES = {
    "exact": [{"n": n, "dim": dim} for n in (1000, 2000, 5000) for dim in (2, 32)],
    "few": [
        {"n": 5000, "dim": dim, "family": family}
        for dim in (2, 3)
        for family in ("shifted", "mixture", "uniform", "heavy", "same")
    ],
    "interval": [
        {"n": 2000, "dim": dim, "family": family, "seed": seed}
        for family in FAMILIES[:5]
        for dim in (2, 16, 64)
        for seed in range(7)
    ],
    "large": [
        {"n": 100_000, "dim": dim, "family": family, "budget": 270} for dim in (3, 32) for family in ("shifted", "same")
    ],
    "sliced": [{"n": 1_000_000, "dim": 64, "projections": 200}],
}


def pair(family, n, dim, seed):
    import numpy as np

    rng = np.random.default_rng(seed)
    if family == "shifted":
        return rng.normal(size=(n, dim)), rng.normal(size=(n, dim)) + rng.normal(size=dim)
    if family == "mixture":
        near, far = rng.normal(size=(2, 4, dim)) * 3
        return tuple(c[rng.integers(4, size=n)] + 0.3 * rng.normal(size=(n, dim)) for c in (near, near + far))
    if family == "uniform":
        return rng.random((n, dim)), rng.random((n, dim)) * 1.3
    if family == "duplicates":
        pools = rng.normal(size=(2, 500, dim))
        return tuple(pool[rng.integers(500, size=n)] for pool in pools)
    if family == "heavy":
        return rng.standard_t(1.5, size=(n, dim)), rng.standard_t(1.5, size=(n, dim)) + 0.5
    return rng.normal(size=(n, dim)), rng.normal(size=(n, dim))


def memory(of):
    """Bytes in memory: VmRSS now, VmHWM at most since this program started (a parent's peak does not count)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(of))


def measured(work):
    """The result, the seconds it took, and the mebibytes of memory beyond what was there before."""
    before, start = memory("VmRSS"), time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    return result, {"seconds": seconds, "mebibytes": max(0, memory("VmHWM") - before) / 2**20}


def solvers(n, dim):
    """The four functions, by name; the second of each pair wraps the first."""
    import numpy as np
    import ot
    from scipy.spatial.distance import cdist

    from wassergan.distances import exact_transport, exact_w1

    x, y = pair("shifted", n, dim, 0)
    weights = np.full(n, 1 / n)
    cost = cdist(x, y)

    def by_pot(matrix):
        return ot.lp.emd(weights, weights, matrix, numItermax=10**9, log=True)[1]["cost"]

    exact_w1(x[:50], y[:50])  # loads what is loaded once
    return {
        "POT, points": lambda: by_pot(cdist(x, y)),
        "exact_w1": lambda: exact_w1(x, y),
        "POT, matrix": lambda: by_pot(cost),
        "exact_transport": lambda: exact_transport(cost),
    }


def exact(n, dim):
    import torch

    torch.set_num_threads(1)
    works = solvers(n, dim)
    row = {name: {"seconds": []} for name in works}
    for _ in range(9 if n <= 2000 else 5):
        for name, work in works.items():
            start = time.process_time()
            result = work()
            row[name]["seconds"].append(time.process_time() - start)
            row[name]["value"] = float(getattr(result, "value", result))
            if hasattr(result, "upper"):
                row[name]["gap"] = result.upper - result.lower
    for name in works:
        row[name] |= in_a_process("exact_memory", {"n": n, "dim": dim, "solver": name})
    return row


def few(n, dim, family):
    """CPU seconds in alternation, five times, and what the certificate says."""
    import ot
    import torch
    from scipy.spatial.distance import cdist

    from wassergan.distances import exact_w1

    torch.set_num_threads(1)
    x, y = pair(family, n, dim, 0)
    exact_w1(x[:50], y[:50])  # loads what is loaded once
    seconds = {"POT": [], "exact_w1": []}
    for _ in range(5):
        start = time.process_time()
        value = ot.lp.emd2([], [], cdist(x, y), numItermax=10**9)
        seconds["POT"].append(time.process_time() - start)
        start = time.process_time()
        result = exact_w1(x, y)
        seconds["exact_w1"].append(time.process_time() - start)
    ours = result.value.item()
    return {"seconds": seconds, "difference": abs(ours / value - 1), "gap": (result.upper - result.lower) / ours}


def exact_memory(n, dim, solver):
    work = solvers(n, dim)[solver]
    return {"mebibytes": measured(work)[1]["mebibytes"]}


def interval(n, dim, family, seed):
    import ot
    import torch
    from scipy.spatial.distance import cdist

    from wassergan.distances import w1_interval

    x, y = pair(family, n, dim, seed)
    result, cost_of = measured(lambda: w1_interval(x, y, rng=torch.Generator().manual_seed(seed)))
    value = ot.lp.emd2([], [], cdist(x, y), numItermax=10**9)
    # POT's own rounding is no fault of the interval.
    slack = 1e-12 * value
    inside = result.lower - slack <= value <= result.upper + slack
    return {"exact": value, "lower": result.lower, "upper": result.upper, "inside": inside, **cost_of}


def large(n, dim, family, budget):
    import torch

    from wassergan.distances import w1_interval

    x, y = pair(family, n, dim, 0)
    rng = torch.Generator().manual_seed(0)
    result, cost_of = measured(lambda: w1_interval(x, y, rng=rng, budget_seconds=budget))
    return {"lower": result.lower, "upper": result.upper, "width": result.width, "stopped": result.stopped, **cost_of}


def sliced(n, dim, projections):
    import torch

    from wassergan.distances import sliced_w1_estimate

    rng = torch.Generator().manual_seed(0)
    x, y = (torch.randn(n, dim, generator=rng) for _ in range(2))
    y[:, 0] += 1
    result, cost_of = measured(lambda: sliced_w1_estimate(x, y, projections=projections, rng=rng))
    return {"value": result.value.item(), "standard_error": result.standard_error, **cost_of}


def in_a_process(name, case):
    command = [sys.executable, __file__, "--case", name, json.dumps(case)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def run_part(part):
    rows = []
    for case in CASES[part]:  # type: ignore[attr-defined]
        rows.append(case | in_a_process(part, case))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def exact_table(rows):
    lines = []
    for row in rows:
        for alone, ours in (("POT, points", "exact_w1"), ("POT, matrix", "exact_transport")):
            p, w = row[alone], row[ours]
            ratio = median(o / a for o, a in zip(w["seconds"], p["seconds"], strict=True))
            lines.append(
                (
                    row["n"], row["dim"], ours, f"{median(p['seconds']):.2f}", f"{median(w['seconds']):.2f}",
                    f"{ratio:.2f}", f"{p['mebibytes']:.0f}", f"{w['mebibytes']:.0f}",
                    f"{w['mebibytes'] / p['mebibytes']:.2f}", f"{abs(w['value'] / p['value'] - 1):.0e}",
                    f"{w['gap'] / w['value']:.0e}",
                )
            )  # fmt: skip
    head = ("n = m", "dim", "function", "POT s", "ours s", "ratio", "POT MiB", "ours MiB", "ratio", "difference", "gap")
    return table(head, lines)


def few_table(rows):
    lines = []
    for row in rows:
        pot, ours = row["seconds"]["POT"], row["seconds"]["exact_w1"]
        ratios = [p / o for p, o in zip(pot, ours, strict=True)]
        lines.append(
            (
                row["dim"], row["family"], f"{median(pot):.2f}", f"{median(ours):.2f}", f"{median(ratios):.1f}",
                f"{min(ratios):.1f} to {max(ratios):.1f}", f"{row['difference']:.0e}", f"{row['gap']:.0e}",
            )
        )  # fmt: skip
    return table(("dim", "family", "POT s", "ours s", "times as fast", "least to most", "difference", "gap"), lines)


def interval_table(rows):
    lines = []
    for family in FAMILIES[:5]:
        for dim in (2, 16, 64):
            some = [r for r in rows if (r["family"], r["dim"]) == (family, dim)]
            widths = [(r["upper"] - r["lower"]) / r["exact"] for r in some]
            lines.append(
                (
                    family, dim, f"{sum(r['inside'] for r in some)} of {len(some)}", f"{100 * max(widths):.2f} %",
                    f"{max(r['seconds'] for r in some):.2f}",
                )
            )  # fmt: skip
    return table(("family", "dim", "exact value inside", "widest", "slowest, s"), lines)


def large_table(rows):
    head = ("n = m", "dim", "family", "lower", "upper", "width", "stopped by", "s", "MiB beyond the points")
    keys = ("n", "dim", "family", "lower", "upper", "width", "stopped", "seconds", "mebibytes")
    return table(head, [[f"{r[k]:.4g}" if isinstance(r[k], float) else r[k] for k in keys] for r in rows])


def sliced_table(rows):
    head = ("n = m", "dim", "projections", "sliced W1", "s", "MiB beyond the points")
    return table(
        head,
        [
            (
                r["n"], r["dim"], r["projections"], f"{r['value']:.5f} ± {r['standard_error']:.5f}",
                f"{r['seconds']:.1f}", f"{r['mebibytes']:.0f}",
            )
            for r in rows
        ],
    )  # fmt: skip


TITLES = {
    "exact": ("Exact solves beside the solver that they wrap: CPU seconds, medians in alternation", exact_table),
    "few": ("Exact solves of 5000 against 5000 points in few dimensions: CPU seconds, in alternation", few_table),
    "interval": ("Intervals of 2000 against 2000 points", interval_table),
    "large": ("Intervals of 100 000 against 100 000 points, asked for 1 %", large_table),
    "sliced": ("Sliced W1", sliced_table),
}


def main(parts):
    path = RESULTS / "distances.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for part in parts or CASES:
        results[part] = {
            "machine": f"{platform.machine()}, cores: {len(os.sched_getaffinity(0))}",
            "threads": int(os.environ.get("OMP_NUM_THREADS", 0)) or len(os.sched_getaffinity(0)),
            "rows": run_part(part),
        }
        path.write_text(json.dumps(results, indent=1) + "\n")
    sections = ["# Distances: time, memory, widths\n\nWritten by `python benchmarks/distances.py`."]
    for part, (title, drawn) in TITLES.items():
        if part in results:
            where = f"{results[part]['machine']}, threads: {results[part]['threads']}"
            sections.append(f"## {title}\n\nOn {where}.\n\n{drawn(results[part]['rows'])}")
    (RESULTS / "distances.md").write_text("\n\n".join(sections) + "\n")
    from results import stamp  # here: the processes of cases are measured without torch

    stamp("distances")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--case"]:
        print(json.dumps(globals()[sys.argv[2]](**json.loads(sys.argv[3]))))
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("parts", nargs="*", choices=[[], *CASES], default=[])
        main(parser.parse_args().parts)
