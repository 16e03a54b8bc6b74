"""NumPy arrays, in memory or read from `.npy` and `.npz` files, as sources."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.codec import LAYOUTS, SERIES, VOLUMES, Codec, as_tensor, channels_first
from wassergan.data.fitting import Wish, fitted_codec
from wassergan.data.grids.metadata import GridMetadata
from wassergan.data.masked import unmasked
from wassergan.data.readers.blocks import BlockReader, block_bytes
from wassergan.data.readers.filearray import FileArray, read_header
from wassergan.data.readers.limits import require_room
from wassergan.data.readers.mapped import unmapped
from wassergan.data.readers.marks import Marks, Watch
from wassergan.data.readers.streaming import StreamedSource, probe
from wassergan.data.series.codec import SeriesCodec
from wassergan.data.source import Source, fits_in_memory
from wassergan.data.split import HELDOUT_SHARE, split_rows
from wassergan.data.survey import Blocks
from wassergan.data.volumes.fitting import volume_codec
from wassergan.errors import UserError, WasserganError, parameter, unknown_name
from wassergan.storage.files import reading

BLOCK_BYTES = 8 * 2**20  # as float64, in which statistics are taken
MOST_NAMES = 2**16
LARGEST_COLOURS = 4
SCALES = ("auto", "feature", "channel", "array")


class ArrayReader:
    """Rows of an array; one in a file is read row by row, never whole."""

    def __init__(self, array: NDArray[Any] | FileArray) -> None:
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    def read(self, indices: Tensor) -> Tensor:
        """Rows (k,) as a new tensor in the array's own type (wider where torch has no such type)."""
        return as_tensor(self._array[indices.numpy()])


class ArrayBlocks(BlockReader):
    """Blocks of an array, in memory or in a file."""

    def __init__(self, array: NDArray[Any] | FileArray, name: str) -> None:
        row_bytes = max(1, array[:1].nbytes)
        step = max(1, block_bytes() // row_bytes)
        if isinstance(array, FileArray):  # no chunk is unpacked twice
            step = -(-step // array.together) * array.together
        bounds = torch.arange(0, len(array) + step, step).clamp(max=len(array))
        super().__init__(name, bounds, array.shape[1:], array.dtype)
        self._array = array

    @property
    def marks(self) -> Marks:
        """Of the files, if there are any."""
        return self._array.marks if isinstance(self._array, FileArray) else ()

    def read(self, indices: Tensor) -> Tensor:
        """Rows at `indices` (k,), each by itself."""
        rows = self._array[indices.numpy()]
        self._refuse_bad(rows, indices.numpy())
        return as_tensor(rows)

    def _read_into(self, block: int, rows: NDArray[Any]) -> None:
        first = int(self.bounds[block])
        if isinstance(self._array, FileArray):
            self._array.fill(first, rows)
        else:
            rows[:] = self._array[first : first + len(rows)]


def array_source(
    array: NDArray[Any] | FileArray,
    *,
    name: str = "array",
    layout: str = "auto",
    scale: str = "auto",
    missing: Sequence[int | float] = (),
    channels: Sequence[str] = (),
    heldout: float = HELDOUT_SHARE,
    seed: int = 0,
    log: Callable[[str], None] = lambda message: None,
    columns: tuple[str, ...] = (),
    beside: Sequence[tuple[str, ...]] = (),
    grid: GridMetadata | None = None,
) -> Source:
    """A source over an array of samples.

    Eight-bit arrays are pictures: 0..255 to [-1, 1]. Other numbers are standardised, per feature for rows of
    features, per channel for fields and series, unless `scale` says otherwise; statistics come from training rows.
    Positions with one value in all rows come back exactly and take no part in that; NaN and masked values are missing
    ones.

    Args:
        array: (n,), (n, D), (n, H, W), (n, H, W, C), (n, C, H, W), of series (n, T, C), of volumes (n, D, H, W),
            (n, C, D, H, W) or (n, D, H, W, C) of numbers; a masked array too.
        name: what to call it.
        layout: one of `LAYOUTS`, or `auto` to tell it from the shape: three axes are fields, five are volumes.
        scale: `feature`, `channel`, `array` or `auto`.
        missing: values besides NaN that mean missing.
        channels: names of the channels of fields, or of the features.
        heldout: share held out; 0 to 1.
        seed: chooses the held-out rows.
        log: receives, in a sentence each, what is constant or missing, and how an array larger than 512 MiB is read.
        columns: names of the features.
        beside: names that lie beside the array, which are taken where there is one for each channel.
        grid: what is written back with samples, if they come from a file of named arrays.

    Raises:
        UserError: not real numbers, infinite values, equal samples, too few of them, or an unclear layout.
    """
    array = array if isinstance(array, FileArray) else unmapped(array)
    array, codes = (array, ()) if isinstance(array, FileArray) else unmasked(array)
    refuse_non_numbers(array, name)
    if array.ndim == 0 or array.size == 0:
        raise UserError(f"{name} holds no samples", found=f"shape {array.shape}")
    layout = layout_of(array, layout, name)
    if scale not in SCALES:
        raise unknown_name("scale", scale, SCALES)
    count = channels_first(array[:1], layout).shape[1]
    fitting = [each for each in beside if len(each) == count == len(set(each))]
    names = _names(count, layout, tuple(channels) or columns or (fitting[0] if len(fitting) == 1 else ()), name)
    wish = Wish(layout, scale, (*codes, *missing), names, name, log, grid)
    marks = array.marks if isinstance(array, FileArray) else ()
    if not fits_in_memory(array.nbytes):
        return streamed_source(ArrayBlocks(array, name), wish, heldout=heldout, seed=seed)
    array = held_if_packed(array, name)
    _refuse_too_large(array, name)
    split = split_rows(len(array), heldout=heldout, seed=seed)
    rows = split.train.numpy()
    codec = _codec(lambda: _pieces(array), lambda: _pieces(array, rows), array.dtype, wish)
    kind, shape = _kind_and_shape(array, codec)
    columns = names if len(shape) == 1 else ()
    return Source(name, kind, shape, ArrayReader(array), codec, split, columns, watch=Watch(marks))


def held_if_packed(array: NDArray[Any] | FileArray, name: str) -> NDArray[Any] | FileArray:
    """The same array, in memory if its rows come in packed chunks and it is small enough to be kept there.

    Raises:
        UserError: it would fill more than the limit.
    """
    if not isinstance(array, FileArray) or array.together == 1 or not fits_in_memory(array.nbytes):
        return array
    require_room(array.nbytes, name)
    return np.asarray(array)


def streamed_source(reader: BlockReader, wish: Wish, *, heldout: float, seed: int) -> StreamedSource:
    """A source over data larger than memory; statistics come from a sample of up to 2^19 rows.

    Where the sample has constants or missing values, all rows are looked through for them once.

    Args:
        reader: the rows, in blocks.
        wish: what the user says.
        heldout: share held out, at most 65536 rows.
        seed: chooses the held-out rows and the sample.

    Raises:
        UserError: as `array_source`, of the rows that were looked at.
    """
    looked_at = probe(reader, heldout=heldout, seed=seed)
    sample = looked_at.sample

    def all_rows() -> Iterator[NDArray[Any]]:
        wish.log(f"Looking through all {len(reader)} rows of {reader.name} for what is constant or missing.")
        return (reader.load([block]) for block in range(len(reader.bounds) - 1))

    def pieces() -> Iterator[NDArray[Any]]:
        return _pieces(sample, size_bytes=block_bytes())

    codec = _codec(pieces, pieces, sample.dtype, wish, everything=all_rows)
    reader.expect_missing(codec)
    kind, shape = _kind_and_shape(sample, codec)
    source = StreamedSource(
        reader.name,
        kind,
        shape,
        reader,
        codec,
        looked_at.split,
        wish.names if len(shape) == 1 else (),
        watch=Watch(reader.marks),
        heldout_rows=looked_at.heldout,
        sample_rows=looked_at.kept,
    )
    wish.log(source.told())
    return source


def _codec(
    rows: Blocks, training: Blocks, dtype: np.dtype[Any], wish: Wish, *, everything: Blocks | None = None
) -> Codec:
    """The codec of the class of data that has this layout; arguments as of `fitted_codec`."""
    if wish.layout in VOLUMES:
        return replace(volume_codec(rows, training, dtype, wish, everything=everything), grid=wish.grid)
    codec = replace(fitted_codec(rows, training, dtype, wish, everything=everything), grid=wish.grid)
    return SeriesCodec.of(codec) if codec.layout == SERIES else codec


def _kind_and_shape(array: NDArray[Any] | FileArray, codec: Codec) -> tuple[str, tuple[int, ...]]:
    """Kind and sample shape in model space."""
    first, *rest = channels_first(array[:1], codec.layout).shape[1:]
    grid = "image" if array.dtype == np.uint8 else "field"
    if codec.layout == SERIES or codec.layout in VOLUMES:
        grid = "series" if codec.layout == SERIES else "volume"
    return grid if rest else "vector", (codec.model_channels(first), *rest)


def _names(count: int, layout: str, names: tuple[str, ...], name: str) -> tuple[str, ...]:
    if names and (len(names) != count or len(set(names)) != count):
        raise UserError(
            f"{name} has {count} {'features' if layout in ('N', 'ND') else 'channels'}",
            found=f"{len(names)} names: {', '.join(names[:10])}",
            hint="give each a name of its own",
        )
    return names


def _pieces(
    array: NDArray[Any] | FileArray, rows: NDArray[np.int64] | None = None, size_bytes: int | None = None
) -> Iterator[NDArray[Any]]:
    return (block for _, block in row_blocks(array, rows, size_bytes=size_bytes))


def load_array(path: Path, *, key: str | None = None) -> tuple[str, NDArray[Any] | FileArray]:
    """Open a `.npy` (read row by row) or one array of a `.npz`; never unpickles.

    Args:
        path: the file.
        key: which array of a `.npz`; the one with the most numbers unless given.

    Returns:
        The array's name for reports, and the array.

    Raises:
        UserError: not such a file, damaged, holds Python objects, or has no such key.
    """
    try:
        with reading(path) as file:  # ours to close: NumPy leaves a damaged archive open
            if file.read(2) != b"PK":
                return path.name, FileArray.open(path)
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                name = _choose_key(path, archive, key)
                _require_modest(path, archive.zip, name)
                return f"{path.name}:{name}", archive[f"{name}.npy"]
    except WasserganError:
        raise
    except Exception as error:  # damaged bytes surface as whatever NumPy's, zip's and Python's own parsers raise
        if "allow_pickle" in str(error) or "object" in str(error).lower():
            raise UserError(
                f"{path} holds Python objects, which are never loaded",
                hint="save it again as an array of numbers",
            ) from error
        raise UserError(f"{path} cannot be read as a NumPy file", found=str(error)) from error


def array_names(path: Path) -> list[str]:
    """What the members of a `.npz` are called."""
    with reading(path) as file, ZipFile(file) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def names_beside(path: Path) -> dict[str, tuple[str, ...]]:
    """Lists of names in a `.npz`, by the arrays that hold them: text with one axis."""
    found = {}
    with reading(path) as file, np.load(file, allow_pickle=False) as archive:
        there = set(archive.zip.namelist())
        for member in archive.files:
            shape, dtype = _header(archive.zip, member) if f"{member}.npy" in there else ((), None)
            if dtype is not None and dtype.kind == "U" and len(shape) == 1 and shape[0] <= MOST_NAMES:
                _require_modest(path, archive.zip, member)
                found[member] = tuple(map(str, archive[member]))
    return found


def _choose_key(path: Path, archive: Any, key: str | None) -> str:
    # Other members of the archive would come back as bytes.
    names: list[str] = [name.removesuffix(".npy") for name in archive.zip.namelist() if name.endswith(".npy")]
    if not names:
        raise UserError(f"{path} holds no arrays")
    if key is not None:
        if key not in names:
            raise unknown_name(f"array in {path.name}", key, names)
        return key
    return max(names, key=lambda name: _count(archive.zip, name))


def _require_modest(path: Path, archive: ZipFile, name: str) -> None:
    """Refuse a member that would unpack into too much, or promises more than it holds, before it is unpacked."""
    require_room(archive.getinfo(f"{name}.npy").file_size, f"{path}:{name}")
    shape, dtype = _header(archive, name)
    if prod(shape) * dtype.itemsize > archive.getinfo(f"{name}.npy").file_size and not dtype.hasobject:
        raise UserError(f"{path}:{name} holds less than its header says", found=f"shape {shape}", hint="save it again")


def _count(archive: ZipFile, name: str) -> int:
    """How many numbers a member holds by its header; none, if they are Python objects."""
    shape, dtype = _header(archive, name)
    return 0 if dtype.hasobject or dtype.kind in "US" else prod(shape)


def _header(archive: ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    with archive.open(f"{name}.npy") as member:
        shape, _, dtype = read_header(member)
    return shape, dtype


def refuse_non_numbers(array: NDArray[Any] | FileArray, name: str) -> None:
    """Refuse arrays of other types, with what to do about them."""
    if array.dtype.kind in "fiub":
        return
    mends = {
        "c": "give real and imaginary parts as two channels or features: np.stack([array.real, array.imag], 1)",
        "M": "give numbers, for example days since a date: (array - array.min()) / np.timedelta64(1, 'D')",
        "m": "give numbers, for example hours: array / np.timedelta64(1, 'h')",
        "V": "take its fields apart: a table (a DataFrame), or one array of numbers, such as array['t']",
        "O": "convert it, for example with array.astype('float32'); rows of mixed kinds are a table: give a DataFrame",
        "U": "convert it with array.astype('float32'), or give a table (a DataFrame)",
        "S": "convert it with array.astype('float32'), or give a table (a DataFrame)",
    }
    raise UserError(
        f"{name} does not hold real numbers",
        found=f"type {array.dtype}",
        hint=mends.get(array.dtype.kind, "convert it, for example with array.astype('float32')"),
    )


def layout_of(array: NDArray[Any] | FileArray, layout: str, name: str) -> str:
    """The axes of an array, told from its shape where the layout is `auto`."""
    if layout != "auto":
        if layout not in LAYOUTS:
            raise unknown_name("layout", layout, ("auto", *LAYOUTS))
        if len(layout) != array.ndim:
            known = " or ".join(each for each in LAYOUTS if len(each) == array.ndim)
            raise UserError(
                f"Layout {layout} does not fit {name}",
                found=f"shape {array.shape}",
                hint=f"say {parameter('layout')} {known}, or leave it out" if known else "give one to five axes",
            )
        return layout
    if array.ndim == 3 and _is_one_picture(array):
        raise UserError(
            f"{name} may be one picture, or many samples",
            found=f"shape {array.shape}",
            hint=f"say {parameter('layout', 'NHW')} if it holds {len(array)} samples of "
            f"{array.shape[1]}x{array.shape[2]}; one picture is too little to learn from: give "
            "many, (n, height, width, colours)",
        )
    if array.ndim <= 3:
        return ("N", "ND", "NHW")[array.ndim - 1]
    if array.ndim in (4, 5):
        last, first = array.shape[-1] <= LARGEST_COLOURS, array.shape[1] <= LARGEST_COLOURS
        if last != first:
            return ("NHWC" if last else "NCHW") if array.ndim == 4 else ("NDHWC" if last else "NCDHW")
    fitting = [each for each in LAYOUTS if len(each) == array.ndim]
    volumes = f": {parameter('layout', 'NDHW')} for volumes" if "NDHW" in fitting else ""
    raise UserError(
        f"The axes of {name} are not clear",
        found=f"shape {array.shape}",
        hint=f"say {parameter('layout')} {' or '.join(fitting)}{volumes}"
        if fitting
        else "give an array of two to five axes",
    )


def _is_one_picture(array: NDArray[Any] | FileArray) -> bool:
    """Whether the axes could be height, width and colours of a single picture."""
    height, width, colours = array.shape
    is_even = max(height, width) <= 4 * min(height, width)  # unlike many short rows of three numbers
    return colours in (3, 4) and min(height, width) > LARGEST_COLOURS and (is_even or array.dtype == np.uint8)


def row_blocks(
    array: NDArray[Any] | FileArray, rows: NDArray[np.int64] | None = None, *, size_bytes: int | None = None
) -> Any:
    """Yield (first row, block) over the array, or over the given rows, in pieces of bounded size as float64."""
    per_row = prod(array.shape[1:]) * max(8, array.dtype.itemsize)
    step = max(1, (size_bytes or BLOCK_BYTES) // max(1, per_row))
    count = len(array) if rows is None else len(rows)
    for start in range(0, count, step):
        piece = slice(start, start + step)
        yield start, array[piece] if rows is None else array[rows[piece]]


def with_gaps(array: NDArray[Any] | FileArray, codes: Sequence[int | float], name: str) -> NDArray[np.float64]:
    """The same numbers with NaN where one is a code for a missing value.

    Raises:
        UserError: they would fill more than the limit.
    """
    require_room(8 * array.size, name)
    rows = np.empty(array.shape)
    for first, block in row_blocks(array):
        rows[first : first + len(block)] = np.where(np.isin(block, codes), np.nan, block)
    return rows


def _refuse_too_large(array: NDArray[Any] | FileArray, name: str) -> None:
    largest = np.iinfo(np.int64).max  # torch computes with signed numbers, and would wrap around
    if array.dtype.kind == "u" and array.dtype.itemsize == 8 and any((b > largest).any() for _, b in row_blocks(array)):
        raise UserError(f"{name} holds whole numbers that are too large", found=f"over {largest}", hint="rescale them")
