"""Back to a sound checkpoint, where numbers stopped being finite."""

from collections.abc import Mapping, Sequence
from typing import Any

from wassergan.runs.recorder import Run
from wassergan.session.run_content import load_run
from wassergan.storage.checkpoint import Checkpoints
from wassergan.training import DistributedContext, DivergedError

ROLLBACK_FACTOR = 0.25  # on the rates, each time


def go_back(
    run: Run, diverged: DivergedError, rollbacks: Sequence[Mapping[str, Any]], processes: DistributedContext
) -> dict[str, Any]:
    """Put the trainer back to the last checkpoint with lower rates; from where that led nowhere, to one before.

    Returns:
        What is noted of it: `step`, the step `diverged`, what was `found` there, and the `lr_scale` from now on.

    Raises:
        DivergedError: there is no checkpoint to go back to.
    """
    checkpoints = Checkpoints(run.folder.checkpoints)

    def load() -> tuple[int, Any]:
        steps = checkpoints.steps()
        if not steps:
            raise diverged
        again = rollbacks and rollbacks[-1]["step"] == steps[-1] and len(steps) > 1
        step = steps[-2] if again else steps[-1]
        return step, load_run(run.folder, str(step)).trainer

    step, state = processes.on_rank_zero(load)
    scale, elapsed = run.trainer.lr_scale, run.trainer.elapsed_seconds
    run.trainer.load_state_dict(state)
    run.trainer.lr_scale = scale * ROLLBACK_FACTOR
    run.trainer.elapsed_seconds = elapsed  # a budget is of the user's time
    return {"step": step, "diverged": diverged.step, "found": diverged.found, "lr_scale": run.trainer.lr_scale}
