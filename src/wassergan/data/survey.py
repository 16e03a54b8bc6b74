"""A scan of all rows before training: which positions never vary, and where values are missing."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wassergan.data.codec import as_tensor, channels_first
from wassergan.data.parts import Parts, is_missing
from wassergan.errors import UserError

Rows = NDArray[Any]
Blocks = Callable[[], Iterator[Rows]]  # of rows in the user's layout, anew at each call
_KEYS = 0x5EED  # of the numbers by which rows are told apart


@dataclass(frozen=True)
class Survey:
    """The result of a scan of all rows, position by position, channels first.

    Attributes:
        count: rows.
        first: the first value that is there, in the user's type.
        constant: no row has another one.
        missing: rows in which it is missing, int64.
        keys: a number of the rows in which it is missing: equal for equal rows.
        coded: codes that occur, the first as the data write it.
        holds_nan: some value is NaN.
    """

    count: int
    first: Rows
    constant: NDArray[np.bool_]
    missing: NDArray[np.int64]
    keys: NDArray[np.uint64]
    coded: tuple[int | float, ...] = ()
    holds_nan: bool = False

    @property
    def absent(self) -> NDArray[np.bool_]:
        """Positions that are missing in every row."""
        return np.equal(self.missing, self.count)

    @property
    def fixed(self) -> NDArray[np.bool_]:
        """Positions that have one value, wherever they have any."""
        return self.constant & ~self.absent

    @property
    def gappy(self) -> NDArray[np.bool_]:
        """Positions that are missing in some rows."""
        return (self.missing > 0) & ~self.absent

    def parts(self, codes: Sequence[int | float], *, silent: bool = True) -> Parts | None:
        """What a codec keeps of it; None where every position varies and none is ever missing."""
        if not (self.constant.any() or self.missing.any()):
            return None
        gates, groups = self._gates()
        rates = [self.missing[np.nonzero(gates == mask)[0][0]] / self.count for mask in range(groups)]
        code: int | float | None = None
        if self.missing.any():
            code = self.coded[0] if self.coded else float("nan")
        values = np.ascontiguousarray(self.first[self.fixed])
        return Parts(
            fixed=torch.from_numpy(self.fixed),
            values=torch.from_numpy(np.frombuffer(values.tobytes(), np.uint8).copy()),
            absent=torch.from_numpy(self.absent),
            gappy=torch.from_numpy(self.gappy),
            gates=torch.from_numpy(gates),
            rates=torch.from_numpy(np.array(rates, np.float32).reshape(groups, *self.first.shape[1:])),
            codes=tuple(codes),
            code=code,
            silent=silent,
        )

    def _gates(self) -> tuple[NDArray[np.int64], int]:
        """The mask channel of each channel, or -1; channels that miss the same share one."""
        gates = np.full(len(self.first), -1)
        known: dict[bytes, int] = {}
        for channel, gappy in enumerate(self.gappy.reshape(len(gates), -1)):
            if gappy.any():
                key = self.keys[channel].tobytes()
                gates[channel] = known.setdefault(key, len(known))
        return gates, len(known)


def survey(blocks: Iterable[Rows], layout: str, codes: Sequence[int | float], name: str) -> Survey:
    """Scan all rows.

    Args:
        blocks: rows (k, ...) in the user's layout, in order.
        layout: the user's axes.
        codes: values besides NaN that mean missing.
        name: of the data, for errors.

    Raises:
        UserError: a value is infinite.
    """
    numbers = np.random.default_rng(_KEYS)
    count, nan, coded = 0, False, set[int | float]()
    for block in blocks:
        rows = channels_first(block, layout)
        if count == 0:
            shape = rows.shape[1:]
            first, seen = np.zeros(shape, rows.dtype), np.zeros(shape, bool)
            constant, missing, keys = np.ones(shape, bool), np.zeros(shape, np.int64), np.zeros(shape, np.uint64)
        _refuse_infinite(block, count, name)
        gone = _missing(rows, codes)
        _note_first(rows, gone, first, seen)
        if constant.any():
            other = rows != first
            constant &= ~(other if gone is None else other & ~gone).any(0)
        if gone is not None:
            missing += gone.sum(0)
            weights = numbers.integers(0, 2**64, len(rows), np.uint64)
            places = np.nonzero(gone.any(0))
            keys[places] += (gone.reshape(len(rows), -1)[:, gone.any(0).ravel()] * weights[:, None]).sum(0, np.uint64)
            found = rows[gone]
            nan = nan or bool(found.dtype.kind == "f" and np.isnan(found).any())
            coded.update(each for each in np.unique(found[~_nan(found)]).tolist())
        else:
            numbers.integers(0, 2**64, len(rows), np.uint64)
        count += len(rows)
    return Survey(count, first, constant, missing, keys, tuple(sorted(coded, key=abs, reverse=True)), nan)


def _missing(rows: Rows, codes: Sequence[int | float]) -> NDArray[np.bool_] | None:
    """Which values are missing; None if none is, which is detected fast."""
    if not codes and (rows.dtype.kind != "f" or not np.isnan(np.min(rows))):
        return None
    gone = is_missing(as_tensor(rows), codes).numpy()
    return gone if gone.any() else None


def _nan(values: Rows) -> NDArray[np.bool_]:
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)


def _note_first(rows: Rows, gone: NDArray[np.bool_] | None, first: Rows, seen: NDArray[np.bool_]) -> None:
    if seen.all():
        return
    there = np.ones(rows.shape[1:], bool) if gone is None else ~gone.all(0)
    where = np.zeros(rows.shape[1:], np.int64) if gone is None else (~gone).argmax(0)
    new = there & ~seen
    first[new] = np.take_along_axis(rows, where[None], 0)[0][new]
    seen |= there


def _refuse_infinite(block: Rows, start: int, name: str) -> None:
    if block.dtype.kind != "f" or np.isfinite(block).all():
        return
    bad = np.isinf(block)
    if bad.any():
        at = [int(each) for each in np.argwhere(bad)[0]]
        raise UserError(
            f"{name} holds infinite values",
            found=f"the first at index {(start + at[0], *at[1:])}",
            hint="remove those rows, or write NaN where a value is missing",
        )
