"""Where things lie in a run folder, and what it says of its run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wassergan.errors import UserError
from wassergan.files import write_text
from wassergan.training import Checkpoints, load_checkpoint, read_log


@dataclass(frozen=True)
class RunFolder:
    """Where things lie in a run folder."""

    path: Path

    @property
    def settings(self) -> Path:
        """The resolved settings."""
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

    def grid(self, step: int) -> Path:
        """The sample grid of a step."""
        return self.samples / f"step-{step:09d}.png"

    def load(self, which: str = "latest") -> dict[str, Any]:
        """The content of a checkpoint: `latest`, `best` or a step number.

        Raises:
            UserError: no run, no such checkpoint, or a damaged one.
        """
        if not self.path.is_dir() or not self.holds_run():
            raise UserError(f"There is no run in {self.path}", mend="give the folder that `wassergan train` named")
        return load_checkpoint(Checkpoints(self.checkpoints).path(which))


def run_summary(folder: Path) -> dict[str, Any]:
    """What a run is and how far it came: settings, the last tick's values, and the best.

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
        "preset": settings["preset"],
        "constraint": settings["constraint"],
        "network": settings["network"],
        "steps": content["trainer"]["step"],
        "seconds": content["trainer"]["seconds"],
        **{name: value for name, value in last.items() if name not in ("step", "seconds")},
        "best_sliced_w1": content["best"]["sliced_w1"],
        "best_step": content["best"]["step"],
        "settings": settings,
    }
