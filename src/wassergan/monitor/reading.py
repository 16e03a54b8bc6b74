"""What a monitor compares: a reference and batches, as columns that mean the same and as points."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from wassergan.data.codec import channels_first
from wassergan.data.measured import Measured, Reading, as_table, open_measured, read_table
from wassergan.data.readers.arrays import layout_of
from wassergan.data.readers.limits import require_room
from wassergan.data.tables import RawTable, is_frame
from wassergan.data.tables.common_columns import CommonColumn
from wassergan.data.tables.together import columns_together
from wassergan.distances.arguments import shown
from wassergan.errors import UserError, flag, worded
from wassergan.evaluation.datasets.samples import paired_samples
from wassergan.evaluation.features import Samples, get_features
from wassergan.monitor.embedding import Embedding
from wassergan.monitor.permutation import Floats

ROW_BYTES, NUMBER_BYTES = 64, 16  # of rows that are watched, and of each of their numbers
Log = Callable[[str], None]


def silent(sentence: str) -> None:
    """A log that keeps nothing."""


@dataclass(frozen=True)
class Pair:
    """A reference and a batch.

    Attributes:
        name: of the batch.
        columns: of both, x of the reference and y of the batch.
        counts: rows of both.
        points: coordinates (k, d) of some rows of the side `x` or `y`.
    """

    name: str
    columns: tuple[CommonColumn, ...]
    counts: tuple[int, int]
    points: Callable[[str, NDArray[np.int64]], Floats]


class Pairing(Protocol):
    """A reference that batches are paired with."""

    embedding: Embedding | None
    count: int

    def pair(self, batch: Any) -> Pair:
        """A batch beside the reference.

        Raises:
            UserError: the batch is empty, has other columns, kinds or shapes, or cannot be read.
        """


def pairing(
    reference: Any, *, columns: Sequence[str], scale: str, features: str, reading: Reading, log: Log
) -> Pairing:
    """A reference of any kind: a table, an array (n,) or (n, d), pictures, or a path to one of these."""
    opened = _opened(reference, reading, "the reference", log)
    if isinstance(opened, RawTable):
        return _Tables(opened, tuple(columns), scale, reading, log)
    if len(opened.shape) == 1:
        return _Arrays(opened, tuple(columns), scale, reading, log)
    if columns:
        raise UserError("Columns are chosen of tables and arrays", found="pictures", hint="leave columns out")
    return _Pictures(opened, features, reading, log)


def _opened(data: Any, reading: Reading, name: str, log: Log) -> Measured | RawTable:
    if isinstance(data, str | Path):
        return open_measured(str(data), reading, log=log)
    if is_frame(data):
        return replace(read_table(data, schema=reading.schema, log=log), name=name)
    array = data.detach().cpu().numpy() if isinstance(data, torch.Tensor) else np.asarray(data)
    if array.dtype.kind not in "fiub" or array.ndim == 0:
        raise UserError(f"{name.capitalize()} must be a table, an array of numbers, or a file", found=shown(data))
    if len(array) == 0 or array.size == 0:
        raise UserError(f"{name.capitalize()} holds no rows", found=f"shape {array.shape}", hint="give data")
    layout = layout_of(array, reading.layout, name)
    shape = channels_first(array[:1], layout).shape[1:]

    def pieces() -> Any:
        return (channels_first(array[start : start + 65536], layout) for start in range(0, len(array), 65536))

    return Measured(name, shape, len(array), reading.channels, pieces, None, str(array.dtype), reading.missing)


class _Tables:
    """A table; columns are chosen once, so that every batch is compared in the same ones."""

    def __init__(self, table: RawTable, columns: tuple[str, ...], scale: str, reading: Reading, log: Log) -> None:
        self._table, self._reading, self._log = table, reading, log
        self.count = table.rows
        own = columns_together(table, replace(table, name="itself"), schema=reading.schema, columns=columns, log=log)
        self.embedding: Embedding | None = Embedding.of(own, scale)
        self._names = tuple(each.name for each in own)

    def pair(self, batch: Any) -> Pair:
        found = _opened(batch, self._reading, "the batch", self._log)
        if isinstance(found, Measured):
            if len(found.shape) > 1 or found.dim != len(self._table.columns):
                raise UserError(
                    f"The reference {self._table.name} is a table of {len(self._table.columns)} columns",
                    found=f"{found.name}, of shape {found.shape}",
                    hint="give batches of the same kind as the reference",
                )
            found = as_table(found, found.names or [each.name for each in self._table.columns])
        self._check_names(found)
        columns = columns_together(self._table, found, schema=self._reading.schema, columns=self._names, log=silent)
        assert self.embedding is not None
        embedding = self.embedding
        embedding.check(columns)
        return Pair(
            found.name,
            columns,
            (self._table.rows, found.rows),
            lambda side, rows: embedding.points(columns, side, rows),
        )

    def _check_names(self, batch: RawTable) -> None:
        names = {each.name for each in batch.columns}
        gone = [each for each in self._names if each not in names]
        new = sorted(names - {each.name for each in self._table.columns})
        if gone:
            more = f"; it has {', '.join(new[:10])} instead" if new else ""
            raise UserError(
                f"{batch.name} lacks columns of the reference",
                found=f"{', '.join(gone[:10])}{more}",
                hint="give batches with the columns of the reference, or name those to watch",
            )
        if new:
            self._log(
                f"{batch.name} has columns that the reference has not, and they are left out: {', '.join(new[:10])}."
            )


def _require_room(samples: Measured) -> None:
    """Refuse rows that would fill the memory: all of them are sorted, column by column.

    Raises:
        UserError: says how much they would take.
    """
    words = worded(command_line=flag("by_column", True), python="streamed_drifts")
    require_room(
        samples.count * (ROW_BYTES + NUMBER_BYTES * samples.dim),
        f"What is watched of {samples.name}",
        instead=f"{words} reads .npy, Parquet and Arrow files a piece at a time",
    )


class _Arrays:
    """Rows of numbers."""

    def __init__(self, samples: Measured, columns: tuple[str, ...], scale: str, reading: Reading, log: Log) -> None:
        _require_room(samples)
        self._samples, self._chosen, self._reading, self._log = samples, columns, reading, log
        self.count = samples.count
        own = tuple(paired_samples(samples, samples, columns=columns, log=silent).columns())
        self.embedding: Embedding | None = Embedding.of(own, scale)

    def pair(self, batch: Any) -> Pair:
        found = _opened(batch, self._reading, "the batch", self._log)
        if isinstance(found, RawTable):
            raise UserError(
                f"The reference {self._samples.name} is an array of numbers",
                found=f"the table {found.name}",
                hint="give batches of the same kind as the reference, or its columns as a table",
            )
        _require_room(found)
        both = paired_samples(self._samples, found, columns=self._chosen, log=self._log)
        columns = tuple(both.columns())
        assert self.embedding is not None
        embedding = self.embedding
        embedding.check(columns)
        counts = self._samples.count, found.count
        return Pair(found.name, columns, counts, lambda side, rows: embedding.points(columns, side, rows))


class _Pictures:
    """Pictures and fields, as features; their columns are mean and contrast of each channel."""

    def __init__(self, samples: Measured, features: str, reading: Reading, log: Log) -> None:
        self._samples, self._reading, self._log = samples, reading, log
        self.count = samples.count
        self.embedding: Embedding | None = None
        self._low, self._high = self._range(samples)
        described = Samples(samples.name, samples.shape, samples.dtype in ("uint8", "uint16"))
        self._features = get_features(features, described, device=torch.device("cpu"))
        self._points, self._summaries = self._described(samples)

    def pair(self, batch: Any) -> Pair:
        found = self._batch(batch)
        points, summaries = self._described(found)
        names = [f"{what} of channel {channel}" for channel in range(found.shape[0]) for what in ("mean", "contrast")]
        columns = tuple(
            CommonColumn(name, "number", self._summaries[:, place], summaries[:, place])
            for place, name in enumerate(names)
        )
        sides = {"x": self._points, "y": points}
        return Pair(
            found.name, columns, (self._samples.count, found.count), lambda side, rows: np.asarray(sides[side][rows])
        )

    def _batch(self, batch: Any) -> Measured:
        found = _opened(batch, self._reading, "the batch", self._log)
        can_be_like = self._samples.dtype in ("uint8", "uint16") and self._samples.shape[0] in (1, 3)
        if (
            isinstance(found, Measured)
            and found.shape != self._samples.shape
            and found.source is not None
            and can_be_like
        ):
            self._log(f"The pictures of {found.name} are brought to the size and colours of the reference.")
            found = open_measured(str(batch), self._reading, like=self._samples, log=self._log)
        if not isinstance(found, Measured) or found.shape != self._samples.shape:
            shape = found.shape if isinstance(found, Measured) else "a table"
            raise UserError(
                "The batch must hold samples of the shape of the reference",
                found=f"{shape} instead of {self._samples.shape}, channels first",
            )
        return found

    @staticmethod
    def _range(samples: Measured) -> tuple[float, float]:
        if samples.dtype in ("uint8", "uint16"):
            return 0.0, 255.0 if samples.dtype == "uint8" else 65535.0
        ends = [(float(np.nanmin(block)), float(np.nanmax(block))) for block in samples.blocks()]
        low, high = min(low for low, _ in ends), max(high for _, high in ends)
        return low, high if high > low else low + 1.0

    def _described(self, samples: Measured) -> tuple[Floats, Floats]:
        points, summaries, first = [], [], 0
        for block in samples.blocks():
            if np.isnan(block).any():
                raise samples.bad(np.isnan(block), first, "missing values")
            scaled = (block - self._low) / (self._high - self._low) * 2 - 1
            points.append(self._features.of(iter([torch.from_numpy(scaled).float()])).double().numpy())
            flat = block.reshape(len(block), block.shape[1], -1)
            summaries.append(np.stack([flat.mean(axis=2), flat.std(axis=2)], axis=2).reshape(len(block), -1))
            first += len(block)
        return np.concatenate(points), np.concatenate(summaries)
