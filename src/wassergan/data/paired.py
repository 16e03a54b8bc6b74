"""Conditions that are arrays: for each sample a coarse field, a measurement, or a vector of numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.codec import Codec, as_tensor, channels_first
from wassergan.data.container import as_array
from wassergan.data.grids import is_grid_file, open_gridded
from wassergan.data.masked import unmasked
from wassergan.data.parts import is_missing
from wassergan.data.readers.array_folder import is_array_file, stacked_arrays
from wassergan.data.readers.arrays import (
    ArrayReader,
    array_source,
    held_if_packed,
    load_array,
    refuse_non_numbers,
    with_gaps,
)
from wassergan.data.readers.filearray import FileArray
from wassergan.data.readers.idx import is_idx, read_idx
from wassergan.data.readers.mapped import unmapped
from wassergan.data.readers.marks import unchanging
from wassergan.data.source import Source
from wassergan.errors import UserError, parameter, unknown_name
from wassergan.storage.files import require_readable, require_regular

NAME = "condition_array"
CONDITION_LAYOUTS = ("auto", "N", "ND", "NHW", "NHWC", "NCHW")
KINDS = (
    ".npy",
    ".npz",
    ".npz::NAME",
    "IDX",
    "a folder of .npy",
    ".nc",
    ".nc::NAME",
    ".h5",
    ".h5::NAME",
    ".zarr",
    ".mat",
)
MOST_KEPT_NUMBERS = 2**21  # of conditions of training rows that every checkpoint holds
LOOKED_AT_ROWS = 2**20  # numbers of new conditions that are checked at a time
Log = Callable[[str], None]
Array = NDArray[Any] | FileArray


class Rows(Protocol):
    """Rows in the user's units and layout, by index."""

    def __len__(self) -> int:
        """Number of rows."""

    def read(self, indices: Tensor) -> Tensor:
        """Rows at `indices` (k,), as (k, ...) in the user's layout."""


@dataclass(frozen=True, eq=False)
class ArrayContext:
    """The condition of every row of a source: a row of an array.

    Args:
        source: of the array, which has a codec of its own.
        rows: (N,) the row of the array that belongs to each row of the source; None where they are the same.
    """

    source: Source
    rows: Tensor | None = None

    @property
    def codec(self) -> Codec:
        """Of the conditions."""
        return cast(Codec, self.source.codec)  # `array_source` makes no others

    @property
    def width(self) -> int:
        """Numbers in a condition."""
        return self.source.shape_size

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of a field, (D,) of a vector, in model space; series are vectors to a network."""
        return self.source.shape if len(self.source.shape) == 3 else (self.width,)

    @property
    def chances(self) -> int:
        """Nothing is hidden."""
        return 0

    def values(self, indices: Tensor) -> Tensor:
        """Conditions of the rows (k,) in the user's units and layout, (k, ...)."""
        return self.source.values(self._own(indices))

    def at(self, indices: Tensor) -> Tensor:
        """Conditions of the rows (k,) in model space, their numbers in a row, (k, width) float32."""
        return self.codec.encode(self.values(indices)).flatten(1)

    def whole(self, indices: Tensor) -> Tensor:
        """The same."""
        return self.at(indices)

    def hidden(self, vectors: Tensor, chances: Tensor) -> Tensor:
        """As they are."""
        return vectors

    def require_same(self) -> None:
        """Look at the file of the array, if it is one."""
        self.source.require_same()

    def facts(self) -> tuple[NDArray[np.float64], list[str]]:
        """A checksum of the array, and of which of its rows belong to samples."""
        rows = self.rows if self.rows is not None else torch.zeros(0, dtype=torch.int64)
        told = [float(self.source.checksum), *self.source.shape, len(self.source), *rows.tolist()]
        return np.array([told], np.float64), [self.codec.dtype, *self.codec.words()]

    def conditions(self, indices: Tensor) -> "ArrayConditions":
        """The distribution of the conditions, as some rows (k,) show it; of large ones fewer are kept."""
        kept = indices[: max(1, MOST_KEPT_NUMBERS // max(1, self.width))]
        return ArrayConditions(self.codec, self.source.shape, self.values(kept))

    def _own(self, indices: Tensor) -> Tensor:
        return indices if self.rows is None else self.rows[indices]


@dataclass(frozen=True, eq=False)
class ArrayConditions:
    """Arrays to draw samples under: those of the data by chance, or given ones, each so many times.

    Args:
        codec: of the conditions.
        array_shape: of one in model space.
        pool: (m, ...), conditions of training rows in the user's units and layout.
        wanted: those that are asked for; None to draw from the pool.
        draws: samples for each of `wanted`; those of a condition follow one another.
        is_ensemble: the number of draws was asked for, and is an axis of what is drawn.

    Attributes:
        like: what given arrays must be like, in messages.
    """

    codec: Codec
    array_shape: tuple[int, ...]
    pool: Tensor
    wanted: Rows | None = None
    draws: int = 1
    is_ensemble: bool = False

    like: ClassVar[str] = "the conditions of the training"

    @property
    def width(self) -> int:
        """Numbers in a condition."""
        return int(torch.Size(self.array_shape).numel())

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of a field, (D,) of a vector, in model space."""
        return self.array_shape if len(self.array_shape) == 3 else (self.width,)

    @property
    def names(self) -> tuple[str, ...]:
        """What conditions are called in messages."""
        return (parameter(NAME),)

    @property
    def count(self) -> int:
        """Samples that are asked for; 0 where none in particular are."""
        return 0 if self.wanted is None else len(self.wanted) * self.draws

    def values(self, start: int, count: int, *, seed: int) -> Tensor:
        """Conditions of samples start..start+count-1 in the user's units and layout, (count, ...)."""
        if self.wanted is not None:
            return self.wanted.read((start + torch.arange(count)) // self.draws % len(self.wanted))
        stream = np.random.PCG64(seed)  # one number for each sample: it can be entered anywhere
        stream.advance(start)
        shares = np.random.Generator(stream).random(count)
        return self.pool[torch.from_numpy((shares * len(self.pool)).astype(np.int64))]

    def vectors(self, start: int, count: int, *, seed: int) -> Tensor:
        """The same in model space, their numbers in a row, (count, width) float32."""
        return self.codec.encode(self.values(start, count, seed=seed)).flatten(1)

    def rows(self, start: int, count: int, *, seed: int) -> NDArray[Any]:
        """The same as an array of the user's type."""
        found: NDArray[Any] = self.values(start, count, seed=seed).numpy().astype(self.codec.dtype, copy=False)
        return found

    def given(
        self, array: Any, *, draws: int | None = None, log: Log = lambda sentence: None, name: str | None = None
    ) -> "ArrayConditions":
        """The same, where samples are drawn under the rows of an array or of a file.

        Args:
            array: like the one of the training in all but the number of rows, or a path of one.
            draws: samples for each row; 1 unless given.
            log: receives, in a sentence, how many of its values are outside the range of the training.
            name: of the array in messages, unless it is that of its file.

        Raises:
            UserError: other axes or values that no condition of the training has.
        """
        own_name, rows = opened_array(array, self.codec)
        self._require_alike(name or own_name, rows, log)
        return replace(self, wanted=ArrayReader(rows), draws=draws or 1, is_ensemble=draws is not None)

    def _require_alike(self, name: str, rows: Array, log: Log) -> None:
        codec, shape = self.codec, self.codec.without_masks(self.array_shape)
        if rows.ndim != len(codec.layout) or _sample_shape(rows.shape, codec.layout) != tuple(shape):
            raise UserError(
                f"{name} does not have the axes of {self.like}",
                found=f"shape {rows.shape}",
                hint=f"give {codec.layout} arrays with (channels, ...) of {tuple(shape)}",
            )
        if {codec.dtype, rows.dtype.name} == {"uint8", "uint16"}:
            raise UserError(
                f"{name} has levels of another depth than {self.like}",
                found=f"{rows.dtype.name} where those are {codec.dtype}",
                hint=f"convert it to {codec.dtype}",
            )
        if len(rows) == 0:
            raise UserError(f"{name} holds no conditions", found=f"shape {rows.shape}", hint="give one row or more")
        step, outside, numbers = max(1, LOOKED_AT_ROWS // max(1, self.width)), 0, 0
        for start in range(0, len(rows), step):
            part = as_tensor(np.asarray(rows[start : start + step]))
            outside += self._outside(name, part, start)
            numbers += part.numel()
        if outside:
            log(
                f"{outside / numbers:.2%} of the values of {name} lie outside the range of {self.like}: what is drawn "
                "under them is extrapolated."
            )

    def _outside(self, name: str, rows: Tensor, start: int) -> int:
        """How many values are outside the range of those that were trained on.

        Raises:
            UserError: one is infinite, or missing where none was.
        """
        codec = self.codec
        gone = is_missing(rows, codec.parts.codes if codec.parts else ())
        bad = ~(torch.isfinite(rows) | gone) if rows.is_floating_point() else torch.zeros_like(gone)
        if bad.any():
            raise UserError(f"{name} holds infinite values", found=f"in row {start + _row(bad)}", hint="remove them")
        if codec.parts is None and gone.any():
            raise UserError(
                f"{name} has missing values, and {self.like} had none",
                found=f"in row {start + _row(gone)}",
                hint="fill them, or train on such that show where values may be missing",
            )
        try:
            numbers = codec.encode(rows)[:, : codec.without_masks(self.array_shape)[0]]
        except UserError as error:
            raise UserError(f"{name}: {error.what}", found=error.found, hint=error.hint) from error
        return int(((numbers < codec.low.float()) | (numbers > codec.high.float())).sum())

    def of_rows(self, array: Any, count: int) -> Tensor:
        """The conditions of so many samples from an array like that of the training, as `vectors` gives them.

        Raises:
            UserError: there is none, it is another kind of array, or it has another number of rows.
        """
        require_given(self, array)
        found = self.given(array)
        if found.count != count:
            raise UserError(
                f"{parameter(NAME)} does not hold one condition for each sample",
                found=f"{found.count:,} for {count:,} samples",
                hint="give as many rows",
            )
        return found.vectors(0, count, seed=0)

    def state(self) -> dict[str, Any]:
        """For a checkpoint: plain types and tensors; what is asked for is left out."""
        return {"array": list(self.array_shape), "codec": self.codec.state(), "pool": self.pool}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "ArrayConditions":
        """The inverse of `state`."""
        return cls(Codec.from_state(state["codec"]), tuple(state["array"]), state["pool"])

    def fault(self) -> str:
        """What the state of a checkpoint holds that no training writes; empty for nothing."""
        shape, layout = self.codec.without_masks(self.array_shape), self.codec.layout
        if not 1 <= len(self.array_shape) <= 3 or min(self.array_shape) < 1:
            return f"conditions of shape {self.array_shape}"
        if self.pool.dim() != len(layout) or not len(self.pool):
            return f"conditions of shape {tuple(self.pool.shape)} in layout {layout!r}"
        held, needed = self.pool.untyped_storage().nbytes(), self.pool.numel() * self.pool.element_size()
        if held < needed:
            return f"{needed} bytes of conditions in {held}"
        own = _sample_shape(self.pool.shape, layout)
        return "" if own == tuple(shape) else f"conditions of shape {own}, not {tuple(shape)}"


def _sample_shape(shape: Sequence[int], layout: str) -> tuple[int, ...]:
    """Of one row of an array, channels first."""
    found: tuple[int, ...] = channels_first(np.broadcast_to(0, (1, *shape[1:])), layout).shape[1:]
    return found


def _row(wrong: Tensor) -> int:
    return int(wrong.flatten(1).any(1).nonzero()[0])


def require_given(conditions: Any, array: Any) -> None:
    """Refuse samples whose conditions are not given, and an array for those that have no such conditions.

    Raises:
        UserError: says which.
    """
    is_array = isinstance(conditions, ArrayConditions)
    if is_array and array is None:
        raise UserError(
            "Samples were learnt under the rows of an array", hint=f"give {parameter(NAME)}, a row for each sample"
        )
    if not is_array and array is not None:
        raise UserError(
            "Samples were not learnt under the rows of an array", found=parameter(NAME), hint="leave it out"
        )


def array_context(
    array: Any,
    samples: Source,
    *,
    layout: str = "auto",
    missing: Sequence[int | float] = (),
    heldout: float,
    seed: int,
    log: Log,
) -> ArrayContext:
    """The rows of an array as the conditions of samples, in their order.

    Args:
        array: see `opened_array`.
        samples: as many.
        layout: of the array.
        missing: numbers besides NaN that mean missing.
        heldout: share of the rows from which no statistics come.
        seed: chooses these as it does those of the samples.
        log: receives what is constant or missing, in a sentence each.

    Raises:
        UserError: not one condition for each sample; all conditions are equal; or what `array_source` refuses.
    """
    if layout not in CONDITION_LAYOUTS:
        raise unknown_name("layout of conditions", layout, CONDITION_LAYOUTS)
    name, rows = opened_array(array)
    found = samples.names.found() if samples.names is not None else None
    count = len(samples) if found is None else len(found)
    if rows.ndim == 0 or len(rows) != count:
        raise UserError(
            f"{name} does not hold one condition for each sample",
            found=f"{0 if rows.ndim == 0 else len(rows):,} for {count:,} samples",
            hint="give as many rows, in the order of the samples",
        )
    kept = None
    if samples.names is not None:
        own = samples.names.kept()
        if own is None:
            raise UserError(
                "Conditions cannot follow pictures that may turn out unreadable while training",
                found=f"{parameter('skip_unreadable', True)} with more pictures than are kept in memory",
                hint=f"remove the unreadable ones, or choose a smaller {parameter('size')}",
            )
        kept = torch.from_numpy(own)
        log(f"The rows of {name} belong to the pictures in the order of their paths: {_first(found or [])}.")

    def told(sentence: str) -> None:
        log(f"Of the conditions: {sentence}")

    try:
        source = array_source(rows, name=name, layout=layout, missing=missing, heldout=heldout, seed=seed, log=told)
    except UserError as error:
        raise UserError(
            f"Of the conditions: {error.what}", found=error.found, hint=_of_conditions(error.hint or "")
        ) from error
    return ArrayContext(source, kept)


def _of_conditions(hint: str) -> str:
    """A hint on the layout of samples as one on that of their conditions."""
    if "layout" not in hint:
        return hint
    return f"say {parameter('condition_layout')} {', '.join(CONDITION_LAYOUTS[1:])}"


def _first(names: list[str]) -> str:
    return ", ".join(names[:2]) + (" and so on" if len(names) > 2 else "")


def opened_array(array: Any, codec: Codec | None = None) -> tuple[str, Array]:
    """The name of an array of conditions and its rows; of a file, these are read when they are needed.

    Args:
        array: an array, a tensor, or the path of a `.npy`, `.npz` or IDX file; `pairs.npz::coarse` names one of many.
        codec: of the training, whose code for missing values stands for what is masked.

    Raises:
        UserError: no such file, another kind of file, or no numbers.
    """
    if isinstance(array, str | Path):
        return _array_in(str(array))
    rows = as_array(array) if isinstance(array, Tensor) else array
    if not isinstance(rows, FileArray):
        known = codec.parts.written if codec is not None and codec.parts else ()
        rows = unmasked(unmapped(rows) if isinstance(rows, np.ndarray) else np.asarray(rows), known)[0]
    refuse_non_numbers(rows, NAME)
    return NAME, rows


def _array_in(text: str) -> tuple[str, Array]:
    if is_grid_file(text):
        return _gridded(text)
    file, _, member = text.partition("::")
    path = Path(file)
    require_readable(path)
    if path.is_dir() and not member:
        return _array_folder(path)
    require_regular(path)
    if path.suffix in (".npy", ".npz"):
        if member and path.suffix == ".npy":
            raise UserError(f"{path} holds one array", found=f"'{text}'", hint=f"name it without ::{member}")
        name, array = load_array(path, key=member or None)
    elif is_idx(path) and not member:
        name, array = path.name, read_idx(path)
    else:
        raise unknown_name("kind of array with conditions", path.suffix or path.name, KINDS)
    refuse_non_numbers(array, name)
    return name, array


def _gridded(text: str) -> tuple[str, Array]:
    """One of the named arrays of a file; missing values become NaN."""
    found = open_gridded(text)
    refuse_non_numbers(found.array, found.name)
    array = held_if_packed(found.array, found.name)
    if found.codes:
        array = with_gaps(array, found.codes, found.name)
    return found.name, array


def _array_folder(folder: Path) -> tuple[str, Array]:
    """One condition in each `.npy` file of a folder, in the order of their names."""
    files = sorted(path for path in folder.iterdir() if is_array_file(path) and not path.name.startswith((".", "_")))
    if not files:
        raise UserError(f"{folder} holds no .npy files", hint=f"give {KINDS[0]}, {KINDS[1]} or a folder of .npy files")
    with unchanging(files):
        return folder.name, stacked_arrays(files, folder.name)
