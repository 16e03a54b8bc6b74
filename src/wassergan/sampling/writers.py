"""Samples to files: arrays and folders that several processes fill together, rows of tables, conditions."""

import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data import ArrayConditions, Codec, TableCodec, write_table
from wassergan.data.grids.writing import MATLAB_WRITTEN, form_of, write_matlab, write_netcdf
from wassergan.data.tables.spreadsheets import Formulas
from wassergan.errors import WorkError
from wassergan.sampling.sampler import Sampler
from wassergan.storage.arrays import array_offset, make_array
from wassergan.storage.files import filling, remove, replacing, write_text
from wassergan.storage.together import together
from wassergan.training import SAMPLING_CHUNK, DistributedContext

UNFINISHED = "unfinished.txt"  # lies in a folder until all samples do
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Draw:
    """Samples that are to be drawn and written.

    Args:
        sampler: what to draw from.
        count: how many.
        seed: a smaller count gives the first samples of a larger one.
        progress: receives the number of samples that are done.
        processes: all of them hold the same draw; each draws every so many-th chunk.
        formulas: counts texts of CSV that a spreadsheet would run, and may make them safe.
    """

    sampler: Sampler
    count: int
    seed: int
    progress: Progress
    processes: DistributedContext
    formulas: Formulas | None

    @property
    def axes(self) -> tuple[int, ...]:
        """Before those of a sample: the count, or conditions and draws of each."""
        draws = self.sampler.draws
        return (self.count,) if draws is None else (self.count // draws, draws)

    def whole(self) -> NDArray[Any]:
        """All samples in the user's units."""
        return self.sampler.draw(self.count, seed=self.seed)

    def chunks(self) -> Iterator[NDArray[Any]]:
        """All samples, a chunk at a time."""
        return self.sampler.chunks(self.count, seed=self.seed)

    def own_chunks(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """The chunks of this process, each with the number of its first sample."""
        shard = self.processes.shard
        starts = range(shard.index * SAMPLING_CHUNK, self.count, shard.count * SAMPLING_CHUNK)
        return zip(starts, self.sampler.chunks(self.count, seed=self.seed, shard=shard), strict=True)


def write_array(draw: Draw, path: Path) -> None:
    """One array in a `.npy` file, filled by all processes."""
    processes = draw.processes
    with _one_file(path, processes) as temporary:
        chunks = draw.own_chunks()
        first = next(chunks, None)  # process 0 always has one: it determines the layout of the file
        processes.on_rank_zero(lambda: _make_array(temporary, draw.axes, first))
        offset = array_offset(temporary)
        # Written, not mapped: every page of a mapping costs a fault and counts as memory of this process.
        with filling(temporary, "rb+") as file:
            for start, chunk in chain([first] if first else [], chunks):
                file.seek(offset + start * chunk[0].nbytes)
                file.write(np.ascontiguousarray(chunk).data)
                draw.progress(start + len(chunk))


@contextmanager
def at_once(path: Path, processes: DistributedContext) -> Iterator[None]:
    """Put samples and their conditions into place together; a folder of samples is marked until it is complete.

    The files are put into place by the first process; if that fails, all processes fail.
    """
    if not path.suffix:
        unfinished = path / UNFINISHED
        note = "wassergan sample is writing into this folder, or was stopped: it does not hold all samples.\n"
        processes.on_rank_zero(lambda: write_text(unfinished, note))
        yield
        processes.on_rank_zero(lambda: remove(unfinished))
        return
    with ExitStack() as stack:
        names = {path.name, conditions_path(path).name, conditions_path(path).with_suffix(".npy").name}
        processes.on_rank_zero(
            lambda: stack.enter_context(together(path.parent, ours=names.__contains__)) and None  # nothing to send
        )
        yield
        processes.on_rank_zero(stack.close)


def write_grid(draw: Draw, path: Path, codec: Codec) -> None:
    """All samples in a NetCDF, HDF5 or MATLAB file with the axes and attributes of the data; by one process."""
    chunks = draw.chunks()
    first = next(chunks)
    form = form_of(codec, first, draw.axes)
    every = chain([first], chunks)
    with replacing(path) as temporary:
        if path.suffix.lower() in MATLAB_WRITTEN:
            with filling(temporary, "wb+") as file:
                write_matlab(np.concatenate(list(every)), form, file)
            return
        for done in write_netcdf(every, form, temporary):
            draw.progress(done)


def _make_array(path: Path, leading: tuple[int, ...], first: tuple[int, NDArray[Any]] | None) -> None:
    assert first is not None
    shape, dtype = (*leading, *first[1].shape[1:]), first[1].dtype
    _require_room(path.parent, math.prod(shape) * dtype.itemsize)
    make_array(path, dtype, shape)


@contextmanager
def _one_file(path: Path, processes: DistributedContext) -> Iterator[Path]:
    """On all processes, the temporary path of process 0, which renames it when all are done."""
    with ExitStack() as stack:
        temporary = processes.on_rank_zero(lambda: stack.enter_context(replacing(path)))
        with processes.raise_together():
            yield temporary


def _require_room(folder: Path, needed: int) -> None:
    # If the file were sparse at first, a full disk would show only half-way.
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise WorkError(
            f"No room for the samples in {folder}",
            found=f"{needed:,} bytes needed, {free:,} free",
            hint="free some space",
        )


def write_folder(draw: Draw, path: Path, save: Callable[[NDArray[Any], Path], None], *, suffix: str = ".png") -> None:
    """One file per sample, each saved by `save(sample, path)`; all processes write into the folder."""
    digits = len(str(draw.count - 1))
    with draw.processes.raise_together():
        for start, chunk in draw.own_chunks():
            for index, sample in enumerate(chunk, start):
                file = path / f"{index:0{digits}d}{suffix}"
                save(sample, file)
                if index == 0:
                    _require_room(path, file.stat().st_size * (draw.count - 1))
            draw.progress(start + len(chunk))


def write_rows(draw: Draw, path: Path, codec: TableCodec) -> None:
    """Writes rows of a table to a file, chunk by chunk."""
    draw.sampler.require_identifiers(draw.count)
    done = 0

    def chunks() -> Iterator[NDArray[Any]]:
        nonlocal done
        for chunk in draw.chunks():
            yield chunk
            done += len(chunk)
            # At once, and again whenever the number of rows has doubled: compressed formats buffer at first.
            chunks_done = -(-done // SAMPLING_CHUNK)
            if chunks_done & (chunks_done - 1) == 0:
                _require_room(path.parent, temporary.stat().st_size * (draw.count - done) // done)
            draw.progress(done)

    with replacing(path) as temporary:
        write_table(codec, chunks(), temporary, like=path, seed=draw.seed, formulas=draw.formulas)


def write_conditions(draw: Draw, path: Path) -> None:
    """Writes the conditions of the samples in a file or folder to a table beside it."""
    conditions = draw.sampler.conditions
    assert conditions is not None
    if isinstance(conditions, ArrayConditions):
        if conditions.wanted is None:
            _write_arrays(conditions, draw, conditions_path(path).with_suffix(".npy"))
        return
    rows = (
        conditions.rows(start, min(SAMPLING_CHUNK, draw.count - start), seed=draw.seed)
        for start in range(0, draw.count, SAMPLING_CHUNK)
    )
    with replacing(conditions_path(path)) as temporary:
        write_table(conditions.codec, rows, temporary, like=conditions_path(path), formulas=draw.formulas)


def _write_arrays(conditions: ArrayConditions, draw: Draw, path: Path) -> None:
    """The arrays that samples were drawn under, in the user's units: those that were asked for are there already."""
    chunks = (
        conditions.rows(start, min(SAMPLING_CHUNK, draw.count - start), seed=draw.seed)
        for start in range(0, draw.count, SAMPLING_CHUNK)
    )
    with replacing(path) as temporary:
        first = next(chunks)
        make_array(temporary, first.dtype, (draw.count, *first.shape[1:]))
        with filling(temporary, "rb+") as file:
            file.seek(array_offset(temporary))
            for chunk in chain([first], chunks):
                file.write(np.ascontiguousarray(chunk).data)


def conditions_path(path: Path) -> Path:
    """The path for the conditions of the samples in a file or folder.

    >>> conditions_path(Path("digits.npy")).name
    'digits.conditions.csv'
    """
    return path.with_name(f"{path.stem}.conditions.csv")
