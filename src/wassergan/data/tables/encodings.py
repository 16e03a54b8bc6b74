"""Between the numbers of a column and its place in model space: one-hot options, channels, digits.

A column has options, of which a row takes one, as a one-hot scaled by 1/√2 (two different options are then 1 apart).
One option may be open: what the row holds is told by what follows, a channel or digits, which are fixed for the other
options. A channel is a place in [-1, 1], or, for angles, the point of a circle that lies that many half turns from its
first axis, so that both ends are one. A column with one value has no options and no width.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.distinct import counted
from wassergan.utils.column_layout import ColumnLayout

Values = NDArray[np.float64]

ONE_HOT_SCALE = 1 / math.sqrt(2)
RADIUS = 1 / math.sqrt(3)  # of an angle's circle: its points spread as far as numbers that are even in [-1, 1]
FREQUENT_SHARE = 0.01  # a number that this share of the rows has is an option of its own
FREQUENT_ROWS = 10  # if it has more than so many
MOST_KNOTS = 1024
TAIL_KNOTS = 16  # the most extreme values are all knots: interpolation between them keeps heavy tails
FEW_NUMBERS = 32  # if there are no others, each is an option: a rare one at the edge would never be drawn
REPEATS = 3  # numbers that come back this often in the mean are all that there are
MOST_ONE_HOT = 256  # levels of a category that are options one by one
MOST_FREQUENT = 128  # of a category with more levels
RARE_SHARE = 0.002  # in a category with more levels, those below this share are told by digits
MOST_DIGIT = 24  # values of one digit
SPARE = 4  # cells per rare level
COUNTED = 2**14  # values at a time


@dataclass(frozen=True)
class NumberCoding:
    """Frequent numbers as options, all others by their place between the quantiles, missing ones as an option.

    Args:
        frequent: numbers that are options, ascending.
        others: whether there are any others.
        missing: whether values may be missing.
        knots: ascending numbers.
        places: of the knots in [-1, 1], ascending; a frequent number counts for at most 1 % of the rows there, so that
            the others have room.
        edges: if not empty, the knots are all numbers there are: a place below edges[i] belongs to knots[i].
        low: smallest number to be generated.
        high: largest number to be generated.
        circle: numbers are angles; the places -1 and 1 are one.
    """

    kind: ClassVar[str] = "number"
    frequent: tuple[float, ...]
    others: bool
    missing: bool
    knots: tuple[float, ...]
    places: tuple[float, ...]
    edges: tuple[float, ...]
    low: float
    high: float
    circle: bool = False

    @classmethod
    def fit(
        cls,
        values: Values,
        *,
        missing: bool,
        low: float | None = None,
        high: float | None = None,
        turn: tuple[float, float] | None = None,
    ) -> "NumberCoding":
        """Quantiles and frequent numbers of a column's training rows, NaN where missing.

        Args:
            values: (n,), at least one of them there.
            missing: whether the whole table misses some.
            low: instead of the smallest number.
            high: instead of the largest number.
            turn: of angles, the two numbers that mean the same: places are even between them.
        """
        distinct, counts = counted(values)
        often = counts > max(FREQUENT_SHARE * len(values), FREQUENT_ROWS)
        complete = len(distinct) <= MOST_KNOTS and int(counts.sum()) >= REPEATS * len(distinct)
        if len(distinct) <= 2 or (complete and len(distinct) <= FEW_NUMBERS):
            often[:] = True
        weights = np.minimum(counts, max(1.0, FREQUENT_SHARE * len(values)))
        del counts  # of a long column each of these takes as much as the column
        places, upper = _places(weights)
        chosen = _chosen(places)
        return cls(
            frequent=tuple(distinct[often].tolist()),
            others=bool((~often).any()),
            missing=missing,
            knots=turn or tuple(distinct[chosen].tolist()),
            places=(-1.0, 1.0) if turn else tuple(places[chosen].tolist()),
            edges=tuple(upper.tolist()) if complete and not turn else (),
            low=float(distinct[0] if low is None else low),
            high=float(distinct[-1] if high is None else high),
            circle=turn is not None,
        )

    @cached_property
    def layout(self) -> ColumnLayout:
        """The layout in model space."""
        options = len(self.frequent) + self.others + self.missing
        places = [*self._place(np.array(self.frequent)).tolist(), *[0.0] * (self.others + self.missing)]
        if not self.others:
            return ColumnLayout(options if options > 1 else 0)
        if options == 1:
            return ColumnLayout(0, places=(0.0,), circle=self.circle)
        return ColumnLayout(options, len(self.frequent), tuple(places), circle=self.circle)

    def encode(self, values: Values) -> NDArray[np.float32]:
        """(n,) to (n, width)."""
        layout, gone = self.layout, np.isnan(values)
        out = np.zeros((len(values), layout.width), np.float32)
        filled = np.where(gone, self.low, values)
        option = self._option(filled, gone)
        if layout.options:
            out[np.arange(len(values)), option] = ONE_HOT_SCALE
        if layout.channel:
            index = np.where(gone, 0.0, self._place(filled))
            out[:, layout.options :] = _on_circle(index) if self.circle else index[:, None]
        return out

    def taken(self, values: Values) -> NDArray[np.int64]:
        """How many of values (n,) take each option, (width,); 0 for channels."""
        total = np.zeros(self.layout.width, np.int64)
        for part in _parts(values) if self.layout.options else ():
            gone = np.isnan(part)
            option = self._option(np.where(gone, self.low, part), gone)
            total[: self.layout.options] += np.bincount(option, minlength=self.layout.options)
        return total

    def _option(self, filled: Values, gone: NDArray[np.bool_]) -> NDArray[np.int64]:
        """(n,) the option that each value takes."""
        option = np.full(len(filled), len(self.frequent))
        if self.frequent:
            frequent = np.array(self.frequent)
            near = np.searchsorted(frequent, filled).clip(max=len(frequent) - 1)
            equal = frequent[near] == filled
            if not self.others:  # numbers that only rows outside the training set have
                near, equal = np.abs(filled[:, None] - frequent).argmin(1), np.ones(len(filled), bool)
            option[equal] = near[equal]
        option[gone] = len(self.frequent) + self.others
        return option

    def decode(self, block: NDArray[np.float32]) -> Values:
        """(n, width) to (n,); NaN where missing."""
        layout = self.layout
        if not layout.options:
            values = self._number(self.placed(block)) if layout.channel else self._only(len(block))
            return values.clip(self.low, self.high)
        option = block[:, : layout.options].argmax(1)
        known = np.array([*self.frequent, *[np.nan] * (self.others + self.missing)])
        values = known[option]
        if layout.channel:
            is_open = option == layout.open_option
            values[is_open] = self._number(self.placed(block[is_open]))
        clipped: Values = values.clip(self.low, self.high)
        return clipped

    def placed(self, block: NDArray[np.float32]) -> Values:
        """(n, width) to (n,), the places in [-1, 1] that a channel tells."""
        told = block[:, self.layout.options :].astype(np.float64)
        return np.arctan2(told[:, 1], told[:, 0]) / np.pi if self.circle else told[:, 0]

    def _only(self, count: int) -> Values:
        return np.full(count, self.frequent[0])

    def _place(self, values: Values) -> Values:
        return np.interp(values, self.knots, self.places)

    def _number(self, places: Values) -> Values:
        if self.edges:
            nearest = np.searchsorted(np.array(self.edges[:-1]), places, side="right")
            return np.array(self.knots)[nearest]
        return np.interp(places, self.places, self.knots)

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        return {"coding": self.kind, **{name: _plain(value) for name, value in asdict(self).items()}}

    def told(self) -> str:
        """In words."""
        frequent = f"{len(self.frequent)} frequent values" if len(self.frequent) != 1 else "1 frequent value"
        if self.layout.width == 0:
            return "constant"
        parts = [frequent] if self.frequent else []
        parts += ["circle" if self.circle else "quantiles"] if self.others else []
        return " + ".join(parts + (["missing"] if self.missing else []))


def _places(weights: Values) -> tuple[Values, Values]:
    """Of numbers by their weights (n,), which it writes over: their middles and their upper ends in [-1, 1]."""
    upper = np.cumsum(weights)
    weights /= 2
    middle = np.subtract(upper, weights, out=weights)
    # From the first number's middle to the last one's, so that the ends are -1 and 1.
    start, width = float(middle[0]), max(float(middle[-1] - middle[0]), 1e-12)
    for each in (middle, upper):
        each -= start
        each *= 2
        each /= width
        each -= 1
    return middle, upper


def _on_circle(places: Values) -> Values:
    """(n,) half turns to (n, 2) points."""
    return RADIUS * np.stack([np.cos(np.pi * places), np.sin(np.pi * places)], axis=1)


def _chosen(places: Values) -> NDArray[np.int64]:
    """Which values become knots: all if they are few, else evenly by place, and the most extreme."""
    if len(places) <= MOST_KNOTS:
        return np.arange(len(places))
    inner = np.searchsorted(places, np.linspace(-1, 1, MOST_KNOTS - 2 * TAIL_KNOTS))
    ends = np.arange(TAIL_KNOTS)
    return np.unique(np.concatenate([inner.clip(max=len(places) - 1), ends, len(places) - 1 - ends]))


@dataclass(frozen=True)
class CategoryCoding:
    """Levels as options; of very many levels the frequent ones, and the rare ones by digits of their cell.

    The cells 0..radix^digits-1 are dealt out to the rare levels, in their order, in proportion to their frequency and
    at least one each: every combination of digits is a level, and digits that are drawn evenly give rare levels at
    about their true frequency. The first digits tell levels apart whose texts differ early.

    Args:
        levels: how many there are.
        frequent: levels that are options, ascending.
        missing: whether values may be missing.
        bounds: the first cell of each rare level, ascending; empty where all levels are options.
        digits: of a cell's number.
        radix: of the digits.
    """

    kind: ClassVar[str] = "category"
    levels: int
    frequent: tuple[int, ...]
    missing: bool
    bounds: tuple[int, ...] = ()
    digits: int = 0
    radix: int = 0

    @classmethod
    def fit(cls, values: Values, *, levels: int, missing: bool) -> "CategoryCoding":
        """Frequencies of a column's training rows, NaN where missing.

        Args:
            values: (n,) level numbers.
            levels: how many there are in the whole table.
            missing: whether the whole table misses some.
        """
        if levels <= MOST_ONE_HOT:
            return cls(levels, tuple(range(levels)), missing)
        counts = np.bincount(values[~np.isnan(values)].astype(np.int64), minlength=levels)
        most = np.argsort(-counts, kind="stable")[:MOST_FREQUENT]
        frequent = np.sort(most[counts[most] >= RARE_SHARE * len(values)])
        rare = np.setdiff1d(np.arange(levels), frequent)
        digits = max(1, math.ceil(math.log(SPARE * len(rare)) / math.log(MOST_DIGIT) - 1e-9))
        radix = math.ceil((SPARE * len(rare)) ** (1 / digits) - 1e-9)
        bounds = _dealt(counts[rare], radix**digits)
        return cls(levels, tuple(frequent.tolist()), missing, tuple(bounds.tolist()), digits, radix)

    @cached_property
    def layout(self) -> ColumnLayout:
        """The layout in model space."""
        options = len(self.frequent) + bool(self.bounds) + self.missing
        if not self.bounds:
            return ColumnLayout(options if options > 1 else 0)
        return ColumnLayout(options, len(self.frequent), (), self.digits, self.radix)

    def encode(self, values: Values) -> NDArray[np.float32]:
        """(n,) to (n, width)."""
        layout, rows, gone = self.layout, np.arange(len(values)), np.isnan(values)
        out = np.zeros((len(values), layout.width), np.float32)
        if not layout.width:
            return out
        level = np.where(gone, 0, values).astype(np.int64)
        option = self._option[level]
        option[gone] = len(self.frequent) + bool(self.bounds)
        if layout.options:
            out[rows, option] = ONE_HOT_SCALE
        rare = rows[~gone & (option == layout.open_option)]
        cells = self._middle[self._rank[level[rare]]] if self.bounds else np.empty(0, np.int64)
        for index in range(self.digits):
            digit = cells // self.radix ** (self.digits - 1 - index) % self.radix
            out[rare, layout.options + index * self.radix + digit] = ONE_HOT_SCALE
        return out

    def taken(self, values: Values) -> NDArray[np.int64]:
        """How many of values (n,) take each option and each digit, (width,)."""
        total = np.zeros(self.layout.width, np.int64)
        for part in _parts(values) if self.layout.width else ():
            if self.bounds:
                total += (self.encode(part) > 0).sum(0)
            else:
                level = np.where(np.isnan(part), self.levels, part).astype(np.int64)
                total += np.bincount(level, minlength=len(total))[: len(total)]
        return total

    def decode(self, block: NDArray[np.float32]) -> Values:
        """(n, width) to (n,); NaN where missing."""
        layout = self.layout
        if not layout.options:
            return np.full(len(block), 0.0 if self.levels else np.nan)
        option = block[:, : layout.options].argmax(1)
        known = np.array([*self.frequent, *[np.nan] * (layout.options - len(self.frequent))], np.float64)
        values: Values = known[option]
        if self.bounds:
            is_open = option == layout.open_option
            digits = block[is_open, layout.options :].reshape(-1, self.digits, self.radix).argmax(2)
            cells = digits @ self.radix ** np.arange(self.digits - 1, -1, -1)
            values[is_open] = self._rare[np.searchsorted(np.array(self.bounds), cells, side="right") - 1]
        return values

    @cached_property
    def _option(self) -> NDArray[np.int64]:
        option = np.full(self.levels, len(self.frequent))
        option[list(self.frequent)] = np.arange(len(self.frequent))
        return option

    @cached_property
    def _rare(self) -> NDArray[np.int64]:
        return np.setdiff1d(np.arange(self.levels), np.array(self.frequent, np.int64))

    @cached_property
    def _rank(self) -> NDArray[np.int64]:
        rank = np.zeros(self.levels, np.int64)
        rank[self._rare] = np.arange(len(self._rare))
        return rank

    @cached_property
    def _middle(self) -> NDArray[np.int64]:
        bounds = np.array([*self.bounds, self.radix**self.digits])
        middle: NDArray[np.int64] = (bounds[:-1] + bounds[1:] - 1) // 2
        return middle

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        return {"coding": self.kind, **{name: _plain(value) for name, value in asdict(self).items()}}

    def told(self) -> str:
        """In words."""
        if self.layout.width == 0:
            return "constant" if self.levels else "empty"
        told = "one-hot" if not self.bounds else f"{len(self.frequent)} frequent levels"
        told += f" + {self.digits} digits of {self.radix}" if self.bounds else ""
        return told + (" + missing" if self.missing else "")


def _dealt(counts: NDArray[np.int64], cells: int) -> NDArray[np.int64]:
    """First cells of levels that get one cell each, and the rest in proportion to their counts."""
    spare = cells - len(counts)
    upper = np.cumsum(counts + 1e-9)
    ends = np.floor(spare * upper / upper[-1]).astype(np.int64) + np.arange(1, len(counts) + 1)
    first: NDArray[np.int64] = np.concatenate([[0], ends[:-1]])
    return first


def coding_from_state(state: Mapping[str, Any]) -> NumberCoding | CategoryCoding:
    """The inverse of a coding's `state`."""
    kind: type[Any] = {each.kind: each for each in (NumberCoding, CategoryCoding)}[state["coding"]]
    names = {each.name for each in fields(kind)}
    values = {name: tuple(each) if isinstance(each, list) else each for name, each in state.items() if name in names}
    coding: NumberCoding | CategoryCoding = kind(**values)
    return coding


def _parts(values: Values) -> Iterator[Values]:
    return (values[start : start + COUNTED] for start in range(0, len(values), COUNTED))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
