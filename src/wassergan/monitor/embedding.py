"""Rows of tables and arrays as points, in a metric that the reference fixes for every later batch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wassergan.data.tables.common_columns import CommonColumn
from wassergan.errors import UserError
from wassergan.evaluation.datasets.ground import scale_of
from wassergan.monitor.permutation import Floats

MOST_LEVELS = 64  # of a category that get a corner of their own; rarer ones share one
_SECONDS = {"days": 86_400.0, "seconds": 1.0}
FARTHEST = 1e4  # scales from the centre; numbers farther out are put there


@dataclass(frozen=True)
class ColumnPoints:
    """How a column becomes coordinates.

    Attributes:
        name: of the column.
        kind: `number`, `date` or `category`.
        scale: numbers this far apart are at distance 1.
        rests_on: the source of the scale.
        centre: of numbers, where a missing one is put, 1 beside the others.
        levels: of a category, the most frequent ones of the reference; two levels are 1 apart.
        unit: of dates, `days` or `seconds`, in which scale and centre are given; else empty.
    """

    name: str
    kind: str
    scale: float
    rests_on: str
    centre: float
    levels: tuple[str, ...]
    unit: str = ""

    @property
    def dim(self) -> int:
        """Coordinates: two of numbers, one for each level, one for all other levels and one for missing ones."""
        return len(self.levels) + 2 if self.kind == "category" else 2

    def points(self, values: Floats, levels: Sequence[str], unit: str) -> Floats:
        """Coordinates (n, dim) of values (n,) in a unit; of a category, numbers of these levels."""
        if unit != self.unit:  # a batch with times of day brings a reference of days into seconds
            values = values * (_SECONDS[unit] / _SECONDS[self.unit])
        gone = np.isnan(values)
        if self.kind == "category":
            known = {name: place for place, name in enumerate(self.levels)}
            places = np.array([known.get(name, len(known)) for name in levels] + [len(known) + 1], np.int64)
            corners = np.zeros((len(values), self.dim))
            where = places[np.where(gone, len(levels), np.where(gone, 0, values)).astype(np.int64)]
            corners[np.arange(len(values)), where] = 1 / math.sqrt(2)
            return corners
        with np.errstate(over="ignore"):
            along = np.where(gone, 0.0, (values - self.centre) / self.scale)
        along = np.clip(along, -FARTHEST, FARTHEST)  # one far value must not use up the digits of all others
        return np.stack([along, gone.astype(np.float64)], axis=1)


@dataclass(frozen=True)
class Embedding:
    """All columns; distances are Euclidean over them."""

    columns: tuple[ColumnPoints, ...]

    @classmethod
    def of(cls, columns: Sequence[CommonColumn], scale: str) -> "Embedding":
        """From the x side of columns, the reference."""
        return cls(tuple(_points_of(each, scale) for each in columns))

    def points(self, columns: Sequence[CommonColumn], side: str, rows: Any) -> Floats:
        """Coordinates of some rows of one side, `x` or `y`, (k, d).

        Raises:
            UserError: a column is missing, new or of another kind.
        """
        self.check(columns)
        parts = [
            own.points(getattr(each, side)[rows], each.levels, each.unit)
            for own, each in zip(self.columns, columns, strict=True)
        ]
        return np.concatenate(parts, axis=1)

    def check(self, columns: Sequence[CommonColumn]) -> None:
        """Refuse columns that are not those of the reference."""
        own, other = ([(each.name, each.kind) for each in side] for side in (self.columns, columns))
        for (name, kind), (given, found) in zip(own, other, strict=False):
            if (name, kind) != (given, found):
                raise UserError(
                    f"Column {name} of the reference is a {kind}", found=f"{given}, a {found}", hint="give a schema"
                )
        if len(own) != len(other):
            raise UserError("The batch has other columns", found=f"{len(other)} instead of {len(own)}")

    def owner(self) -> list[int]:
        """For each coordinate the number of its column."""
        return [place for place, each in enumerate(self.columns) for _ in range(each.dim)]

    def words(self) -> list[str]:
        """The metric, one line per column."""
        return [
            f"{each.name}: 1 between two levels"
            if each.kind == "category"
            else f"{each.name}: 1 per {each.scale:.6g} ({each.rests_on}), 1 for missing"
            for each in self.columns
        ]

    def state_dict(self) -> list[dict[str, Any]]:
        """Plain values."""
        return [asdict(each) | {"levels": list(each.levels)} for each in self.columns]

    @classmethod
    def from_state(cls, state: Sequence[Mapping[str, Any]]) -> "Embedding":
        """From `state_dict`."""
        return cls(tuple(ColumnPoints(**{**each, "levels": tuple(each["levels"])}) for each in state))


def _points_of(column: CommonColumn, scale: str) -> ColumnPoints:
    there = column.x[~np.isnan(column.x)]
    if column.kind == "category":
        counts = np.bincount(there.astype(np.int64), minlength=len(column.levels))
        most = [int(each) for each in np.argsort(-counts, kind="stable")[:MOST_LEVELS] if counts[each]]
        levels = tuple(column.levels[each] for each in most)
        return ColumnPoints(column.name, column.kind, 1.0, "levels", 0.0, levels)
    if len(there) == 0:
        return ColumnPoints(column.name, column.kind, 1.0, "no values", 0.0, (), column.unit)
    unit, rests_on = scale_of(there, there, scale)
    words = rests_on.replace(" of A", " of the reference").replace("A is", "the reference is")
    return ColumnPoints(column.name, column.kind, unit, words, float(np.median(there)), (), column.unit)
