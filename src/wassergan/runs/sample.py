"""From a sampler to a file, beside a run or elsewhere, or to standard output."""

from collections.abc import Callable
from pathlib import Path

from wassergan.data.tables.spreadsheets import Formulas
from wassergan.modality.writing import pipe_samples, write_samples
from wassergan.sampling.sampler import Sampler
from wassergan.storage.run_folder import RunFolder
from wassergan.training import DistributedContext


def require_target(run: Path, out: Path) -> None:
    """Refuse a file that is a part of a run, or whose folder cannot be written to."""
    folder = RunFolder(run)
    folder.require_folder(out.parent)
    if out.suffix:
        folder.require_target(out)


def write(
    sampler: Sampler,
    out: Path | None,
    *,
    count: int,
    seed: int,
    form: str,
    formulas: Formulas,
    progress: Callable[[int], None],
    processes: DistributedContext,
) -> None:
    """Draw samples into a file, or onto standard output.

    Args:
        sampler: of a run.
        out: the file; None for standard output, to which the first process alone writes.
        count: of samples.
        seed: of the draws.
        form: of what goes to standard output.
        formulas: what is done with texts that spreadsheets would take for formulas.
        progress: is told how many are drawn.
        processes: that share the work.
    """
    if out is not None:
        write_samples(sampler, out, count=count, seed=seed, progress=progress, formulas=formulas, processes=processes)
        return
    processes.on_rank_zero(
        lambda: pipe_samples(sampler, form=form, count=count, seed=seed, progress=progress, formulas=formulas)
    )
