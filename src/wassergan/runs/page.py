"""The page of a run, written anew where the run has gone on since."""

from collections.abc import Callable
from pathlib import Path

from wassergan.runs.recorder import write_run_report
from wassergan.storage.files import can_write, kind_of
from wassergan.storage.run_folder import RunFolder


def page_of(folder: Path, *, log: Callable[[str], None] = lambda sentence: None) -> Path:
    """The page of a run; written if there is none, or the log or the evaluation is newer than it.

    Args:
        folder: of the run.
        log: receives word of a page that is old and cannot be written anew.

    Raises:
        UserError: there is no run, or no tick yet.
        WorkError: there is no page, and none can be written.
    """
    run_folder = RunFolder(folder)
    run_folder.require_run()
    run_folder.finish_results()
    page = run_folder.report
    if _is_current(run_folder):
        return page
    if kind_of(page) == "a file" and not can_write(folder):
        log(f"{folder} cannot be written to: the page is older than the run.")
        return page
    return write_run_report(folder)


def _is_current(folder: RunFolder) -> bool:
    if kind_of(folder.report) != "a file":
        return False
    written = folder.report.stat().st_mtime_ns
    others = [path for path in (folder.log, folder.metrics) if kind_of(path) == "a file"]
    return all(path.stat().st_mtime_ns <= written for path in others)
