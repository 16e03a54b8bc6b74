"""Samples to standard output, chunk by chunk, for other programs to read."""

import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data import TableCodec, write_table
from wassergan.data.tables.spreadsheets import Formulas
from wassergan.errors import UserError, WorkError
from wassergan.sampling.sampler import Progress, Sampler
from wassergan.storage.files import standard_output

TABLES, ARRAYS = ("csv", "csv.gz", "tsv", "tsv.gz"), ("npy",)


def piped_format(name: str | None, kind: str) -> str:
    """The format of samples on standard output: the one that was named, or the usual one of their kind.

    Raises:
        UserError: samples of this kind have no such format that can be piped.
    """
    known = TABLES if kind == "table" else ARRAYS
    if name is not None and name not in known:
        what = "Rows of a table" if kind == "table" else "Samples"
        raise UserError(
            f"{what} go to standard output as {', '.join(known)}", found=f"'{name}'", mend="choose one, or name a file"
        )
    return name or known[0]


def pipe_samples(
    sampler: Sampler,
    *,
    count: int,
    seed: int,
    form: str,
    progress: Progress = lambda done: None,
    formulas: Formulas | None = None,
) -> None:
    """Draw samples and write them to standard output: the bytes that a file of that format would hold.

    Args:
        sampler: what to draw from.
        count: how many.
        seed: a smaller count gives the first samples of a larger one.
        form: of `piped_format`.
        progress: told how many samples are done.
        formulas: see `write_samples`.

    Raises:
        UserError: an array would go to a terminal, or a table has too few fresh identifiers.
        WorkError: whoever reads has stopped to, or the disk that it goes to is full.
    """
    if form not in TABLES and sys.stdout.isatty():
        raise UserError("An array is no text for a terminal", mend="send it to a file or a program: ... --out - | ...")
    sampler.require_identifiers(count)
    sys.stdout.flush()
    try:
        with standard_output() as file:
            _write(file, sampler, count=count, seed=seed, form=form, progress=progress, formulas=formulas)
    except OSError as error:
        raise WorkError(
            "Could not write to standard output",
            found=error.strerror or str(error),
            mend="what reads it must read all of it",
        ) from error


def _write(
    file: IO[bytes],
    sampler: Sampler,
    *,
    count: int,
    seed: int,
    form: str,
    progress: Progress,
    formulas: Formulas | None,
) -> None:
    chunks = _counted(sampler.chunks(count, seed=seed), progress)
    if form in TABLES:
        assert isinstance(sampler.codec, TableCodec)
        write_table(sampler.codec, chunks, file, like=Path(f"rows.{form}"), seed=seed, formulas=formulas)
        return
    first = next(chunks)
    header = {
        "descr": np.lib.format.dtype_to_descr(first.dtype),
        "fortran_order": False,
        "shape": (count, *first.shape[1:]),
    }
    np.lib.format.write_array_header_1_0(file, header)
    for chunk in chain([first], chunks):
        file.write(np.ascontiguousarray(chunk).data)


def _counted(chunks: Iterator[NDArray[Any]], progress: Progress) -> Iterator[NDArray[Any]]:
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        progress(done)
