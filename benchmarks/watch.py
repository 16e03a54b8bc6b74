"""How well monitors keep their word: false alarms, power beside MMD and trees, and real streams.

    python benchmarks/watch.py [alarms] [stream] [power] [folds] [streams] [bounds] [columns] [--trials N]
        [--minutes M] [--rows N] [--data FOLDER] [--into FOLDER]

Writes docs/results/watch.json and watch.md, or both into another folder. Alarms, stream and bounds count on from what
watch.json says there, until every cell has its trials.
"""

import argparse
import json
import math
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from results import stamp
from scipy import stats
from watch_rates import ALPHA, STREAM, Cell, alarm_cells, bound_cells, campaign, stream_cells, table_of

from wassergan.monitor import EvidenceProcess, streamed_drifts, two_sample_test
from wassergan.monitor.joint import joint_test
from wassergan.monitor.permutation import generator, random_labels

RESULTS = Path(__file__).parents[1] / "docs" / "results"
TALLIES = "counted so far"
SAVED_EVERY = 5.0  # seconds
BATCHES = 10_000  # of all streams together


def base(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Four numbers, two of them correlated, a category of three levels as corners, a missing mark."""
    z = rng.normal(size=(rows, 4))
    z[:, 1] = 0.6 * z[:, 0] + 0.8 * z[:, 1]
    category = np.eye(3)[rng.choice(3, rows, p=[0.6, 0.3, 0.1])] / 2**0.5
    return np.concatenate([z, category, (rng.random((rows, 1)) < 0.05).astype(float)], axis=1)


def shifted(kind: str, rng: np.random.Generator, rows: int) -> np.ndarray:
    """The base with one planted change."""
    found = base(rng, rows)
    if kind == "mean":
        found[:, 2] += 0.3
    elif kind == "spread":
        found[:, 2] *= 1.4
    elif kind == "tail":
        found[:, 2] = rng.standard_t(2, rows)
    elif kind == "category":
        found[:, 4:7] = np.eye(3)[rng.choice(3, rows, p=[0.48, 0.3, 0.22])] / 2**0.5
    elif kind == "correlation":
        found[:, 1] = -0.2 * found[:, 0] + 0.96**0.5 * rng.normal(size=rows)
    elif kind == "mode":
        found[rng.random(rows) < 0.06, :4] += [2.0, -2.0, 2.0, 0.0]
    elif kind == "missingness":
        found[:, 7] = rng.random(rows) < 0.12
    elif kind == "rotation":
        found[:, :2] = found[:, :2] @ np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    elif kind == "label swap":
        found[:, [4, 6]] = np.where(rng.random((rows, 1)) < 0.25, found[:, [6, 4]], found[:, [4, 6]])
    elif kind == "copula":
        found[:, 3] = np.abs(found[:, 3]) * np.where(
            rng.random(rows) < 0.8, np.sign(found[:, 2]), -np.sign(found[:, 2])
        )
    return found


SHIFTS = (
    "mean",
    "spread",
    "tail",
    "category",
    "correlation",
    "mode",
    "missingness",
    "rotation",
    "label swap",
    "copula",
)


def mmd(rows: np.ndarray, n: int, permutations: int, seed: int) -> float:
    """Kernel two-sample test: Gaussian kernel, median distance (Gretton et al. 2012)."""
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    kernel = np.exp(-((apart / np.median(apart[apart > 0])) ** 2) / 2)

    def of(labels: np.ndarray) -> np.ndarray:
        masses = np.where(labels, 1 / n, -1 / (len(rows) - n))
        return np.einsum("bi,bi->b", masses @ kernel, masses)

    own = of((np.arange(len(rows)) < n)[None])[0]
    others = np.concatenate([of(each) for each in random_labels(n, len(rows) - n, permutations, generator(seed))])
    return float((1 + (others >= own - 1e-12).sum()) / (1 + permutations))


def trees(rows: np.ndarray, n: int, seed: int) -> float:
    """Classifier two-sample test: boosted trees on one half, a rank test of their scores on the other."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    labels, order = np.arange(len(rows)) < n, generator(seed).permutation(len(rows))
    train, test = order[: len(rows) // 2], order[len(rows) // 2 :]
    fitted = HistGradientBoostingClassifier(random_state=0, max_iter=50).fit(rows[train], labels[train])
    scores = fitted.predict_proba(rows[test])[:, 1]
    return float(stats.mannwhitneyu(scores[labels[test]], scores[~labels[test]], alternative="greater").pvalue)


def folds_auc(rows: np.ndarray, n: int, seed: int) -> float:
    """How well boosted trees tell the samples apart: mean area under the curve over five folds, each left out once."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    labels, found = np.arange(len(rows)) < n, []
    for train, test in StratifiedKFold(5, shuffle=True, random_state=seed).split(rows, labels):
        fitted = HistGradientBoostingClassifier(random_state=0, max_iter=50).fit(rows[train], labels[train])
        found.append(roc_auc_score(labels[test], fitted.predict_proba(rows[test])[:, 1]))
    return float(np.mean(found))


NULLS = 200  # pairs of samples of one distribution that calibrate the trees of five folds


def pairs_of(kind: str, trials: int, size: int) -> Iterator[tuple[int, np.ndarray]]:
    """Numbered pairs of samples, pooled, the changed one first."""
    for trial in range(trials):
        rng = np.random.default_rng([7, trial])
        x, y = base(rng, size), shifted(kind, rng, size)
        yield trial, np.concatenate([y, x])


def power(trials: int, size: int = 150) -> list[dict[str, Any]]:
    """How often each of ten changes is found, by each test, at the same level on the same samples.

    The first three tests are exact by permutations, the trees on one half by the rank test on the other.
    """
    tests: dict[str, Callable[[np.ndarray, int], float]] = {
        "monitor": lambda rows, seed: joint_test(rows, size, permutations=99, projections=16, seed=(seed,)).p_value,
        "sliced W1": lambda rows, seed: (
            two_sample_test(
                rows[:size], rows[size:], statistic="sliced", permutations=99, projections=16, seed=seed
            ).p_value
        ),
        "mmd": lambda rows, seed: mmd(rows, size, 99, seed),
        "trees": lambda rows, seed: trees(rows, size, seed),
    }
    rows = []
    for kind in ("none", *SHIFTS):
        found = dict.fromkeys(tests, 0)
        for trial, pooled in pairs_of(kind, trials, size):
            for name, test in tests.items():
                found[name] += test(pooled, trial) <= ALPHA
        rows.append({"shift": kind, "rows": size, "trials": trials, **{k: v / trials for k, v in found.items()}})
        print(rows[-1], flush=True)
    return [*rows, mean_of(rows[1:])]


def folds(trials: int, size: int = 150) -> list[dict[str, Any]]:
    """The same of trees that use all rows in five folds.

    The folds depend on each other, so that no test is exact: the level is that of many pairs without a change, which a
    user does not have.
    """
    nulls = []
    for trial in range(NULLS):
        rng = np.random.default_rng([8, trial])
        nulls.append(folds_auc(np.concatenate([base(rng, size), base(rng, size)]), size, trial))
    limit = float(np.quantile(nulls, 1 - ALPHA, method="higher"))
    rows = []
    for kind in SHIFTS:
        found = sum(folds_auc(pooled, size, trial) > limit for trial, pooled in pairs_of(kind, trials, size))
        rows.append({"shift": kind, "rows": size, "trials": trials, "trees of five folds": found / trials})
        print(rows[-1], flush=True)
    return [*rows, mean_of(rows)]


def mean_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The last line of a table of shifts."""
    numbers = {name: float(np.mean([each[name] for each in rows])) for name in list(rows[0])[3:]}
    return {"shift": "mean of the ten", "rows": rows[0]["rows"], "trials": rows[0]["trials"]} | numbers


# Of each stream: lengths of a row, the length of its parts, days before the first test, and the season of a row. The
# first length of a row is the one to read; the others tell how much hangs on it.
STREAMS: dict[str, tuple[tuple[str, ...], str, int, Callable[[pd.Timestamp], str]]] = {
    "nyc_taxi.csv": (("1D", "12h"), "3h", 28, lambda at: f"{at.day_of_week >= 5} {at.hour}"),
    "machine_temperature_system_failure.csv": (("6h", "8h", "12h", "1D"), "1h", 7, lambda at: ""),
    "occupancy_6005.csv": (("3h", "2h", "1h", "6h"), "30min", 3, lambda at: str(at.hour // 12)),
}


def streams(data: Path) -> list[dict[str, Any]]:
    """Three sensors, each stretch of so many hours (or a day) against all earlier ones of its season.

    Readings depend on those just before them, so stretches are the rows that a test exchanges: long ones depend less
    on each other, and of short ones there are sooner enough for a small p-value. Seasons are weekdays and weekends for
    taxis, halves of the day for the traffic sensor.
    """
    windows = json.loads((data / "anomaly_windows.json").read_text(encoding="utf-8"))
    rows = []
    for name, (periods, part, days, season) in STREAMS.items():
        readings = pd.read_csv(data / name, parse_dates=["timestamp"]).set_index("timestamp")["value"]
        spans = [(pd.Timestamp(low), pd.Timestamp(high)) for low, high in windows[name]]
        for period in periods:
            rows.append({"stream": name, "row": period} | _stream(readings, spans, period, part, days, season))
            print(rows[-1], flush=True)
    return rows


def _stream(
    readings: pd.Series,
    spans: Sequence[tuple[pd.Timestamp, pd.Timestamp]],
    period: str,
    part: str,
    days: int,
    season: Callable[[pd.Timestamp], str],
) -> dict[str, Any]:
    """How many marked spans a stream's test flags, and how often it alarms outside of them."""
    units = [(at, _row(unit, part)) for at, unit in readings.groupby(readings.index.floor(period)) if len(unit) > 3]
    start = units[0][0] + pd.Timedelta(days=days)
    seen: dict[str, list[np.ndarray]] = {}
    process, flagged, inside, outside, quiet, tested = EvidenceProcess(0.01), set(), 0, 0, 0, 0
    for k, (at, row) in enumerate(units):
        pool = seen.setdefault(season(at), [])
        if at >= start and len(pool) >= 3:
            width = max(map(len, [row, *pool]))
            both = [np.resize(each, width) for each in [row, *pool]]
            p_value = two_sample_test(both[:1], both[1:], statistic="energy", permutations=499, seed=k).p_value
            process.update(p_value)
            hit = [i for i, (low, high) in enumerate(spans) if at <= high and at + pd.Timedelta(period) > low]
            tested, quiet = tested + 1, quiet + (not hit)
            if p_value <= ALPHA:
                flagged.update(hit)
                inside, outside = inside + bool(hit), outside + (not hit)
        pool.append(row)
    after = {i for i, (_, high) in enumerate(spans) if high >= start}
    low, high = (float(each) for each in stats.binomtest(outside, quiet).proportion_ci(0.95))
    return {
        "rows tested": tested,
        "windows": len(after),
        "windows flagged": len(flagged & after),
        "alarms inside": inside,
        "alarms outside": outside,
        "rate outside": outside / quiet,
        "95 % interval": [low, high],
        "stream alarm at": process.evidence().alarm_at,
    }


def _row(unit: pd.Series, part: str) -> np.ndarray:
    """Means of the parts of a unit, largest and smallest value."""
    means = unit.groupby(unit.index.floor(part)).mean()
    return np.array([*means, unit.max(), unit.min()], float)


def written(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = ["# Monitors", "", "Made by `python benchmarks/watch.py`."]
    for name, rows in results.items():
        if name == TALLIES:
            continue
        heads = list(rows[0])
        lines += ["", f"## {name}", "", f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
        for row in rows:
            cells = [
                f"{value:.3g}"
                if isinstance(value, float)
                else ", ".join(f"{v:.2g}" for v in value)
                if isinstance(value, list)
                else str(value)
                for value in row.values()
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def columns(rows: int, folder: Path) -> list[dict[str, Any]]:
    """A file of many rows against a reference of a million, by column: seconds, and memory at the most."""
    found = []
    rng = np.random.default_rng(0)

    def draw(count: int, moved: bool) -> np.ndarray:
        block = rng.standard_normal((count, 3)).astype(np.float32)
        block[:, 1] += 0.01 * moved
        block[:, 2] **= 3
        return block

    for kind in ("npy", "parquet"):
        paths = [folder / f"{name}.{kind}" for name in ("reference", "new")]
        for path, count, moved in zip(paths, (10**6, rows), (False, True), strict=True):
            write_rows(path, kind, count, lambda size, moved=moved: draw(size, moved))
        start, used = time.perf_counter(), time.process_time()
        drifts = streamed_drifts(*paths)
        seconds, used = time.perf_counter() - start, time.process_time() - used
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        moved_names = [each.name for each in drifts if each.drift.moved]
        width = max((each.w1_upper - each.w1_lower) / each.w1_upper for each in drifts if each.w1_upper)
        sizes = {"file": kind, "rows": rows, "reference": 10**6, "columns": 3}
        found.append(
            {
                **sizes,
                "seconds": seconds,
                "of the processor": used,
                "GiB": memory,
                "moved": ", ".join(moved_names),
                "width": width,
            }
        )
        print(found[-1], flush=True)
        for path in paths:
            path.unlink()
    return found


def in_folder(rows: int) -> list[dict[str, Any]]:
    """`columns` in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return columns(rows, Path(folder))


def write_rows(path: Path, kind: str, count: int, draw: Callable[[int], np.ndarray]) -> None:
    """Rows of three columns, a million at a time."""
    sizes = [min(10**6, count - start) for start in range(0, count, 10**6)]
    if kind == "npy":
        header = {"descr": "<f4", "fortran_order": False, "shape": (count, 3)}
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for size in sizes:
                file.write(draw(size).astype("<f4").tobytes())
        return
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([(name, pa.float32()) for name in "abc"])
    with parquet.ParquetWriter(path, schema) as writer:
        for size in sizes:
            block = draw(size)
            writer.write_table(pa.table([np.ascontiguousarray(block[:, k]) for k in range(3)], schema=schema))


def load(folder: Path) -> dict[str, Any]:
    """The results so far."""
    path = folder / "watch.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def save(folder: Path, part: str, rows: list[dict[str, Any]], tally: dict[str, Any] | None = None) -> None:
    """Put the rows of a part, and what it counts on from, into both files."""
    results = load(folder)
    if tally is not None:
        results.setdefault(TALLIES, {})[part] = tally
    results[part] = rows
    written_to(folder / "watch.json", json.dumps(results, indent=1) + "\n")
    written_to(folder / "watch.md", written(results))


def written_to(path: Path, text: str) -> None:
    """Replace a file at once: a run may be killed at any time."""
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def counted(part: str, cells: Sequence[Cell], trials: int, minutes: float, folder: Path) -> list[dict[str, Any]]:
    """The table of a campaign, which is saved every few seconds."""
    tally: dict[str, Any] = load(folder).get(TALLIES, {}).get(part, {})
    saved = time.perf_counter()
    for _ in campaign(cells, trials, minutes, tally):
        if time.perf_counter() > saved + SAVED_EVERY:
            save(folder, part, table_of(cells, tally), tally)
            saved = time.perf_counter()
    rows = table_of(cells, tally)
    save(folder, part, rows, tally)
    return rows


def main() -> None:
    """Run the parts that are named, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "parts", nargs="*", default=["alarms", "stream", "power", "folds", "streams", "bounds", "columns"]
    )
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="of the processor, for each of alarms, stream and bounds"
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data/streams"))
    parser.add_argument("--into", type=Path, default=RESULTS, help="the folder of the results")
    parser.add_argument("--rows", type=int, default=50_000_000, help="of the file that is compared by column")
    asked = parser.parse_args()
    asked.into.mkdir(parents=True, exist_ok=True)
    campaigns = {"alarms": alarm_cells, "stream": stream_cells, "bounds": bound_cells}
    parts: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "power": lambda: power(asked.trials),
        "folds": lambda: folds(asked.trials),
        "streams": lambda: streams(asked.data),
        "columns": lambda: in_folder(asked.rows),
    }
    for part in asked.parts:
        start = time.perf_counter()
        if part in campaigns:
            trials = max(1, BATCHES // STREAM) if part == "stream" else asked.trials
            counted(part, campaigns[part](), trials, asked.minutes, asked.into)
        else:
            save(asked.into, part, parts[part]())
        print(f"{part}: {time.perf_counter() - start:.0f} s", flush=True)
    if asked.into == RESULTS:
        stamp("watch")


if __name__ == "__main__":
    main()
