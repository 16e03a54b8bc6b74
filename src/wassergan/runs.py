"""From settings to a run folder, and from a run folder back to everything that made it."""

import shutil
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wassergan.building import build_trainer, choose_device, networks_of, open_data
from wassergan.data import Codec, Source
from wassergan.errors import UserError
from wassergan.evaluation import HeldoutDistance
from wassergan.files import write_text
from wassergan.presets import resolve
from wassergan.report import write_report
from wassergan.runfolder import RunFolder, run_summary
from wassergan.sampling import Sampler, write_picture
from wassergan.settings import TrainSettings
from wassergan.training import Checkpoints, RunLog, Trainer, read_log

PREVIEW_SAMPLES = 64
PREVIEW_VECTORS = 2000
FIRST_CURVES_SECONDS = 30.0  # the first figure takes a second; a short run draws it at its end
CURVES_SHARE = 0.02  # of the run's time may go into redrawing the curves
SAVE_EVERY_SECONDS = 300.0
# Settings that a resumed run may change: how long it goes on, where the data lie now, and what it writes.
CHANGEABLE = ("steps", "budget", "data", "tick_steps", "keep", "previews")
TICK_GROWTH = 4  # between ticks lies a quarter of the steps so far
FIRST_TICK = 50


class Observer:
    """Told how a run goes; the command line shows it, the library's default is silent."""

    def started(self, settings: TrainSettings, source: Source, folder: RunFolder, trainer: Trainer) -> None:
        """Everything is built; training begins."""

    def said(self, sentence: str) -> None:
        """Something was decided or found on the way."""

    def stepped(self, trainer: Trainer) -> None:
        """A generator step is done."""

    def ticked(self, record: Mapping[str, Any]) -> None:
        """A tick is logged and saved."""


def train_run(
    settings: TrainSettings,
    folder: Path,
    *,
    observer: Observer | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Start a run and train it to its end, or until interrupted.

    Args:
        settings: as given by the user.
        folder: created; must not hold a run.
        observer: told how it goes.
        interrupted: asked after every step; the run is saved and can be resumed.

    Returns:
        The run's summary, as `run_summary` gives it.

    Raises:
        UserError: wrong settings or data, or a folder that holds something else.
        WorkError: training diverged or a file could not be written.
    """
    observer = observer or Observer()
    place = RunFolder(folder)
    if place.holds_run():
        raise UserError(
            f"The folder {folder} holds a run already",
            mend=f"resume it (wassergan resume {folder}), or name another folder with --out",
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists and is not an empty folder", mend="name another one with --out")
    source = open_data(settings, report=observer.said)
    settings = resolve(settings, shape=source.shape, train_count=source.train_count)
    trainer = build_trainer(settings, source)
    distance = HeldoutDistance(source, latent_dim=trainer.latent_dim)
    _require_room(folder, trainer, settings.keep)
    # Only now, when nothing in the user's input can fail any more.
    place.samples.mkdir(parents=True)
    write_text(place.settings, settings.to_json())
    return _train(settings, place, source, trainer, distance, _Best(), observer, interrupted)


def resume_run(
    folder: Path,
    changes: Mapping[str, Any],
    *,
    checkpoint: str = "latest",
    observer: Observer | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Go on with a run from a checkpoint, bit for bit on the CPU.

    Args:
        folder: of the run.
        changes: settings to change; only the length of the run, the place of the data and what is written may be.
        checkpoint: `latest`, `best` or a step number; what was logged and saved later than that is dropped.
        observer: told how it goes.
        interrupted: asked after every step.

    Returns:
        The run's summary.

    Raises:
        UserError: no run, a damaged checkpoint, other settings or other data, or nothing left to do.
        WorkError: training diverged or a file could not be written.
    """
    observer = observer or Observer()
    place = RunFolder(folder)
    content = place.load(checkpoint)
    settings = TrainSettings.from_mapping(content["settings"])
    settings = _with_changes(settings, changes)
    source = open_data(settings, report=observer.said)
    if fingerprint(source) != content["fingerprint"]:
        raise UserError(
            f"{settings.data} is not the data that the run was trained on",
            found=f"{source.train_count} training samples of shape {source.shape}, "
            f"or other values, than when it started",
            mend="put the former data back, or start a new run",
        )
    trainer = build_trainer(settings, source)
    trainer.load_state_dict(content["trainer"])
    _require_something_left(settings, trainer, folder)
    distance = HeldoutDistance(source, latent_dim=trainer.latent_dim)
    Checkpoints(place.checkpoints).drop_after(trainer.step)
    dropped = RunLog(place.log).cut_after(trainer.step)
    if dropped:
        observer.said(f"Dropped {dropped} log lines that came after the checkpoint.")
    write_text(place.settings, settings.to_json())
    return _train(settings, place, source, trainer, distance, _Best(**content["best"]), observer, interrupted)


def open_sampler(folder: Path, *, checkpoint: str = "latest", device: str = "auto") -> Sampler:
    """The averaged generator of a run and the way back to the user's units, without the training data.

    Args:
        folder: of the run.
        checkpoint: `latest`, `best` or a step number.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        UserError: no run, no such checkpoint, or a damaged one.
    """
    content = RunFolder(folder).load(checkpoint)
    settings = TrainSettings.from_mapping(content["settings"])
    codec = Codec.from_state(content["codec"])
    generator, _ = networks_of(settings, tuple(content["shape"]), codec)
    generator.load_state_dict(content["trainer"]["average"])
    assert settings.latent_dim is not None
    return Sampler(generator.eval().to(choose_device(device)), settings.latent_dim, codec, content["kind"])


def write_run_report(folder: Path, path: Path | None = None) -> Path:
    """Write the page of a run, `report.html` in its folder unless told otherwise; returns where.

    Raises:
        UserError: there is no run, or no tick yet.
    """
    place = RunFolder(folder)
    path = path or place.report
    write_report(run_summary(folder), read_log(place.log), folder, path)
    return path


def tick_due(step: int, *, longest: int) -> bool:
    """Ticks at step 0, then at growing distances: a quarter of the steps so far, from 50 up to `longest`.

    A rule of the step alone, so that equal runs tick alike and a resumed run ticks where it would have.
    """
    if step == 0:
        return True
    reached, distance = 0, min(FIRST_TICK, longest)
    while reached < step:
        distance = min(max(FIRST_TICK, reached // TICK_GROWTH), longest)
        if distance == longest:
            return (step - reached) % longest == 0
        reached += distance
    return reached == step


def fingerprint(source: Source) -> dict[str, Any]:
    """What tells data apart: counts, shape, and a checksum of the first held-out samples."""
    first = source.heldout(torch.arange(min(16, source.heldout_count)))
    return {
        "train_count": source.train_count,
        "heldout_count": source.heldout_count,
        "shape": list(source.shape),
        "checksum": zlib.crc32(np.ascontiguousarray(first.numpy()).tobytes()),
    }


@dataclass(frozen=True)
class _Best:
    sliced_w1: float = float("inf")
    step: int = 0


def _train(
    settings: TrainSettings,
    place: RunFolder,
    source: Source,
    trainer: Trainer,
    distance: HeldoutDistance,
    best: _Best,
    observer: Observer,
    interrupted: Callable[[], bool],
) -> dict[str, Any]:
    from wassergan.plots import curves_figure, save_figure  # matplotlib takes half a second to import

    checkpoints, log = Checkpoints(place.checkpoints, keep=settings.keep), RunLog(place.log)
    real = None if source.kind != "vector" else _rows(source)
    first_step = trainer.step
    saved_at, curves_due = time.perf_counter(), time.perf_counter() + FIRST_CURVES_SECONDS

    def save(*, improved: bool) -> None:
        nonlocal saved_at
        content = {
            "settings": asdict(settings),
            "shape": list(source.shape),
            "kind": source.kind,
            "codec": source.codec.state(),
            "fingerprint": fingerprint(source),
            "best": asdict(best),
            "trainer": trainer.state_dict(),
        }
        checkpoints.save(content, step=trainer.step, best=improved)
        saved_at = time.perf_counter()

    def tick(trainer: Trainer) -> None:
        nonlocal best, curves_due
        if trainer.step == first_step and first_step > 0 and not interrupted():
            return  # a resumed run starts on the tick that its checkpoint ended with
        record = trainer.read_statistics() | distance(trainer.averaged_generator)
        improved = record["sliced_w1"] < best.sliced_w1
        if improved:
            best = _Best(record["sliced_w1"], trainer.step)
        log.append(record)
        save(improved=improved)
        if settings.previews:
            count = PREVIEW_VECTORS if source.kind == "vector" else PREVIEW_SAMPLES
            samples = source.codec.decode_numpy(trainer.sample(count))
            write_picture(samples, place.grid(trainer.step), codec=source.codec, kind=source.kind, real=real)
        started = time.perf_counter()
        if started >= curves_due:
            save_figure(curves_figure(read_log(place.log)), place.curves)
            spent = time.perf_counter() - started
            curves_due = time.perf_counter() + spent / CURVES_SHARE
        observer.ticked(record)

    def stepped(trainer: Trainer) -> None:
        observer.stepped(trainer)
        if time.perf_counter() - saved_at > SAVE_EVERY_SECONDS:
            trainer.require_finite()
            save(improved=False)

    observer.started(settings, source, place, trainer)
    trainer.train(
        steps=settings.steps,
        budget_seconds=settings.budget,
        tick_due=lambda step: tick_due(step, longest=settings.tick_steps),
        on_tick=tick,
        on_step=stepped,
        interrupted=interrupted,
    )
    save_figure(curves_figure(read_log(place.log)), place.curves)
    write_run_report(place.path)
    return run_summary(place.path)


def _rows(source: Source) -> Any:
    positions = torch.arange(min(PREVIEW_VECTORS, source.train_count))
    return source.codec.decode_numpy(source.train(positions))


def _with_changes(settings: TrainSettings, changes: Mapping[str, Any]) -> TrainSettings:
    different = {
        name: (getattr(settings, name), value)
        for name, value in changes.items()
        if name not in CHANGEABLE and getattr(settings, name) != value
    }
    if different:
        lines = [f"{name}: the run has {had}, asked for {asked}" for name, (had, asked) in different.items()]
        raise UserError(
            "A run can only be resumed with its own settings",
            found="; ".join(lines),
            mend=f"leave those flags out (only {', '.join('--' + name.replace('_', '-') for name in CHANGEABLE)} may "
            "change), or start a new run",
        )
    changed = {name: value for name, value in changes.items() if name in CHANGEABLE}
    # A new end replaces the old one: whoever asks for more steps does not want the old budget to cut them off.
    if "steps" in changed or "budget" in changed:
        changed = {"steps": None, "budget": None, **changed}
    return replace(settings, **changed)


def _require_something_left(settings: TrainSettings, trainer: Trainer, folder: Path) -> None:
    steps_done = settings.steps is not None and trainer.step >= settings.steps
    budget_done = settings.budget is not None and trainer.elapsed_seconds >= settings.budget
    if steps_done or budget_done:
        end = f"--steps {2 * trainer.step}" if steps_done else f"--budget {2 * trainer.elapsed_seconds:.0f}s"
        raise UserError(
            "The run has reached its end",
            found=f"step {trainer.step} after {trainer.elapsed_seconds:.0f} s",
            mend=f"ask for more, for example: wassergan resume {folder} {end}",
        )


def _require_room(folder: Path, trainer: Trainer, keep: int) -> None:
    """Refuse to start where the checkpoints would not fit: weights, average and two moments, `keep` + 2 times."""
    weights = sum(p.numel() * 4 for net in (trainer.generator, trainer.critic) for p in net.parameters())
    needed = 4 * weights * (keep + 2)
    there = folder
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if needed > free:
        raise UserError(
            f"No room for checkpoints in {folder}",
            found=f"about {needed / 2**20:.0f} MiB needed, {free / 2**20:.0f} MiB free",
            mend="free some space, choose another --out, or a smaller --keep",
        )
