"""The way between a table's rows and model space, kept in every checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.tables.encodings import CategoryCoding, NumberCoding, coding_from_state
from wassergan.data.tables.formats import DateForm, LevelForm, NumberForm, Values, form_from_state
from wassergan.data.tables.identifiers.identifier import Identifier
from wassergan.data.tables.rules.book import RuleBook, Slot
from wassergan.data.tables.rules.groups import chances
from wassergan.utils.column_layout import ColumnLayout

MOST_STRATA = 16


@dataclass(frozen=True)
class ColumnCodec:
    """One column: how it is coded, and how it is written.

    Args:
        name: of the column.
        kind: `number`, `category`, `boolean` or `date`.
        coding: to model space and back.
        form: to the user's units.
        missing: the text that stands for a missing value.
        since: the date column from which this one counts; else empty.
        low: smallest date, where dates count from another column.
        high: largest date.
        marked: a missing value is written as `missing` in columns of text even where the file could say nothing.
    """

    name: str
    kind: str
    coding: NumberCoding | CategoryCoding
    form: NumberForm | LevelForm | DateForm
    missing: str = ""
    since: str = ""
    low: float = 0.0
    high: float = 0.0
    marked: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What the levels are called; nothing for numbers and dates."""
        return self.form.levels if isinstance(self.form, LevelForm) else ()

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        plain = {name: getattr(self, name) for name in ("name", "kind", "missing", "since", "low", "high", "marked")}
        return {**plain, "coding": self.coding.state(), "form": self.form.state()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "ColumnCodec":
        """The inverse of `state`."""
        return cls(**{**state, "coding": coding_from_state(state["coding"]), "form": form_from_state(state["form"])})


class Stratum(NamedTuple):
    """Training rows that have the same levels in all conditions that are categories.

    Args:
        options: places in a condition's vector that are positive.
        shares: as of `TableCodec`, among these rows.
        spread: likewise.
    """

    options: tuple[int, ...]
    shares: tuple[float, ...]
    spread: tuple[tuple[float, ...], ...]


class TableCodec:
    """A table's columns, one after the other, as one vector.

    Rows in the user's units are (n, columns) float64: numbers, level numbers, units of time; NaN where missing.

    Args:
        columns: in the order of the file.
        dialect: of a CSV file: delimiter and encoding.
        arrow_schema: of an Arrow table, serialised, base64; else empty.
        shares: of each one-hot entry among the training rows; 0 for channels.
        spread: quantiles of every channel, from the smallest to the largest, among the training rows that it tells.
        given: names of columns that are conditions: they have no place in model space, and decoding is told them.
        strata: training rows under frequent conditions.
        identifiers: columns that have no place in model space, and none in rows: they are written fresh.
        rules: that every row obeys; None for none.
        known: all columns, each coded by itself, where any of them can be given; empty where none can.
    """

    layout = "table"
    dtype = "mixed"
    conditions_are_columns = True

    def __init__(
        self,
        columns: Sequence[ColumnCodec],
        *,
        dialect: Mapping[str, str] | None = None,
        arrow_schema: str = "",
        shares: Sequence[float] = (),
        spread: Sequence[Sequence[float]] = (),
        given: Sequence[str] = (),
        strata: Sequence[Stratum] = (),
        identifiers: Sequence[Identifier] = (),
        rules: RuleBook | None = None,
        known: Sequence[ColumnCodec] = (),
    ) -> None:
        self.columns = tuple(columns)
        self.dialect = dict(dialect or {})
        self.arrow_schema = arrow_schema
        self.shares = tuple(shares)
        self.spread = tuple(map(tuple, spread))
        self.given = tuple(given)
        self.strata = tuple(strata)
        self.identifiers = tuple(identifiers)
        self.rules = rules
        self.known = tuple(known)

    def words(self) -> list[str]:
        """Names of all columns, each with its levels if it has some."""
        words = [identifier.name for identifier in self.identifiers]
        for column in self.columns:
            words += [column.name, *column.names]
        return words

    @cached_property
    def _drawn(self) -> tuple[ColumnCodec, ...]:
        """The columns that have a place in model space."""
        return tuple(column for column in self.columns if column.name not in self.given)

    @property
    def written(self) -> tuple[ColumnCodec | Identifier, ...]:
        """All columns of a file, in their order."""
        columns: list[ColumnCodec | Identifier] = list(self.columns)
        for each in self.identifiers:
            columns.insert(each.before, each)
        return tuple(columns)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """What has a place in model space: columns that are no conditions, or what rules leave of them."""
        if self.rules is not None:
            return self.rules.slots
        return tuple(Slot((column.name,), column.coding) for column in self._drawn)

    @property
    def codings(self) -> tuple[NumberCoding | CategoryCoding, ...]:
        """Of each slot."""
        return tuple(slot.coding for slot in self.slots)

    @property
    def column_layouts(self) -> tuple[ColumnLayout, ...]:
        """The layout in model space of each slot."""
        return tuple(coding.layout for coding in self.codings)

    @property
    def width(self) -> int:
        """Numbers in a row's vector."""
        return sum(layout.width for layout in self.column_layouts)

    @cached_property
    def kept_entries(self) -> tuple[tuple[int, int], ...]:
        """For each number of a row, where it stands in the vector of what is given, and the place that says that it is.

        (-1, -1) where it does not stand there; empty where nothing can be given.
        """
        if not self.known:
            return ()
        widths = [column.coding.layout.width for column in self.known]
        starts, total = np.cumsum([0, *widths]).tolist(), sum(widths)
        found: list[tuple[int, int]] = []
        for slot in self.slots:
            at = self._place[slot.names[0]]
            if len(slot.names) == 1 and slot.group < 0 and self._is_alone(slot, self.known[at]):
                found += [(starts[at] + entry, total + at) for entry in range(slot.layout.width)]
            else:
                found += [(-1, -1)] * slot.layout.width
        return tuple(found)

    def _is_alone(self, slot: Slot, known: ColumnCodec) -> bool:
        """Whether a slot holds a column as it is, and not how far it is from another."""
        name = slot.names[0]
        counts = name in self.rules.bases if self.rules is not None else bool(self.columns[self._place[name]].since)
        return not counts and _without_bounds(slot.coding) == _without_bounds(known.coding)

    @cached_property
    def missing_entries(self) -> tuple[int, ...]:
        """The numbers of a row that say that a column is missing."""
        found, start = [], 0
        for slot in self.slots:
            options = slot.layout.options
            if slot.coding.missing and options and slot.group < 0:
                found.append(start + options - 1)
            start += slot.layout.width
        return tuple(found)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {column.name: index for index, column in enumerate(self.columns)}

    def encode(self, values: Tensor) -> Tensor:
        """(n, columns) to (n, width) float32."""
        return torch.from_numpy(np.concatenate(self.blocks(values.numpy()), axis=1))

    def blocks(self, rows: Values) -> list[NDArray[np.float32]]:
        """(n, columns) to what each slot holds of them."""
        if self.rules is None:
            return [column.coding.encode(self._counted(column, rows)) for column in self._drawn]
        found = []
        for slot, told in zip(self.slots, self.rules.told(self._by_name(rows)), strict=True):
            unknown = np.isnan(told) if not slot.coding.missing else np.zeros(len(told), bool)
            block = slot.coding.encode(np.where(unknown, 0.0, told))
            block[unknown] = 0
            found.append(block)
        return found

    def _by_name(self, rows: Values) -> dict[str, Values]:
        return {column.name: rows[:, index] for index, column in enumerate(self.columns)}

    def decode(self, samples: Tensor, given: Values | None = None, *, start: int = 0, seed: int = 0) -> Tensor:
        """(n, width) in model space to (n, columns), within bounds, rounded to each column's decimals.

        Args:
            samples: in model space.
            given: (n, given columns), what the conditions of the samples are; None where there are none.
            start: number of the first sample.
            seed: of what rules draw again.
        """
        return torch.from_numpy(self.decode_numpy(samples, given, start=start, seed=seed))

    def decode_numpy(
        self, samples: Tensor, given: Values | None = None, *, start: int = 0, seed: int = 0
    ) -> NDArray[Any]:
        """Like `decode`, as a NumPy array."""
        vectors = samples.detach().cpu().numpy()
        if self.rules is not None:
            return self._ruled(vectors, given, chances(start, len(vectors), len(self.rules.groups), seed))
        rows, start = np.empty((len(vectors), len(self.columns))), 0
        if given is not None:
            rows[:, [self._place[name] for name in self.given]] = given
        for column in self._drawn:
            index, width = self._place[column.name], column.coding.layout.width
            values = column.coding.decode(vectors[:, start : start + width])
            start += width
            if column.since:
                values = (values + rows[:, self._place[column.since]]).clip(column.low, column.high)
            rows[:, index] = _rounded(values, column)
        return rows

    def _ruled(self, vectors: NDArray[np.float32], given: Values | None, drawn: Values) -> Values:
        """Rows that obey the rules."""
        assert self.rules is not None
        told, start = [], 0
        for slot in self.slots:
            told.append(slot.coding.decode(vectors[:, start : start + slot.layout.width]))
            start += slot.layout.width
        known = {} if given is None else dict(zip(self.given, given.T.copy(), strict=True))
        found = self.rules.rows(told, known, drawn)
        settled = {*self.rules.lattices, *self.rules.fixed, *self.given}
        return np.stack(
            [
                found[column.name] if column.name in settled else _rounded(found[column.name], column)
                for column in self.columns
            ],
            axis=1,
        )

    def _counted(self, column: ColumnCodec, rows: Values) -> Values:
        values = rows[:, self._place[column.name]]
        return values - rows[:, self._place[column.since]] if column.since else values

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        columns = [column.state() for column in self.columns]
        plain = {
            "dialect": self.dialect,
            "arrow_schema": self.arrow_schema,
            "shares": list(self.shares),
            "spread": [list(each) for each in self.spread],
            "given": list(self.given),
            "strata": [each._asdict() for each in self.strata],
            "identifiers": [each.state() for each in self.identifiers],
            "rules": None if self.rules is None else self.rules.state(),
        }
        plain |= {"known": [column.state() for column in self.known]} if self.known else {}
        return {"columns": columns, **plain}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "TableCodec":
        """The inverse of `state`."""
        columns = [ColumnCodec.from_state(each) for each in state["columns"]]
        plain = {name: state[name] for name in ("dialect", "arrow_schema", "shares", "spread", "given")}
        strata = [
            Stratum(tuple(each["options"]), tuple(each["shares"]), tuple(map(tuple, each["spread"])))
            for each in state.get("strata", [])  # of runs from before there were any
        ]
        if len(strata) > MOST_STRATA:
            raise ValueError(f"{len(strata)} strata, of at most {MOST_STRATA}")
        identifiers = [Identifier.from_state(each) for each in state.get("identifiers", [])]  # likewise
        rules = RuleBook.from_state(state["rules"]) if state.get("rules") else None
        if rules is not None and rules.order != tuple(column.name for column in columns):
            raise ValueError("rules about other columns")
        known = [ColumnCodec.from_state(each) for each in state.get("known", [])]  # of runs that complete rows
        if known and [column.name for column in known] != [column.name for column in columns]:
            raise ValueError("other columns are known")
        return cls(columns, **plain, strata=strata, identifiers=identifiers, rules=rules, known=known)


def _without_bounds(coding: NumberCoding | CategoryCoding) -> NumberCoding | CategoryCoding:
    return replace(coding, low=0.0, high=0.0) if isinstance(coding, NumberCoding) else coding


def _rounded(values: Values, column: ColumnCodec) -> Values:
    if isinstance(column.form, LevelForm):
        return np.round(values)
    assert isinstance(column.coding, NumberCoding)
    bounds = column if column.since else column.coding
    return column.form.fitted(values, bounds.low, bounds.high)
