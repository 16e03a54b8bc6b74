"""Series of sines, stocks and air: scores of recurrent networks, and what happens from step to step, with floors.

    python benchmarks/series.py --budget 10m --seeds 0,1,2
    python benchmarks/series.py --names stocks --budget 120s --no-write

As many series are drawn as there are. Discriminative and predictive scores follow Yoon, Jarrett, van der Schaar 2019:
against all real series, 2000 and 5000 steps of 128 at a learning rate of 1e-3, the mean over five networks. Floors
are those of one half of the real series against the other. Autocorrelation, spectrum and increments are W1 against the
held-out series, and the floor that of as many training series. Results go to docs/results/series.json and .md, beside
those of other seeds.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from results import earlier_rows, write_results

from wassergan.data import open_source
from wassergan.evaluation.series import SeriesPopulations, dynamics_rows
from wassergan.evaluation.series.scores import Scaling, discriminative_score, predictive_score

SHARED = Path(__file__).parents[2] / "shared" / "data" / "series"
FLAGS = {"sines": [], "stocks": [], "air": ["--missing", "-200"]}
STEPS = {"discriminative": 2000, "predictive": 5000}
LR = 1e-3
Series = np.ndarray[Any, np.dtype[np.float64]]


def wassergan(*arguments: Any, before: str = "") -> str:
    command = [*shlex.split(before), sys.executable, "-m", "wassergan", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def in_channels(values: Series, name: str) -> Series:
    """(n, T, C) as (n, C, T), NaN where a value is missing."""
    values = np.moveaxis(values.astype(np.float64), 2, 1)
    return np.where(values == -200, np.nan, values) if FLAGS[name] else values


def scores(real: Series, made: Series, *, seed: int, scale: float, with_floors: bool) -> dict[str, float]:
    """Both scores, their errors, and their floors, where those are wanted."""
    scaled = Scaling(real)
    halves = torch.randperm(len(real), generator=torch.Generator().manual_seed(seed))
    sides = {"": (scaled(real), scaled(made))}
    half = len(real) // 2
    if with_floors:
        sides["_floor"] = (scaled(real[halves[:half].numpy()]), scaled(real[halves[half:].numpy()]))
    found = {}
    for end, (left, right) in sides.items():
        for kind, measure in (("discriminative", discriminative_score), ("predictive", predictive_score)):
            score = measure(left, right, seed=seed, steps=max(1, round(scale * STEPS[kind])), lr=LR)
            found[f"{kind}{end}"] = score.value
            if not end:
                found[f"{kind}_error"] = score.error
    return found


def judged(name: str, folder: Path, seed: int, length: tuple[str, str], options: argparse.Namespace) -> dict[str, Any]:
    data, run = options.folder / f"{name}.npz", folder / "run"
    flags = ["--layout", "NTC", *FLAGS[name], "--seed", seed, *shlex.split(options.flags)]
    if not run.exists():
        wassergan("train", data, *flags, *length, "--no-previews", "--out", run, before=options.before)
    facts = json.loads(wassergan("info", run, "--json"))
    missing = (-200,) if FLAGS[name] else ()
    source = open_source(data, layout="NTC", missing=missing, seed=seed)
    wassergan("sample", run, "--count", len(source), "--seed", seed, "--out", folder / "made.npy")
    made = in_channels(np.load(folder / "made.npy"), name)
    real = in_channels(source.values(torch.arange(len(source))).numpy(), name)
    train = source.split.train_rows(torch.arange(source.train_count)).numpy()
    populations = SeriesPopulations(made[: len(train)], real[train], real[source.split.heldout.numpy()])
    row: dict[str, Any] = {"data": name, "flags": options.flags, "seed": seed, "steps": facts["steps"]}
    row |= scores(real, made, seed=seed, scale=options.score_steps, with_floors=not options.no_floors)
    for each in dynamics_rows(populations):
        if each.floor:
            row |= {each.name: each.value, f"{each.name}_times_floor": each.value / each.floor}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", default=",".join(FLAGS), help="such as sines,stocks")
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--steps", help="train so many steps instead")
    parser.add_argument("--seeds", default="0", help="such as 0,1,2")
    parser.add_argument("--folder", type=Path, default=SHARED)
    parser.add_argument("--flags", default="", help="further flags of `train`, in one string")
    parser.add_argument("--before", default="", help="a command that starts the training, such as 'taskset -c 0'")
    parser.add_argument("--score-steps", type=float, default=1.0, help="share of the steps of the scores' networks")
    parser.add_argument("--no-floors", action="store_true", help="of both scores, which take as long as the scores")
    parser.add_argument("--runs", type=Path, help="a folder that keeps the runs; those that are there are judged")
    parser.add_argument("--no-write", action="store_true", help="only print")
    options = parser.parse_args()
    length = ("--steps", options.steps) if options.steps else ("--budget", options.budget)
    rows: list[dict[str, Any]] = []
    for name in options.names.split(","):
        for seed in map(int, options.seeds.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                kept_at = options.runs / f"{name}-{seed}" if options.runs else Path(folder)
                rows.append(judged(name, kept_at, seed, length, options))
            print({key: round(value, 4) if isinstance(value, float) else value for key, value in rows[-1].items()})
            if not options.no_write:
                kept = [*earlier_rows("series", rows, told_by=["data", "flags", "seed"]), *rows]
                write_results(
                    "series",
                    f"Series after {options.steps or options.budget}",
                    sorted(kept, key=lambda row: (list(FLAGS).index(row["data"]), row["flags"], row["seed"])),
                    summary={"length": options.steps or options.budget, "score_steps": options.score_steps},
                    command=f"python benchmarks/series.py {shlex.join(sys.argv[1:])}",
                )


if __name__ == "__main__":
    main()
