"""Rows of Adult under conditions: is what was asked for there, and has the rest its conditional distribution?

    python benchmarks/conditions.py --budget 3m --seeds 0,1,2

One run is conditioned on sex and income. For each of their four combinations as many rows are drawn as the test file
has, and compared with those in sliced W1 of the other columns; the floor is that of as many training rows of the
combination. Both are means over five draws. A second run is conditioned on two numbers and two categories, one with
missing values, at once. Results go to docs/results/conditions.json and .md, beside those of other seeds.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas
import torch
from results import earlier_rows, write_results

from wassergan.data import TableCodec, open_source
from wassergan.distances import sliced_w1

SHARED = Path(__file__).parents[2] / "shared" / "data" / "adult"
COLUMNS = ["sex", "income"]
MANY = {"education": "Masters", "age": "40", "hours_per_week": "55", "workclass": "Private"}
PROJECTIONS, DIRECTIONS_SEED = 256, 0
DRAWS = 5


def wassergan(*arguments: Any) -> str:
    command = [sys.executable, "-m", "wassergan", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def frame(path: Path) -> pandas.DataFrame:
    return pandas.read_csv(path, dtype=str, keep_default_na=False)


class Space:
    """The vectors of a run's columns that are no condition."""

    def __init__(self, data: Path, seed: int) -> None:
        codec = open_source(data, condition=COLUMNS, seed=seed).codec
        assert isinstance(codec, TableCodec)
        self._codec = codec
        self._levels = {column.name: {level: i for i, level in enumerate(column.names)} for column in codec.columns}

    def vectors(self, rows: pandas.DataFrame) -> torch.Tensor:
        columns = []
        for name in rows.columns:
            known = self._levels[name]
            gone = rows[name].isin(["?", ""])
            values = rows[name].map(known) if known else rows[name].where(~gone)
            # A level that no training row has is taken for the first; there is one such row in the test file.
            columns.append(values.astype(float).fillna(0.0 if known else float("nan")).mask(gone))
        return self._codec.encode(torch.from_numpy(pandas.concat(columns, axis=1).to_numpy().copy()))


def distance(left: torch.Tensor, right: torch.Tensor) -> float:
    rng = torch.Generator().manual_seed(DIRECTIONS_SEED)
    return sliced_w1(left, right, projections=PROJECTIONS, rng=rng).item()


def laws(run: Path, train: Path, test: Path, seed: int) -> list[dict[str, Any]]:
    space, real, held = Space(train, seed), frame(train), frame(test)
    rows = []
    for values, group in held.groupby(COLUMNS):
        wanted = [f"{name}={value}" for name, value in zip(COLUMNS, values, strict=True)]
        out = run.parent / "made.csv"
        wassergan("sample", run, "--count", DRAWS * len(group), "--seed", seed, "--out", out, "--given", *wanted)
        made = frame(out)
        hit = (made[COLUMNS] == list(values)).all(axis=1).mean()
        alike = real[(real[COLUMNS] == list(values)).all(axis=1)]
        count, there = len(group), space.vectors(group)
        parts = [made[start : start + count] for start in range(0, len(made), count)]
        drawn = [alike.sample(min(len(alike), count), random_state=DRAWS * seed + draw) for draw in range(DRAWS)]
        found, floor = (fmean(distance(space.vectors(each), there) for each in draws) for draws in (parts, drawn))
        asked = " ".join(wanted)
        rows.append(
            {
                "given": asked,
                "rows": len(group),
                "hit": float(hit),
                "sliced_w1": found,
                "floor": floor,
                "ratio": found / floor,
            }
        )
    return rows


def several(run: Path, seed: int) -> dict[str, Any]:
    out = run.parent / "made.csv"
    wanted = [f"{name}={value}" for name, value in MANY.items()]
    wassergan("sample", run, "--count", 1000, "--seed", seed, "--out", out, "--given", *wanted)
    hit = (frame(out)[list(MANY)] == list(MANY.values())).all(axis=1).mean()
    nothing = float("nan")
    return {
        "given": " ".join(wanted),
        "rows": 1000,
        "hit": float(hit),
        "sliced_w1": nothing,
        "floor": nothing,
        "ratio": nothing,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", default="3m")
    parser.add_argument("--steps", help="train so many steps instead")
    parser.add_argument("--seeds", default="0", help="such as 0,1,2")
    parser.add_argument("--folder", type=Path, default=SHARED)
    parser.add_argument("--flags", default="", help="further flags of `train`, in one string")
    parser.add_argument("--no-write", action="store_true", help="only print")
    options = parser.parse_args()
    length = ("--steps", options.steps) if options.steps else ("--budget", options.budget)
    train, test = options.folder / "adult_train.csv.gz", options.folder / "adult_test.csv.gz"
    rows: list[dict[str, Any]] = []
    for seed in map(int, options.seeds.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            run, flags = Path(folder) / "run", ("--seed", seed, *shlex.split(options.flags))
            wassergan("train", train, "--condition", *COLUMNS, *length, *flags, "--out", run)
            steps = json.loads(wassergan("info", run, "--json"))["steps"]
            found = laws(run, train, test, seed)
            run = Path(folder) / "many"
            wassergan("train", train, "--condition", *MANY, "--steps", 20, "--no-previews", *flags, "--out", run)
            found.append(several(run, seed))
        rows += [{"seed": seed, "steps": steps, "threads": torch.get_num_threads(), **row} for row in found]
        for row in rows[-len(found) :]:
            print({name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()})
    if not options.no_write:
        rows = [*earlier_rows("conditions", rows, told_by=["seed"]), *rows]
        write_results(
            "conditions",
            f"Adult under conditions after {options.steps or options.budget}",
            sorted(rows, key=lambda row: row["seed"]),
            summary={
                "length": options.steps or options.budget,
                "directions": PROJECTIONS,
                "draws": DRAWS,
            },
            command=f"python benchmarks/conditions.py {shlex.join(sys.argv[1:])}",
        )


if __name__ == "__main__":
    main()
