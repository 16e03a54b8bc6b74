"""From a trained generator to samples on disk in the user's units, as array, grid, pictures or table."""

import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from wassergan.data import (
    TABLE_SUFFIXES,
    AnyCodec,
    Codec,
    ColumnConditions,
    TableCodec,
    channels_first,
    fix,
    table_suffix,
    write_table,
)
from wassergan.data.readers.limits import largest_bytes
from wassergan.data.tables.spreadsheets import Formulas
from wassergan.errors import UserError, WorkError
from wassergan.plots import (
    Channel,
    panels,
    picture_grid,
    save_figure,
    save_picture,
    table_figure,
    vector_figure,
    write_png16,
)
from wassergan.storage.files import (
    array_offset,
    filling,
    make_array,
    make_folder,
    replacing,
    require_target,
    require_writable,
)
from wassergan.training import ALONE, SAMPLING_CHUNK, Processes, sample_chunks, under
from wassergan.utils.shard import WHOLE, BatchShard

LARGEST_GRID = 10_000
MEASURED = 16  # samples that tell how large one is
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Sampler:
    """A generator with what is needed to draw from it.

    Args:
        generator: averaged weights.
        latent_dim: numbers in a latent vector, a head's noise included.
        codec: model space to user units.
        kind: `image`, `field`, `vector` or `table`.
        conditions: that samples are drawn under, if the generator was trained under some.
    """

    generator: nn.Module
    latent_dim: int
    codec: AnyCodec
    kind: str
    conditions: ColumnConditions | None = None

    def chunks(self, count: int, *, seed: int, shard: BatchShard = WHOLE) -> Iterator[NDArray[Any]]:
        """Samples in the user's units, layout and type, in chunks along the first axis; a shard of those, or all."""
        chunks = sample_chunks(
            self.generator, count, latent_dim=self.latent_dim, seed=seed, shard=shard, conditions=self.conditions
        )
        starts = range(shard.index * SAMPLING_CHUNK, count, shard.count * SAMPLING_CHUNK)
        for start, chunk in zip(starts, chunks, strict=True):
            yield self._decoded(chunk, start, seed)

    def render(self, latent: Tensor, context: Tensor | None = None) -> NDArray[Any]:
        """Pictures of given latents (n, latent_dim) and conditions (n, k), in the user's units, layout and type."""
        inputs = under(context, latent).to(next(self.generator.parameters()).device)
        with torch.no_grad():
            return self.codec.decode_numpy(self.generator(inputs))

    def under(self, wanted: Mapping[str, Any]) -> "Sampler":
        """A sampler whose samples are drawn under what is asked for; see `wassergan.data.fix`.

        Raises:
            UserError: the run has no conditions, or not these.
        """
        if not wanted:
            return self
        if self.conditions is None:
            raise UserError(
                "The run was trained without conditions",
                found=f"asked for {', '.join(wanted)}",
                mend=f"train with --condition {' '.join(wanted)}",
            )
        fixed = fix(self.conditions, wanted)
        if isinstance(self.codec, TableCodec) and self.codec.rules is not None:
            fixed = fixed.under_rules(self.codec.rules)
        return replace(self, conditions=fixed)

    def require_identifiers(self, count: int) -> None:
        """Refuse more rows of a table than it has fresh identifiers for.

        Raises:
            UserError: with the column, and how many there are.
        """
        for each in self.codec.identifiers if isinstance(self.codec, TableCodec) else ():
            each.require_room(count)

    def _decoded(self, chunk: Tensor, start: int, seed: int) -> NDArray[Any]:
        if isinstance(self.codec, TableCodec) and self.conditions is not None:
            given = self.conditions.rows(start, len(chunk), seed=seed)
            return self.codec.decode_numpy(chunk, given, start=start, seed=seed)
        if isinstance(self.codec, TableCodec):
            return self.codec.decode_numpy(chunk, start=start, seed=seed)
        return self.codec.decode_numpy(chunk)

    def draw(self, count: int, *, seed: int = 0) -> NDArray[Any]:
        """Samples in the user's units as one array, (count, ...).

        Raises:
            UserError: so many do not fit in memory.
        """
        self.require_memory(count, seed)
        return np.concatenate(list(self.chunks(count, seed=seed)))

    def require_memory(self, count: int, seed: int) -> None:
        """Refuse more samples than memory holds, told by the size of a few: chunks and their whole lie there twice."""
        if count <= SAMPLING_CHUNK:
            return
        few = next(self.chunks(MEASURED, seed=seed))
        needed, there = 2 * count * few.nbytes // len(few), 2 * largest_bytes()
        if needed > there:
            raise UserError(
                f"{count:,} samples do not fit in memory",
                found=f"{needed / 2**30:,.1f} GiB are needed, {there / 2**30:,.1f} GiB are there",
                mend="draw fewer, or one part after the other: Sampler.chunks, WassersteinGAN.sample_chunks, or "
                "wassergan sample --out with a file of rows or .npy",
            )


def write_samples(
    sampler: Sampler,
    path: Path,
    *,
    count: int,
    seed: int,
    progress: Progress = lambda done: None,
    processes: Processes = ALONE,
    formulas: Formulas | None = None,
) -> None:
    """Draw samples and write them; several processes write the same files as one.

    Where pictures or arrays are drawn under conditions, a file named after `path` holds those, one row per sample.

    Args:
        sampler: what to draw from.
        path: `.npy`: one array in the user's units, streamed; `.png`: one grid (or a plot, for vectors) with a
            fixed range; no suffix: a folder with one PNG per sample; `.csv`, `.parquet` or `.feather`: rows of a table.
        count: how many.
        seed: a smaller count gives the first samples of a larger one.
        progress: told how many samples are done.
        processes: all call this; each draws every so many-th chunk. A `.png` or a table is drawn by process 0 alone.
        formulas: counts texts of CSV that a spreadsheet would run, and may make them safe.

    Raises:
        UserError: the suffix is not known, the folder is not empty, or vectors were asked for as pictures.
        WorkError: the file system refuses.
    """
    processes.from_first(lambda: _prepare(path, count, sampler.kind))
    if table_suffix(path):
        processes.from_first(
            lambda: _write_table(sampler, path, count=count, seed=seed, progress=progress, formulas=formulas)
        )
        return
    if sampler.conditions is not None and sampler.kind != "table":
        processes.from_first(lambda: _write_conditions(sampler, path, count=count, seed=seed, formulas=formulas))
    match path.suffix:
        case ".npy":
            _write_array(sampler, path, count=count, seed=seed, progress=progress, processes=processes)
        case ".png":
            processes.from_first(
                lambda: write_picture(sampler.draw(count, seed=seed), path, codec=sampler.codec, kind=sampler.kind)
            )
            progress(count)
        case _:
            _write_folder(sampler, path, count=count, seed=seed, progress=progress, processes=processes)


def _write_table(
    sampler: Sampler, path: Path, *, count: int, seed: int, progress: Progress, formulas: Formulas | None
) -> None:
    assert isinstance(sampler.codec, TableCodec)
    sampler.require_identifiers(count)
    done = 0

    def chunks() -> Iterator[NDArray[Any]]:
        nonlocal done
        for chunk in sampler.chunks(count, seed=seed):
            yield chunk
            done += len(chunk)
            # At once, and again each time that twice as many are written: what compresses waits in a buffer at first.
            chunks_done = -(-done // SAMPLING_CHUNK)
            if chunks_done & (chunks_done - 1) == 0:
                _require_room(path.parent, temporary.stat().st_size * (count - done) // done)
            progress(done)

    with replacing(path) as temporary:
        write_table(sampler.codec, chunks(), temporary, like=path, seed=seed, formulas=formulas)


def _write_conditions(sampler: Sampler, path: Path, *, count: int, seed: int, formulas: Formulas | None) -> None:
    conditions = sampler.conditions
    assert conditions is not None
    rows = (
        conditions.rows(start, min(SAMPLING_CHUNK, count - start), seed=seed)
        for start in range(0, count, SAMPLING_CHUNK)
    )
    with replacing(conditions_path(path)) as temporary:
        write_table(conditions.codec, rows, temporary, like=conditions_path(path), formulas=formulas)


def conditions_path(path: Path) -> Path:
    """Where the conditions of the samples in a file or folder are written.

    >>> conditions_path(Path("digits.npy")).name
    'digits.conditions.csv'
    """
    return path.with_name(f"{path.stem}.conditions.csv")


def _prepare(path: Path, count: int, kind: str) -> None:
    """Refuse what cannot be written, and make the folders."""
    if (kind == "table") != bool(table_suffix(path)) and not (kind == "table" and path.suffix == ".png"):
        wanted = f"{', '.join(TABLE_SUFFIXES)} or .png" if kind == "table" else ".npy, .png or a folder"
        what = "Rows of a table" if kind == "table" else "Samples"
        raise UserError(f"{what} are written as {wanted}", found=f"'{path.name}'", mend="choose one of those suffixes")
    if kind == "table" and path.suffix != ".png":
        make_folder(path.parent)
        require_writable(path)
        return
    if path.suffix not in (".npy", ".png", ""):
        raise UserError(
            "Samples are written as .npy, .png or a folder",
            found=f"'{path.name}'",
            mend="choose one of those suffixes",
        )
    if path.suffix == ".png" and count > LARGEST_GRID:
        raise UserError(
            "Too many samples for one picture",
            found=f"{count}",
            mend=f"ask for at most {LARGEST_GRID}, or for .npy",
        )
    if path.suffix == "" and kind == "vector":
        raise UserError("Vectors are no pictures", mend="give --out a name that ends in .npy or .png")
    if path.suffix == "" and path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file", mend="name a new folder, or a file that ends in .npy or .png")
    if path.suffix == "" and path.is_dir() and any(path.iterdir()):
        raise UserError(f"The folder {path} is not empty", mend="name a new one")
    make_folder(path.parent if path.suffix else path)
    require_writable(path if path.suffix else path / "0.png")
    if path.suffix in (".npy", "") and kind != "table":
        require_target(conditions_path(path))


def write_picture(
    samples: NDArray[Any],
    path: Path,
    *,
    codec: AnyCodec,
    kind: str,
    real: NDArray[Any] | None = None,
    columns: int | None = None,
) -> None:
    """A grid of pictures or fields, or a plot of vectors, as PNG.

    Args:
        samples: (n, ...) in the user's units and layout.
        path: the file.
        codec: gives layout and range.
        kind: `image`, `field`, `vector` or `table`.
        real: for vectors and tables, real rows to draw beside them.
        columns: of a grid; a square one unless given.
    """
    if isinstance(codec, TableCodec):
        names = {column.name: column.names for column in codec.columns}
        save_figure(table_figure(names, samples, real), path)
        return
    if kind == "vector":
        assert isinstance(codec, Codec)
        drawn, held = vector_rows(samples, codec), None if real is None else vector_rows(real, codec)
        save_figure(vector_figure(drawn, held, names=codec.named(drawn.shape[1])), path)
        return
    save_picture(grid_picture(samples, codec, kind, columns), path)


def grid_picture(samples: NDArray[Any], codec: AnyCodec, kind: str, columns: int | None = None) -> Image.Image:
    """Samples (n, ...) in the user's units and layout on one grid, with the fixed range of their codec.

    Of fields, all channels are drawn, each with a range of its own.
    """
    assert isinstance(codec, Codec)
    if kind == "field":
        return panels(field_channels(samples, codec), columns=columns)
    shown = without_missing(samples, codec)
    if codec.layout == "NCHW":
        shown = np.moveaxis(shown, 1, 3)
    low, high = (float((bound * codec.scale + codec.offset).mean()) for bound in (codec.low, codec.high))
    return picture_grid(shown, low=low, high=high, columns=columns, colours=False)


def field_channels(samples: NDArray[Any], codec: Codec) -> list[Channel]:
    """The channels of fields (n, ...) in the user's units and layout, each with its name and the range of the data."""
    values = channels_first(without_missing(samples, codec), codec.layout)
    fixed = codec.parts.fixed.numpy() if codec.parts else np.zeros(values.shape[1:], bool)
    count = values.shape[1]
    found = []
    for index, name in enumerate(codec.named(count)):
        low, high = codec.range_of(index, margin=False)
        if not high > low:
            low, high = low - 0.5, high + 0.5
        channel = values[:, index]
        # Such as -9999 on land; drawn as missing, as it has no colour.
        channel[fixed[index] & ((channel < low) | (channel > high))] = np.nan
        found.append(Channel(name if count > 1 or codec.channels else "", channel, low, high))
    return found


def vector_rows(samples: NDArray[Any], codec: Codec) -> NDArray[np.float64]:
    """Vectors as rows (n, D), with NaN where a value is missing."""
    return without_missing(samples, codec).reshape(len(samples), -1)


def without_missing(samples: NDArray[Any], codec: Codec) -> NDArray[np.float64]:
    """The same in float64, with NaN where a value is missing."""
    values = samples.astype(np.float64)
    values[codec.missing(samples)] = np.nan
    return values


def _write_array(
    sampler: Sampler, path: Path, *, count: int, seed: int, progress: Progress, processes: Processes
) -> None:
    with _one_file(path, processes) as temporary:
        chunks = _placed(sampler, count, seed, processes)
        first = next(chunks, None)  # process 0 always has one: it makes the file in its likeness
        processes.from_first(lambda: _make_array(temporary, count, first))
        offset = array_offset(temporary)
        # Written, not mapped: every page of a mapping costs a fault, and counts as this process's memory.
        with filling(temporary, "rb+") as file:
            for start, chunk in chain([first] if first else [], chunks):
                file.seek(offset + start * chunk[0].nbytes)
                file.write(np.ascontiguousarray(chunk).data)
                progress(start + len(chunk))


def _placed(sampler: Sampler, count: int, seed: int, processes: Processes) -> Iterator[tuple[int, NDArray[Any]]]:
    """The chunks of this process, each with the number of its first sample."""
    shard = processes.shard
    starts = range(shard.index * SAMPLING_CHUNK, count, shard.count * SAMPLING_CHUNK)
    return zip(starts, sampler.chunks(count, seed=seed, shard=shard), strict=True)


def _make_array(path: Path, count: int, first: tuple[int, NDArray[Any]] | None) -> None:
    assert first is not None
    shape, dtype = (count, *first[1].shape[1:]), first[1].dtype
    _require_room(path.parent, math.prod(shape) * dtype.itemsize)
    make_array(path, dtype, shape)


@contextmanager
def _one_file(path: Path, processes: Processes) -> Iterator[Path]:
    """On all processes the temporary path of the first, which moves it into place when all are done."""
    with ExitStack() as stack:
        temporary = processes.from_first(lambda: stack.enter_context(replacing(path)))
        with processes.together():
            yield temporary


def _require_room(folder: Path, needed: int) -> None:
    # Where the file is sparse at first, a full disk would be met only half-way.
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise WorkError(
            f"No room for the samples in {folder}",
            found=f"{needed:,} bytes needed, {free:,} free",
            mend="free some space",
        )


def _write_folder(
    sampler: Sampler, path: Path, *, count: int, seed: int, progress: Progress, processes: Processes
) -> None:
    digits = len(str(count - 1))
    with processes.together():
        for start, chunk in _placed(sampler, count, seed, processes):
            for index, sample in enumerate(chunk, start):
                file = path / f"{index:0{digits}d}.png"
                _write_single(sample, sampler, file)
                if index == 0:
                    _require_room(path, file.stat().st_size * (count - 1))
            progress(start + len(chunk))


def _write_single(sample: NDArray[Any], sampler: Sampler, path: Path) -> None:
    is_picture = sampler.kind == "image" and (sample.ndim == 2 or sample.shape[-1] in (3, 4))
    if is_picture and sample.dtype == np.uint16 and sample.shape[2:] in ((), (3,)):
        write_png16(sample, path)
    elif is_picture and sample.dtype == np.uint8:
        save_picture(Image.fromarray(sample), path)
    else:
        save_picture(grid_picture(sample[None], sampler.codec, sampler.kind, columns=1), path)
