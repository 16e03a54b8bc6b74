"""NumPy arrays, in memory or mapped from `.npy` and `.npz` files, as sources."""

from collections.abc import Callable
from math import prod
from mmap import mmap
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.blocks import BlockReader, StreamedSource, block_bytes, probe
from wassergan.data.codec import LAYOUTS, Codec, as_tensor, pixel_codec, standard_codec, to_channels_first
from wassergan.data.limits import require_room
from wassergan.data.source import HELDOUT_SHARE, Source, fits_in_memory, split_rows
from wassergan.errors import UserError, unknown_name

BLOCK_BYTES = 64 * 2**20
SCALES = ("auto", "feature", "array")


class ArrayReader:
    """Rows of an array; a memory-mapped one is read row by row, never whole."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    def read(self, indices: Tensor) -> Tensor:
        """Rows (k,) as a new tensor in the array's own type (wider where torch has no such type)."""
        return as_tensor(self._array[indices.numpy()])


class ArrayBlocks(BlockReader):
    """Blocks of an array; of one that was mapped from a file, the file is read, since mapped pages count as memory."""

    def __init__(self, array: NDArray[Any], name: str) -> None:
        row_bytes = max(1, array[:1].nbytes)
        step = max(1, block_bytes() // row_bytes)
        bounds = torch.arange(0, len(array) + step, step).clamp(max=len(array))
        super().__init__(name, bounds, array.shape[1:], array.dtype)
        self._array = array
        self._file = _file_of(array)

    def read(self, indices: Tensor) -> Tensor:
        """Rows at `indices` (k,), each by itself."""
        wanted = indices.tolist()
        rows = np.empty((len(wanted), *self.row_shape), self.dtype)
        for place, row in enumerate(wanted):
            self._read_rows(row, rows[place : place + 1])
        self._refuse_bad(rows, wanted)
        return as_tensor(rows)

    def _read_into(self, block: int, rows: NDArray[Any]) -> None:
        self._read_rows(int(self.bounds[block]), rows)

    def _read_rows(self, first: int, rows: NDArray[Any]) -> None:
        if self._file is None:
            rows[:] = self._array[first : first + len(rows)]
            return
        path, offset = self._file
        try:
            with path.open("rb", buffering=0) as file:
                file.seek(offset + first * self.row_bytes)
                got = file.readinto(rows.reshape(-1).view(np.uint8).data)
        except OSError as error:
            raise UserError(f"{path} cannot be read", found=error.strerror or str(error)) from error
        if got != rows.nbytes:
            raise UserError(f"{path} became shorter while it was read", mend="put the whole file back")


def array_source(
    array: NDArray[Any],
    *,
    name: str = "array",
    layout: str = "auto",
    scale: str = "auto",
    heldout: float = HELDOUT_SHARE,
    seed: int = 0,
    report: Callable[[str], None] = lambda message: None,
    columns: tuple[str, ...] = (),
) -> Source:
    """A source over an array of samples.

    Eight-bit arrays are pictures: 0..255 to [-1, 1]. Other numbers are standardised, per feature for rows of
    features, for the whole array for fields, unless `scale` says otherwise; statistics come from training rows.

    Args:
        array: (n,), (n, D), (n, H, W), (n, H, W, C) or (n, C, H, W) of numbers.
        name: what to call it.
        layout: `N`, `ND`, `NHW`, `NHWC`, `NCHW`, or `auto` to tell it from the shape.
        scale: `feature`, `array` or `auto`.
        heldout: share held out; 0 to 1.
        seed: chooses the held-out rows.
        report: told how an array larger than 512 MiB is read.
        columns: names of the features.

    Raises:
        UserError: not numbers, NaN or infinite values, constant features, too few samples, unclear layout.
    """
    _refuse_non_numbers(array, name)
    if array.ndim == 0 or array.size == 0:
        raise UserError(f"{name} holds no samples", found=f"shape {array.shape}")
    layout = _layout_of(array, layout, name)
    if scale not in SCALES:
        raise unknown_name("scale", scale, SCALES)
    if not fits_in_memory(array.nbytes):
        reader = ArrayBlocks(array, name)
        return streamed_source(reader, layout=layout, scale=scale, heldout=heldout, seed=seed, report=report)
    _refuse_not_finite(array, name)
    _refuse_too_large(array, name)
    split = split_rows(len(array), heldout=heldout, seed=seed)
    kind, shape, codec = _model_space(
        array, split.train.numpy(), layout=layout, scale=scale, name=name, columns=columns
    )
    source = Source(name, kind, shape, ArrayReader(array), codec, split)
    source.columns = columns
    return source


def streamed_source(
    reader: BlockReader, *, layout: str, scale: str, heldout: float, seed: int, report: Callable[[str], None]
) -> StreamedSource:
    """A source over data larger than memory; statistics come from a sample of up to 2^19 rows.

    Args:
        reader: the rows, in blocks.
        layout: `N`, `ND`, `NHW`, `NHWC` or `NCHW`.
        scale: `feature`, `array` or `auto`.
        heldout: share held out, at most 65536 rows.
        seed: chooses the held-out rows and the sample.
        report: told how rows are mixed.

    Raises:
        UserError: as `array_source`, of the rows that were looked at.
    """
    looked_at = probe(reader, heldout=heldout, seed=seed)
    kind, shape, codec = _model_space(
        looked_at.sample, None, layout=layout, scale=scale, name=reader.name, columns=reader.columns
    )
    source = StreamedSource(kind, shape, reader, codec, looked_at)
    report(source.told())
    return source


def _model_space(
    array: NDArray[Any],
    rows: NDArray[np.int64] | None,
    *,
    layout: str,
    scale: str,
    name: str,
    columns: tuple[str, ...],
) -> tuple[str, tuple[int, ...], Codec]:
    """Kind, sample shape and codec of an array, with statistics from the given rows, or all."""
    shape = tuple(to_channels_first(as_tensor(array[:1]), layout).shape[1:])
    if array.dtype == np.uint8:
        _refuse_constant_pixels(array, name)
        return "image" if len(shape) == 3 else "vector", shape, pixel_codec(layout)
    per_feature = scale == "feature" or (scale == "auto" and len(shape) == 1)
    codec = _fit(array, rows, layout, per_feature, name, columns)
    return "field" if len(shape) == 3 else "vector", shape, codec


def load_array(path: Path, *, key: str | None = None) -> tuple[str, NDArray[Any]]:
    """Open a `.npy` (memory-mapped) or one array of a `.npz`; never unpickles.

    Args:
        path: the file.
        key: which array of a `.npz`; the one with the most numbers unless given.

    Returns:
        The array's name for reports, and the array.

    Raises:
        UserError: not such a file, damaged, holds Python objects, or has no such key.
    """
    try:
        with path.open("rb") as file:  # ours to close: NumPy leaves a damaged archive open
            if file.read(2) != b"PK":
                return path.name, np.load(path, mmap_mode="r", allow_pickle=False)
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                name = _choose_key(path, archive, key)
                _require_modest(path, archive.zip, name)
                return f"{path.name}:{name}", archive[f"{name}.npy"]
    except UserError:
        raise
    except Exception as error:  # damaged bytes surface as whatever NumPy's, zip's and Python's own parsers raise
        if "allow_pickle" in str(error) or "object" in str(error).lower():
            raise UserError(
                f"{path} holds Python objects, which are never loaded",
                mend="save it again as an array of numbers",
            ) from error
        raise UserError(f"{path} cannot be read as a NumPy file", found=str(error)) from error


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
        raise UserError(f"{path}:{name} holds less than its header says", found=f"shape {shape}", mend="save it again")


def _count(archive: ZipFile, name: str) -> int:
    """How many numbers a member holds by its header; none, if they are Python objects."""
    shape, dtype = _header(archive, name)
    return 0 if dtype.hasobject else prod(shape)


def _header(archive: ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    with archive.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(version, np.lib.format.read_array_header_2_0)
        shape, _, dtype = read(member)
    return shape, dtype


def _file_of(array: NDArray[Any]) -> tuple[Path, int] | None:
    """The file that a whole, contiguous mapping maps, and where in it the rows begin."""
    base: object = array.base  # views of a mapping do not know where in the file they begin
    if not isinstance(array, np.memmap) or not isinstance(base, mmap) or not array.flags.c_contiguous:
        return None
    return Path(str(array.filename)), int(array.offset)


def _refuse_non_numbers(array: NDArray[Any], name: str) -> None:
    if array.dtype.kind not in "fiub":
        raise UserError(
            f"{name} does not hold real numbers",
            found=f"type {array.dtype}",
            mend="convert it, for example with array.astype('float32')",
        )


def _layout_of(array: NDArray[Any], layout: str, name: str) -> str:
    if layout != "auto":
        if layout not in LAYOUTS:
            raise unknown_name("layout", layout, ("auto", *LAYOUTS))
        if len(layout) != array.ndim:
            raise UserError(f"Layout {layout} does not fit {name}", found=f"shape {array.shape}")
        return layout
    if array.ndim <= 3:
        return ("N", "ND", "NHW")[array.ndim - 1]
    if array.ndim == 4:
        last, first = array.shape[3] <= 4, array.shape[1] <= 4
        if last != first:
            return "NHWC" if last else "NCHW"
    raise UserError(
        f"The axes of {name} are not clear",
        found=f"shape {array.shape}",
        mend=f"say --layout {' or '.join(LAYOUTS)}",
    )


def row_blocks(array: NDArray[Any], rows: NDArray[np.int64] | None = None, *, size_bytes: int | None = None) -> Any:
    """Yield (first row, block) over the array, or over the given rows, in pieces of bounded size."""
    per_row = max(1, array[:1].nbytes)
    step = max(1, (size_bytes or BLOCK_BYTES) // per_row)
    count = len(array) if rows is None else len(rows)
    for start in range(0, count, step):
        piece = slice(start, start + step)
        yield start, array[piece] if rows is None else array[rows[piece]]


def _refuse_not_finite(array: NDArray[Any], name: str) -> None:
    if array.dtype.kind != "f":
        return
    count, first = 0, None
    for start, block in row_blocks(array):
        bad = ~np.isfinite(block)
        if bad.any():
            count += int(bad.sum())
            if first is None:
                at = [int(i) for i in np.argwhere(bad)[0]]
                first = (start + at[0], *at[1:])
    if first is not None:
        raise UserError(
            f"{name} holds NaN or infinite values",
            found=f"{count} of them, the first at index {first}",
            mend="remove those rows or fill the values",
        )


def _refuse_too_large(array: NDArray[Any], name: str) -> None:
    largest = np.iinfo(np.int64).max  # torch computes with signed numbers, and would wrap around
    if array.dtype.kind == "u" and array.dtype.itemsize == 8 and any((b > largest).any() for _, b in row_blocks(array)):
        raise UserError(f"{name} holds whole numbers that are too large", found=f"over {largest}", mend="rescale them")


def _refuse_constant_pixels(array: NDArray[Any], name: str) -> None:
    first = array[0]
    if all((block == first).all() for _, block in row_blocks(array)):
        raise UserError(f"All samples of {name} are equal", mend="give data that vary")


def _fit(
    array: NDArray[Any],
    rows: NDArray[np.int64] | None,
    layout: str,
    per_feature: bool,
    name: str,
    columns: tuple[str, ...],
) -> Codec:
    """Mean, deviation and range over the given rows, or all, in float64, two passes for accuracy."""
    if per_feature and layout not in ("N", "ND"):
        per_feature_shape: tuple[int, ...] = tuple(to_channels_first(as_tensor(array[:1]), layout).shape[1:])
    else:
        per_feature_shape = (1,) if layout == "N" else array.shape[1:]

    def blocks() -> Any:
        for _, block in row_blocks(array, rows, size_bytes=None if rows is not None else block_bytes()):
            values = to_channels_first(as_tensor(block), layout).double()
            yield values.reshape(len(values), -1) if per_feature else values.reshape(-1, 1)

    count, total = 0, torch.zeros(1, dtype=torch.float64)
    smallest = torch.full((1,), torch.inf, dtype=torch.float64)
    largest = -smallest
    for values in blocks():
        count += len(values)
        total = total + values.sum(0)
        smallest = torch.minimum(smallest, values.amin(0))
        largest = torch.maximum(largest, values.amax(0))
    mean = total / count
    square = sum(((values - mean).square().sum(0) for values in blocks()), torch.zeros(1, dtype=torch.float64))
    deviation = (square / count).sqrt()
    constant = (largest == smallest).nonzero().flatten().tolist()
    if constant:
        raise UserError(
            f"{name} holds constant features" if per_feature else f"All values of {name} are equal",
            found=f"columns {', '.join(columns[i] if columns else str(i) for i in constant[:10])}"
            + (" ..." if len(constant) > 10 else ""),
            mend="drop them: they carry no law to learn",
        )
    if not torch.isfinite(deviation).all() or not (deviation > 0).all():
        raise UserError(f"The spread of {name} is not representable", mend="rescale the values")
    shape = per_feature_shape if per_feature else ()
    return standard_codec(
        layout,
        str(array.dtype),
        mean=mean.reshape(shape),
        deviation=deviation.reshape(shape),
        smallest=smallest.reshape(shape),
        largest=largest.reshape(shape),
    )
