"""Rows of which any columns are given: what a generator that completes rows is told, in training and afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.context import Rows
from wassergan.data.tables.codec import ColumnCodec, TableCodec
from wassergan.data.tables.conditions import ColumnConditions
from wassergan.data.tables.encodings import NumberCoding
from wassergan.data.tables.formats import LevelForm, Values
from wassergan.data.tables.schema import ColumnSpec, Schema
from wassergan.utils.rng import derived_rng

Mask = NDArray[np.bool_]

NOTHING_KNOWN, LIKE_THE_DATA = 0.25, 0.15  # shares of a batch: rows of which nothing is given; gaps as rows have them
MOST_PATTERNS = 1024


@dataclass(frozen=True)
class CompletionContext:
    """All columns of every row, of which training hides some.

    A vector holds each column coded by itself, 0 where it is hidden; then for each column whether it is given; then
    whether none is.

    Args:
        codec: of all columns, each by itself.
        rows: (N, columns) in the user's units; NaN where missing.
        patterns: (k, columns), which columns rows with missing values have.
        words: what the schema says is missing, by column.
        passed: columns of the table that were left out.
    """

    codec: TableCodec
    rows: Rows
    patterns: Mask
    words: Mapping[str, Mapping[str, Any]]
    passed: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, codec: TableCodec, rows: Rows, train: NDArray[np.int64], schema: Schema, passed: Sequence[str]
    ) -> "CompletionContext":
        """Of a table.

        Args:
            codec: of all columns, each by itself.
            rows: (N, columns).
            train: numbers of the training rows.
            schema: what the user says about the columns.
            passed: columns that were left out.
        """
        misses = np.zeros(len(rows), bool)
        for index in range(rows.shape[1]):
            misses |= np.isnan(rows[:, index])
        there = train[misses[train]]
        chosen = there[np.linspace(0, len(there) - 1, min(len(there), MOST_PATTERNS)).astype(np.int64)]
        patterns = ~np.isnan(rows[chosen])
        words = {column.name: _words_of(schema, column.name) for column in codec.columns}
        return cls(codec, rows, patterns, {name: each for name, each in words.items() if each}, tuple(passed))

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        return width_of(self.codec)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a condition: its numbers in a row."""
        return (self.width,)

    @property
    def chances(self) -> int:
        """Random numbers that a row takes to hide columns."""
        return 2 + len(self.codec.columns)

    def at(self, indices: Tensor) -> Tensor:
        """Vectors of the rows (k,) with nothing given, (k, width) float32."""
        return nothing_given(self.codec, len(indices))

    def whole(self, indices: Tensor) -> Tensor:
        """Vectors of the rows (k,) with everything given."""
        rows = self.rows[indices.numpy()]
        return vectors_of(self.codec, rows, np.ones(rows.shape, bool))

    def hidden(self, vectors: Tensor, chances: Tensor) -> Tensor:
        """Vectors of whole rows (n, width) with some columns hidden, by numbers of U[0, 1) (n, `chances`)."""
        kind, rate = chances[:, :1], chances[:, 1:2]
        given = chances[:, 2:] >= rate
        if len(self.patterns):
            patterns = torch.from_numpy(self.patterns).to(vectors.device)
            like_data = patterns[(rate[:, 0] * len(patterns)).long().clamp(max=len(patterns) - 1)]
            given = torch.where(kind < NOTHING_KNOWN + LIKE_THE_DATA, like_data, given)
        given = given & (kind >= NOTHING_KNOWN)
        return _with_only(self.codec, vectors, given)

    def conditions(self, indices: Tensor) -> "CompletionConditions":
        """What samples are drawn under: nothing, unless something is asked for."""
        return CompletionConditions(
            self.codec, self.rows[indices.numpy()], patterns=self.patterns, words=self.words, passed=self.passed
        )

    def require_same(self) -> None:
        """They lie in memory, or in a file of our own."""

    def facts(self) -> tuple[Rows, list[str]]:
        """Of all rows; the names of columns and levels."""
        return self.rows, self.codec.words()


@dataclass(frozen=True)
class CompletionConditions(ColumnConditions):
    """What is given of samples: nothing, or any columns.

    Args:
        patterns: as of `CompletionContext`.
        words: likewise.
        passed: likewise.
        random: columns of rows of the pool are given, as in training.
    """

    patterns: Mask | None = None
    words: Mapping[str, Mapping[str, Any]] | None = None
    passed: tuple[str, ...] = ()
    random: bool = False

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        return width_of(self.codec)

    @property
    def schema(self) -> Schema:
        """What the user said is missing."""
        return Schema({name: ColumnSpec(**each) for name, each in (self.words or {}).items()})

    def vectors(self, start: int, count: int, *, seed: int) -> Tensor:
        """Of samples start..start+count-1, (count, width) float32."""
        if self.random:
            return self._at_random(start, count, seed)
        if self.wanted is None:
            return nothing_given(self.codec, count)
        rows = self._wanted_rows(start, count)
        return vectors_of(self.codec, rows, np.broadcast_to(~np.array(self.left_open), rows.shape))

    def kept(self, rows: Values, start: int, drawn: Values) -> Values:
        """Rows with what is asked for in its place, and all else according to the rules.

        Args:
            rows: of samples from `start` on.
            start: number of the first.
            drawn: (n, groups) in [0, 1), for what rules draw again.
        """
        if self.wanted is None:
            return rows
        given = ~np.array(self.left_open)
        filled = np.where(given, self._wanted_rows(start, len(rows)), rows)
        if self.rules is None:
            return filled
        found = self.rules.settled({name: filled[:, i].copy() for i, name in enumerate(self.names)}, self._asked, drawn)
        return np.stack([found[name] for name in self.names], axis=1)

    def nothing_given_place(self) -> int:
        """The number of a vector that says that nothing is given."""
        return self.width - 1

    def at_random(self) -> "CompletionConditions":
        """Rows of the pool, of which columns are given as in training, but never none."""
        return replace(self, random=True, wanted=None)

    def state(self) -> dict[str, Any]:
        """For a checkpoint; what was fixed is left out."""
        assert self.patterns is not None
        own = {"patterns": torch.from_numpy(self.patterns), "words": self.words or {}, "passed": list(self.passed)}
        return {**super().state(), "completion": own}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "CompletionConditions":
        """The inverse of `state`."""
        codec, own = TableCodec.from_state(state["codec"]), state["completion"]
        patterns = own["patterns"].numpy().astype(bool)
        if patterns.ndim != 2 or patterns.shape[1] != len(codec.columns) or len(patterns) > MOST_PATTERNS:
            raise ValueError(f"patterns of shape {patterns.shape}")
        words = {name: {key: _words(each) for key, each in said.items()} for name, said in own["words"].items()}
        found = cls(codec, state["pool"].numpy(), patterns=patterns, words=words, passed=tuple(own["passed"]))
        _ = found.schema
        return found

    def _wanted_rows(self, start: int, count: int) -> Values:
        assert self.wanted is not None
        return self.wanted[(start + np.arange(count)) % len(self.wanted)]

    def _at_random(self, start: int, count: int, seed: int) -> Tensor:
        assert self.patterns is not None
        context = CompletionContext(self.codec, self.pool, self.patterns, {})
        rng = derived_rng(seed, "given", start)
        rows = torch.randint(len(self.pool), (count,), generator=rng)
        chances = torch.rand(count, context.chances, generator=rng)
        chances[:, 0] = NOTHING_KNOWN + (1 - NOTHING_KNOWN) * chances[:, 0]
        return context.hidden(context.whole(rows), chances)


def conditions_of_state(state: Mapping[str, Any]) -> ColumnConditions:
    """Conditions of a checkpoint, of either kind."""
    return (CompletionConditions if "completion" in state else ColumnConditions).from_state(state)


def width_of(codec: TableCodec) -> int:
    """Numbers in a vector of columns of which any may be given."""
    return codec.width + len(codec.columns) + 1


def nothing_given(codec: TableCodec, count: int) -> Tensor:
    """(count, width) float32."""
    vectors = torch.zeros(count, width_of(codec))
    vectors[:, -1] = 1
    return vectors


def vectors_of(codec: TableCodec, rows: Values, given: Mask) -> Tensor:
    """Rows (n, columns), of which some cells are given, as vectors (n, width) float32."""
    blocks = codec.encode(torch.from_numpy(filler(codec, rows, given)))
    whole = torch.cat([blocks, torch.zeros(len(rows), len(codec.columns) + 1)], 1)
    return _with_only(codec, whole, torch.from_numpy(np.ascontiguousarray(given)))


def filler(codec: TableCodec, rows: Values, given: Mask) -> Values:
    """Rows with something in hidden cells that can be coded."""
    usual = [each.coding.low if isinstance(each.coding, NumberCoding) else 0.0 for each in codec.columns]
    return np.where(given, rows, usual)


def knowable(column: ColumnCodec, values: Values) -> Mask:
    """Which values (n,) of a column a generator can be told: not missing, and no level that it never saw."""
    there = ~np.isnan(values)
    return there & (values < len(column.form.levels)) if isinstance(column.form, LevelForm) else there


def _with_only(codec: TableCodec, vectors: Tensor, given: Tensor) -> Tensor:
    """Vectors with all but the given columns (n, columns) hidden."""
    widths = torch.tensor([layout.width for layout in codec.column_layouts], device=vectors.device)
    told = given.to(vectors)
    blocks = vectors[:, : codec.width] * torch.repeat_interleave(told, widths, dim=1, output_size=codec.width)
    return torch.cat([blocks, told, 1 - told.amax(1, keepdim=True)], 1)


def _words_of(schema: Schema, name: str) -> dict[str, Any]:
    said = schema.columns.get(name, ColumnSpec())
    missing = said.missing if said.missing is not None else schema.missing
    own = {"missing": missing, "invalid": said.invalid}
    return {key: value for key, value in own.items() if value is not None}


def _words(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if not all(isinstance(each, str) for each in value):
        raise ValueError(f"words {value!r}")
    return tuple(value)
