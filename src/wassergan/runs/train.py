"""From settings to a run folder, and from a run folder back to everything that made it."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from wassergan.callbacks import Observer, Observers
from wassergan.config.settings import BIT_CHANGING, CHANGEABLE, TrainSettings
from wassergan.errors import UserError, WorkError
from wassergan.modality.recipes import resolve_for
from wassergan.runs.recorder import Bystander, Run, keeper_of
from wassergan.session.build import build_trainer, device_is_here, open_data
from wassergan.session.contents import require_described, require_readable
from wassergan.session.fingerprint import require_alike, require_same_data
from wassergan.session.run_content import load_run, run_summary
from wassergan.session.state import Best, CheckpointState, step_in
from wassergan.storage.checkpoint import ANOTHER, Checkpoints
from wassergan.storage.corruption import undamaged
from wassergan.storage.files import make_folder, write_text
from wassergan.storage.lock import Lock, held
from wassergan.storage.run_folder import RunFolder
from wassergan.storage.run_log import RunLog
from wassergan.training import ALONE, DivergedError, Processes, Trainer, divergence_in
from wassergan.training.tick_schedule import tick_due
from wassergan.utils.environment import environment

# Why the others may not.
REASONS = {
    "Data": "what the run learns from",
    "Recipe": "what its networks, losses and optimisers are",
    "Run": "the randomness it began with",
}
ROLLBACK_FACTOR = 0.25  # on the rates, each time


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
            settings = settings.checked()
            source = open_data(settings, report=observers.said)
            settings = resolve_for(settings, source).located()
            run = Run(settings, place, source, build_trainer(settings, source, processes, report=observers.said))
            context_dim = source.context.width if source.context else 0
            require_readable(settings, source.shape, source.codec, run.trainer.state_dict(), context_dim=context_dim)
            keeper = keeper_of(run, processes, observers)
        require_alike(run.settings, run.source, processes)
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


def _observers(observer: Observer | None, processes: Processes) -> Observers:
    """The user's observer, on process 0 alone; more may join it."""
    return Observers(*([observer] if observer and processes.rank == 0 else []))


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
    if folder.is_dir() and place.holds_run():
        place.require_here()
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


def _begin(run: Run) -> None:
    _require_room(run.place.path, run.trainer, run.settings.keep)
    run.place.forget_start()
    _note_how(run)
    make_folder(run.place.samples)


def _note_how(run: Run) -> None:
    """What the run is trained with from now on: settings, environment, and the call of torchrun."""
    mark = run.place.make_mark()
    run.place.note_launch(run.trainer.processes.launch)
    write_text(run.place.environment, json.dumps(environment(), indent=2) + "\n")
    described = asdict(run.settings) | {"notes": list(run.source.notes), "mark": mark}
    write_text(run.place.settings, json.dumps(described, indent=2) + "\n")


def _go_on(
    place: RunFolder,
    changes: Mapping[str, Any],
    checkpoint: str,
    observers: Observers,
    interrupted: Callable[[], bool],
    processes: Processes,
) -> dict[str, Any]:
    state, unfinished = processes.from_first(lambda: _loaded(place, checkpoint, processes))
    with processes.together():
        run = _reopened(place, state, changes, processes, observers)
        if not unfinished:
            _require_something_left(run.settings, run.trainer, place.path)
        keeper = keeper_of(run, processes, observers)
    require_alike(run.settings, run.source, processes)
    processes.from_first(lambda: _cut(run, checkpoint, observers))
    return _train(run, keeper, processes, interrupted)


def _loaded(place: RunFolder, checkpoint: str, processes: Processes) -> tuple[CheckpointState, bool]:
    """A checkpoint, and whether there is something to do even if no step is left: a call to end, a picture to draw."""
    state = load_run(place, checkpoint)
    with undamaged("The checkpoint", ANOTHER):
        grid = place.grid(state.step)
        drawn = place.report.exists() and (grid.exists() or not state.settings.previews)
        checkpoints = Checkpoints(place.checkpoints)
        if checkpoints.best_is_newer(checkpoint, best_step=state.best.step) and _is_later(checkpoints.best, state.step):
            state = replace(state, best=Best())  # it is of a step that is dropped, and the one before it is gone
    return state, place.launched_by(processes.launch) or not drawn


def _is_later(path: Path, step: int) -> bool:
    held = step_in(path)
    return held is not None and held > step


def _reopened(
    place: RunFolder,
    state: CheckpointState,
    changes: Mapping[str, Any],
    processes: Processes,
    observer: Observer,
) -> Run:
    """The run as a checkpoint holds it, with changed settings."""
    former = _on_this_machine(state.settings, changes, observer)
    settings = _with_changes(former, changes)
    source = open_data(settings, report=observer.said)
    settings = settings.located()
    source = require_same_data(source, state, settings.data)
    with undamaged("The checkpoint", ANOTHER):
        context_dim = source.context.width if source.context else 0
        require_described(settings, source.shape, source.codec, state.trainer, context_dim=context_dim)
        trainer = build_trainer(settings, source, processes, report=observer.said)
        trainer.load_state_dict(state.trainer)
    _say_what_differs(former, settings, observer, same_streams=trainer.knows_streams(state.trainer))
    return Run(settings, place, source, trainer, state.best, state.rollbacks)


def _cut(run: Run, checkpoint: str, observer: Observer) -> None:
    """Drop what was logged and saved after the checkpoint that the run goes on from, and what a kill left behind."""
    run.place.require_own()
    run.place.remove_temporaries()
    checkpoints, step = Checkpoints(run.place.checkpoints), run.trainer.step
    checkpoints.go_on_from(
        checkpoint, step=step, best_step=run.best.step, best_is_later=lambda: _is_later(checkpoints.best, step)
    )
    # The tick of step 0 comes again, those of later checkpoints do not.
    later, torn = RunLog(run.place.log).cut_after(run.trainer.step or -1)
    if later:
        observer.said(f"Dropped {later} log lines that came after the checkpoint.")
    if torn:
        observer.said(f"Dropped {torn} torn log {'line' if torn == 1 else 'lines'}: the run was killed as it wrote.")
    _note_how(run)


def _train(run: Run, keeper: Bystander, processes: Processes, interrupted: Callable[[], bool]) -> dict[str, Any]:
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


def _train_on(run: Run, keeper: Bystander, interrupted: Callable[[], bool]) -> None:
    """Train until the end, or until interrupted, or until the data change: then all is saved, and an error raised."""
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
    run: Run, diverged: DivergedError, rollbacks: Sequence[Mapping[str, Any]], processes: Processes
) -> dict[str, Any]:
    """Put the trainer back to the last checkpoint with lower rates; from where that led nowhere, to one before."""
    checkpoints = Checkpoints(run.place.checkpoints)

    def load() -> tuple[int, Any]:
        steps = checkpoints.steps()
        if not steps:
            raise diverged
        again = rollbacks and rollbacks[-1]["step"] == steps[-1] and len(steps) > 1
        step = steps[-2] if again else steps[-1]
        return step, load_run(run.place, str(step)).trainer

    step, state = processes.from_first(load)
    scale, elapsed = run.trainer.rate_scale, run.trainer.elapsed_seconds
    run.trainer.load_state_dict(state)
    run.trainer.rate_scale = scale * ROLLBACK_FACTOR
    run.trainer.elapsed_seconds = elapsed  # a budget is of the user's time
    return {"step": step, "diverged": diverged.step, "found": diverged.found, "rate_scale": run.trainer.rate_scale}


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
        lines = [
            f"{name}: the run has {had}, asked for {asked} ({_reason(name)})"
            for name, (had, asked) in different.items()
        ]
        raise UserError(
            "A run can only be resumed with its own settings",
            found="; ".join(lines),
            mend=f"leave those flags out (only {', '.join(map(_flag, CHANGEABLE))} may change), or start a new run",
        )
    changed = {name: value for name, value in changes.items() if name in CHANGEABLE}
    # A new end replaces the old one: whoever asks for more steps does not want the old budget to cut them off.
    if "steps" in changed or "budget" in changed:
        changed = {"steps": None, "budget": None, **changed}
    return replace(settings, **changed)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _reason(name: str) -> str:
    """Why a setting stays."""
    group = next(each.metadata.get("group", "") for each in fields(TrainSettings) if each.name == name)
    return REASONS.get(group, REASONS["Recipe"])


def _on_this_machine(settings: TrainSettings, changes: Mapping[str, Any], observer: Observer) -> TrainSettings:
    """A device that was asked for elsewhere, and is not here, gives way, unless it is asked for again."""
    if "device" in changes or device_is_here(settings.device):
        return settings
    observer.said(f"The run was trained on {settings.device}, which is not here; it goes on as --device auto has it.")
    return replace(settings, device="auto")


def _say_what_differs(
    former: TrainSettings, settings: TrainSettings, observer: Observer, *, same_streams: bool
) -> None:
    """In one line, what makes the numbers others than those of a run that was never stopped."""
    had, has = asdict(former), asdict(settings)
    changed = [f"{_flag(name)} {had[name]} is now {has[name]}" for name in BIT_CHANGING if had[name] != has[name]]
    if not same_streams:
        changed.append("it was on another kind of device, whose random numbers cannot go on here")
    if changed:
        observer.said(f"From here on the numbers are not those of a run that was never stopped: {'; '.join(changed)}.")


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
