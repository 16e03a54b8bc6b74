"""How often monitors and bounds err: cells of many small trials, counted on from run to run."""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from scipy import stats

from wassergan.data.measured import Reading
from wassergan.data.tables.common_columns import CommonColumn
from wassergan.distances import exact_w1, w1_interval
from wassergan.distances.arguments import as_generator
from wassergan.distances.checks import as_points
from wassergan.distances.support import get_support
from wassergan.monitor import W1Monitor
from wassergan.monitor.embedding import Embedding
from wassergan.monitor.reading import Pair, pairing, silent

ALPHA = 0.05
Draw = Callable[[np.random.Generator, int], Any]
Counts = dict[str, float]
AT_ONCE = 10  # trials, and seconds, after which another cell may come


@dataclass(frozen=True)
class Cell:
    """Trials of one kind.

    Attributes:
        names: what tells the cell apart, as it stands in the table.
        trial: of a number, which is its seed; what is added up over trials.
        rows: makes the cell's line of the table from the number of trials and the sums.
    """

    names: dict[str, Any]
    trial: Callable[[int], Counts]
    row: Callable[[int, Counts], dict[str, Any]]
    most: float = math.inf


def campaign(cells: Sequence[Cell], trials: int, minutes: float, tally: dict[str, Any]) -> Iterator[None]:
    """Run trials where the least time was spent so far, and count on in the tally; stops after every few.

    A cell ends at so many trials, the campaign after so many minutes of the processor.
    """
    for cell in cells:
        tally.setdefault(json.dumps(cell.names), {"trials": 0, "seconds": 0.0, "sums": {}})
    end = time.process_time() + 60 * minutes
    while time.process_time() < end:
        waiting = [each for each in cells if tally[json.dumps(each.names)]["trials"] < min(trials, each.most)]
        if not waiting:
            return
        cell = min(waiting, key=lambda each: tally[json.dumps(each.names)]["seconds"])
        own, start = tally[json.dumps(cell.names)], time.process_time()
        for number in range(own["trials"], int(min(trials, cell.most, own["trials"] + AT_ONCE))):
            for name, value in cell.trial(number).items():
                own["sums"][name] = own["sums"].get(name, 0) + value
            own["trials"] += 1
            if time.process_time() > start + AT_ONCE:
                break
        own["seconds"] += time.process_time() - start
        yield


def table_of(cells: Sequence[Cell], tally: dict[str, Any]) -> list[dict[str, Any]]:
    """A line of each cell that has trials."""
    found = [(each, tally[json.dumps(each.names)]) for each in cells]
    return [each.names | each.row(own["trials"], own["sums"]) for each, own in found if own["trials"]]


def above(count: float, trials: int, risk: float) -> float:
    """The p-value of so many errors if each has at most this risk."""
    return float(stats.binomtest(round(count), trials, risk, alternative="greater").pvalue)


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
# After all others, so that these keep their seeds.
LATER = (*((law, 500, 5000) for law in LAWS), ("pictures", 50_000, 20), ("pictures", 50_000, 5000))


def pooled(law: str, reference: int) -> int:
    """Rows of a distribution that are read once, from which trials draw theirs; none if each trial has its own."""
    if law == "pictures":
        return 20_000 if reference <= 500 else 80_000
    return 200_000 if law == "table" else 0


@cache
def pool(law: str, count: int) -> tuple[tuple[CommonColumn, ...], np.ndarray | None]:
    """Columns, and features of pictures, of many rows of a distribution."""
    rows = LAWS[law](np.random.default_rng([23, list(LAWS).index(law)]), count)
    own = pairing(rows, columns=(), scale="iqr", features="random-conv", reading=Reading(), log=silent)
    pair = own.pair(rows[:2])
    return pair.columns, pair.points("x", np.arange(len(rows))) if law == "pictures" else None


class Drawn:
    """A reference and one batch that were read before: rows of a pool, none twice, or numbers of their own."""

    def __init__(self, law: str, reference: int, size: int, rng: np.random.Generator) -> None:
        self.count, self._size, self._points = reference, size, None
        if many := pooled(law, reference):
            columns, points = pool(law, many)
            rows = rng.choice(many, reference + size, replace=False)
            x, y = rows[:reference], rows[reference:]
            self._columns = tuple(replace(each, x=each.x[x], y=each.x[y]) for each in columns)
            if points is not None:
                self._points = {"x": points[x], "y": points[y]}
        else:
            sides = zip(LAWS[law](rng, reference).T, LAWS[law](rng, size).T, strict=True)
            self._columns = tuple(CommonColumn(str(k), "number", *each) for k, each in enumerate(sides))
        self.embedding = None if law == "pictures" else Embedding.of(self._columns, "iqr")

    def pair(self, batch: Any) -> Pair:
        """The reference and the batch; what is given is not looked at."""
        return Pair("batch", self._columns, (self.count, self._size), self._at)

    def _at(self, side: str, rows: np.ndarray) -> np.ndarray:
        if self._points is not None:
            return np.asarray(self._points[side][rows])
        assert self.embedding is not None
        return self.embedding.points(self._columns, side, rows)


class PValues(W1Monitor):
    """A monitor whose reports hold p-values alone: they are those of the full report, no distance is computed."""

    def _report(self, pair: Pair, x: Any, y: Any, chosen: Any, p_value: float, stream_p: float, *more: Any) -> Any:
        evidence = self._evidence.update(stream_p)
        none = mock.patch("wassergan.monitor.columns.witness_bound", lambda *args, **named: 0.0)
        zero = mock.patch("wassergan.monitor.columns.wasserstein_line", lambda *args: np.zeros(()))
        with none, zero:
            columns = self._columns(pair, more[0])
        return SimpleNamespace(p_value=p_value, columns=columns, evidence=evidence)


def alarm_cells() -> list[Cell]:
    """Batches of the distribution of the reference: how often the joint test and any column alarm."""
    cells = [(law, *each) for law in LAWS for each in (PICTURE_SIZES if law == "pictures" else SIZES)]
    cells += LATER
    return [_alarm_cell(place, *each) for place, each in enumerate(cells)]


def _alarm_cell(place: int, law: str, reference: int, size: int) -> Cell:
    def trial(number: int) -> Counts:
        kinds: list[type[W1Monitor]] = [PValues, W1Monitor] if number == 0 else [PValues]  # the first one in full too
        found = []
        for kind in kinds:
            drawn = Drawn(law, reference, size, np.random.default_rng([24, place, number]))
            with mock.patch("wassergan.monitor.monitor.pairing", lambda *args, drawn=drawn, **named: drawn):
                monitor = kind(None, permutations=99, rows=100, projections=4, alpha=ALPHA, seed=number)
            report = monitor.check(None)
            own = sorted((each.name, each.adjusted, each.missing_adjusted, each.moved) for each in report.columns)
            found.append((report.p_value, own))
        if any(each != found[0] for each in found):
            raise AssertionError(f"p-values depend on what else is computed: {found}")
        p_value, columns = found[0]
        return {"joint": p_value <= ALPHA, "columns": any(each[-1] for each in columns)}

    def row(trials: int, sums: Counts) -> dict[str, Any]:
        rates = {name: sums[name] / trials for name in ("joint", "columns")}
        tests = {f"p of {name}": above(sums[name], trials, ALPHA) for name in rates}
        return {"trials": trials, **rates, **tests}

    return Cell({"distribution": law, "reference": reference, "batch": size}, trial, row)


STREAM, LONG = 100, 10_000  # batches
LONG_STREAMS = 10


def stream_cells() -> list[Cell]:
    """Streams without a change, against references of 30 rows: how often one ever alarms, in 100 and 10 000 batches."""
    return [_stream_cell(STREAM, 25, math.inf), _stream_cell(LONG, 27, LONG_STREAMS)]


def _stream_cell(batches: int, place: int, most: float) -> Cell:
    def trial(number: int) -> Counts:
        rng = np.random.default_rng([place, number])
        monitor = PValues(rng.normal(size=30), permutations=99, rows=60, projections=1, alpha=ALPHA, seed=number)
        for _ in range(batches):
            found = monitor.check(rng.normal(size=20))
        return {"alarmed": found.evidence.alarm_at is not None}

    def row(trials: int, sums: Counts) -> dict[str, Any]:
        low, high = stats.binomtest(int(sums["alarmed"]), trials).proportion_ci(0.95)
        rate = {"alpha": ALPHA, "streams with an alarm": sums["alarmed"] / trials}
        return {"streams": trials, "batches in all": trials * batches, **rate, "95 % interval": [low, high]}

    return Cell({"batches of each": batches}, trial, row, most)


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


SIDE, CONFIDENCE = 21.0, 0.9  # of the boxes that hold both distributions; of each bound


def bound_cells() -> list[Cell]:
    """How often the bounds on W1 of distributions hold, and how far above the truth the upper one is on average.

    In a box, and by a second moment about the centre. The lower bound and the box's upper one are those of
    `w1_interval`; the moment's upper one is the samples' W1, exact, and the margin that the door adds to it.
    """
    kinds = {"shift": known, "far": far}
    cells = [(kind, dim, rows) for rows in (64, 200) for kind in kinds for dim in (1, 2, 4, 16)]
    return [_bound_cell(place, kinds[kind], kind, dim, rows) for place, (kind, dim, rows) in enumerate(cells)]


def _bound_cell(place: int, law: Callable[..., Any], kind: str, dim: int, rows: int) -> Cell:
    moment = (2.0, dim / 12 + (0.3**2 if kind == "shift" else 0.02 * 20.5**2), (0.5,) * dim)

    def trial(number: int) -> Counts:
        x, y, truth = law(np.random.default_rng([26, place, number]), dim, rows)
        settings: dict[str, Any] = {"rng": number, "population": True, "confidence": CONFIDENCE, "tolerance": 0.02}
        box = w1_interval(x, y, bounds=(0.0, SIDE), **settings)
        support = get_support(as_points(x, name="x"), as_points(y, name="y"), None, None, moment)
        assert support is not None
        margin = support.margin(x, y, confidence=CONFIDENCE, rng=as_generator(number))
        upper = min(support.cap(), exact_w1(x, y).upper + margin)
        if number == 0:
            door = w1_interval(x, y, moment=moment, **settings)
            if not upper * (1 - 1e-9) <= door.upper <= upper * 1.03:
                raise AssertionError(f"the door says {door.upper}, its parts {upper}")
        missed = {"lower": box.lower > truth, "box": box.upper < truth, "moment": upper < truth}
        return {**missed, "room": box.upper - truth}

    def row(trials: int, sums: Counts) -> dict[str, Any]:
        rates = {f"{name} fails": sums[name] / trials for name in ("lower", "box", "moment")}
        worst = above(max(sums[name] for name in ("lower", "box", "moment")), trials, 1 - CONFIDENCE)
        return {"runs": trials, **rates, "p of the worst": worst, "box above truth": sums["room"] / trials}

    return Cell({"distributions": kind, "dim": dim, "rows": rows}, trial, row)
