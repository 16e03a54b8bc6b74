"""The layout of a run folder, and its owner."""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from wassergan.errors import UserError
from wassergan.storage.files import (
    is_temporary,
    kind_of,
    read_text,
    remove,
    remove_lost_temporaries,
    remove_temporaries,
    require_target,
    require_writable,
    write_text,
)
from wassergan.storage.lock import LOCK_NAME, Lock
from wassergan.storage.run_log import read_log
from wassergan.storage.together import finish

FIRST_CHECKPOINT = "step-000000000.pt"  # renamed before `best`, and `best` before `latest`
MARK_NAME = ".wassergan"  # created first; the settings repeat its content
_MARK = re.compile(r"wassergan run ([0-9a-f]{32})\n")
_MARK_BEGINS, _LONGEST_MARK = "wassergan run ", 47
_BEGUN_MARK = re.compile(_MARK_BEGINS + r"[0-9a-f]{0,32}\n?")
_GRID, _EVENTS = re.compile(r"step-\d{9}\.png"), "events.out.tfevents."
_RESULT = re.compile(r"metrics\.json|report\.html|evaluation/(neighbours|marginals|pair-\d+)\.png")
_KEPT = ("refinement", "calibration")  # folders of what was made from checkpoints, and can be made again
_LARGEST_LOST_LOG = 2**16  # bytes of the one line that a failed start may have logged


@dataclass(frozen=True)
class RunFolder:
    """The layout of a run folder.

    Args:
        path: of the folder.
        lock: of the process that writes the run.
    """

    path: Path
    lock: Lock | None = field(default=None, compare=False)

    def require_own(self) -> None:
        """Refuse if this process has lost its lock on the run, or if a part of the run is now elsewhere.

        Called before each write.

        Raises:
            WorkError: another process took it over.
            UserError: a part of it is a link.
        """
        if self.lock is not None:
            self.lock.require_own()
        self.require_here()

    def require_here(self) -> None:
        """Refuse a run if a part of it is a link, or is not the file or folder that it should be.

        Raises:
            UserError: names the part. Nothing is read or written outside the run's own folder.
        """
        parts = (self.checkpoints, self.samples, self.tensorboard, self.evaluation, self.visualization)
        for folder in (*parts, self.refinement, self.calibration):
            if _is_a(folder, "a folder"):
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if not (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
                            _is_a(Path(entry.path), "a file")
        for path in (*self._state, self.curves, self.report):
            _is_a(path, "a file")

    def require_target(self, path: Path) -> Path:
        """Refuse an output path that is not a regular file or is a part of a run's state.

        Raises:
            UserError: with the path.
        """
        require_target(path)
        around = RunFolder(path.parent.resolve())
        if (around._is_run() and path.name in {each.name for each in around._state}) or (
            _owner(around.path, ("checkpoints", "tensorboard", *_KEPT))
        ):
            raise UserError(f"{path} is a part of a run", hint="name another file")
        return path

    def require_folder(self, folder: Path) -> Path:
        """Refuse a path that is not a folder, or a folder that holds the state of a run or lies within it.

        Raises:
            UserError: with the folder; `-` is standard output.
        """
        if str(folder) == "-":
            raise UserError("A folder cannot go to standard output", found="-", hint="name a folder")
        if kind_of(folder, follow=True) not in ("a folder", "nothing"):
            raise UserError(f"{folder} is no folder", found=kind_of(folder, follow=True), hint="name another one")
        owner = _owner(folder.resolve(), ("checkpoints", "tensorboard", "samples", "evaluation", *_KEPT))
        if owner:
            raise UserError(f"{folder} is a part of a run", found=f"the run in {owner}", hint="name another folder")
        return folder

    def _is_run(self) -> bool:
        """Whether the folder is one of ours: folders of others hold settings or checkpoints, too, but not both."""
        return bool(self._token()) or (kind_of(self.settings) == "a file" and kind_of(self.checkpoints) == "a folder")

    @property
    def _state(self) -> tuple[Path, ...]:
        """Files that identify a run."""
        return (self.settings, self.environment, self.log, self.metrics, self.mark, self._launch, self.path / LOCK_NAME)

    @property
    def mark(self) -> Path:
        """Marks a folder made by this library: a random token, which the settings repeat."""
        return self.path / MARK_NAME

    def make_mark(self) -> str:
        """Mark the folder unless it is marked; returns the token."""
        token = self._token()
        if not token:
            token = token_hex(16)
            write_text(self.mark, f"wassergan run {token}\n")
        return token

    def _token(self) -> str:
        if kind_of(self.mark) != "a file" or self.mark.stat().st_size > 100:
            return ""
        found = _MARK.fullmatch(read_text(self.mark, follow=False, errors="replace"))
        return found[1] if found else ""

    def _is_lost_mark(self, path: Path) -> bool:
        """Whether a file is a mark that a killed process had not renamed yet: complete, torn or empty."""
        if not is_temporary(path) or kind_of(path) != "a file" or path.stat().st_size > _LONGEST_MARK:
            return False
        content = read_text(path, follow=False, errors="replace")
        return _MARK_BEGINS.startswith(content) or bool(_BEGUN_MARK.fullmatch(content))

    def _is_ours(self) -> bool:
        """Whether the folder has the mark, and its settings, if there are any, repeat it."""
        token = self._token()
        if not token or self.settings.is_symlink():
            return False
        if not self.settings.exists():
            return all(
                kind_of(each) == "nothing" for each in (self.log, self.checkpoints, self.tensorboard, self.samples)
            )
        try:
            settings = json.loads(read_text(self.settings, follow=False))
        except (OSError, ValueError, RecursionError):
            return False
        return isinstance(settings, dict) and settings.get("mark") == token

    @property
    def settings(self) -> Path:
        """The resolved settings. `notes` lists what was decided and skipped when the data were opened."""
        return self.path / "settings.json"

    @property
    def environment(self) -> Path:
        """The runtime environment."""
        return self.path / "environment.json"

    @property
    def log(self) -> Path:
        """One JSON object per tick."""
        return self.path / "log.jsonl"

    @property
    def curves(self) -> Path:
        """The curves, redrawn as the run proceeds."""
        return self.path / "curves.png"

    @property
    def samples(self) -> Path:
        """Sample grids, one per tick."""
        return self.path / "samples"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def report(self) -> Path:
        """The page that shows the run."""
        return self.path / "report.html"

    @property
    def metrics(self) -> Path:
        """The results of `evaluate`."""
        return self.path / "metrics.json"

    @property
    def evaluation(self) -> Path:
        """Figures of an evaluation, and features of the data cached for the next one."""
        return self.path / "evaluation"

    @property
    def visualization(self) -> Path:
        """The figures of `visualize`."""
        return self.path / "visualization"

    @property
    def refinement(self) -> Path:
        """What refines the draws of checkpoints, one file for each."""
        return self.path / "refinement"

    @property
    def calibration(self) -> Path:
        """What calibrates the generators of tables, one file for each checkpoint."""
        return self.path / "calibration"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints."""
        return self.path / "checkpoints"

    @property
    def latest(self) -> Path:
        """The latest checkpoint."""
        return self.checkpoints / "latest.pt"

    def launched_by(self, launch: str) -> bool:
        """Whether this call of torchrun started the run."""
        if not launch or kind_of(self._launch) != "a file" or not self._is_ours():
            return False
        return read_text(self._launch, follow=False, errors="replace") == launch

    def note_launch(self, launch: str) -> None:
        """Record the call of torchrun that starts the run, if there is one."""
        if launch:
            write_text(self._launch, launch)

    @property
    def _launch(self) -> Path:
        return self.path / "launch.txt"

    def holds_run(self) -> bool:
        """Whether a run was started here."""
        return self.settings.exists() or self.checkpoints.exists()

    def holds_only_a_start(self) -> bool:
        """Whether the folder holds only the marked remains of a run that was lost before its first checkpoint."""
        start = (self.settings, self.environment, self.log, self.samples, self.tensorboard, self.checkpoints)
        own = {path.name for path in (*start, self.mark, self._launch)} | {LOCK_NAME}
        entries = list(self.path.iterdir())
        if entries and not self._is_ours():  # the lock of this process does not count
            return all(
                kind_of(path) == "a file" and (path.name == LOCK_NAME or self._is_lost_mark(path)) for path in entries
            )
        self.require_here()
        parts = [path for folder in (self.samples, self.tensorboard, self.checkpoints) for path in _files(folder)]
        return (
            all(kind_of(path) == "a file" for path in parts)
            and all(path.name in own or is_temporary(path) for path in entries)
            and all(_GRID.fullmatch(name) for name in _names(self.samples))
            and all(name.startswith(_EVENTS) for name in _names(self.tensorboard))
            and _names(self.checkpoints) in (set(), {FIRST_CHECKPOINT}, {FIRST_CHECKPOINT, "best.pt"})
            and self._log_is_of_a_start()
        )

    def _log_is_of_a_start(self) -> bool:
        if not self.log.exists():
            return True
        return self.log.stat().st_size <= _LARGEST_LOST_LOG and all(each["step"] == 0 for each in read_log(self.log))

    def forget_start(self) -> None:
        """Remove what such a run left. In a folder without its mark, remove only the unfinished mark."""
        self.require_own()
        if not self._is_ours():
            remove_lost_temporaries(self.path)  # only the lock is left: `holds_only_a_start`
            return
        self.remove_temporaries()
        for path in (self.log, self._launch, *_files(self.checkpoints), *_files(self.tensorboard)):
            remove(path)

    def finish_results(self) -> None:
        """Put what a killed `evaluate` had ready into its place: its files are all of one call.

        Raises:
            WorkError: the file system refuses; names the files.
        """
        finish(self.path, is_result)

    def remove_temporaries(self) -> None:
        """Remove half-written files of a killed process; `evaluate` and others may be writing at the same time."""
        self.finish_results()
        for folder in (self.checkpoints, self.samples):
            remove_temporaries(folder)
        for folder in (self.path, self.evaluation, self.visualization, self.refinement, self.calibration):
            remove_lost_temporaries(folder)

    def require_run(self) -> None:
        """Raise a UserError if there is no run, or if a part of it is a link."""
        if not self.path.is_dir() or not self.holds_run():
            raise UserError(f"There is no run in {self.path}", hint="give the folder that `wassergan train` named")
        self.require_here()

    def grid(self, step: int) -> Path:
        """The sample grid of a step."""
        return self.samples / f"step-{step:09d}.png"


def _owner(folder: Path, parts: Sequence[str]) -> Path | None:
    """The run in one of whose parts a resolved folder lies, however deep."""
    for part in (folder, *folder.parents):
        if part.name in parts and RunFolder(part.parent)._is_run():
            return part.parent
    return None


def require_output(path: Path) -> Path:
    """Refuse an output path that cannot be written, is not a regular file or is a part of any run. Returns the path.

    Raises:
        UserError: with the path.
        WorkError: no file can be created there.
    """
    RunFolder(path.parent).require_target(path)
    return require_writable(path)


def is_result(name: str) -> bool:
    """Whether `evaluate` writes files of that name into a run's folder."""
    return bool(_RESULT.fullmatch(name))


def _is_a(path: Path, wanted: str) -> bool:
    """Whether a part of a run exists; refuse anything else of that name."""
    kind = kind_of(path)
    if kind not in (wanted, "nothing"):
        raise UserError(
            f"{path} is no part of the run",
            found=f"{kind}, where {wanted} should be",
            hint="move it away, or put what it leads to in its place; nothing was read or written through it",
        )
    return kind == wanted


def _files(folder: Path) -> list[Path]:
    """The contents of a folder of the run, except half-written files."""
    if kind_of(folder) != "a folder":
        return []
    return [path for path in folder.iterdir() if not is_temporary(path)]


def _names(folder: Path) -> set[str]:
    return {path.name for path in _files(folder)}
