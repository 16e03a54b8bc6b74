"""Where things lie in a run folder, and what it says of its run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wassergan.contents import checked
from wassergan.errors import UserError
from wassergan.files import is_temporary, remove_lost_temporaries, remove_temporaries, write_text
from wassergan.locking import LOCK_NAME, Lock
from wassergan.training import Checkpoints, load_checkpoint, read_log

FIRST_CHECKPOINT = "step-000000000.pt"  # moved to its place before `best`, and that before `latest`


@dataclass(frozen=True)
class RunFolder:
    """Where things lie in a run folder.

    Args:
        path: of the folder.
        lock: of whoever writes the run.
    """

    path: Path
    lock: Lock | None = field(default=None, compare=False)

    def require_own(self) -> None:
        """Raise a WorkError if the run was locked by this process and no longer is; asked before it is written to."""
        if self.lock is not None:
            self.lock.require_own()

    @property
    def settings(self) -> Path:
        """The resolved settings, and under `notes` what was decided and passed over as the data were opened."""
        return self.path / "settings.json"

    @property
    def environment(self) -> Path:
        """What it runs on."""
        return self.path / "environment.json"

    @property
    def log(self) -> Path:
        """One JSON object per tick."""
        return self.path / "log.jsonl"

    @property
    def curves(self) -> Path:
        """The curves, redrawn as the run goes on."""
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
        """What `evaluate` found."""
        return self.path / "metrics.json"

    @property
    def evaluation(self) -> Path:
        """Pictures of an evaluation, and features of the data that are kept for the next one."""
        return self.path / "evaluation"

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
        return self._launch.exists() and self._launch.read_text(encoding="utf-8") == launch

    def note_launch(self, launch: str) -> None:
        """Note the call of torchrun that starts the run; nothing to note where there is none."""
        if launch:
            write_text(self._launch, launch)

    @property
    def _launch(self) -> Path:
        return self.path / "launch.txt"

    def holds_run(self) -> bool:
        """Whether a run was started here."""
        return self.settings.exists() or self.checkpoints.exists()

    def holds_only_a_start(self) -> bool:
        """Whether nothing is here but what a run leaves that was lost before its first checkpoint."""
        start = (self.settings, self.environment, self.log, self.samples, self.tensorboard, self.checkpoints)
        own = {path.name for path in (*start, self._launch)} | {LOCK_NAME}
        others = [path for path in self.path.iterdir() if path.name not in own and not is_temporary(path)]
        reached = {path.name for path in self.checkpoints.glob("[!.]*")}
        return not others and reached in (set(), {FIRST_CHECKPOINT}, {FIRST_CHECKPOINT, "best.pt"})

    def forget_start(self) -> None:
        """Remove what such a run left."""
        self.remove_temporaries()
        for path in (self.log, self._launch, *self.checkpoints.glob("*"), *self.tensorboard.glob("*")):
            path.unlink(missing_ok=True)

    def remove_temporaries(self) -> None:
        """Remove what a killed process left half-written; `evaluate` and others may be writing beside the run."""
        for folder in (self.checkpoints, self.samples):
            remove_temporaries(folder)
        remove_lost_temporaries(self.path)

    def require_run(self) -> None:
        """Raise a UserError if there is no run."""
        if not self.path.is_dir() or not self.holds_run():
            raise UserError(f"There is no run in {self.path}", mend="give the folder that `wassergan train` named")

    def grid(self, step: int) -> Path:
        """The sample grid of a step."""
        return self.samples / f"step-{step:09d}.png"

    def load(self, which: str = "latest") -> dict[str, Any]:
        """The content of a checkpoint: `latest`, `best` or a step number.

        Raises:
            UserError: no run, no such checkpoint, or a damaged one.
        """
        self.require_run()
        return checked(load_checkpoint(Checkpoints(self.checkpoints).path(which)))


def run_summary(folder: Path) -> dict[str, Any]:
    """What a run is and how far it came: settings, the last tick's values, the best, and notes on the data.

    Raises:
        UserError: there is no run.
    """
    place = RunFolder(folder)
    content = place.load()
    settings = content["settings"]
    log = read_log(place.log)
    last = log[-1] if log else {}
    return {
        "run": str(folder),
        "data": settings["data"],
        "kind": content["kind"],
        "preset": settings["preset"],
        "constraint": settings["constraint"],
        "network": settings["network"],
        "steps": content["trainer"]["step"],
        "seconds": content["trainer"]["seconds"],
        **{name: value for name, value in last.items() if name not in ("step", "seconds", "rollbacks")},
        "best_sliced_w1": content["best"]["sliced_w1"],
        "best_step": content["best"]["step"],
        "rollbacks": content.get("rollbacks", []),
        "notes": content.get("notes", []),
        "settings": settings,
    }
