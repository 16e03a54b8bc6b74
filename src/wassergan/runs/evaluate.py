"""From a run folder to a judgement of its generator: metrics with their floors, near copies, a verdict, on disk."""

import time
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

from wassergan.config.data import absolute
from wassergan.config.verbs import EvaluateSettings
from wassergan.data import ArrayConditions
from wassergan.errors import UserError, parameter
from wassergan.evaluation.feature_cache import FeatureCache
from wassergan.modality import modality_of
from wassergan.modality.evaluator import Evaluation, Evaluator
from wassergan.runs.recorder import write_run_report
from wassergan.runs.results import Results
from wassergan.session.build import choose_device
from wassergan.session.fingerprint import fingerprint
from wassergan.session.refinement import refined_sampler, require_refinable
from wassergan.session.reopen import others_like, reopened
from wassergan.session.restore import sampler_of
from wassergan.session.run_content import load_run
from wassergan.session.state import CheckpointState
from wassergan.storage.files import as_path, require_writable
from wassergan.storage.run_folder import RunFolder
from wassergan.training import SINGLE_PROCESS, DistributedContext
from wassergan.utils.version import __version__

Log = Callable[[str], None]
SCHEMA_VERSION = 1  # of metrics.json; goes up when entries change their meaning or go away


def evaluate_run(
    settings: EvaluateSettings | str | PathLike[str],
    *,
    log: Log = lambda sentence: None,
    found: Callable[[dict[str, Any]], None] = lambda result: None,
    processes: DistributedContext = SINGLE_PROCESS,
) -> dict[str, Any]:
    """Judge the averaged generator of a run; writes `metrics.json`, its pictures, and the run's page anew.

    Where the folder cannot be written to, which is tried before the work, the result is given out alone.

    Args:
        settings: as given by the user; or the run's folder alone.
        log: receives, in a few words, what is done next; on process 0.
        found: told the result on process 0 before it is written, so that no full disk loses it.
        processes: all call this; each draws and describes its share of the samples, process 0 judges and writes.
            Tables are judged by process 0 alone.

    Returns:
        What `metrics.json` holds.

    Raises:
        UserError: no run, other data than the run's, too few samples, or settings that are for other data.
        WorkError: a file could not be written.
    """
    started = time.perf_counter()
    log = log if processes.rank == 0 else _silent
    if isinstance(settings, str | PathLike):
        settings = EvaluateSettings(run=str(as_path(settings)))
    folder = RunFolder(Path(settings.run))
    state = processes.on_rank_zero(lambda: load_run(folder, settings.checkpoint))
    modality, page = modality_of(state.kind), Path(settings.html) if settings.html else None
    with processes.raise_together():
        if page is not None:
            _require_page(folder, page)
        results = Results(folder, settings.out, log)
        modality.require_askable(settings)
        evaluator = modality.evaluator(_opened(settings, state, results, log, processes))
    evaluator.collect()

    def judged() -> dict[str, Any]:
        measured = evaluator.measure(results.picture)
        protocol = _protocol(settings, state, evaluator, started)
        result = {"schema_version": SCHEMA_VERSION, "protocol": protocol, **measured}
        found(result)
        results.keep(result)
        if page is not None:
            write_run_report(folder.path, page, evaluated=results.folder.path)
        return result

    return processes.on_rank_zero(judged)


def _require_page(folder: RunFolder, page: Path) -> None:
    if page.suffix.lower() not in (".html", ".htm"):
        raise UserError("A page is an HTML file", found=f"'{page.name}'", hint="let its name end in .html")
    require_writable(folder.require_target(page))


def _silent(sentence: str) -> None:
    pass


def _opened(
    settings: EvaluateSettings, state: CheckpointState, results: Results, log: Log, processes: DistributedContext
) -> Evaluation:
    """The generator, the data of the run, and others if they take the place of the held-out samples."""
    sampler = sampler_of(state, folder=RunFolder(Path(settings.run)), device=settings.device, processes=processes)
    sampler.require_memory(settings.count or 0, settings.seed)
    conditions = settings.condition_array
    if conditions is not None and not isinstance(sampler.conditions, ArrayConditions):
        raise UserError(
            "The run was not trained under conditions that are an array",
            found=parameter("condition_array", conditions),
            hint="leave it out",
        )
    source = reopened(state, settings.data, condition_array=None if settings.against else conditions, log=log)
    if settings.refine:
        require_refinable(sampler)
        folder = RunFolder(Path(settings.run))
        sampler = refined_sampler(
            sampler, state, folder, draws=settings.refine, data=settings.data, log=log, processes=processes
        )
    others = None
    if settings.against:
        others = others_like(
            state,
            source,
            settings.against,
            sheet=settings.sheet,
            condition_array=conditions,
            log=log,
        )
    return Evaluation(
        settings=settings,
        sampler=sampler,
        source=source,
        others=others,
        identify=fingerprint,
        cache=FeatureCache(results.folder.evaluation),
        device=choose_device(settings.device, processes),
        processes=processes,
        log=log,
    )


def _protocol(
    settings: EvaluateSettings, state: CheckpointState, evaluator: Evaluator, started: float
) -> dict[str, Any]:
    """What was judged, and how: enough to do it again."""
    return {
        **evaluator.protocol(),
        "seed": settings.seed,
        "checkpoint": settings.checkpoint,
        "step": state.step,
        "weights": "average",
        "refine": settings.refine,
        "data": evaluator.evaluation.source.name,
        "against": absolute(settings.against),
        "seconds": round(time.perf_counter() - started, 3),
        "wassergan": __version__,
    }
