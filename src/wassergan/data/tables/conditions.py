"""What is given of each sample: columns of conditions, in the user's units and as vectors beside model space."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.context import Rows
from wassergan.data.tables.codec import ColumnCodec, TableCodec
from wassergan.data.tables.formats import Values
from wassergan.data.tables.rules.book import RuleBook
from wassergan.data.tables.rules.groups import chances
from wassergan.errors import UserError

NEAREST = 100  # rows that lend what is left open, where none has exactly what is given


@dataclass(frozen=True)
class ColumnContext:
    """The conditions of every row of a source.

    Args:
        codec: of the columns that are given.
        rows: (N, columns) in the user's units: numbers, level numbers, units of time; NaN where missing.
    """

    codec: TableCodec
    rows: Rows

    @property
    def width(self) -> int:
        """Numbers in a condition's vector."""
        return self.codec.width

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a condition: its numbers in a row."""
        return (self.width,)

    @property
    def chances(self) -> int:
        """Nothing is hidden."""
        return 0

    def at(self, indices: Tensor) -> Tensor:
        """Vectors of the rows (k,), (k, width) float32."""
        return self.codec.encode(torch.from_numpy(self.rows[indices.numpy()]))

    def whole(self, indices: Tensor) -> Tensor:
        """The same."""
        return self.at(indices)

    def hidden(self, vectors: Tensor, chances: Tensor) -> Tensor:
        """As they are."""
        return vectors

    def require_same(self) -> None:
        """They lie in memory, or in a file of our own."""

    def facts(self) -> tuple[Rows, list[str]]:
        """Of all rows (n, columns) in the user's units; the names of columns and levels."""
        return self.rows, self.codec.words()

    def conditions(self, indices: Tensor) -> "ColumnConditions":
        """The distribution of the conditions, as some rows (k,) show it."""
        return ColumnConditions(self.codec, self.rows[indices.numpy()])


@dataclass(frozen=True)
class ColumnConditions:
    """ColumnConditions to draw samples under: a distribution, of which some columns may be fixed.

    Args:
        codec: of the columns.
        pool: (m, columns), rows of the data in the user's units.
        wanted: (k, columns) that are asked for, one after the other and from the first again.
        rules: that what is left open obeys together with what is asked for.
        left_open: (columns,) what `wanted` does not say: it comes from rows of the pool that have what is asked for.
    """

    codec: TableCodec
    pool: Values
    wanted: Values | None = None
    left_open: tuple[bool, ...] = ()
    rules: RuleBook | None = None

    @property
    def width(self) -> int:
        """Numbers in a condition's vector."""
        return self.codec.width

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a condition: its numbers in a row."""
        return (self.width,)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(column.name for column in self.codec.columns)

    def rows(self, start: int, count: int, *, seed: int) -> Values:
        """The conditions of samples start..start+count-1, (count, columns); those of a sample hang on the seed alone.

        Args:
            start: number of the first sample.
            count: of samples.
            seed: of what is drawn from the pool.
        """
        # One number of the stream per sample: it can be entered anywhere.
        stream = np.random.PCG64(seed)
        stream.advance(start)
        shares = np.random.Generator(stream).random(count)
        if self.wanted is None:
            return self.pool[(shares * len(self.pool)).astype(np.int64)]
        asked = (start + np.arange(count)) % len(self.wanted)
        rows = self.wanted[asked]
        if any(self.left_open):
            open_columns = np.flatnonzero(self.left_open)
            for each in np.unique(asked):
                lenders, here = self._lenders(int(each)), asked == each
                lent = self.pool[lenders[(shares[here] * len(lenders)).astype(np.int64)]]
                rows[np.ix_(here, open_columns)] = lent[:, open_columns]
            if self.rules is not None:
                rows = self._settled(rows, chances(start, count, len(self.rules.groups), seed))
        return rows

    def under_rules(self, rules: RuleBook) -> "ColumnConditions":
        """The same, where what is left open obeys rules together with what is asked for.

        Raises:
            UserError: rules exclude what is asked for.
        """
        assert self.wanted is not None
        wrong = rules.excluded(self._whole(self.wanted, rules), self._asked)
        if wrong.any():
            row = int(wrong.argmax())
            told = zip(self.codec.columns, self.wanted[row], self.left_open, strict=True)
            found = [f"{column.name}={_text(column, value)}" for column, value, is_open in told if not is_open]
            raise UserError(
                "The rules exclude what is asked for",
                found=", ".join(found),
                hint="the rules: " + "; ".join(rules.texts),
            )
        return replace(self, rules=rules)

    @property
    def _asked(self) -> list[str]:
        return [name for name, is_open in zip(self.names, self.left_open, strict=True) if not is_open]

    def _whole(self, rows: Values, rules: RuleBook) -> dict[str, Values]:
        """Rows of conditions with something usual in all other columns."""
        columns = {name: np.full(len(rows), rules.typical[name]) for name in rules.order}
        for index, name in enumerate(self.names):
            if name in self._asked or rows is not self.wanted:
                columns[name] = rows[:, index].copy()
        return columns

    def _settled(self, rows: Values, drawn: Values) -> Values:
        assert self.rules is not None
        found = self.rules.settled(self._whole(rows, self.rules), self._asked, drawn)
        return np.stack([found[name] for name in self.names], axis=1)

    def vectors(self, start: int, count: int, *, seed: int) -> Tensor:
        """The same as (count, width) float32."""
        return self.codec.encode(torch.from_numpy(self.rows(start, count, seed=seed)))

    def fixed(self, wanted: Values, left_open: tuple[bool, ...]) -> "ColumnConditions":
        """The same distribution, where some columns are asked for."""
        return replace(self, wanted=wanted, left_open=left_open)

    def within(self, options: Sequence[int]) -> "ColumnConditions | None":
        """What rows hold in whose vectors all these places are positive; None where the pool has no such row."""
        alike = (self._pool_vectors[:, list(options)] > 0).all(1)
        return replace(self, pool=self.pool[alike]) if alike.any() else None

    def _lenders(self, each: int) -> NDArray[np.int64]:
        """Rows of the pool that have what row `each` of `wanted` asks for; the nearest if none has exactly that."""
        if each not in self._found:
            distance = np.abs(self._pool_vectors - self._wanted_vectors[each])[:, self._is_asked].sum(1)
            limit = distance.min()
            if limit > 0:
                limit = np.partition(distance, min(NEAREST, len(distance)) - 1)[: min(NEAREST, len(distance))].max()
            self._found[each] = np.flatnonzero(distance <= limit)
        return self._found[each]

    @cached_property
    def _found(self) -> dict[int, NDArray[np.int64]]:
        return {}

    @cached_property
    def _is_asked(self) -> NDArray[np.bool_]:
        """Which numbers of a vector belong to columns that are not left open."""
        return np.repeat(~np.array(self.left_open), [layout.width for layout in self.codec.column_layouts])

    @cached_property
    def _pool_vectors(self) -> NDArray[np.float32]:
        return self.codec.encode(torch.from_numpy(self.pool)).numpy()

    @cached_property
    def _wanted_vectors(self) -> NDArray[np.float32]:
        assert self.wanted is not None
        filled = np.where(self.left_open, self.pool[0], self.wanted)
        return self.codec.encode(torch.from_numpy(filled)).numpy()

    def state(self) -> dict[str, Any]:
        """For a checkpoint: plain types and a tensor; what was fixed is left out."""
        return {"codec": self.codec.state(), "pool": torch.from_numpy(self.pool)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "ColumnConditions":
        """The inverse of `state`."""
        return cls(TableCodec.from_state(state["codec"]), state["pool"].numpy())


def _text(column: ColumnCodec, value: float) -> str:
    return "missing" if np.isnan(value) else column.form.texts(np.array([value]))[0]
