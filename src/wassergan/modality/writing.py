"""Samples of any class to files and to standard output."""

import sys
from collections.abc import Iterator
from pathlib import Path

from wassergan.data.tables.spreadsheets import Formulas
from wassergan.errors import UserError, WorkError, flag
from wassergan.modality import modality_of
from wassergan.modality.modality import Rows
from wassergan.sampling.sampler import Sampler
from wassergan.sampling.writers import Draw, Progress, at_once
from wassergan.storage.streams import standard_output
from wassergan.training import SINGLE_PROCESS, DistributedContext


def write_samples(
    sampler: Sampler,
    path: Path,
    *,
    count: int,
    seed: int,
    progress: Progress = lambda done: None,
    processes: DistributedContext = SINGLE_PROCESS,
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
    modality = modality_of(sampler.kind)
    processes.on_rank_zero(lambda: modality.prepare(path, count))
    with at_once(path, processes):
        modality.write(Draw(sampler, count, seed, progress, processes, formulas), path)


def piped_format(name: str | None, kind: str) -> str:
    """The format of samples on standard output: the one that was named, or the usual one of their kind.

    Raises:
        UserError: samples of this kind have no such format that can be piped.
    """
    modality = modality_of(kind)
    if name is not None and name not in modality.piped:
        raise UserError(
            f"{modality.noun} go to standard output as {', '.join(modality.piped)}",
            found=f"'{name}'",
            hint="choose one, or name a file",
        )
    return name or modality.piped[0]


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
    modality = modality_of(sampler.kind)
    if not modality.is_text and sys.stdout.isatty():
        raise UserError(
            "An array is no text for a terminal", hint=f"send it to a file or a program: ... {flag('out', '-')} | ..."
        )
    sampler.require_identifiers(count)
    sys.stdout.flush()
    try:
        with standard_output() as file:
            draw = Draw(sampler, count, seed, progress, SINGLE_PROCESS, formulas)
            modality.pipe(draw, _counted(draw.chunks(), progress), file, form=form)
    except OSError as error:
        raise WorkError(
            "Could not write to standard output",
            found=error.strerror or str(error),
            hint="what reads it must read all of it",
        ) from error


def _counted(chunks: Iterator[Rows], progress: Progress) -> Iterator[Rows]:
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        progress(done)
