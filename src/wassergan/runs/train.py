"""From settings to a run folder, and from a run folder back to everything that made it."""

import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from os import PathLike
from pathlib import Path
from typing import Any

from wassergan.callbacks import Callback, CallbackList
from wassergan.config.setting import require_settings
from wassergan.config.settings import ResolvedSettings, TrainSettings
from wassergan.data import context_shape
from wassergan.errors import UserError, WorkError, flag, parameter, typed, worded
from wassergan.evaluation import HeldoutDistance
from wassergan.modality.recipes import resolve_for
from wassergan.runs.changes import changes_of, on_this_machine, say_what_differs, with_changes
from wassergan.runs.recorder import Run, checkpoints_kept, recorder_of
from wassergan.runs.rollback import go_back
from wassergan.session.build import build_trainer, open_data
from wassergan.session.contents import require_described, require_readable
from wassergan.session.fingerprint import require_alike, require_same_data
from wassergan.session.init_from import start_from, state_to_start_from
from wassergan.session.loop import History, Loop
from wassergan.session.run_content import load_run, run_summary
from wassergan.session.state import Best, CheckpointState, step_in
from wassergan.storage.checkpoint import Checkpoints, another_checkpoint
from wassergan.storage.corruption import corruption_errors
from wassergan.storage.files import as_path, make_folder, write_text
from wassergan.storage.lock import Lock, held
from wassergan.storage.run_folder import RunFolder
from wassergan.storage.run_log import RunLog, read_log
from wassergan.training import SINGLE_PROCESS, DistributedContext, Trainer, divergence_in
from wassergan.utils.environment import environment


def train_run(
    settings: TrainSettings,
    folder: str | PathLike[str],
    *,
    callback: Callback | None = None,
    interrupted: Callable[[], bool] = lambda: False,
    processes: DistributedContext = SINGLE_PROCESS,
) -> dict[str, Any]:
    """Start a run and train it to its end, or until interrupted.

    Args:
        settings: as given by the user.
        folder: created; must not hold a run, unless torchrun started the processes of that run anew: then it goes on.
        callback: called as it goes on, on process 0; closed at the end. `CallbackList` makes one of several.
        interrupted: asked after every step; the run is saved and can be resumed.
        processes: that train together; all call this, process 0 writes.

    Returns:
        The run's summary, as `run_summary` gives it.

    Raises:
        UserError: wrong settings or data, or a folder that holds something else.
        WorkError: training diverged, a file could not be written, or a process was lost.
    """
    require_settings(settings, TrainSettings, example='TrainSettings(data="people.csv", budget=180.0)')
    run_folder = RunFolder(as_path(folder))
    if settings.init_from:
        settings = replace(settings, init_from=str(Path(settings.init_from).absolute()))
    with _callbacks(callback, processes) as callbacks, ExitStack() as stack:
        # Once before anything is made, and once when nobody else can make anything.
        processes.on_rank_zero(lambda: _to_be_continued(run_folder, processes))
        run_folder = stack.enter_context(_locked(run_folder, callbacks, processes))
        if processes.on_rank_zero(lambda: _to_be_continued(run_folder, processes)):
            return _go_on(run_folder, changes_of(settings), "latest", callbacks, interrupted, processes)
        origin = settings.init_from
        start = processes.on_rank_zero(lambda: state_to_start_from(Path(origin)) if origin else None)
        with processes.raise_together():
            asked = settings.checked()
            source = open_data(asked, log=callbacks.on_message)
            resolved = resolve_for(asked, source, log=callbacks.on_message).located()
            run = Run(
                resolved, run_folder, source, build_trainer(resolved, source, processes, log=callbacks.on_message)
            )
            if start is not None:
                start_from(run.trainer, start, str(origin), log=callbacks.on_message)
            given, held = context_shape(source.context), run.trainer.state_dict()
            require_readable(resolved, source.shape, source.codec, held, given=given)
            loop = _loop_of(run, processes, callbacks, interrupted)
        require_alike(run.settings, run.source, processes)
        # Only now, when nothing in the user's input can fail any more.
        processes.on_rank_zero(lambda: _begin(run))
        return _train(run, loop, processes)


def resume_run(
    folder: str | PathLike[str],
    changes: Mapping[str, Any],
    *,
    checkpoint: str = "latest",
    callback: Callback | None = None,
    interrupted: Callable[[], bool] = lambda: False,
    processes: DistributedContext = SINGLE_PROCESS,
) -> dict[str, Any]:
    """Go on with a run from a checkpoint, bit for bit on the CPU with as many processes as before.

    Args:
        folder: of the run.
        changes: settings to change; only the length of the run, the place of the data and what is written may be.
        checkpoint: `latest`, `best` or a step number; what was logged and saved later than that is dropped.
        callback: called as it goes on, on process 0; closed at the end. `CallbackList` makes one of several.
        interrupted: asked after every step.
        processes: that train together, as many as there are now; all call this, process 0 reads and writes the run.

    Returns:
        The run's summary.

    Raises:
        UserError: no run, a damaged checkpoint, other settings or other data, or nothing left to do.
        WorkError: training diverged, a file could not be written, or a process was lost.
    """
    run_folder = RunFolder(as_path(folder))
    with _callbacks(callback, processes) as callbacks, ExitStack() as stack:
        processes.on_rank_zero(run_folder.require_run)
        run_folder = stack.enter_context(_locked(run_folder, callbacks, processes))
        return _go_on(run_folder, changes, checkpoint, callbacks, interrupted, processes)


def _callbacks(callback: Callback | None, processes: DistributedContext) -> CallbackList:
    """The user's callback, on process 0 alone; more may join it."""
    return CallbackList(*([callback] if callback and processes.rank == 0 else []))


@contextmanager
def _locked(run_folder: RunFolder, callback: Callback, processes: DistributedContext) -> Iterator[RunFolder]:
    """Process 0 holds the folder's lock inside; all get the folder, with the lock where it is held."""
    with ExitStack() as stack:
        locks: list[Lock] = []

        def lock() -> None:
            locks.append(stack.enter_context(held(run_folder.path, launch=processes.launch, log=callback.on_message)))

        processes.on_rank_zero(lock)
        yield replace(run_folder, lock=locks[0] if locks else None)


def _to_be_continued(run_folder: RunFolder, processes: DistributedContext) -> bool:
    """Whether the folder holds this call's own run, whose processes were started anew; refuse any other content."""
    folder = run_folder.require_folder(run_folder.path)
    if folder.is_dir() and run_folder.holds_run():
        run_folder.require_here()
    if run_folder.launched_by(processes.launch):
        return run_folder.latest.exists()  # if lost before the first checkpoint: begin again
    if not folder.exists() or (folder.is_dir() and run_folder.holds_only_a_start()):
        return False
    if run_folder.holds_run():
        raise UserError(
            f"The folder {folder} holds a run already",
            hint=f"resume it (wassergan resume {typed(folder)}), or name another folder{_with_out()}",
        )
    raise UserError(f"{folder} exists and is not an empty folder", hint=f"name another one{_with_out()}")


def _begin(run: Run) -> None:
    _require_room(run.folder.path, run.trainer, checkpoints_kept(run.settings))
    run.folder.forget_start()
    _note_how(run)
    make_folder(run.folder.samples)


def _note_how(run: Run) -> None:
    """What the run is trained with from now on: settings, environment, and the call of torchrun."""
    mark = run.folder.make_mark()
    run.folder.note_launch(run.trainer.processes.launch)
    write_text(run.folder.environment, json.dumps(environment(), indent=2) + "\n")
    described = asdict(run.settings) | {"notes": list(run.source.notes), "mark": mark}
    write_text(run.folder.settings, json.dumps(described, indent=2) + "\n")


def _go_on(
    run_folder: RunFolder,
    changes: Mapping[str, Any],
    checkpoint: str,
    callbacks: CallbackList,
    interrupted: Callable[[], bool],
    processes: DistributedContext,
) -> dict[str, Any]:
    state, unfinished = processes.on_rank_zero(lambda: _loaded(run_folder, checkpoint, processes))
    with processes.raise_together():
        run = _reopened(run_folder, state, changes, processes, callbacks)
        if not unfinished:
            _require_something_left(run.settings, run.trainer, run_folder.path)
        loop = _loop_of(run, processes, callbacks, interrupted)
    require_alike(run.settings, run.source, processes)
    processes.on_rank_zero(lambda: _cut(run, checkpoint, callbacks))
    return _train(run, loop, processes)


def _loaded(run_folder: RunFolder, checkpoint: str, processes: DistributedContext) -> tuple[CheckpointState, bool]:
    """A checkpoint, and whether there is something to do even if no step is left: a call to end, a picture to draw."""
    state = load_run(run_folder, checkpoint)
    with corruption_errors("The checkpoint", another_checkpoint()):
        grid = run_folder.grid(state.step)
        drawn = run_folder.report.exists() and (grid.exists() or not state.settings.previews)
        checkpoints = Checkpoints(run_folder.checkpoints)
        if checkpoints.best_is_newer(checkpoint, best_step=state.best.step) and _is_later(checkpoints.best, state.step):
            state = replace(state, best=Best())  # it is of a step that is dropped, and the one before it is gone
    return state, run_folder.launched_by(processes.launch) or not drawn


def _is_later(path: Path, step: int) -> bool:
    held = step_in(path)
    return held is not None and held > step


def _reopened(
    run_folder: RunFolder,
    state: CheckpointState,
    changes: Mapping[str, Any],
    processes: DistributedContext,
    callback: Callback,
) -> Run:
    """The run as a checkpoint holds it, with changed settings."""
    former = on_this_machine(state.settings, changes, callback)
    settings = with_changes(former, changes)
    source = open_data(settings, log=callback.on_message)
    settings = settings.located()
    source = require_same_data(source, state, settings.data)
    with corruption_errors("The checkpoint", another_checkpoint()):
        given = context_shape(source.context)
        require_described(settings, source.shape, source.codec, state.trainer, given=given)
        trainer = build_trainer(settings, source, processes, log=callback.on_message)
        trainer.load_state_dict(state.trainer)
    say_what_differs(former, settings, callback, same_streams=trainer.knows_streams(state.trainer))
    return Run(settings, run_folder, source, trainer, state.best, state.rollbacks)


def _cut(run: Run, checkpoint: str, callback: Callback) -> None:
    """Drop what was logged and saved after the checkpoint that the run goes on from, and what a kill left behind."""
    run.folder.require_own()
    run.folder.remove_temporaries()
    checkpoints, step = Checkpoints(run.folder.checkpoints), run.trainer.step
    checkpoints.go_on_from(
        checkpoint, step=step, best_step=run.best.step, best_is_later=lambda: _is_later(checkpoints.best, step)
    )
    # The tick of step 0 comes again, those of later checkpoints do not.
    later, torn = RunLog(run.folder.log).cut_after(run.trainer.step or -1)
    if later:
        callback.on_message(f"Dropped {later} log lines that came after the checkpoint.")
    if torn:
        callback.on_message(
            f"Dropped {torn} torn log {'line' if torn == 1 else 'lines'}: the run was killed as it wrote."
        )
    _note_how(run)


def _loop_of(run: Run, processes: DistributedContext, callbacks: CallbackList, interrupted: Callable[[], bool]) -> Loop:
    """What trains a run; process 0 alone measures and records.

    Raises:
        UserError: settings that only matter there are wrong.
    """
    trainer, last_tick = run.trainer, run.trainer.step or -1
    recorder = recorder_of(run, processes, callbacks)
    logged = [each for each in read_log(run.folder.log) if each["step"] <= last_tick] if recorder else []
    return Loop(
        trainer,
        run.settings,
        distance=HeldoutDistance(run.source, latent_dim=trainer.latent_dim) if recorder else None,
        callbacks=[recorder] if recorder else [],
        history=History.of_log(logged, run.best),
        last_tick=last_tick,
        interrupted=interrupted,
    )


def _train(run: Run, loop: Loop, processes: DistributedContext) -> dict[str, Any]:
    """Train to the end; on the way go back, as often as the settings allow, from where numbers stop being finite."""
    processes.on_rank_zero(loop.start)
    rollbacks = list(run.rollbacks)
    while True:
        try:
            loop.train(steps=run.settings.steps, budget_seconds=run.settings.budget)
            break
        except WorkError as error:
            diverged = divergence_in(error)
            left = run.settings.rollbacks - len(rollbacks) if run.settings.on_divergence == "rollback" else 0
            if diverged is None or diverged.by_data or left <= 0:
                raise
            rollbacks.append(go_back(run, diverged, rollbacks, processes))
            loop.go_back(rollbacks[-1]["step"])
            processes.on_rank_zero(lambda: loop.tell_rollback(rollbacks[-1]))
    processes.on_rank_zero(loop.finish)
    return processes.on_rank_zero(lambda: run_summary(run.folder.path))


def _with_out() -> str:
    return worded(command_line=f" with {flag('out')}", python="")


def _require_something_left(settings: ResolvedSettings, trainer: Trainer, folder: Path) -> None:
    if settings.steps is not None and trainer.step >= settings.steps:
        name, more, unit = "steps", trainer.step + settings.steps, ""
    elif settings.budget is not None and trainer.elapsed_seconds >= settings.budget:
        name, more, unit = "budget", math.ceil(trainer.elapsed_seconds + settings.budget), "s"
    else:
        return
    raise UserError(
        "The run has reached its end",
        found=f"step {trainer.step} after {trainer.elapsed_seconds:.0f} s",
        hint=f"{parameter('steps')} and {parameter('budget')} count from its start. For that much more: "
        + worded(
            command_line=f"wassergan resume {typed(folder)} {flag(name, more)}{unit}",
            python=f"resume_run({str(folder)!r}, {{{name!r}: {more}}})",
        ),
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
            hint=f"free some space, choose another {worded(command_line=flag('out'), python='folder')}, or a smaller "
            + parameter("keep"),
        )
