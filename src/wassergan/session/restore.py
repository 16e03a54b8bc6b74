"""From what a run keeps to the generator that it trained, without the training data."""

from collections.abc import Callable
from os import PathLike

from wassergan.data import context_shape
from wassergan.sampling.sampler import Sampler
from wassergan.session.build import choose_device, latent_numbers, networks_of
from wassergan.session.calibration import calibrate
from wassergan.session.contents import require_described
from wassergan.session.refinement import refined_sampler, require_refinable
from wassergan.session.run_content import load_run
from wassergan.session.state import CheckpointState
from wassergan.storage.checkpoint import another_checkpoint
from wassergan.storage.corruption import corruption_errors
from wassergan.storage.files import as_path
from wassergan.storage.run_folder import RunFolder
from wassergan.training import SINGLE_PROCESS, DistributedContext


def open_sampler(
    folder: str | PathLike[str],
    *,
    checkpoint: str = "latest",
    device: str = "auto",
    refine: int | None = None,
    data: str | None = None,
    log: Callable[[str], None] = lambda sentence: None,
    check: Callable[[Sampler], object] = lambda sampler: None,
    processes: DistributedContext = SINGLE_PROCESS,
) -> Sampler:
    """The averaged generator of a run and the way back to the user's units, without the training data.

    Args:
        folder: of the run.
        checkpoint: `latest`, `best` or a step number.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        refine: keep one of so many draws (docs/evaluation.md); the first time, this reads the training data.
        data: where these lie, if they were moved.
        log: receives, in a sentence, what is done for that.
        check: is given the sampler before a table's is calibrated, which takes seconds: what it raises comes at once.
        processes: that draw together; each has its own GPU.

    Raises:
        UserError: no run, no such checkpoint, or a damaged one; or data that are gone.
    """
    run = RunFolder(as_path(folder))
    state = processes.on_rank_zero(lambda: load_run(run, checkpoint))  # `latest` may move on between two
    sampler = sampler_of(state, folder=run, device=device, check=check, processes=processes)
    if refine is None:
        return sampler
    require_refinable(sampler)
    return refined_sampler(sampler, state, run, draws=refine, data=data, log=log, processes=processes)


def sampler_of(
    state: CheckpointState,
    *,
    folder: RunFolder | None = None,
    device: str = "auto",
    check: Callable[[Sampler], object] = lambda sampler: None,
    processes: DistributedContext = SINGLE_PROCESS,
) -> Sampler:
    """The same from the state in a checkpoint.

    Args:
        state: of a run or a fit.
        folder: of the run, which keeps what calibrates a table's generator; None where there is none.
        device: as for `open_sampler`.
        check: likewise.
        processes: likewise.

    Raises:
        UserError: it holds other things than `train` writes.
    """
    with corruption_errors("The checkpoint", another_checkpoint()):
        sampler = _uncalibrated(state, device, processes)
    check(sampler)
    with corruption_errors("The checkpoint", another_checkpoint()):
        calibrate(sampler, state, folder=folder, processes=processes)
    return sampler


def _uncalibrated(state: CheckpointState, device: str, processes: DistributedContext) -> Sampler:
    settings, shape, codec, conditions = state.settings, state.shape, state.codec, state.conditions
    given = context_shape(conditions)
    require_described(settings, shape, codec, state.trainer, given=given)
    generator, _ = networks_of(settings, shape, codec, context_shape=given)
    generator.load_state_dict(state.average)
    latent_dim = latent_numbers(settings, generator)
    generator.eval().to(choose_device(device, processes))
    return Sampler(generator, latent_dim, codec, state.kind, conditions)
