"""Files of any size against a reference, column by column: every row counts, a piece at a time is in memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.readers.arrays import load_array, row_blocks
from wassergan.data.readers.columnar import is_columnar, number_columns
from wassergan.data.tables.common_columns import CommonColumn
from wassergan.distances.arguments import check_confidence, check_count, check_names
from wassergan.distances.running_line import RunningLine, finite_numbers
from wassergan.errors import UserError, unknown_name
from wassergan.monitor.columns import MOST_TESTED, ColumnDrift, column_drifts
from wassergan.monitor.permutation import Floats, generator
from wassergan.monitor.reading import Log, silent

PIECE_NUMBERS = 2**23  # numbers of all columns that are sorted together
Pieces = Callable[[Sequence[str]], Iterator[dict[str, Floats]]]


@dataclass(frozen=True)
class StreamedDrift:
    """A column of a file against that of a reference.

    Attributes:
        drift: as of `W1Monitor`: W1, shift and missing shares are of all rows, tests, floor and lower bound of a
            random part of both.
        rows: of the reference and the file.
        w1_lower: W1 of all values is at least this, rounding included; None if one side has none.
        w1_upper: it is at most this.
    """

    drift: ColumnDrift
    rows: tuple[int, int]
    w1_lower: float | None
    w1_upper: float | None

    @property
    def name(self) -> str:
        """Of the column."""
        return self.drift.name


def streamed_drifts(
    reference: str | Path,
    new: str | Path,
    *,
    columns: Sequence[str] = (),
    alpha: float = 0.01,
    confidence: float = 0.95,
    permutations: int = 999,
    correction: str = "holm",
    seed: int = 0,
    log: Log = silent,
) -> tuple[StreamedDrift, ...]:
    """Compare the columns of numbers of a file with those of a reference; both are read piece by piece.

    In memory are the columns of the reference, eight bytes a number, and a piece of the new file.

    Args:
        reference: `.npy`, `.parquet`, `.arrow` or `.feather`.
        new: the same, of any size.
        columns: names of those to compare; all by default. Columns of arrays are numbered from 0 on.
        alpha: a column moved if its corrected p-value is at most this.
        confidence: of each lower bound.
        permutations: of each test.
        correction: of the p-values.
        seed: of the rows that are tested, of permutations and splits.
        log: gets sentences on what was left out.

    Raises:
        UserError: a file cannot be read, lacks columns, holds no rows or infinite values, or an argument is out of
            range.
    """
    confidence = check_confidence(confidence)
    check_count(permutations, name="permutations", least=1)
    sides = [_opened(Path(each), log) for each in (reference, new)]
    chosen = _chosen(sides, check_names(columns, name="Columns"), log)
    held = {name: np.concatenate(parts) for name, parts in _whole(sides[0], chosen).items()}
    lines = {name: RunningLine(values) for name, own in held.items() if len(values := finite_numbers(own))}
    counts, tested = dict.fromkeys(chosen, 0), _Picked(sides[1].rows, MOST_TESTED, generator(seed, 40))
    for piece in _large_pieces(sides[1], chosen):
        tested.take(piece)
        for name, values in piece.items():
            numbers = finite_numbers(values)
            counts[name] += len(numbers)
            if name in lines:
                lines[name].add(numbers)
    rng = generator(seed, 41)
    own_rows = np.sort(rng.permutation(sides[0].rows)[:MOST_TESTED])
    common = [CommonColumn(name, "number", held[name][own_rows], tested.values(name)) for name in chosen]
    settings: dict[str, Any] = {"permutations": permutations, "correction": correction, "seed": (seed, 42)}
    found = column_drifts(common, alpha=alpha, confidence=confidence, **settings)
    rows = sides[0].rows, sides[1].rows
    return tuple(_of_all(each, held[each.name], counts[each.name], lines.get(each.name), rows) for each in found)


@dataclass(frozen=True)
class _Side:
    name: str
    names: tuple[str, ...]
    rows: int
    pieces: Pieces


def _opened(path: Path, log: Log) -> _Side:
    if is_columnar(path):
        names, rows, pieces = number_columns(path, log=log)
    elif path.suffix == ".npy":
        names, rows, pieces = _array_columns(path)
    else:
        raise UserError(
            f"{path} cannot be read piece by piece", found=f"suffix '{path.suffix}'", hint="write Parquet or .npy"
        )
    if rows == 0 or not names:
        raise UserError(f"{path.name} holds no rows of numbers", hint="give data")
    return _Side(path.name, names, rows, pieces)


def _array_columns(path: Path) -> tuple[tuple[str, ...], int, Pieces]:
    name, array = load_array(path)
    if array.ndim not in (1, 2) or array.dtype.kind not in "fiub":
        found = f"shape {array.shape}, dtype {array.dtype}"
        raise UserError(f"{name} must hold rows of numbers", found=found, hint="give (n,) or (n, d)")
    names = tuple(str(k) for k in range(1 if array.ndim == 1 else array.shape[1]))

    def pieces(chosen: Sequence[str]) -> Iterator[dict[str, Floats]]:
        for _, block in row_blocks(array):
            rows = np.asarray(block).reshape(len(block), -1)
            yield {each: np.asarray(rows[:, int(each)], np.float64) for each in chosen}

    return names, len(array), pieces


def _chosen(sides: Sequence[_Side], columns: tuple[str, ...], log: Log) -> tuple[str, ...]:
    own, other = sides[0].names, sides[1].names
    for name in columns:
        if name not in own:
            raise unknown_name(f"column of {sides[0].name}", name, own)
    chosen = columns or own
    gone = [each for each in chosen if each not in other]
    if gone:
        raise UserError(f"{sides[1].name} lacks columns of the reference", found=", ".join(gone[:10]))
    if not columns and (more := [each for each in other if each not in own]):
        log(f"{sides[1].name} has columns that the reference has not, and they are left out: {', '.join(more[:10])}.")
    return chosen


def _whole(side: _Side, chosen: Sequence[str]) -> dict[str, list[Floats]]:
    parts: dict[str, list[Floats]] = {name: [] for name in chosen}
    for piece in _large_pieces(side, chosen):
        for name, values in piece.items():
            parts[name].append(values)
    return parts


def _large_pieces(side: _Side, chosen: Sequence[str]) -> Iterator[dict[str, Floats]]:
    """Pieces of about `PIECE_NUMBERS` numbers, all of which are finite or missing."""
    waiting: dict[str, list[Floats]] = {name: [] for name in chosen}
    rows = first = 0
    limit = max(1, PIECE_NUMBERS // len(chosen))
    for piece in side.pieces(chosen):
        for name, values in piece.items():
            if np.isinf(values).any():
                row = first + rows + int(np.flatnonzero(np.isinf(values))[0])
                raise UserError(f"{side.name} holds infinite values", found=f"the first in row {row}, column {name}")
            waiting[name].append(values)
        rows += len(values)
        if rows >= limit:
            yield {name: np.concatenate(parts) for name, parts in waiting.items()}
            waiting, first, rows = {name: [] for name in chosen}, first + rows, 0
    if rows:
        yield {name: np.concatenate(parts) for name, parts in waiting.items()}


class _Picked:
    """Random rows of a stream whose length is known, the same of every column."""

    def __init__(self, total: int, count: int, rng: np.random.Generator) -> None:
        self._rows: NDArray[np.int64] = np.sort(rng.choice(total, min(total, count), replace=False))
        self._first = 0
        self._parts: dict[str, list[Floats]] = {}

    def take(self, piece: dict[str, Floats]) -> None:
        """The picked ones of the next rows."""
        length = len(next(iter(piece.values())))
        low, high = np.searchsorted(self._rows, [self._first, self._first + length])
        places = self._rows[low:high] - self._first
        for name, values in piece.items():
            self._parts.setdefault(name, []).append(values[places])
        self._first += length

    def values(self, name: str) -> Floats:
        """All picked values of a column."""
        return np.concatenate(self._parts[name])


def _of_all(
    drift: ColumnDrift, reference: Floats, count: int, line: RunningLine | None, rows: tuple[int, int]
) -> StreamedDrift:
    gone = float(np.isnan(reference).mean()), 1 - count / rows[1]
    drift = replace(drift, missing_reference=gone[0], missing_batch=gone[1])
    if line is None or count == 0:
        return StreamedDrift(drift, rows, None, None)
    lower, upper = line.bounds()
    shift = line.mean_shift if drift.shift is not None else None
    return StreamedDrift(replace(drift, w1=(lower + upper) / 2, shift=shift), rows, lower, upper)
