"""Columns that go together: the combinations of their values, or of what is missing, that the data have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.identifiers.permutation import key_numbers, mixed

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]
CELLS = 2**24  # of rows times combinations that are looked at together


@dataclass(frozen=True)
class Group:
    """What goes together, and how.

    Args:
        facets: a column's name, and whether it is only told if it is missing.
        table: (K, facets), NaN for a missing value; 1 or 0 where only that is told.
        shares: (K,) of the combinations among the training rows.
    """

    facets: tuple[tuple[str, bool], ...]
    table: tuple[tuple[float, ...], ...]
    shares: tuple[float, ...]

    @classmethod
    def fit(
        cls,
        facets: Sequence[tuple[str, bool]],
        columns: Mapping[str, Values],
        train: NDArray[np.int64],
        weights: Values | None = None,
    ) -> "Group":
        """The combinations of all rows, with their shares among the training rows, or of the weights of these."""
        told = _told(facets, columns)
        found, which = np.unique(_plain(told), axis=0, return_inverse=True)
        counted = np.ones(len(train)) if weights is None else weights[train]
        counts = np.bincount(which.ravel()[train], counted, minlength=len(found))
        table = np.where(found == np.inf, np.nan, found)
        return cls(tuple(facets), tuple(map(tuple, table.tolist())), tuple((counts / counted.sum()).tolist()))

    @cached_property
    def rows(self) -> Values:
        """The table as an array."""
        return np.array(self.table, np.float64).reshape(len(self.table), len(self.facets))

    def number(self, columns: Mapping[str, Values]) -> Values:
        """Which combination rows have, (n,); NaN where the data have none like it."""
        told = _plain(_told(self.facets, columns))
        known = {row.tobytes(): float(number) for number, row in enumerate(_plain(self.rows))}
        return np.array([known.get(row.tobytes(), np.nan) for row in told], np.float64)

    def chosen(
        self, number: Values, columns: Mapping[str, Values], fixed: Sequence[str], free: Mask, chance: Values
    ) -> Values:
        """Combinations like `number` that agree with columns that are fixed; drawn by their shares where it does not.

        Args:
            number: (n,), NaN for none.
            columns: their values (n,).
            fixed: names of the columns that stay.
            free: (n, K) or (1, K), which combinations there may be.
            chance: (n,) in [0, 1).
        """
        places = [index for index, (name, _) in enumerate(self.facets) if name in fixed]
        rows, told = _plain(self.rows)[:, places], _plain(_told(self.facets, columns))[:, places]
        known = np.nan_to_num(number).astype(np.int64)
        free = np.broadcast_to(free, (len(number), len(rows)))
        fits = ~np.isnan(number) & (rows[known] == told).all(1) & free[np.arange(len(number)), known]
        out = np.where(fits, number, np.nan)
        odd = np.flatnonzero(~fits)
        for part in np.array_split(odd, -(-len(odd) * len(rows) // CELLS) or 1):
            alike = (rows[None] == told[part, None]).all(2) & free[part]
            weight = np.where(alike, np.array(self.shares) + 1e-9, 0.0).cumsum(1)
            drawn = (weight <= (chance[part] * weight[:, -1])[:, None]).sum(1)
            out[part] = np.where(alike.any(1), drawn.clip(max=len(rows) - 1), np.nan)
        return out

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        table = [[None if value != value else value for value in row] for row in self.table]
        return {"facets": [list(each) for each in self.facets], "table": table, "shares": list(self.shares)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Group":
        """The inverse of `state`."""
        table = tuple(tuple(np.nan if value is None else float(value) for value in row) for row in state["table"])
        facets = tuple((str(name), bool(missing)) for name, missing in state["facets"])
        if any(len(row) != len(facets) for row in table) or len(table) != len(state["shares"]) or not table:
            raise ValueError("a table of combinations of another shape")
        return cls(facets, table, tuple(state["shares"]))


def chances(start: int, count: int, groups: int, seed: int) -> Values:
    """Numbers in [0, 1) for samples start..start+count-1, (count, groups); a matter of seed and sample alone."""
    rows = np.arange(start, start + count, dtype=np.uint64)
    keys = key_numbers("rules", seed, count=max(groups, 1))[:groups]
    return np.asarray(mixed(mixed(rows)[:, None] + keys) / 2.0**64, np.float64).reshape(count, groups)


def _told(facets: Sequence[tuple[str, bool]], columns: Mapping[str, Values]) -> Values:
    told = [np.isnan(columns[name]).astype(np.float64) if missing else columns[name] for name, missing in facets]
    return np.stack(told, axis=1)


def _plain(rows: Values) -> Values:
    """Rows that can be compared: NaN, which equals nothing, as infinity; -0 as 0."""
    return np.ascontiguousarray(np.where(np.isnan(rows), np.inf, rows + 0.0))
