"""TensorBoard: scalars and sample grids of every tick, and the settings."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from typing import Any

from wassergan.callbacks.callback import Callback
from wassergan.config.settings import ResolvedSettings
from wassergan.data import Source
from wassergan.errors import UserError, parameter, printable
from wassergan.storage.files import reading
from wassergan.storage.run_folder import RunFolder
from wassergan.storage.tick_distance import distance_for
from wassergan.training import Trainer

JPEG_QUALITY = 85
# The heading under which a logged value is shown, by the beginning of its name; the rest are of the critic.
_HEADINGS = {
    "sliced_w1": "distance",
    "patch_sliced_w1": "distance",
    "w1_": "distance",
    "generator_": "generator",
    "seconds": "time",
    "elapsed_seconds": "time",
    "steps_per_second": "time",
    "samples_per_second": "time",
}


def tensorboard_installed() -> bool:
    """Whether TensorBoard's own writer is installed; imports nothing."""
    return find_spec("tensorboard") is not None


class TensorBoardCallback(Callback):
    """Writes event files into `RUN/tensorboard`, flushed at every tick.

    When a run resumes from a checkpoint, the events of later steps are purged: TensorBoard shows each step once.

    Raises:
        UserError: TensorBoard is not installed.
    """

    def __init__(self) -> None:
        if not tensorboard_installed():
            raise UserError(
                "TensorBoard is not installed",
                hint=f"pip install 'wassergan[tensorboard]', or train with {parameter('tensorboard', False)}",
            )
        self._writer: Any = None
        self._awaited: list[int] = []

    def on_train_begin(self, settings: ResolvedSettings, source: Source, folder: RunFolder, trainer: Trainer) -> None:
        """Open the writer and write the settings."""
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        self._folder = folder
        # The tick of the checkpoint's own step is already written; the next one has a later step.
        first = trainer.step + 1 if trainer.step else 0
        folder.require_own()
        # A name under which nobody can have put a link.
        self._writer = SummaryWriter(str(folder.tensorboard), purge_step=first, filename_suffix=f".{token_hex(8)}")
        given = {name: value for name, value in asdict(settings).items() if value is not None}
        self._writer.add_text("settings", _table(given), trainer.step)
        plain = {name: v if type(v) in (int, float) else _text(v) for name, v in given.items()}
        # The distance is the column to sort runs by; `add_hparams` would create a separate run for them.
        for summary in hparams(plain, {f"distance/{distance_for(source.shape)}": 0.0}):
            self._writer.file_writer.add_summary(summary)
        self._writer.flush()

    def on_tick(self, record: Mapping[str, Any]) -> None:
        """Write the tick's values and its sample grid."""
        step = record["step"]
        for name, value in record.items():
            if name != "step":
                self._writer.add_scalar(f"{_heading(name)}/{name}", value, step)
        self._awaited.append(step)
        self._write_grids()
        self._writer.flush()

    def on_close(self) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._write_grids()
            self._writer.close()
            self._writer = None

    def _write_grids(self) -> None:
        """The grids that exist by now: not every tick has one, and some are drawn a little later."""
        for step in self._awaited:
            grid = self._folder.grid(step)
            if grid.exists():
                self._writer.file_writer.add_summary(_picture(grid), step)
        self._awaited = [step for step in self._awaited[-1:] if not self._folder.grid(step).exists()]


def _picture(grid: Path) -> Any:
    """A grid as a JPEG, a tenth of the size: as it is, it lies beside."""
    from PIL import Image  # a run without TensorBoard, as fit is, needs none
    from tensorboard.compat.proto.summary_pb2 import Summary

    content = BytesIO()
    with reading(grid, follow=False) as file, Image.open(file, formats=("PNG",)) as picture:
        picture.convert("RGB").save(content, "JPEG", quality=JPEG_QUALITY)
        width, height = picture.size
    image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=content.getvalue())
    return Summary(value=[Summary.Value(tag="samples", image=image)])


def _heading(name: str) -> str:
    return next((heading for start, heading in _HEADINGS.items() if name.startswith(start)), "critic")


def _text(value: Any) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value))


def _table(values: Mapping[str, Any]) -> str:
    """A Markdown table."""
    rows = "".join(f"| {name} | {json.dumps(value)} |\n" for name, value in values.items())
    return f"| setting | value |\n|---|---|\n{rows}"
