"""From a sampler to a file, beside a run or elsewhere, or to standard output."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wassergan.config.verbs import SampleSettings
from wassergan.data.tables.spreadsheets import Formulas
from wassergan.errors import UserError, parameter
from wassergan.modality import modality_of
from wassergan.modality.writing import pipe_samples, write_samples
from wassergan.sampling.sampler import Sampler
from wassergan.storage.run_folder import RunFolder
from wassergan.training import DistributedContext

USUAL_COUNT = 64
ARRAYS = ("condition_array", "given_past")  # of which each row has so many draws


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


def conditioned(
    sampler: Sampler, settings: SampleSettings, wanted: Mapping[str, list[Any]], *, log: Callable[[str], None]
) -> Sampler:
    """The sampler with the conditions that are asked for: columns by name, an array, or a past.

    Raises:
        UserError: conditions are given twice, or a number of samples does not go with them.
    """
    asked = [name for name in ARRAYS if getattr(settings, name) is not None]
    if not asked:
        if settings.draws:
            raise UserError(
                f"{parameter('draws')} counts the draws for each row of an array of conditions, or for each past",
                found=parameter("draws", settings.draws),
                hint=f"give {' or '.join(map(parameter, ARRAYS))}, or {parameter('count')} instead",
            )
        return sampler.under(wanted)
    if wanted or len(asked) > 1:
        others = f"{parameter('given')} or {parameter('given_rows')} with {', '.join(wanted)}"
        raise UserError(
            "Conditions are given twice",
            found=f"{parameter(asked[0])}, and {others if wanted else parameter(asked[1])}",
            hint="give one of them",
        )
    if settings.count:
        raise UserError(
            "The number of samples under an array is that of its rows times that of the draws",
            found=parameter("count", settings.count),
            hint=f"leave it out, or give {parameter('draws')}",
        )
    if settings.given_past is not None:
        return sampler.under_past(settings.given_past, draws=settings.draws, log=log)
    return sampler.under_array(settings.condition_array, draws=settings.draws, log=log)


def count_of(settings: SampleSettings, sampler: Sampler, wanted: Mapping[str, list[Any]]) -> int:
    """How many samples are drawn: as many as conditions are given, as are asked for, or the usual number."""
    if any(getattr(settings, name) is not None for name in ARRAYS):
        assert sampler.conditions is not None and hasattr(sampler.conditions, "count")
        number: int = sampler.conditions.count
        return number
    return settings.count or (max(map(len, wanted.values())) if settings.given_rows else USUAL_COUNT)


def require_drawable(
    sampler: Sampler, settings: SampleSettings, wanted: Mapping[str, list[Any]], *, told: Callable[[str], None] | None
) -> None:
    """Say what is wrong with a call at once, before a table's generator is calibrated, and what it then waits for.

    Args:
        sampler: not calibrated yet.
        settings: of the call.
        wanted: conditions of the samples.
        told: what the person who waits is told, by the process that also looks at the file; None in the others.
    """
    count = count_of(settings, conditioned(sampler, settings, wanted, log=_silent), wanted)
    if told is None:
        return
    modality = modality_of(sampler.kind)
    if settings.out and Path(settings.out).suffix:
        require_target(Path(settings.run), Path(settings.out))
        modality.prepare(Path(settings.out), count)
    if modality.is_text:
        told(
            "Setting the frequencies of levels and the quantiles of numbers right first, which takes some seconds once."
        )


def _silent(sentence: str) -> None:
    """Nothing: it is said once the sampler is calibrated."""
