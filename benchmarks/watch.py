"""How well monitors keep their word: false alarms, power beside MMD and trees, and real streams.

    python benchmarks/watch.py [alarms] [stream] [power] [streams] [bounds] [columns] [--trials N]
        [--minutes M] [--rows N] [--data FOLDER]

Writes docs/results/watch.json and watch.md.
"""

import argparse
import json
import math
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from wassergan.distances import w1_interval
from wassergan.monitor import EvidenceProcess, W1Monitor, streamed_drifts, two_sample_test
from wassergan.monitor.joint import joint_test
from wassergan.monitor.permutation import generator, random_labels

RESULTS = Path(__file__).parents[1] / "docs" / "results"
ALPHA = 0.05
Draw = Callable[[np.random.Generator, int], Any]


def table(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Numbers that depend on each other, a count, a rare flag, a category, missing values."""
    z = rng.normal(size=(rows, 2))
    income = np.where(rng.random(rows) < 0.1, np.nan, np.exp(z[:, 0] + z[:, 1]))
    city = np.array(["Ulm", "Bonn", "Kiel", "Rom"])[np.minimum(rng.geometric(0.5, rows), 4) - 1]
    return pd.DataFrame(
        {"z": z[:, 0], "income": income, "count": rng.poisson(2, rows), "flag": rng.random(rows) < 0.03, "city": city}
    )


def pictures(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Grey pictures of 8 x 8: a bright bar at a random place, and noise."""
    found = rng.integers(0, 60, (rows, 8, 8))
    found[np.arange(rows), :, rng.integers(0, 8, rows)] += 150
    return found.astype(np.uint8)


LAWS: dict[str, Draw] = {
    "normal": lambda rng, n: rng.normal(size=(n, 3)),
    "heavy tails": lambda rng, n: rng.standard_t(1.5, (n, 2)),
    "rare flag": lambda rng, n: (rng.random((n, 1)) < 0.01).astype(float),
    "table": table,
    "pictures": pictures,
}
SIZES = ((500, 20), (500, 500), (50_000, 20), (50_000, 5000))  # of reference and batch
PICTURE_SIZES = ((500, 20), (500, 500))


def alarms(trials: int, minutes: float) -> list[dict[str, Any]]:
    """Batches of the distribution of the reference: how often the joint test and any column alarm.

    Every cell gets an equal part of the time, and at most so many trials.
    """
    cells = [(law, *each) for law in LAWS for each in (PICTURE_SIZES if law == "pictures" else SIZES)]
    rows: list[dict[str, Any]] = []
    for place, (law, reference, size) in enumerate(cells):
        end, done, joint, column = time.process_time() + 60 * minutes / (len(cells) + 1), 0, 0, 0
        while done < trials and time.process_time() < end:
            rng = np.random.default_rng([24, place, done])
            monitor = W1Monitor(
                LAWS[law](rng, reference), permutations=99, rows=100, projections=4, alpha=ALPHA, seed=done
            )
            found = monitor.check(LAWS[law](rng, size))
            joint, column, done = joint + found.alarm, column + bool(found.moved), done + 1
        tests = [float(stats.binomtest(k, done, ALPHA, alternative="greater").pvalue) for k in (joint, column)]
        rates = {"joint": joint / done, "columns": column / done, "binomial p": tests}
        rows.append({"distribution": law, "reference": reference, "batch": size, "trials": done, **rates})
        print(rows[-1], flush=True)
        save("alarms", rows)
    return rows


def stream(trials: int, minutes: float) -> list[dict[str, Any]]:
    """Streams of 100 batches without a change, against references of 30 rows: how often one alarms ever."""
    end, streams_seen, alarmed = time.process_time() + 60 * minutes, 0, 0
    while streams_seen < max(1, trials // 100) and time.process_time() < end:
        rng = np.random.default_rng([25, streams_seen])
        monitor = W1Monitor(
            rng.normal(size=30), permutations=99, rows=60, projections=1, alpha=ALPHA, seed=streams_seen
        )
        for _ in range(100):
            found = monitor.check(rng.normal(size=20))
        alarmed, streams_seen = alarmed + (found.evidence.alarm_at is not None), streams_seen + 1
    low, high = (float(each) for each in stats.binomtest(alarmed, streams_seen).proportion_ci(0.95))
    rate = {"alpha": ALPHA, "streams with an alarm": alarmed / streams_seen, "95 % interval": [low, high]}
    return [{"streams": streams_seen, "batches of each": 100, **rate}]


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


def power(trials: int, size: int = 150) -> list[dict[str, Any]]:
    """How often each of ten changes is found, by each test, at the same level on the same samples."""
    rows = []
    for kind in ("none", *SHIFTS):
        found = {"monitor": 0, "sliced W1": 0, "mmd": 0, "trees": 0}
        for trial in range(trials):
            rng = np.random.default_rng([7, trial])
            x, y = base(rng, size), shifted(kind, rng, size)
            pooled = np.concatenate([y, x])
            found["monitor"] += (
                joint_test(pooled, size, permutations=99, projections=16, seed=(trial,)).p_value <= ALPHA
            )
            test = two_sample_test(y, x, statistic="sliced", permutations=99, projections=16, seed=trial)
            found["sliced W1"] += test.p_value <= ALPHA
            found["mmd"] += mmd(pooled, size, 99, trial) <= ALPHA
            found["trees"] += trees(pooled, size, trial) <= ALPHA
        rows.append({"shift": kind, "rows": size, "trials": trials, **{k: v / trials for k, v in found.items()}})
        print(rows[-1], flush=True)
    return rows


# Of each stream: the length of a row, the length of its parts, and rows before the first test.
STREAMS = {
    "nyc_taxi.csv": ("1D", "3h", 28),
    "machine_temperature_system_failure.csv": ("1D", "3h", 7),
    "occupancy_6005.csv": ("6h", "1h", 12),
}


def streams(data: Path) -> list[dict[str, Any]]:
    """Three sensors, a day (or six hours) a row, each new one against all earlier ones of its season.

    Readings within a day depend on each other; days are the rows that a test may exchange. Seasons are weekdays and
    weekends for taxis, four times of day for the traffic sensor.
    """
    windows, rows = json.loads((data / "anomaly_windows.json").read_text(encoding="utf-8")), []
    for name, (period, part, first) in STREAMS.items():
        table = pd.read_csv(data / name, parse_dates=["timestamp"]).set_index("timestamp")["value"]
        units = [(at, _row(unit, part)) for at, unit in table.groupby(table.index.floor(period)) if len(unit) > 3]
        spans = [tuple(map(pd.Timestamp, each)) for each in windows[name]]
        seen: dict[str, list[np.ndarray]] = {}
        process, flagged, inside, outside, quiet, tested = EvidenceProcess(0.01), set(), 0, 0, 0, 0
        for k, (at, row) in enumerate(units):
            season = (
                str(at.hour) if name.startswith("occ") else str(at.day_of_week >= 5) if name.startswith("nyc") else ""
            )
            pool = seen.setdefault(season, [])
            if k >= first and len(pool) >= 3:
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
        start = units[first][0]
        after = {i for i, (_, high) in enumerate(spans) if high >= start}
        low, high = (float(each) for each in stats.binomtest(outside, quiet).proportion_ci(0.95))
        rows.append(
            {
                "stream": name,
                "rows tested": tested,
                "windows": len(after),
                "windows flagged": len(flagged & after),
                "alarms inside": inside,
                "alarms outside": outside,
                "rate outside": outside / quiet,
                "95 % interval": [low, high],
                "stream alarm at": process.evidence().alarm_at,
            }
        )
        print(rows[-1], flush=True)
    return rows


def _row(unit: pd.Series, part: str) -> np.ndarray:
    """Means of the parts of a unit, largest and smallest value."""
    means = unit.groupby(unit.index.floor(part)).mean()
    return np.array([*means, unit.max(), unit.min()], float)


def written(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = ["# Monitors", "", "Made by `python benchmarks/watch.py`."]
    for name, rows in results.items():
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


def known(rng: np.random.Generator, dim: int, rows: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Two cubes, one moved by 0.3 along a side: W1 is 0.3 in every dimension."""
    x, y = rng.random((rows, dim)), rng.random((rows, dim))
    y[:, 0] += 0.3
    return x, y, 0.3


def far(rng: np.random.Generator, dim: int, rows: int) -> tuple[np.ndarray, np.ndarray, float]:
    """A cube of which 2 % are moved by 20: W1 is 0.4."""
    x, y = rng.random((rows, dim)), rng.random((rows, dim))
    y[rng.random(rows) < 0.02, 0] += 20.0
    return x, y, 0.4


def bounds(trials: int, minutes: float) -> list[dict[str, Any]]:
    """How often the bounds on W1 of distributions hold, each at 90 %, and how far above the truth the upper one is.

    In boxes of a side of 21, and by a second moment about the centre.
    """
    kinds: dict[str, Callable[..., Any]] = {"shift": known, "far": far}
    cells = [(kind, dim, rows) for kind in kinds for dim in (1, 2, 4, 16) for rows in (64, 200)]
    rows_found: list[dict[str, Any]] = []
    for place, (kind, dim, rows) in enumerate(cells):
        end, done = time.process_time() + 60 * minutes / len(cells), 0
        below = above_box = above_moment = 0
        widths: list[float] = []
        while done < trials and time.process_time() < end:
            x, y, truth = kinds[kind](np.random.default_rng([26, place, done]), dim, rows)
            moment = dim / 12 + (0.3**2 if kind == "shift" else 0.02 * 20.5**2)
            both = [
                w1_interval(x, y, rng=done, population=True, confidence=0.9, tolerance=0.02, **each)
                for each in ({"bounds": (0.0, 21.0)}, {"moment": (2.0, moment, (0.5,) * dim)})
            ]
            below += both[0].lower > truth
            above_box += both[0].upper < truth
            above_moment += both[1].upper < truth
            widths.append(both[0].upper - truth)
            done += 1
        failed = {"lower fails": below, "box fails": above_box, "moment fails": above_moment}
        rates = {name: count / done for name, count in failed.items()}
        cell = {"distributions": kind, "dim": dim, "rows": rows, "runs": done, **rates}
        rows_found.append({**cell, "box above truth": float(np.mean(widths))})
        print(rows_found[-1], flush=True)
        save("bounds", rows_found)
    return rows_found


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


def save(part: str, rows: list[dict[str, Any]]) -> None:
    """Put the rows of a part into both files."""
    path = RESULTS / "watch.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    results[part] = rows
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "watch.md").write_text(written(results), encoding="utf-8")


def main() -> None:
    """Run the parts that are named, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=["alarms", "stream", "power", "streams", "bounds", "columns"])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="of the processor, for alarms, stream and bounds"
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data/streams"))
    parser.add_argument("--rows", type=int, default=50_000_000, help="of the file that is compared by column")
    asked = parser.parse_args()
    parts: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "alarms": lambda: alarms(asked.trials, asked.minutes),
        "stream": lambda: stream(10_000, asked.minutes),
        "power": lambda: power(asked.trials),
        "streams": lambda: streams(asked.data),
        "bounds": lambda: bounds(asked.trials, asked.minutes),
        "columns": lambda: in_folder(asked.rows),
    }
    for part in asked.parts:
        start = time.perf_counter()
        save(part, parts[part]())
        print(f"{part}: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
