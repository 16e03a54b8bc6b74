"""Three numbers that lead an evaluation of a table: how real its rows are, how useful, how private; and groups."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from wassergan.evaluation.verdict import DOUBTFUL, FAILED, GOOD, UNDECIDED

Row = Mapping[str, Any]

CHANCE = 0.5  # AUC of a classifier that cannot tell
TOO_FEW = "too few rows to tell"
LEAST_GOOD, LEAST_DOUBTFUL = 75, 40  # of 100
WORDS = {
    "real": {
        GOOD: "a classifier hardly tells generated rows from real ones",
        DOUBTFUL: "a classifier often tells generated rows from real ones",
        FAILED: "a classifier nearly always tells generated rows from real ones",
    },
    "useful": {
        GOOD: "what is learnt from generated rows holds almost as well as from real ones",
        DOUBTFUL: "what is learnt from generated rows holds less well than from real ones",
        FAILED: "generated rows teach little of what real ones do",
    },
    "private": {
        GOOD: "hardly any row repeats a training row more than fresh rows do",
        DOUBTFUL: "some rows repeat training rows",
        FAILED: "many rows repeat training rows",
    },
}
TITLES = {"real": "How real", "useful": "How useful", "private": "How private"}
GROUPS = {
    "Told from real rows": ("c2st_auc", "precision", "recall", "density", "coverage", "own_distance"),
    "Column by column": ("category_tv", "number_ks", "missing_gap", "invalid"),
    "Together": ("association_gap", "sliced_w1", "w1_lower", "w1_upper", "sdmetrics_quality"),
    "Put to use": ("tstr",),
    "Copies": ("exact_copies",),
}
OTHERS = "Further"


def headline(rows: Sequence[Row], memory: Mapping[str, Any], *, enough: bool = True) -> list[dict[str, Any]]:
    """The three numbers from 0 to 100, each with a level and words.

    Real: 100 where a classifier tells generated rows from held-out ones no better than training rows, 0 where it is
    never wrong. Useful: 100 where trees that learn from generated rows predict held-out rows as well as those that
    learn from real ones, 0 where no better than from independent columns; without a column to predict, the same of the
    associations of columns. Private: the share of rows, of 100, that are no copies or near copies of training rows,
    beyond those that there are among held-out rows.

    Args:
        rows: metrics, with `name`, `value`, `floor` and `independent`.
        memory: of the same rows.
        enough: there are rows enough to tell; else no number has a level.
    """
    by_name = {row["name"]: row for row in rows}
    scores = {"real": _real(by_name), "useful": _useful(by_name), "private": _private(memory)}
    return [
        {"name": name, "title": TITLES[name], "score": round(score)}
        | ({"level": level, "words": WORDS[name][level]} if enough else {"level": UNDECIDED, "words": TOO_FEW})
        for name, score in scores.items()
        if score is not None and (level := _level(score))
    ]


def told_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The metrics with their groups, in the order of these, and levels: how far each is from its floor."""
    named = {name: group for group, names in GROUPS.items() for name in names}
    order = [*GROUPS, OTHERS]
    found = [{**row, "group": named.get(row["name"], OTHERS), "level": _level_of(row)} for row in rows]
    return sorted(found, key=lambda row: order.index(row["group"]))


def _level(score: float) -> str:
    return GOOD if score >= LEAST_GOOD else DOUBTFUL if score >= LEAST_DOUBTFUL else FAILED


def _level_of(row: Row) -> str | None:
    """How a metric stands between what real rows and independent columns score; None where these are no anchors."""
    way = _way(row)
    return None if way is None else _level(100 * (1 - way))


def _way(row: Row) -> float | None:
    """How far a value is from its floor, 0, towards independent columns, 1; on the better side of the floor 0."""
    value, floor, apart = (row.get(name) for name in ("value", "floor", "independent"))
    if value is None or floor is None or apart is None or not all(map(math.isfinite, (value, floor, apart))):
        return None
    worse = {"lower": apart > floor, "higher": apart < floor}.get(row["better"], False)
    if not worse:
        return None
    return float(min(max((value - floor) / (apart - floor), 0.0), 1.0))


def _real(by_name: Mapping[str, Row]) -> float | None:
    row = by_name.get("c2st_auc")
    if row is None or row["value"] is None:
        return None
    floor = max(CHANCE, row["floor"] or CHANCE)
    return float(100 * min(1.0, max(0.0, 1 - (row["value"] - floor) / max(1 - floor, 1e-9))))


def _useful(by_name: Mapping[str, Row]) -> float | None:
    for name in ("tstr", "association_gap"):
        way = _way(by_name[name]) if name in by_name else None
        if way is not None:
            return 100 * (1 - way)
    return None


def _private(memory: Mapping[str, Any]) -> float:
    excess = [
        max(0.0, (memory[made] - memory[held]) / max(1 - memory[held], 1e-9))
        for made, held in (
            ("share_near_copies", "share_near_copies_heldout"),
            ("exact_copies", "exact_copies_heldout"),
        )
    ]
    return float(100 * (1 - max(excess)))
