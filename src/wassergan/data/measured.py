"""Data to be measured: every source that is trained on, without what training needs of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wassergan.data.codec import channels_first
from wassergan.data.container import index_words
from wassergan.data.files import KINDS, all_are, files_of
from wassergan.data.grids import is_grid_file, open_gridded
from wassergan.data.readers.arrays import (
    ArrayBlocks,
    held_if_packed,
    layout_of,
    load_array,
    names_beside,
    refuse_non_numbers,
    row_blocks,
)
from wassergan.data.readers.blocks import BlockReader
from wassergan.data.readers.columnar import is_columnar, large_numbers
from wassergan.data.readers.digits import digits_source
from wassergan.data.readers.filearray import FileArray
from wassergan.data.readers.idx import is_idx, read_idx
from wassergan.data.readers.images import ImageOptions, image_folder_source
from wassergan.data.readers.limits import require_room
from wassergan.data.readers.marks import unchanging
from wassergan.data.readers.paths import is_shard
from wassergan.data.source import Source, fits_in_memory
from wassergan.data.table_files import table_in
from wassergan.data.tables import RawTable, Schema, is_frame, read_frame
from wassergan.data.tables.columns import TypedColumn
from wassergan.errors import UserError

PICTURE_ROWS = 1024
DIGITS = "digits"

Log = Callable[[str], None]
Pieces = Callable[[], Iterator[NDArray[Any]]]


@dataclass(frozen=True)
class Measured:
    """Samples in the user's units, channels first, block by block.

    Args:
        name: what to call them.
        shape: of a sample: (features,) or (channels, height, width).
        count: of samples.
        names: of features or channels; empty where they have none.
        pieces: yields blocks (k, *shape), one after the other.
        source: of pictures that can be brought to another size; else None.
        dtype: of the user's numbers.
        codes: numbers that stand for missing values.
    """

    name: str
    shape: tuple[int, ...]
    count: int
    names: tuple[str, ...]
    pieces: Pieces = field(repr=False)
    source: Source | None = None
    dtype: str = ""
    codes: tuple[int | float, ...] = ()

    @property
    def dim(self) -> int:
        """Numbers in a sample."""
        return prod(self.shape)

    def blocks(self) -> Iterator[NDArray[np.float64]]:
        """Blocks (k, *shape); NaN where a value is missing.

        Raises:
            UserError: an infinite value.
        """
        first = 0
        for piece in self.pieces():
            values = np.array(piece, np.float64)
            for code in self.codes:
                values[np.asarray(piece == code)] = np.nan
            if np.isinf(values).any():
                raise self.bad(np.isinf(values), first, "infinite values")
            yield values
            first += len(values)

    def bad(self, where: NDArray[np.bool_], first: int, what: str) -> UserError:
        """What to say of values that cannot be compared: the file, the row and the feature or channel."""
        row, *index = np.argwhere(where)[0].tolist()
        name = self.names[index[0]] if self.names else f"number {index[0]}"
        word = "feature" if len(self.shape) == 1 else "channel"
        at = f", position {tuple(index[1:])}" if index[1:] else ""
        return UserError(
            f"{self.name} holds {what}",
            found=f"the first in row {first + row}, {word} {name}{at}",
            hint="remove those rows, fill the values, or give a table, in which missing values are a level",
        )


@dataclass(frozen=True)
class Reading:
    """What a user may say about data to be measured.

    Args:
        key: which array of a `.npz` or of a file of named arrays.
        sample_dim: the axis of such an array along which samples lie.
        sheet: which sheet of an Excel workbook.
        layout: of an array.
        missing: numbers in arrays that stand for missing values.
        channels: names of features or channels of arrays.
        schema: what columns are.
        size: (height, width), for pictures.
        colour: of pictures.
        skip_unreadable: skip pictures that cannot be read.
    """

    key: str | None = None
    sample_dim: str | None = None
    sheet: str | None = None
    layout: str = "auto"
    missing: tuple[int | float, ...] = ()
    channels: tuple[str, ...] = ()
    schema: Schema | None = None
    size: tuple[int, int] | None = None
    colour: str = "auto"
    skip_unreadable: bool = False


def read_table(
    data: Any, *, sheet: str | None = None, schema: Schema | None = None, log: Log = lambda sentence: None
) -> RawTable:
    """A table as it stands in a DataFrame or a file.

    Raises:
        UserError: no table, or one that cannot be read.
    """
    if is_frame(data):
        if index := index_words(data):
            log(f"Left out the index of the DataFrame: {index}. reset_index() makes it a column.")
        return read_frame(data)
    if not isinstance(data, str | Path):
        raise UserError("A table is a DataFrame or a file", found=f"{type(data).__name__}")
    files = files_of(str(data), log)
    with unchanging(files):
        table = _table_of(files, Path(data).name, Reading(sheet=sheet, schema=schema), log)
    if table is None:
        raise UserError(f"{data} is no table", hint="give a CSV, Excel, Parquet, Arrow or Feather file")
    return table


def open_measured(
    data: str, how: Reading, *, like: Measured | None = None, log: Log = lambda sentence: None
) -> Measured | RawTable:
    """Samples of any kind, or a table.

    Args:
        data: as for `open_source`.
        how: what the user says about them.
        like: pictures are brought to the size, the colours and the bits of these.
        log: receives, in a sentence, what was decided on the way.

    Raises:
        UserError: the data cannot be read.
    """
    if data == DIGITS:
        return _of_source(digits_source())
    if is_grid_file(data):
        return _gridded(data, how, log)
    path, files = Path(data), files_of(data, log)
    with unchanging(files):
        return _of_files(path, files, how, like, log)


def _of_files(path: Path, files: list[Path], how: Reading, like: Measured | None, log: Log) -> Measured | RawTable:
    if not files or all_are(is_shard, files):
        return _pictures(path, files, how, like, log)
    if all_are(is_columnar, files) and how.layout != "table" and how.schema is None:
        large = large_numbers(files, path.name, log=log)
        if large is not None:
            return _of_blocks(large, path.name, "ND", large.columns, how.missing)
    table = _table_of(files, path.name, how, log)
    return _array(files[0], how, log) if table is None else table


def _table_of(files: Sequence[Path], name: str, how: Reading, log: Log) -> RawTable | None:
    table = table_in(files, name, sheet=how.sheet, said=how.schema or Schema(), log=log)
    for note in () if table is None else table.notes:
        log(note)
    return table


def _array(path: Path, how: Reading, log: Log) -> Measured:
    if path.suffix in (".npy", ".npz"):
        name, array = load_array(path, key=how.key)
    elif is_idx(path):
        name, array = path.name, read_idx(path)
    else:
        raise UserError(f"The kind of {path} is not known", found=f"suffix '{path.suffix}'", hint=f"give {KINDS}")
    beside: list[tuple[str, ...]] = []
    if ":" in name:
        log(f"Using the array {name.rpartition(':')[2]} of {path.name}, shape {array.shape}.")
        beside = list(names_beside(path).values())
    return _measured(name, array, how, beside)


def _gridded(data: str, how: Reading, log: Log) -> Measured:
    found = open_gridded(data, key=how.key, sample_dim=how.sample_dim, log=log)
    said = replace(how, missing=(*found.codes, *how.missing))
    if how.layout == "auto":
        said = replace(said, layout=found.layout)
    return _measured(found.name, held_if_packed(found.array, found.name), said, [found.names])


def _measured(name: str, array: NDArray[Any] | FileArray, how: Reading, beside: Sequence[tuple[str, ...]]) -> Measured:
    refuse_non_numbers(array, name)
    if array.ndim == 0 or array.size == 0:
        raise UserError(f"{name} holds no samples", found=f"shape {array.shape}")
    layout = layout_of(array, how.layout, name)
    count = channels_first(array[:1], layout).shape[1]
    names = how.channels or next((each for each in beside if len(each) == count == len(set(each))), ())
    if names and (len(names) != count or len(set(names)) != count):
        raise UserError(
            f"{name} has {count} {'features' if layout in ('N', 'ND') else 'channels'}",
            found=f"{len(names)} names: {', '.join(names[:10])}",
            hint="give each a name of its own",
        )
    missing = how.missing
    if not fits_in_memory(array.nbytes):
        return _of_blocks(ArrayBlocks(array, name), name, layout, names, missing)
    shape = channels_first(array[:1], layout).shape[1:]

    def pieces() -> Iterator[NDArray[Any]]:
        return (channels_first(block, layout) for _, block in row_blocks(array))

    return Measured(name, shape, len(array), names, pieces, None, str(array.dtype), missing)


def _of_blocks(
    reader: BlockReader, name: str, layout: str, names: tuple[str, ...], missing: tuple[int | float, ...]
) -> Measured:
    shape = channels_first(np.empty((1, *reader.row_shape)), layout).shape[1:]

    def pieces() -> Iterator[NDArray[Any]]:
        return (channels_first(reader.load([block]), layout) for block in range(len(reader.bounds) - 1))

    return Measured(name, shape, len(reader), names, pieces, None, str(reader.dtype), missing)


def _pictures(path: Path, files: list[Path], how: Reading, like: Measured | None, log: Log) -> Measured:
    from wassergan.data.readers.shards import shard_source

    options = ImageOptions(size=how.size, colour=how.colour, skip_unreadable=how.skip_unreadable, heldout=None)
    if like is not None:
        options = replace(
            options,
            size=(like.shape[1], like.shape[2]),
            colour="grey" if like.shape[0] == 1 else "rgb",
            bits=16 if like.dtype == "uint16" else 8,
        )
    source = shard_source(files, path.name, options, log=log) if files else image_folder_source(path, options, log=log)
    if source.names is not None and (passed := source.names.passed.sentence(source.name)):
        log(passed)
    return _of_source(source)


def _of_source(source: Source) -> Measured:
    def pieces() -> Iterator[NDArray[Any]]:
        for rows in torch.split(torch.arange(len(source)), PICTURE_ROWS):
            yield channels_first(source.values(rows).numpy(), source.codec.layout)

    named = source if source.names is not None else None
    return Measured(source.name, source.shape, len(source), (), pieces, named, source.codec.dtype)


def as_table(samples: Measured, names: Sequence[str]) -> RawTable:
    """Rows of numbers as a table with columns of some names.

    Raises:
        UserError: it would fill the memory.
    """
    require_room(2 * 8 * samples.count * samples.dim, f"A table of {samples.name}")
    values = np.concatenate(list(samples.blocks()))
    columns = tuple(TypedColumn(name, "number", values[:, index].copy()) for index, name in enumerate(names))
    return RawTable(samples.name, columns, samples.count)
