"""From settings to a run folder, and from a run folder back to everything that made it."""

import json
import shutil
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wassergan.building import build_trainer, choose_device, latent_numbers, networks_of, open_data
from wassergan.damage import require_consistent, undamaged
from wassergan.data import ColumnConditions, Source, TableCodec, codec_from_state
from wassergan.environment import environment
from wassergan.errors import UserError, WorkError, unknown_name
from wassergan.evaluation import HeldoutDistance
from wassergan.files import write_text
from wassergan.locking import Lock, held
from wassergan.networks import DrawingGenerator
from wassergan.observers import Observer, Observers, TensorBoardObserver, tensorboard_installed
from wassergan.presets import resolve
from wassergan.report import write_report
from wassergan.runfolder import RunFolder, run_summary
from wassergan.sampling import Sampler, write_picture
from wassergan.settings import TrainSettings
from wassergan.training import (
    ALONE,
    Checkpoints,
    DivergedError,
    Processes,
    RunLog,
    Trainer,
    divergence_in,
    match_margins,
    read_log,
)

ANOTHER = "use another checkpoint of the run (--checkpoint best, or a step number)"
PREVIEW_SAMPLES = 64
PREVIEW_VECTORS = 2000
ROWS = ("vector", "table")  # kinds whose samples are rows, drawn beside real ones
FIRST_CURVES_SECONDS = 30.0  # the first figure takes a second; a short run draws it at its end
CURVES_SHARE = 0.02  # of the run's time may go into redrawing the curves
SAVE_EVERY_SECONDS = 300.0
# Settings that a resumed run may change: how long it goes on, where the data lie now, and what it writes.
CHANGEABLE = (
    *("steps", "budget", "data", "tick_steps", "w1_every", "keep", "previews", "tensorboard"),
    *("on_divergence", "rollbacks", "cuda_graphs"),
)
ON_DIVERGENCE = ("stop", "rollback")
ROLLBACK_FACTOR = 0.25  # on the rates, each time
FINGERPRINT_SAMPLES = 256
TICK_GROWTH = 4  # between ticks lies a quarter of the steps so far
FIRST_TICK = 50


def train_run(
    settings: TrainSettings,
    folder: Path,
    *,
    observer: Observer | None = None,
    interrupted: Callable[[], bool] = lambda: False,
    processes: Processes = ALONE,
) -> dict[str, Any]:
    """Start a run and train it to its end, or until interrupted.

    Args:
        settings: as given by the user.
        folder: created; must not hold a run, unless torchrun started the processes of that run anew: then it goes on.
        observer: told how it goes, on process 0; closed at the end. `Observers` makes one of several.
        interrupted: asked after every step; the run is saved and can be resumed.
        processes: that train together; all call this, process 0 writes.

    Returns:
        The run's summary, as `run_summary` gives it.

    Raises:
        UserError: wrong settings or data, or a folder that holds something else.
        WorkError: training diverged, a file could not be written, or a process was lost.
    """
    place = RunFolder(folder)
    with closing(_observers(observer, processes)) as observers, ExitStack() as stack:
        # Once before anything is made, and once when nobody else can make anything.
        processes.from_first(lambda: _to_be_continued(place, processes))
        place = stack.enter_context(_locked(place, observers, processes))
        if processes.from_first(lambda: _to_be_continued(place, processes)):
            return _go_on(place, _changes_of(settings), "latest", observers, interrupted, processes)
        with processes.together():
            source = open_data(settings, report=observers.said)
            settings = resolve(settings, shape=source.shape, train_count=source.train_count, kind=source.kind)
            run = _Run(settings, place, source, build_trainer(settings, source, processes, report=observers.said))
            keeper = _keeper(run, processes, observers)
        # Only now, when nothing in the user's input can fail any more.
        processes.from_first(lambda: _begin(run))
        return _train(run, keeper, processes, interrupted)


def resume_run(
    folder: Path,
    changes: Mapping[str, Any],
    *,
    checkpoint: str = "latest",
    observer: Observer | None = None,
    interrupted: Callable[[], bool] = lambda: False,
    processes: Processes = ALONE,
) -> dict[str, Any]:
    """Go on with a run from a checkpoint, bit for bit on the CPU with as many processes as before.

    Args:
        folder: of the run.
        changes: settings to change; only the length of the run, the place of the data and what is written may be.
        checkpoint: `latest`, `best` or a step number; what was logged and saved later than that is dropped.
        observer: told how it goes, on process 0; closed at the end. `Observers` makes one of several.
        interrupted: asked after every step.
        processes: that train together, as many as there are now; all call this, process 0 reads and writes the run.

    Returns:
        The run's summary.

    Raises:
        UserError: no run, a damaged checkpoint, other settings or other data, or nothing left to do.
        WorkError: training diverged, a file could not be written, or a process was lost.
    """
    place = RunFolder(folder)
    with closing(_observers(observer, processes)) as observers, ExitStack() as stack:
        processes.from_first(place.require_run)
        place = stack.enter_context(_locked(place, observers, processes))
        return _go_on(place, changes, checkpoint, observers, interrupted, processes)


def open_sampler(
    folder: Path, *, checkpoint: str = "latest", device: str = "auto", processes: Processes = ALONE
) -> Sampler:
    """The averaged generator of a run and the way back to the user's units, without the training data.

    Args:
        folder: of the run.
        checkpoint: `latest`, `best` or a step number.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        processes: that draw together; each has its own GPU.

    Raises:
        UserError: no run, no such checkpoint, or a damaged one.
    """
    return sampler_of(RunFolder(folder).load(checkpoint), device=device, processes=processes)


def sampler_of(content: Mapping[str, Any], *, device: str = "auto", processes: Processes = ALONE) -> Sampler:
    """The same from the content of a checkpoint.

    Raises:
        UserError: it holds other things than `train` writes.
    """
    with undamaged("The checkpoint", ANOTHER):
        return _sampler_of(content, device, processes)


def _sampler_of(content: Mapping[str, Any], device: str, processes: Processes) -> Sampler:
    settings = TrainSettings.from_mapping(content["settings"])
    _require_sizes(settings, content)
    codec = codec_from_state(content["codec"])
    conditions = ColumnConditions.from_state(content["conditions"]) if content["conditions"] else None
    context_dim = conditions.width if conditions else 0
    generator, _ = networks_of(settings, tuple(content["shape"]), codec, context_dim=context_dim)
    generator.load_state_dict(content["trainer"]["average"])
    latent_dim = latent_numbers(settings, generator)
    generator.eval().to(choose_device(device, processes))
    if isinstance(codec, TableCodec) and isinstance(generator, DrawingGenerator):
        shares, spread = torch.tensor(codec.shares), torch.tensor(codec.spread)
        match_margins(generator, shares=shares, spread=spread, latent_dim=latent_dim, conditions=conditions)
    return Sampler(generator, latent_dim, codec, content["kind"], conditions)


def _require_sizes(settings: TrainSettings, content: Mapping[str, Any]) -> None:
    """Refuse a checkpoint whose settings describe far larger networks than it holds."""
    state = content["trainer"]
    of_maps = settings.network in ("conv", "resnet")
    sizes = [settings.maps] if of_maps else [*(settings.generator_widths or ()), *(settings.critic_widths or ())]
    weights = {name: each for part in ("average", "critic") for name, each in (state[part] | {}).items()}
    require_consistent([settings.latent_dim, *sizes], weights, "The checkpoint")


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
    """What tells data apart: counts, shape, type, and checksums of some held-out and some training samples."""
    conditions = source.conditions
    return {
        "train_count": source.train_count,
        "heldout_count": source.heldout_count,
        "shape": list(source.shape),
        "checksum": _checksum(source.heldout(torch.arange(min(16, source.heldout_count)))),
        "dtype": source.codec.dtype,
        "train_checksum": _checksum(source.train_sample(FINGERPRINT_SAMPLES)),
        "conditions_checksum": _checksum(conditions.vectors(0, FINGERPRINT_SAMPLES, seed=0)) if conditions else 0,
    }


def was_trained_on(content: Mapping[str, Any], source: Source) -> bool:
    """Whether a checkpoint's run was trained on these data, as far as fingerprints tell."""
    found = fingerprint(source)
    # Older runs noted less.
    return all(found[name] == noted for name, noted in content["fingerprint"].items())


def require_same_data(source: Source, content: Mapping[str, Any], data: str) -> None:
    """Refuse data other than those that a checkpoint's run was trained on.

    Raises:
        UserError: other counts, shapes or values.
    """
    if not was_trained_on(content, source):
        raise UserError(
            f"{data} is not the data that the run was trained on",
            found=f"{source.train_count} training samples of shape {source.shape}, "
            f"or other values, than when it started",
            mend="put the former data back, or start a new run",
        )


def _checksum(samples: torch.Tensor) -> int:
    return zlib.crc32(np.ascontiguousarray(samples.numpy()).tobytes())


@dataclass(frozen=True)
class _Best:
    sliced_w1: float = float("inf")
    step: int = 0


@dataclass(frozen=True)
class _Run:
    settings: TrainSettings
    place: RunFolder
    source: Source
    trainer: Trainer
    best: _Best = _Best()
    rollbacks: tuple[dict[str, Any], ...] = ()


class _Bystander:
    """What the processes do at ticks that write nothing; and the frame of what process 0 does."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._first_step = run.trainer.step
        self.interrupted: Callable[[], bool] = lambda: False

    def start(self) -> None:
        """Training begins."""

    def tick(self, trainer: Trainer) -> None:
        """At every tick but the one with which a resumed run's checkpoint ended."""
        if trainer.step > self._first_step or trainer.step == 0:
            self.measure(trainer)

    def measure(self, trainer: Trainer) -> None:
        """Process 0 reads the statistics; they start afresh on all."""
        trainer.forget_statistics()

    def save_due(self) -> bool:
        """Whether to save between two ticks."""
        return False

    def save(self, trainer: Trainer) -> None:
        """Write a checkpoint."""

    def stepped(self, trainer: Trainer) -> None:
        """A generator step is done."""

    def continue_from(self, step: int) -> None:
        """The trainer was put back to the checkpoint of a step, whose tick is done."""
        self._first_step = step

    def went_back(self, rollback: dict[str, Any]) -> None:
        """Write down that it was."""

    def finish(self) -> None:
        """Training has ended."""


class _Keeper(_Bystander):
    """Process 0: measures, logs, saves and draws."""

    def __init__(self, run: _Run, observer: Observer) -> None:
        super().__init__(run)
        self._observer, self._best = observer, run.best
        self._rollbacks = list(run.rollbacks)
        self._fingerprint = fingerprint(run.source)
        self._distance = HeldoutDistance(run.source, latent_dim=run.trainer.latent_dim)
        self._checkpoints = Checkpoints(run.place.checkpoints, keep=run.settings.keep)
        self._log = RunLog(run.place.log)

    def start(self) -> None:
        run = self._run
        self._real = _rows(run.source) if run.source.kind in ROWS else None
        logged = read_log(run.place.log)
        self._bounded_at: int | None = max((each["step"] for each in logged if "w1_lower" in each), default=None)
        self._saved_at, self._curves_due = time.perf_counter(), time.perf_counter() + FIRST_CURVES_SECONDS
        step = run.trainer.step
        if run.settings.previews and logged and logged[-1]["step"] == step and not run.place.grid(step).exists():
            self._draw_samples(run.trainer)  # killed between the checkpoint and its picture
        self._observer.started(run.settings, run.source, run.place, run.trainer)

    def measure(self, trainer: Trainer) -> None:
        settings = self._run.settings
        self._run.place.require_own()
        record = trainer.read_statistics() | self._distance(trainer.averaged_generator)
        if settings.w1_every and (self._bounded_at is None or trainer.step - self._bounded_at >= settings.w1_every):
            record |= self._distance.interval(trainer.averaged_generator, interrupted=self.interrupted)
            self._bounded_at = trainer.step
        if self._rollbacks:
            record["rollbacks"] = len(self._rollbacks)
        improved = record["sliced_w1"] < self._best.sliced_w1
        if improved:
            self._best = _Best(record["sliced_w1"], trainer.step)
        self._log.append(record)
        self._save(trainer, improved=improved)
        if settings.previews:
            self._draw_samples(trainer)
        started = time.perf_counter()
        if started >= self._curves_due:
            self._draw_curves()
            spent = time.perf_counter() - started
            self._curves_due = time.perf_counter() + spent / CURVES_SHARE
        self._observer.ticked(record)

    def save_due(self) -> bool:
        return time.perf_counter() - self._saved_at > SAVE_EVERY_SECONDS

    def save(self, trainer: Trainer) -> None:
        self._save(trainer, improved=False)

    def stepped(self, trainer: Trainer) -> None:
        self._observer.stepped(trainer)

    def finish(self) -> None:
        self._draw_curves()
        write_run_report(self._run.place.path)

    def went_back(self, rollback: dict[str, Any]) -> None:
        step, trainer = rollback["step"], self._run.trainer
        self._run.place.require_own()
        self._rollbacks.append(rollback)
        if self._best.step > step:
            self._best = _Best()  # of a course that is no longer the run's
        self._checkpoints.drop_after(step)
        self._log.cut_after(step or -1)
        self._save(trainer, improved=False)  # so that a killed run does not count afresh
        self._observer.said(
            f"Went back from step {rollback['diverged']} to step {step}, with {trainer.rate_scale:.3g} times the first "
            f"rates ({len(self._rollbacks)} of at most {self._run.settings.rollbacks}): {rollback['found']}."
        )

    def _save(self, trainer: Trainer, *, improved: bool) -> None:
        source = self._run.source
        self._run.place.require_own()
        content = {
            "settings": asdict(self._run.settings),
            "shape": list(source.shape),
            "kind": source.kind,
            "codec": source.codec.state(),
            "conditions": source.conditions.state() if source.conditions else None,
            "fingerprint": self._fingerprint,
            "best": asdict(self._best),
            "rollbacks": list(self._rollbacks),
            "trainer": trainer.state_dict(),
        }
        self._checkpoints.save(content, step=trainer.step, best=improved)
        self._saved_at = time.perf_counter()

    def _draw_samples(self, trainer: Trainer) -> None:
        source = self._run.source
        count = PREVIEW_VECTORS if source.kind in ROWS else PREVIEW_SAMPLES
        drawn = Sampler(
            trainer.averaged_generator, trainer.latent_dim, source.codec, source.kind, _conditions_of(source)
        )
        samples = drawn.draw(count)
        path = self._run.place.grid(trainer.step)
        write_picture(samples, path, codec=source.codec, kind=source.kind, real=self._real)

    def _draw_curves(self) -> None:
        from wassergan.plots import curves_figure, save_figure  # matplotlib takes half a second to import

        save_figure(curves_figure(read_log(self._run.place.log)), self._run.place.curves)


def _observers(observer: Observer | None, processes: Processes) -> Observers:
    """The user's observer, on process 0 alone; more may join it."""
    return Observers(*([observer] if observer and processes.rank == 0 else []))


def _keeper(run: _Run, processes: Processes, observers: Observers) -> _Bystander:
    if run.settings.on_divergence not in ON_DIVERGENCE:
        raise unknown_name("--on-divergence", run.settings.on_divergence, ON_DIVERGENCE)
    if processes.rank > 0:
        return _Bystander(run)
    wanted = run.settings.tensorboard
    if wanted or (wanted is None and tensorboard_installed()):
        observers.add(TensorBoardObserver())
    return _Keeper(run, observers)


@contextmanager
def _locked(place: RunFolder, observer: Observer, processes: Processes) -> Iterator[RunFolder]:
    """Process 0 holds the folder's lock inside; all get the folder, with the lock where it is held."""
    with ExitStack() as stack:
        locks: list[Lock] = []

        def lock() -> None:
            locks.append(stack.enter_context(held(place.path, launch=processes.launch, told=observer.said)))

        processes.from_first(lock)
        yield replace(place, lock=locks[0] if locks else None)


def _to_be_continued(place: RunFolder, processes: Processes) -> bool:
    """Whether the folder holds this call's own run, whose processes were started anew; refuse any other content."""
    folder = place.path
    if place.launched_by(processes.launch):
        return place.latest.exists()  # if lost before the first checkpoint: begin again
    if not folder.exists() or (folder.is_dir() and place.holds_only_a_start()):
        return False
    if place.holds_run():
        raise UserError(
            f"The folder {folder} holds a run already",
            mend=f"resume it (wassergan resume {folder}), or name another folder with --out",
        )
    raise UserError(f"{folder} exists and is not an empty folder", mend="name another one with --out")


def _begin(run: _Run) -> None:
    _require_room(run.place.path, run.trainer, run.settings.keep)
    run.place.forget_start()
    run.place.samples.mkdir(parents=True, exist_ok=True)
    _note_how(run)


def _note_how(run: _Run) -> None:
    """What the run is trained with from now on: settings, environment, and the call of torchrun."""
    run.place.note_launch(run.trainer.processes.launch)
    write_text(run.place.environment, json.dumps(environment(), indent=2) + "\n")
    write_text(run.place.settings, run.settings.to_json())


def _go_on(
    place: RunFolder,
    changes: Mapping[str, Any],
    checkpoint: str,
    observers: Observers,
    interrupted: Callable[[], bool],
    processes: Processes,
) -> dict[str, Any]:
    content, own = processes.from_first(lambda: (place.load(checkpoint), place.launched_by(processes.launch)))
    with processes.together():
        run = _reopened(place, content, changes, processes, observers)
        if not own:
            _require_something_left(run.settings, run.trainer, place.path)
        keeper = _keeper(run, processes, observers)
    processes.from_first(lambda: _cut(run, observers))
    return _train(run, keeper, processes, interrupted)


def _reopened(
    place: RunFolder,
    content: Mapping[str, Any],
    changes: Mapping[str, Any],
    processes: Processes,
    observer: Observer,
) -> _Run:
    """The run as a checkpoint's content holds it, with changed settings."""
    settings = TrainSettings.from_mapping(content["settings"])
    settings = _with_changes(settings, changes)
    source = open_data(settings, report=observer.said)
    require_same_data(source, content, settings.data)
    with undamaged("The checkpoint", ANOTHER):
        _require_sizes(settings, content)
        trainer = build_trainer(settings, source, processes, report=observer.said)
        trainer.load_state_dict(content["trainer"])
    return _Run(settings, place, source, trainer, _Best(**content["best"]), tuple(content.get("rollbacks", ())))


def _cut(run: _Run, observer: Observer) -> None:
    """Drop what was logged and saved after the checkpoint that the run goes on from, and what a kill left behind."""
    run.place.remove_temporaries()
    Checkpoints(run.place.checkpoints).drop_after(run.trainer.step)
    # The tick of step 0 comes again, those of later checkpoints do not.
    later, torn = RunLog(run.place.log).cut_after(run.trainer.step or -1)
    if later:
        observer.said(f"Dropped {later} log lines that came after the checkpoint.")
    if torn:
        observer.said(f"Dropped {torn} torn log {'line' if torn == 1 else 'lines'}: the run was killed as it wrote.")
    _note_how(run)


def _train(run: _Run, keeper: _Bystander, processes: Processes, interrupted: Callable[[], bool]) -> dict[str, Any]:
    keeper.interrupted = interrupted
    processes.from_first(keeper.start)
    rollbacks = list(run.rollbacks)
    while True:
        try:
            _train_on(run, keeper, interrupted)
            break
        except WorkError as error:
            diverged = divergence_in(error)
            left = run.settings.rollbacks - len(rollbacks) if run.settings.on_divergence == "rollback" else 0
            if diverged is None or diverged.by_data or left <= 0:
                raise
            rollbacks.append(_go_back(run, diverged, rollbacks, processes))
            keeper.continue_from(rollbacks[-1]["step"])
            processes.from_first(lambda: keeper.went_back(rollbacks[-1]))
    processes.from_first(keeper.finish)
    return processes.from_first(lambda: run_summary(run.place.path))


def _train_on(run: _Run, keeper: _Bystander, interrupted: Callable[[], bool]) -> None:
    run.trainer.train(
        steps=run.settings.steps,
        budget_seconds=run.settings.budget,
        tick_due=lambda step: tick_due(step, longest=run.settings.tick_steps),
        on_tick=keeper.tick,
        save_due=keeper.save_due,
        on_save=keeper.save,
        on_step=keeper.stepped,
        interrupted=interrupted,
    )


def _go_back(
    run: _Run, diverged: DivergedError, rollbacks: Sequence[Mapping[str, Any]], processes: Processes
) -> dict[str, Any]:
    """Put the trainer back to the last checkpoint with lower rates; from where that led nowhere, to one before."""
    checkpoints = Checkpoints(run.place.checkpoints)

    def load() -> tuple[int, Any]:
        steps = checkpoints.steps()
        again = rollbacks and rollbacks[-1]["step"] == steps[-1] and len(steps) > 1
        step = steps[-2] if again else steps[-1]
        return step, run.place.load(str(step))["trainer"]

    step, state = processes.from_first(load)
    scale, elapsed = run.trainer.rate_scale, run.trainer.elapsed_seconds
    run.trainer.load_state_dict(state)
    run.trainer.rate_scale = scale * ROLLBACK_FACTOR
    run.trainer.elapsed_seconds = elapsed  # a budget is of the user's time
    return {"step": step, "diverged": diverged.step, "found": diverged.found, "rate_scale": run.trainer.rate_scale}


def _rows(source: Source) -> Any:
    if source.kind == "table":  # with its conditions
        positions = source.split.sample_positions(PREVIEW_VECTORS)
        return source.values(source.split.train_rows(positions)).numpy()
    return source.codec.decode_numpy(source.train_sample(PREVIEW_VECTORS))


def _conditions_of(source: Source) -> ColumnConditions | None:
    conditions = source.conditions
    assert conditions is None or isinstance(conditions, ColumnConditions)
    return conditions


def _changes_of(settings: TrainSettings) -> dict[str, Any]:
    """What a user gave, as far as it differs from what is left open."""
    return {name: value for name, value in asdict(settings).items() if value != getattr(TrainSettings(), name)}


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
