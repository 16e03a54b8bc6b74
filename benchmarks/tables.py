"""Quality of generated tables after a budget, beside real held-out rows and independently drawn columns.

    python benchmarks/tables.py adult --budget 3m --seeds 3
    python benchmarks/tables.py california --budget 3m --seeds 3

Every seed trains through the command line, draws as many rows as there are for training, and is scored against rows
that training never saw (Adult: its test file; California housing: a fifth, split off here by seed):

- tstr: trained on synthetic, tested on real. scikit-learn's HistGradientBoosting with its defaults: AUC for Adult's
  income, R² for California's house value.
- c2st_auc: AUC of the same booster telling generated from held-out rows, as many of each, 5-fold (0.5 is best).
- category_tv: the largest total variation over the categories, missing ones as a level of their own.
- invalid: share of rows with a number out of the range of the training rows, or with a decimal more than they have.
- missing: the largest difference of a column's share of missing values, in percentage points.
- sliced_w1: in model space, 256 directions.

The data are looked for in ../shared/data, or in --folder. Writes docs/results/tables_DATA.json and .md.
"""

import argparse
import csv
import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from results import write_results
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import cross_val_predict

from wassergan.data import TableCodec, open_source
from wassergan.data.source import Source
from wassergan.distances import sliced_w1

SHARED = Path(__file__).parents[2] / "shared" / "data"
LARGEST_SCORED = 20_000
Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Task:
    """A table with a column to be predicted."""

    name: str
    target: str
    classes: bool


TASKS = {
    "adult": Task("adult", "income", True),
    "california": Task("california", "median_house_value", False),
}


def read(path: Path) -> Rows:
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(rows: Rows, path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def rows_of(task: Task, folder: Path, seed: int) -> tuple[Rows, Rows]:
    """Training and held-out rows."""
    if task.name == "adult":
        return read(folder / "adult" / "adult_train.csv.gz"), read(folder / "adult" / "adult_test.csv.gz")
    rows = read(folder / "california_housing" / "housing.csv.gz")
    order = np.random.default_rng(seed).permutation(len(rows))
    return [rows[i] for i in order[len(rows) // 5 :]], [rows[i] for i in order[: len(rows) // 5]]


class Measured:
    """Rows as the numbers that boosters take, by the columns of the training table."""

    def __init__(self, source: Source, task: Task) -> None:
        codec = source.codec
        assert isinstance(codec, TableCodec)
        self.codec, self.task = codec, task
        self.names = [column.name for column in codec.columns]
        self.levels = {column.name: {level: i for i, level in enumerate(column.names)} for column in codec.columns}
        self.categories = [bool(column.names) for column in codec.columns]
        self.target = self.names.index(task.target)

    def numbers(self, rows: Rows) -> NDArray[np.float64]:
        """(n, columns): numbers, level numbers (-1 for one that is not known), NaN where missing."""
        return np.array(
            [[self._number(row[name], name, place) for place, name in enumerate(self.names)] for row in rows]
        )

    def _number(self, text: str, name: str, place: int) -> float:
        if text in ("", "?"):
            return np.nan
        return float(self.levels[name].get(text, -1)) if self.categories[place] else float(text)

    def booster(self, columns: Sequence[int], *, classes: bool) -> Any:
        # Boosters of scikit-learn take at most 255 levels.
        few = [self.categories[c] and len(self.levels[self.names[c]]) < 255 for c in columns]
        kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
        return kind(categorical_features=few, random_state=0)

    def tstr(self, made: NDArray[np.float64], held: NDArray[np.float64]) -> float:
        """AUC or R² on held-out rows of a booster trained on others."""
        others = [place for place in range(len(self.names)) if place != self.target]
        made, held = (rows[~np.isnan(rows[:, self.target])] for rows in (made, held))
        booster = self.booster(others, classes=self.task.classes)
        if not self.task.classes:
            booster.fit(made[:, others], made[:, self.target])
            return float(r2_score(held[:, self.target], booster.predict(held[:, others])))
        booster.fit(made[:, others], made[:, self.target] == 1)
        return float(roc_auc_score(held[:, self.target] == 1, booster.predict_proba(held[:, others])[:, 1]))

    def c2st(self, made: NDArray[np.float64], held: NDArray[np.float64]) -> float:
        """AUC of telling made from held-out rows."""
        count = min(len(made), len(held), LARGEST_SCORED)
        both = np.concatenate([made[:count], held[:count]])
        labels = np.repeat([0, 1], count)
        order = np.random.default_rng(0).permutation(2 * count)
        both, labels = both[order], labels[order]
        booster = self.booster(range(len(self.names)), classes=True)
        scores = cross_val_predict(booster, both, labels, cv=5, method="predict_proba")[:, 1]
        return float(roc_auc_score(labels, scores))

    def category_tv(self, made: NDArray[np.float64], held: NDArray[np.float64]) -> float:
        """Largest total variation of a category's shares."""
        largest = 0.0
        for place in np.flatnonzero(self.categories):
            count = len(self.levels[self.names[place]]) + 2
            shares = [
                np.bincount(np.nan_to_num(rows[:, place], nan=count - 2).astype(int) % count, minlength=count)
                / len(rows)
                for rows in (made, held)
            ]
            largest = max(largest, float(np.abs(shares[0] - shares[1]).sum() / 2))
        return largest

    def invalid(self, made: NDArray[np.float64], train: NDArray[np.float64]) -> float:
        """Share of rows with a number out of the training rows' range, or with other decimals."""
        wrong = np.zeros(len(made), bool)
        for place in np.flatnonzero(~np.array(self.categories)):
            values = made[:, place]
            wrong |= (values < np.nanmin(train[:, place])) | (values > np.nanmax(train[:, place]))
            decimals = getattr(self.codec.columns[place].form, "decimals", None)
            if decimals is not None:
                wrong |= np.abs(values - np.round(values, decimals)) > 1e-9
        return float(wrong.mean())

    def score(self, name: str, made_rows: Rows, held_rows: Rows, train_rows: Rows) -> dict[str, Any]:
        made, held, train = (self.numbers(rows) for rows in (made_rows, held_rows, train_rows))
        gone = np.abs(np.isnan(made).mean(0) - np.isnan(held).mean(0)).max()
        vectors = [self.codec.encode(torch.from_numpy(_known(rows[:LARGEST_SCORED]))) for rows in (made, held)]
        rng = torch.Generator().manual_seed(0)
        return {
            "sample": name,
            "tstr": self.tstr(made, held),
            "c2st_auc": self.c2st(made, held),
            "category_tv": self.category_tv(made, held),
            "invalid": self.invalid(made, train),
            "missing_points": float(100 * gone),
            "sliced_w1": sliced_w1(*vectors, projections=256, rng=rng).item(),
        }


def _known(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(rows == -1, 0.0, rows)


def independent(rows: Rows, seed: int) -> Rows:
    """Every column shuffled by itself."""
    numbers = np.random.default_rng(seed)
    columns = {name: [rows[i][name] for i in numbers.permutation(len(rows))] for name in rows[0]}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def wassergan(*arguments: str) -> str:
    """Run the command line and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "wassergan", *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=list(TASKS))
    parser.add_argument("--budget", default="3m")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=SHARED)
    parser.add_argument("--flags", default="", help="further flags of `train`, in one string")
    parser.add_argument("--run", help="score this run instead of training one")
    parser.add_argument("--no-write", action="store_true", help="only print")
    options = parser.parse_args()
    task, results = TASKS[options.data], []
    for seed in range(options.seeds):
        train, held = rows_of(task, options.folder, seed)
        with tempfile.TemporaryDirectory() as folder:
            data, out = Path(folder) / "train.csv", Path(folder) / "made.csv"
            write(train, data)
            run = options.run or f"{folder}/run"
            if not options.run:
                arguments = ["--budget", options.budget, "--seed", str(seed), *options.flags.split()]
                wassergan("train", str(data), *arguments, "--out", run)
            wassergan("sample", run, "--count", str(len(train)), "--out", str(out))
            info = json.loads(wassergan("info", run, "--json"))
            measured = Measured(open_source(data, seed=seed), task)
            made = read(out)
        extra = {"seed": seed, "steps": info["steps"], "seconds": info["seconds"]}
        none = {"seed": seed, "steps": 0, "seconds": 0.0}
        results.append({**measured.score("wassergan", made, held, train), **extra})
        results.append({**measured.score("real training rows", train, held, train), **none})
        results.append({**measured.score("independent columns", independent(train, seed), held, train), **none})
        for row in results[-3:]:
            print({name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()})
    if not options.no_write:
        write_results(
            f"tables_{task.name}",
            f"{task.name.title()} after {options.budget}",
            results,
            summary={"budget": options.budget, "target": task.target, "threads": torch.get_num_threads()},
            command=f"python benchmarks/tables.py {' '.join(sys.argv[1:])}",
        )


if __name__ == "__main__":
    main()
