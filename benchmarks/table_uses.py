"""What tables are used for, beyond scores: a mass from generated momenta, a treatment effect, journeys, many levels.

    python benchmarks/table_uses.py cms lalonde taxis levels --budget 3m --seeds 0,1,2

- cms: dimuon events (CMS open data). The invariant mass of the pair is computed from generated momenta and angles; it
  peaks near 91 GeV only if six columns fit together.
- lalonde: earnings in 1978 under all other columns as conditions. The difference of means between treated and control
  rows, under the real rows' own conditions, is held to the bootstrap interval of the real difference.
- taxis: journeys with two dates. Dates are in range, and none ends before it begins unless real ones do.
- levels: a made table with a column of 100 000 levels; memory of the training process.

Each run is a command line of its own. Results go to docs/results/table_uses.json and .md, beside those of other uses
and seeds that were there.
"""

import argparse
import json
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import torch
from results import earlier_rows, write_results

SHARED = Path(__file__).parents[2] / "shared" / "data"
Z_WINDOW = (81.0, 101.0)  # GeV
RESAMPLES = 2000
LEVELS, LEVEL_ROWS = 100_000, 300_000


class Run:
    """A training from the command line, in a folder of its own."""

    def __init__(self, folder: Path, options: argparse.Namespace, seed: int) -> None:
        self.folder, self._options, self._seed = folder, options, seed

    def train(self, data: Path, *flags: str, length: tuple[str, ...] = ()) -> dict[str, Any]:
        end = length or (
            ("--steps", self._options.steps) if self._options.steps else ("--budget", self._options.budget)
        )
        extra = shlex.split(self._options.flags)
        self._call("train", data, *flags, *end, "--seed", self._seed, *extra, "--out", self.folder / "run")
        return json.loads(self._call("info", self.folder / "run", "--json"))

    def sample(self, count: int, *flags: Any) -> pandas.DataFrame:
        out = self.folder / "made.parquet"
        self._call("sample", self.folder / "run", "--count", count, "--seed", self._seed, "--out", out, *flags)
        return pandas.read_parquet(out)

    def _call(self, *arguments: Any) -> str:
        command = [sys.executable, "-m", "wassergan", *map(str, arguments)]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def mass(rows: pandas.DataFrame) -> np.ndarray:
    """Invariant mass of two particles whose own masses are small beside their momenta, in GeV."""
    turn = np.cosh(rows["eta1"] - rows["eta2"]) - np.cos(rows["phi1"] - rows["phi2"])
    return np.sqrt(2 * rows["pt1"] * rows["pt2"] * turn).to_numpy()


def cms(run: Run, shared: Path) -> dict[str, Any]:
    data = shared / "cms_dilepton" / "Zmumu_Run2011A.csv.gz"
    facts = run.train(data)
    real = pandas.read_csv(data)
    drawn = {"real": mass(real), "made": mass(run.sample(len(real)))}
    found = {
        f"{name}_{what}": value
        for name, masses in drawn.items()
        for what, value in (
            ("median_gev", float(np.median(masses))),
            ("share_in_window", float(((masses >= Z_WINDOW[0]) & (masses <= Z_WINDOW[1])).mean())),
        )
    }
    met = abs(found["made_median_gev"] - found["real_median_gev"]) <= 1
    met &= abs(found["made_share_in_window"] - found["real_share_in_window"]) <= 0.05
    return {**found, "met": bool(met), "steps": facts["steps"]}


def effect(rows: pandas.DataFrame) -> float:
    treated = rows["t"] == 1
    return float(rows.loc[treated, "re78"].mean() - rows.loc[~treated, "re78"].mean())


def lalonde(run: Run, shared: Path) -> dict[str, Any]:
    data = shared / "lalonde" / "experimental.feather"
    real = pandas.read_feather(data)
    others = [name for name in real.columns if name != "re78"]
    facts = run.train(data, "--condition", *others)
    real[others].to_parquet(run.folder / "wanted.parquet")
    made = run.sample(20 * len(real), "--given-rows", run.folder / "wanted.parquet")
    numbers = np.random.default_rng(0)
    again = [effect(real.iloc[numbers.integers(0, len(real), len(real))]) for _ in range(RESAMPLES)]
    low, high = np.quantile(again, [0.025, 0.975])
    kept = bool((made[others].to_numpy() == np.tile(real[others].to_numpy(), (20, 1))).all())
    found = {"real_effect": effect(real), "interval_low": float(low), "interval_high": float(high)}
    found |= {
        "made_effect": effect(made),
        "real_mean": float(real["re78"].mean()),
        "made_mean": float(made["re78"].mean()),
    }
    return {**found, "met": bool(kept and low <= found["made_effect"] <= high), "steps": facts["steps"]}


def taxis(run: Run, shared: Path) -> dict[str, Any]:
    data = shared / "taxis" / "taxis.csv.gz"
    facts = run.train(data)
    real = pandas.read_csv(data, parse_dates=["pickup", "dropoff"])
    made = run.sample(len(real))
    inside = all(made[name].between(real[name].min(), real[name].max()).all() for name in ("pickup", "dropoff"))
    backwards = {
        name: float((rows["dropoff"] < rows["pickup"]).mean()) for name, rows in (("real", real), ("made", made))
    }
    minutes = {
        name: float((rows["dropoff"] - rows["pickup"]).dt.total_seconds().median() / 60)
        for name, rows in (("real", real), ("made", made))
    }
    return {
        "in_range": bool(inside),
        **{f"{name}_backwards": share for name, share in backwards.items()},
        **{f"{name}_median_minutes": value for name, value in minutes.items()},
        "made_zones": int(made["pickup_zone"].nunique()),
        "real_zones": int(real["pickup_zone"].nunique()),
        "met": bool(inside and backwards["made"] == backwards["real"]),
        "steps": facts["steps"],
    }


def levels(run: Run, shared: Path) -> dict[str, Any]:
    numbers = np.random.default_rng(0)
    codes = np.concatenate([np.arange(LEVELS), (LEVELS * numbers.random(LEVEL_ROWS - LEVELS) ** 3).astype(int)])
    data = run.folder / "levels.csv"
    pandas.DataFrame(
        {"shop": [f"s{code:06d}" for code in codes], "spent": numbers.gamma(2, 10, LEVEL_ROWS).round(2)}
    ).to_csv(data, index=False)
    started = time.perf_counter()
    facts = run.train(data, "--no-previews", length=("--steps", "60"))
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    made = run.sample(LEVEL_ROWS // 3)
    known = made["shop"].isin({f"s{code:06d}" for code in range(LEVELS)}).all()
    return {
        "levels": LEVELS,
        "peak_gib": round(peak, 3),
        "seconds": round(seconds, 1),
        "made_levels": int(made["shop"].nunique()),
        "met": bool(known and peak <= 1.0),
        "steps": facts["steps"],
    }


USES: dict[str, Callable[[Run, Path], dict[str, Any]]] = {
    "cms": cms,
    "lalonde": lalonde,
    "taxis": taxis,
    "levels": levels,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("uses", nargs="+", choices=list(USES))
    parser.add_argument("--budget", default="3m")
    parser.add_argument("--steps", help="train so many steps instead")
    parser.add_argument("--seeds", default="0", help="such as 0,1,2; one is enough for levels")
    parser.add_argument("--folder", type=Path, default=SHARED)
    parser.add_argument("--flags", default="", help="further flags of `train`, in one string")
    parser.add_argument("--no-write", action="store_true", help="only print")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    length = options.steps or options.budget
    # The one whose memory is measured comes first: the peak is that of the largest child so far.
    for use in sorted(options.uses, key=lambda name: name != "levels"):
        seeds = [int(seed) for seed in options.seeds.split(",")]
        for seed in seeds[:1] if use == "levels" else seeds:
            with tempfile.TemporaryDirectory() as folder:
                found = USES[use](Run(Path(folder), options, seed), options.folder)
            facts = {name: found.pop(name) for name in ("met", "steps")}
            rows.append(
                {
                    "use": use,
                    "seed": seed,
                    "length": length,
                    "threads": torch.get_num_threads(),
                    **facts,
                    "found": _told(found),
                }
            )
            print(rows[-1], flush=True)
    if not options.no_write:
        rows = [*earlier_rows("table_uses", rows, told_by=["use", "seed"]), *rows]
        write_results(
            "table_uses",
            "Uses of tables",
            sorted(rows, key=lambda row: (list(USES).index(row["use"]), row["seed"])),
            summary={},
            command=f"python benchmarks/table_uses.py {shlex.join(sys.argv[1:])}",
        )


def _told(found: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in found.items()
    )


if __name__ == "__main__":
    main()
