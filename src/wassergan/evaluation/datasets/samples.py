"""Two samples of arrays or pictures as points: features and channels matched by name, gaps found, scales applied."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.measured import Log, Measured
from wassergan.data.source import fits_in_memory
from wassergan.data.tables.common_columns import CommonColumn
from wassergan.errors import UserError, parameter, unknown_name
from wassergan.evaluation.datasets.ground import Values, check_scale, scale_of

LOADED_BYTES = 2**31


@dataclass(frozen=True)
class Points:
    """Rows as vectors, block by block, any number of times.

    Args:
        samples: in the user's units.
        places: indices of the features or channels, in order.
        scales: of these, (k,).
        kept: (numbers of a sample,) those that are compared.
    """

    samples: Measured
    places: NDArray[np.int64]
    scales: Values
    kept: NDArray[np.bool_]

    def __len__(self) -> int:
        return self.samples.count

    def __iter__(self) -> Iterator[Tensor]:
        scales = self.scales.reshape(-1, *[1] * (len(self.samples.shape) - 1))
        for block in self.samples.blocks():
            vectors = (block[:, self.places] / scales).reshape(len(block), -1)
            yield torch.from_numpy(np.ascontiguousarray(vectors[:, self.kept]))

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return int(self.kept.sum())

    def rows(self) -> Tensor:
        """All of them, (rows, dim)."""
        return torch.cat(list(self))


@dataclass(frozen=True)
class SamplePair:
    """Two samples with matching features or channels.

    Args:
        a: first.
        b: second.
        names: of the features or channels that are compared.
        a_places: their indices in a sample of the first.
        b_places: of the second.
    """

    a: Measured
    b: Measured
    names: tuple[str, ...]
    a_places: NDArray[np.int64]
    b_places: NDArray[np.int64]

    @property
    def word(self) -> str:
        """What the names refer to."""
        return "feature" if len(self.a.shape) == 1 else "channel"

    def points(self, scale: str, log: Log) -> tuple[Points, Points, dict[str, Any]]:
        """Both as vectors, and the ground metric as plain types.

        Raises:
            UserError: a value is missing in some rows, or infinite.
        """
        check_scale(scale)
        kept = self._kept(log)
        columns = self._columns(loaded=scale == "iqr") if scale != "none" else iter(())
        scales = np.array([scale_of(each.x, each.y, scale)[0] for each in map(_there, columns)])
        if scale == "none":
            scales = np.ones(len(self.names))
        facts: dict[str, Any] = {"norm": f"Euclidean over all numbers of a sample, by {self.word}", "scale": scale}
        if scale != "none":
            facts["scales"] = dict(zip(self.names, scales.tolist(), strict=True))
        return Points(self.a, self.a_places, scales, kept), Points(self.b, self.b_places, scales, kept), facts

    def columns(self) -> Iterator[CommonColumn]:
        """The values of each feature or channel, those of all its positions together; NaN where missing."""
        return self._columns(loaded=False)

    def _columns(self, *, loaded: bool) -> Iterator[CommonColumn]:
        sizes = [each.count * each.dim * 8 for each in (self.a, self.b)]
        if loaded and not all(map(fits_in_memory, sizes)):
            raise UserError(
                "The iqr of data larger than memory is not found", hint=f"choose {parameter('scale', 'std')} or range"
            )
        whole = sum(sizes) <= LOADED_BYTES
        rows = [np.concatenate(list(each.blocks())) if whole else None for each in (self.a, self.b)]
        for name, *places in zip(self.names, self.a_places.tolist(), self.b_places.tolist(), strict=True):
            x, y = (
                np.concatenate([block[:, index].ravel() for block in ([one] if one is not None else each.blocks())])
                for each, one, index in zip((self.a, self.b), rows, places, strict=True)
            )
            yield CommonColumn(name, "number", x, y)

    def _kept(self, log: Log) -> NDArray[np.bool_]:
        """Numbers of a sample that are present; those missing in every row of both are left out."""
        gone = [_gone(each, places) for each, places in ((self.a, self.a_places), (self.b, self.b_places))]
        absent = gone[0][1] & gone[1][1]
        for each, places, (some, _) in zip((self.a, self.b), (self.a_places, self.b_places), gone, strict=True):
            if (some & ~absent).any():
                raise _first_gap(each, places, absent)
        if absent.any():
            log(f"Left out {int(absent.sum())} of {absent.size} numbers of a sample: every row of both misses them.")
        if absent.all():
            raise UserError(f"{self.a.name} and {self.b.name} hold missing values alone", hint="give data")
        return ~absent


def paired_samples(a: Measured, b: Measured, *, columns: Sequence[str] = (), log: Log) -> SamplePair:
    """Two samples whose features or channels are matched by name, or by position if one has no names.

    Args:
        a: first.
        b: second.
        columns: names, or numbers from 0 on, of those to compare; all by default.
        log: receives, in a sentence, where names are taken for those that the other has not.

    Raises:
        UserError: samples of different size, or a feature or channel that only one of them has.
    """
    a, b = _flat(a, b), _flat(b, a)
    if a.names and b.names and len(a.shape) == len(b.shape) and a.shape[1:] == b.shape[1:]:
        return _by_name(a, b, columns)
    if a.dim != b.dim:
        raise UserError(
            "A and B must have samples of one size", found=f"{a.dim} numbers in {a.name} and {b.dim} in {b.name}"
        )
    if a.shape != b.shape:
        raise UserError(
            "A and B must have samples of one shape",
            found=f"{a.shape} in {a.name} and {b.shape} in {b.name}, channels first",
            hint=f"say what the axes are with {parameter('layout')}",
        )
    names = a.names or b.names or tuple(map(str, range(a.shape[0])))
    if bool(a.names) != bool(b.names):
        log(f"{(b if a.names else a).name} has no names: its numbers are taken in the order of the other's.")
    places = _places(columns or names, names, a.name)
    return SamplePair(a, b, tuple(columns or names), places, places)


def _by_name(a: Measured, b: Measured, columns: Sequence[str]) -> SamplePair:
    alone = [[name for name in own if name not in others]
             for own, others in ((a.names, b.names), (b.names, a.names))]  # fmt: skip
    if not columns and any(alone):
        parts = [f"{', '.join(each[:10])} in {of.name} alone" for each, of in zip(alone, (a, b), strict=True) if each]
        raise UserError(
            f"{a.name} and {b.name} have different columns",
            found=" and ".join(parts),
            hint=f"give data with the same columns, or name those that both have with {parameter('columns')}",
        )
    names = tuple(columns or a.names)
    return SamplePair(a, b, names, _places(names, a.names, a.name), _places(names, b.names, b.name))


def _places(wanted: Sequence[str], names: Sequence[str], where: str) -> NDArray[np.int64]:
    for name in wanted:
        if name not in names:
            raise unknown_name(f"column of {where}", name, names)
    return np.array([names.index(name) for name in wanted], np.int64)


def _flat(samples: Measured, other: Measured) -> Measured:
    """Vectors, if the other's samples are vectors."""
    if len(samples.shape) == 1 or len(other.shape) > 1:
        return samples
    return replace(
        samples,
        shape=(samples.dim,),
        names=(),
        pieces=lambda: (block.reshape(len(block), -1) for block in samples.pieces()),
    )


def _gone(samples: Measured, places: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The numbers of a sample that are missing in some rows, and those missing in all rows."""
    size = len(places) * samples.dim // samples.shape[0]
    some, every = np.zeros(size, bool), np.ones(size, bool)
    if samples.dtype[:1] in "iu" and not samples.codes:
        return some, some
    for block in samples.blocks():
        missing = np.isnan(block[:, places]).reshape(len(block), -1)
        some |= missing.any(axis=0)
        every &= missing.all(axis=0)
    return some, every


def _first_gap(samples: Measured, places: NDArray[np.int64], absent: NDArray[np.bool_]) -> UserError:
    first = 0
    for block in samples.blocks():
        missing = np.zeros(block.shape, bool)
        missing[:, places] = np.isnan(block[:, places]) & ~absent.reshape(len(places), *samples.shape[1:])
        if missing.any():
            return samples.bad(missing, first, "missing values")
        first += len(block)
    raise AssertionError


def _there(column: CommonColumn) -> CommonColumn:
    return replace(column, x=column.x[~np.isnan(column.x)], y=column.y[~np.isnan(column.y)])
