"""Fewer checkpoints of a run: the older numbered ones go, `latest` and `best` stay."""

from dataclasses import dataclass
from pathlib import Path

from wassergan.storage.checkpoint import Checkpoints
from wassergan.storage.files import remove
from wassergan.storage.lock import held
from wassergan.storage.run_folder import RunFolder
from wassergan.storage.sizes import freed_by_removing


@dataclass(frozen=True)
class Pruned:
    """What was removed, or would be.

    Attributes:
        removed: steps of the checkpoints.
        kept: steps of the numbered ones that stay.
        freed_bytes: room on the disk: a file that `latest` or `best` is another name of takes it on.
    """

    removed: tuple[int, ...]
    kept: tuple[int, ...]
    freed_bytes: int


def prune_run(folder: Path, *, keep: int, dry_run: bool = False) -> Pruned:
    """Remove all numbered checkpoints of a run but the last ones. The run can be resumed and drawn from as before.

    Args:
        folder: of the run.
        keep: how many numbered checkpoints stay, at least 1.
        dry_run: remove nothing.

    Raises:
        UserError: there is no run, or another process writes it.
    """
    run_folder = RunFolder(folder)
    run_folder.require_run()
    if dry_run:
        return _pruned(run_folder, keep)
    with held(folder) as lock:
        run_folder = RunFolder(folder, lock)
        run_folder.require_own()
        found = _pruned(run_folder, keep)
        checkpoints = Checkpoints(run_folder.checkpoints)
        for step in found.removed:  # the earliest first: after a kill the last ones are there
            remove(checkpoints.numbered(step))
    return found


def _pruned(folder: RunFolder, keep: int) -> Pruned:
    checkpoints = Checkpoints(folder.checkpoints)
    steps = checkpoints.steps()
    gone, stay = steps[:-keep], steps[-keep:]
    return Pruned(tuple(gone), tuple(stay), freed_by_removing([checkpoints.numbered(step) for step in gone]))
