"""Where an evaluation keeps what it finds: checked before the work, written after its result was given out."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wassergan.errors import UserError, WasserganError, WorkError, flag, parameter, worded
from wassergan.runs.recorder import write_run_report
from wassergan.storage.files import can_write, make_folder, read_text, write_text
from wassergan.storage.run_folder import RunFolder, is_result
from wassergan.storage.together import together

_PAIR = re.compile(r"evaluation/pair-\d+\.png")


class Results:
    """Keeps the result of an evaluation in its run's folder, or in another one.

    Args:
        run: that is judged.
        out: the folder that is written to; the run's own unless given.
        log: receives word that the run's folder cannot be written to, and the result is given out alone.

    Raises:
        UserError: `out` is no folder, or that of another run.
        WorkError: it cannot be written to.
    """

    def __init__(self, run: RunFolder, out: str | None, log: Callable[[str], None]) -> None:
        self._run, self.folder = run, RunFolder(Path(out)) if out else run
        self._pictures: list[tuple[Path, Callable[[Path], object]]] = []
        if out:
            self._prepare()
        folders = (self.folder.path, self.folder.evaluation)
        self.kept = all(can_write(folder) for folder in folders)
        if not self.kept and out:
            raise WorkError(
                f"{out} cannot be written to", hint=f"check its permissions, or name another {parameter('out')}"
            )
        if not self.kept:
            log(f"{run.path} cannot be written to: the result is printed alone; {parameter('out', 'FOLDER')} keeps it.")

    def _prepare(self) -> None:
        run_folder = self.folder
        if str(run_folder.path) == "-":
            raise UserError(
                "Results are written into a folder",
                found="-",
                hint=worded(command_line=f"{flag('json')} prints them", python="name one, or none"),
            )
        make_folder(run_folder.require_folder(run_folder.path))
        if run_folder.holds_run() and not run_folder.path.samefile(self._run.path):
            raise UserError(f"{run_folder.path} holds another run", hint=f"name another folder with {parameter('out')}")
        run_folder.require_here()

    def picture(self, name: str, draw: Callable[[Path], object]) -> str:
        """Note a picture that is to be drawn; its path below the folder."""
        path = self.folder.evaluation / name
        self._pictures.append((path, draw))
        return path.relative_to(self.folder.path).as_posix()

    def keep(self, result: dict[str, Any]) -> None:
        """Write the pictures, what `metrics.json` holds, and the run's page; all take their places at once.

        Raises:
            WorkError: the file system refuses.
            UserError: the run's page cannot be written; all else was.
        """
        if not self.kept:
            return
        former = self._former_pairs()
        self.folder.require_here()
        failed = None
        with together(self.folder.path, ours=is_result) as group:
            for path, draw in self._pictures:
                make_folder(path.parent)
                draw(path)
            write_text(self.folder.metrics, json.dumps(result, indent=1, allow_nan=False) + "\n")
            for name in former - {str(pair["picture"]) for pair in result.get("pairs", ())}:
                group.remove(self.folder.path / name)
            try:
                write_run_report(self._run.path, self.folder.report, evaluated=self.folder.path)
            except WasserganError as error:  # of a damaged log: the numbers are kept without their page
                failed = error
        if failed is not None:
            raise failed

    def _former_pairs(self) -> set[str]:
        """Pictures of pairs that an earlier evaluation drew, as it says itself."""
        try:
            pairs = json.loads(read_text(self.folder.metrics, follow=False))["pairs"]
            return {pair["picture"] for pair in pairs if _PAIR.fullmatch(pair["picture"])}
        except (OSError, ValueError, KeyError, TypeError, RecursionError, UserError):
            return set()
