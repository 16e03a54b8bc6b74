"""What `wassergan distance` compares: two sources opened, matched, and turned into points."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from wassergan.cli.reading import reading_of
from wassergan.config.parsing import parse_names
from wassergan.data.measured import Measured, Reading, as_table, open_measured
from wassergan.data.tables import RawTable
from wassergan.data.tables.common_columns import CommonColumn
from wassergan.data.tables.together import columns_together
from wassergan.errors import UserError
from wassergan.evaluation.datasets.ground import GroundMetric, Values, check_scale, check_weight
from wassergan.evaluation.datasets.samples import SamplePair, paired_samples
from wassergan.evaluation.datasets.tables import ColumnDistance, column_distances

FIRST_SHOWN = 10

Log = Callable[[str], None]


class Points(Protocol):
    """Rows as vectors, block by block."""

    def __iter__(self) -> Iterator[Tensor]:
        """Blocks (k, dim), as often as wanted."""

    def __len__(self) -> int:
        """How many rows."""

    @property
    def dim(self) -> int:
        """Numbers in a vector."""

    def rows(self) -> Tensor:
        """All of them, (rows, dim)."""


class Pair(Protocol):
    """Two data sources whose columns mean the same."""

    @property
    def counts(self) -> tuple[int, int]:
        """Rows of both."""

    @property
    def dim(self) -> int:
        """Numbers of a row that are compared, or columns."""

    def points(self) -> tuple[Points, Points, dict[str, Any]]:
        """Both as points, and the ground metric in plain types."""

    def by_column(self) -> list[ColumnDistance]:
        """How far apart each column is, the farthest first."""

    def words(self, metric: Mapping[str, Any]) -> list[str]:
        """The ground metric, a line each."""


@dataclass(frozen=True)
class Asked:
    """What the user says of a comparison.

    Args:
        columns: that take part; all if empty.
        scale: of numbers; None leaves it to the data.
        category_weight: distance of two levels.
        missing_weight: of a missing number from the rest.
        reading: how the data are read.
        log: receives, in a sentence, what was decided on the way.
    """

    columns: tuple[str, ...]
    scale: str | None
    category_weight: float
    missing_weight: float
    reading: Reading
    log: Log

    @classmethod
    def of(
        cls,
        columns: str | None,
        scale: str | None,
        category_weight: float,
        missing_weight: float,
        reading: Mapping[str, Any],
        log: Log,
    ) -> "Asked":
        """From flags.

        Raises:
            UserError: a flag that cannot be read.
        """
        if scale is not None:
            check_scale(scale)
        check_weight("--category-weight", category_weight)
        check_weight("--missing-weight", missing_weight)
        wanted = tuple(dict.fromkeys(parse_names(columns))) if columns else ()
        return cls(wanted, scale, category_weight, missing_weight, reading_of(reading), log)


def opened(a: str, b: str, asked: Asked) -> Pair:
    """Two sources, ready to be compared.

    Raises:
        UserError: one cannot be read, or they do not match.
    """
    x, y = (open_measured(each, asked.reading, log=asked.log) for each in (a, b))
    if isinstance(x, Measured) and isinstance(y, Measured):
        x, y = _alike(x, y, a, b, asked)
        _refuse_of_tables(asked, x)
        return _Samples(paired_samples(x, y, columns=asked.columns, log=asked.log), asked)
    x, y = _tables(x, y, asked.log)
    if asked.reading.missing or asked.reading.channels:
        raise UserError("--missing and --channels are for arrays", found=f"the table {x.name}", hint="leave them out")
    return _Tables(columns_together(x, y, schema=asked.reading.schema, columns=asked.columns, log=asked.log), asked)


def _refuse_of_tables(asked: Asked, samples: Measured) -> None:
    if asked.reading.schema is not None:
        raise UserError("A schema is for tables", found=samples.name, hint="leave --schema out")
    if asked.category_weight != 1 or asked.missing_weight != 1:
        raise UserError(
            "--category-weight and --missing-weight are for tables", found=samples.name, hint="leave them out"
        )


def _tables(x: Measured | RawTable, y: Measured | RawTable, log: Log) -> tuple[RawTable, RawTable]:
    """Both as tables; an array without names takes those of the table that it is compared with."""
    if isinstance(x, RawTable) and isinstance(y, RawTable):
        return x, y
    if isinstance(x, RawTable) and isinstance(y, Measured):
        return x, _numbers(y, x, log)
    assert isinstance(x, Measured)
    assert isinstance(y, RawTable)
    return _numbers(x, y, log), y


def _numbers(samples: Measured, table: RawTable, log: Log) -> RawTable:
    names = [each.name for each in table.columns]
    if len(samples.shape) > 1 or (not samples.names and samples.dim != len(names)):
        raise UserError(
            "A table and an array can be compared where the array has a number for each column",
            found=f"{len(names)} columns in {table.name} and samples of shape {samples.shape} in {samples.name}",
        )
    if not samples.names:
        log(f"{samples.name} has no names: its numbers are taken for the columns of {table.name}, in their order.")
    return as_table(samples, samples.names or names)


def _alike(x: Measured, y: Measured, a: str, b: str, asked: Asked) -> tuple[Measured, Measured]:
    """Pictures in the size, colours and bits of those that they are compared with: B as A, or A as B if B cannot be."""

    def brought(path: str, like: Measured, other: str) -> Measured:
        asked.log(f"The pictures of {path} are brought to the size and colours of {other}.")
        found = open_measured(path, asked.reading, like=like, log=asked.log)
        assert isinstance(found, Measured)
        return found

    if len(x.shape) == len(y.shape) == 3 and (x.shape, x.dtype) != (y.shape, y.dtype):
        if y.source is not None and _can_be_like(x):
            y = brought(b, x, a)
        elif x.source is not None and _can_be_like(y):
            x = brought(a, y, b)
    return x, y


def _can_be_like(samples: Measured) -> bool:
    """Whether these are pictures: grey or three colours, of 8 or 16 bits."""
    return samples.shape[0] in (1, 3) and samples.dtype in ("uint8", "uint16")


@dataclass(frozen=True)
class _Dense:
    """Points in memory."""

    values: Values

    def __iter__(self) -> Iterator[Tensor]:
        yield torch.from_numpy(self.values)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def dim(self) -> int:
        return int(self.values.shape[1])

    def rows(self) -> Tensor:
        return torch.from_numpy(self.values)


@dataclass(frozen=True)
class _Tables:
    """Two tables."""

    columns: tuple[CommonColumn, ...]
    asked: Asked

    @property
    def counts(self) -> tuple[int, int]:
        return len(self.columns[0].x), len(self.columns[0].y)

    @property
    def dim(self) -> int:
        return len(self.columns)

    @property
    def _metric(self) -> GroundMetric:
        return GroundMetric.of(
            self.columns,
            scale=self.asked.scale or "std",
            category_weight=self.asked.category_weight,
            missing_weight=self.asked.missing_weight,
        )

    def points(self) -> tuple[Points, Points, dict[str, Any]]:
        x, y = self._metric.embed(self.columns)
        return _Dense(x), _Dense(y), self._metric.facts()

    def by_column(self) -> list[ColumnDistance]:
        return column_distances(
            self.columns,
            scale=self.asked.scale or "std",
            category_weight=self.asked.category_weight,
            missing_weight=self.asked.missing_weight,
        )

    def words(self, metric: Mapping[str, Any]) -> list[str]:
        return self._metric.words()


@dataclass(frozen=True)
class _Samples:
    """Two arrays or folders of pictures."""

    pair: SamplePair
    asked: Asked

    @property
    def counts(self) -> tuple[int, int]:
        return self.pair.a.count, self.pair.b.count

    @property
    def dim(self) -> int:
        return self.pair.a.dim

    def points(self) -> tuple[Points, Points, dict[str, Any]]:
        return self.pair.points(self.asked.scale or "none", self.asked.log)

    def by_column(self) -> list[ColumnDistance]:
        return column_distances(list(self.pair.columns()), scale=self.asked.scale or "std")

    def words(self, metric: Mapping[str, Any]) -> list[str]:
        if metric["scale"] == "none":
            return [f"Ground metric: {metric['norm']}, in their own units."]
        scales = [f"{name} {value:.6g}" for name, value in metric["scales"].items()]
        more = f" and {len(scales) - FIRST_SHOWN} more" if len(scales) > FIRST_SHOWN else ""
        shown = ", ".join(scales[:FIRST_SHOWN]) + more
        return [f"Ground metric: {metric['norm']}, over the {metric['scale']} of A: {shown}."]
