"""Missing cells filled by one run, beside scikit-learn's IterativeImputer and the most frequent values.

    python benchmarks/completion.py adult --budget 3m
    python benchmarks/completion.py california --steps 1500 --rows 500 --draws 10
    python benchmarks/completion.py adult --run runs/adult          # of a run that is there

Trains with `--completion` on the training rows of `tables.py`, hides 10, 30 and 50 % of the cells of test rows at
random, and completes them on the command line. Accuracy: of the most frequent of the draws, over the hidden cells of
categories. RMSE: of the mean of the draws, over the hidden cells of numbers, in standard deviations of each column.
C2ST: how well boosted trees tell completed rows (the first draw) from other test rows that are whole; 0.5 is not at
all, and `C2ST of real rows` is its floor. The imputer (BayesianRidge, as it comes) sees numbers in deviations and
categories as one-hots, of which the largest is taken, and is fitted to training rows with as many cells hidden. Writes
docs/results/completion.json and .md.
"""

import argparse
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from results import earlier_rows, write_results
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from tables import SHARED, TASKS, write

CATEGORIES = {
    "adult": (
        *("workclass", "education", "marital_status", "occupation", "relationship", "race", "sex"),
        *("native_country", "income"),
    ),
    "california": ("ocean_proximity",),
}
RATES = (0.1, 0.3, 0.5)


def frame_of(rows: list[dict[str, str]], categories: tuple[str, ...]) -> pd.DataFrame:
    frame = pd.DataFrame(rows).replace({"": None, "?": None})
    return frame.assign(**{name: pd.to_numeric(frame[name]) for name in frame if name not in categories})


class Coded:
    """Numbers in deviations and categories as one-hots, and back."""

    def __init__(self, train: pd.DataFrame, categories: tuple[str, ...]) -> None:
        self.numbers = [name for name in train if name not in categories]
        self.levels = {name: sorted(train[name].dropna().unique()) for name in categories}
        self.mean, self.deviation = train[self.numbers].mean(), train[self.numbers].std()

    def encode(self, frame: pd.DataFrame) -> np.ndarray:
        parts = [((frame[self.numbers] - self.mean) / self.deviation).to_numpy(float)]
        for name, levels in self.levels.items():
            hot = (frame[name].to_numpy()[:, None] == np.array(levels, object)).astype(float)
            hot[frame[name].isna()] = np.nan
            parts.append(hot)
        return np.concatenate(parts, 1)

    def decode(self, values: np.ndarray) -> pd.DataFrame:
        count = len(self.numbers)
        frame = pd.DataFrame(values[:, :count], columns=self.numbers) * self.deviation + self.mean
        for name, levels in self.levels.items():
            frame[name] = np.array(levels, object)[values[:, count : count + len(levels)].argmax(1)]
            count += len(levels)
        return frame


def errors(truth: pd.DataFrame, found: list[pd.DataFrame], hidden: pd.DataFrame, coded: Coded) -> dict[str, float]:
    """Accuracy of the mode and RMSE of the mean of some completed tables, over hidden cells whose truth is known."""
    right, squares = [], []
    for name in truth:
        here = (hidden[name] & truth[name].notna()).to_numpy()
        draws = pd.concat([each[name].reset_index(drop=True)[here] for each in found], axis=1)
        if name in coded.levels:
            right.append((draws.mode(axis=1)[0].to_numpy() == truth[name].to_numpy()[here]).astype(float))
        else:
            gaps = (draws.mean(axis=1).to_numpy() - truth[name].to_numpy()[here]) / coded.deviation[name]
            squares.append(gaps**2)
    return {
        "accuracy": float(np.concatenate(right).mean()),
        "RMSE": float(np.sqrt(np.concatenate(squares).mean())),
    }


def told_apart(real: pd.DataFrame, made: pd.DataFrame, coded: Coded) -> float:
    """AUC of boosted trees between two tables, out of fold."""
    both = np.concatenate([coded.encode(real), coded.encode(made[list(real)])])
    label = np.repeat([0, 1], [len(real), len(made)])
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    model = HistGradientBoostingClassifier(max_iter=60, random_state=0)
    return float(roc_auc_score(label, cross_val_predict(model, both, label, cv=folds, method="predict_proba")[:, 1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=CATEGORIES)
    parser.add_argument("--budget", default="3m")
    parser.add_argument("--steps")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--fitted", type=int, default=5000, help="rows that the imputer is fitted to")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=SHARED)
    asked = parser.parse_args()
    warnings.filterwarnings("ignore", module="sklearn")
    with tempfile.TemporaryDirectory() as name:
        rows = measured(asked, Path(name))
    kept = earlier_rows("completion", rows, told_by=("data", "hidden", "method"))
    write_results(
        "completion",
        "Missing cells filled, beside IterativeImputer",
        [*kept, *rows],
        summary={"rows": asked.rows, "draws": asked.draws, "fitted": asked.fitted},
        command="python benchmarks/completion.py " + " ".join(sys.argv[1:]),
    )


def measured(asked: argparse.Namespace, folder: Path) -> list[dict[str, object]]:
    train_rows, test_rows = TASKS[asked.data].rows(asked.folder, asked.seed)
    categories = CATEGORIES[asked.data]
    numbers = np.random.default_rng(asked.seed)
    train = frame_of(train_rows, categories)
    order = numbers.permutation(len(test_rows))
    test = frame_of([test_rows[at] for at in order[: asked.rows]], categories)
    other = frame_of([test_rows[at] for at in order[asked.rows : 2 * asked.rows]], categories)
    coded, run = Coded(train, categories), asked.run or folder / "run"
    if asked.run is None:
        write(train_rows, folder / "train.csv")
        length = ["--steps", asked.steps] if asked.steps else ["--budget", asked.budget]
        call("train", folder / "train.csv", "--completion", *length, "--out", run, "--seed", asked.seed)
    found: list[dict[str, object]] = []
    floor = told_apart(other, test, coded)
    for rate in RATES:
        hidden = pd.DataFrame(numbers.random(test.shape) < rate, columns=test.columns)
        gaps = test.mask(hidden)
        gaps.to_csv(folder / "gaps.csv", index=False)
        started = time.perf_counter()
        call("complete", run, folder / "gaps.csv", "--draws", asked.draws, "--out", folder / "filled.csv")
        draws = [pd.read_csv(folder / f"filled-{n}.csv", keep_default_na=False) for n in range(1, asked.draws + 1)]
        draws = [frame_of(each.to_dict("records"), categories) for each in draws]
        ours = {"method": "wassergan", **errors(test, draws, hidden, coded), "C2ST": told_apart(other, draws[0], coded)}
        ours["seconds"] = time.perf_counter() - started
        some = train.sample(min(asked.fitted, len(train)), random_state=asked.seed).reset_index(drop=True)
        some = some.mask(pd.DataFrame(numbers.random(some.shape) < rate, columns=some.columns))
        started = time.perf_counter()
        imputer = IterativeImputer(random_state=0).fit(coded.encode(some))
        filled = kept_cells(coded.decode(imputer.transform(coded.encode(gaps))), gaps)
        theirs = {"method": "IterativeImputer", **errors(test, [filled], hidden, coded)}
        theirs |= {"C2ST": told_apart(other, filled, coded), "seconds": time.perf_counter() - started}
        usual = {name: train[name].mode()[0] if name in categories else train[name].mean() for name in train}
        modes = gaps.fillna(usual)
        plain = {"method": "modes and means", **errors(test, [modes], hidden, coded)}
        plain |= {"C2ST": told_apart(other, modes, coded), "seconds": 0.0}
        for each in (ours, theirs, plain):
            found.append({"data": asked.data, "hidden": rate, **each, "C2ST of real rows": floor})
            print(found[-1], flush=True)
    return found


def kept_cells(filled: pd.DataFrame, gaps: pd.DataFrame) -> pd.DataFrame:
    """Given cells as they were."""
    return filled[list(gaps)].where(gaps.isna(), gaps)


def call(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "wassergan", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
