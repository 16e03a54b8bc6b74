"""Missing cells of a table filled by a run."""

from pathlib import Path
from typing import Any

from wassergan.config.verbs import CompleteSettings
from wassergan.data.tables.writing import table_suffix
from wassergan.errors import UserError
from wassergan.sampling.completing import file_completed
from wassergan.sampling.completion import Completer, require_completion
from wassergan.sampling.sampler import Sampler
from wassergan.session.restore import open_sampler
from wassergan.storage.files import make_folder
from wassergan.storage.run_folder import RunFolder


def complete_table(settings: CompleteSettings) -> dict[str, Any]:
    """Fill the missing cells of a table, once or several times.

    Args:
        settings: as given by the user.

    Returns:
        The files, and how many rows and missing cells there were.

    Raises:
        UserError: no run, one that cannot complete rows, no such table, or other columns; nothing was written.
    """
    run, table = Path(settings.run), Path(settings.table)
    sampler = open_sampler(
        run, checkpoint=settings.checkpoint, device=settings.device, check=lambda sampler: _check(sampler, table)
    )
    completer = Completer.of(sampler)
    outs = _files(run, table, settings)
    for out in outs:
        RunFolder(run).require_folder(out.parent)
        RunFolder(run).require_target(out)
        make_folder(out.parent)
    found = file_completed(completer, table, outs, seed=settings.seed)
    return {"out": [str(out) for out in outs], "seed": settings.seed, **found}


def _check(sampler: Sampler, table: Path) -> None:
    require_completion(sampler)
    if not table.exists():
        raise UserError(f"There is no {table}", hint="give a table to complete")


def _files(run: Path, table: Path, settings: CompleteSettings) -> list[Path]:
    suffix = table_suffix(table) or table.suffix
    stem = table.name[: len(table.name) - len(suffix)] if suffix else table.name
    out = Path(settings.out) if settings.out else run / f"{stem}-completed{suffix}"
    if settings.draws is None:
        return [out]
    suffix = table_suffix(out) or out.suffix
    stem = out.name[: len(out.name) - len(suffix)] if suffix else out.name
    return [out.with_name(f"{stem}-{number}{suffix}") for number in range(1, settings.draws + 1)]
