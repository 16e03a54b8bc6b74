"""What refines the draws of a checkpoint: made once from the training data, and kept beside it."""

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wassergan.data import ArrayConditions, Batch, Source
from wassergan.data.tables.hidden import CompletionConditions
from wassergan.errors import UserError, WorkError, parameter
from wassergan.modality import modality_of
from wassergan.modality.modality import AnyMargins
from wassergan.networks import MLPCritic
from wassergan.sampling.acceptance import Calibration, group_of
from wassergan.sampling.components import Components
from wassergan.sampling.ratio import trained_ratio
from wassergan.sampling.refinement import RatioEstimate, Refinement
from wassergan.sampling.sampler import Sampler
from wassergan.session.build import networks_of
from wassergan.session.reopen import reopened
from wassergan.session.state import CheckpointState
from wassergan.storage.checkpoint import load_checkpoint, save_checkpoint
from wassergan.storage.corruption import corruption_errors
from wassergan.storage.files import make_folder, remove
from wassergan.storage.run_folder import RunFolder
from wassergan.training import SINGLE_PROCESS, DistributedContext

RECIPE = 3  # goes up when what is made from the same checkpoint changes
MOST_SAMPLES, CALIBRATED = 20_000, 2**15  # on either side of the classifier, and draws that set acceptances
CALIBRATED_NUMBERS, FEWEST_CALIBRATED = 2**23, 4096  # of the latter, where samples are large
NUMBERS = 2**25  # of either, at most
FEWEST = 64  # draws of a condition that is set on its own
SEEDS = (2**62 + 5, 2**62 + 7)  # that nobody draws samples with
WIDTHS = (128, 128)  # of the classifier of components
KEPT_FILES = 4
Log = Callable[[str], None]


def refined_sampler(
    sampler: Sampler,
    state: CheckpointState,
    folder: RunFolder,
    *,
    draws: int,
    data: str | None,
    log: Log,
    processes: DistributedContext = SINGLE_PROCESS,
) -> Sampler:
    """A sampler that keeps one of so many draws; what it needs for that is read from the run folder, or made.

    Args:
        sampler: of the state, under the conditions that the run was trained on.
        state: of a checkpoint.
        folder: of the run.
        draws: per kept sample in the mean.
        data: where the training data lie, if they were moved.
        log: receives, in a sentence, what is made.
        processes: that draw together.

    Raises:
        UserError: it has to be made, and the data are gone or are others.
    """
    content = processes.on_rank_zero(lambda: _found(folder, state) or _made(folder, sampler, state, data, log))
    return replace(sampler, refinement=refinement_of(content, state, sampler, draws=draws))


def require_refinable(sampler: Sampler) -> None:
    """Refuse runs of which any columns can be given: a classifier would have to know every choice of them.

    Raises:
        UserError: the run is one of these.
    """
    if isinstance(sampler.conditions, ArrayConditions):
        raise UserError(
            "Draws under conditions that are arrays are not refined: a classifier would need many for each of them",
            hint=f"leave {parameter('refine')} out",
        )
    if isinstance(sampler.conditions, CompletionConditions):
        raise UserError(
            f"Runs that were trained with {parameter('completion')} cannot be refined",
            hint=f"leave {parameter('refine')} out, or train without {parameter('completion')}",
        )


def refinement_content(sampler: Sampler, state: CheckpointState, source: Source) -> dict[str, Any]:
    """Train a classifier between training samples and draws, and set acceptances; tensors and plain types."""
    size = max(1, source.shape_size)
    count = max(FEWEST, min(MOST_SAMPLES, NUMBERS // size, source.train_count))
    real = source.train_batch(source.train_positions(count))
    fake = _drawn(sampler, count, seed=SEEDS[0])
    modality = modality_of(source.kind)
    margins = modality.margins(modality.own(sampler.codec), real.samples)
    components = margins.components
    sides = (_seen(components, real), _seen(components, fake))
    classifier = _classifier(state, components).to(_device(sampler))
    estimate = replace(trained_ratio(classifier, *sides, seed=state.settings.seed), components=components)
    fresh = _drawn(sampler, _calibrated(size), seed=SEEDS[1])
    calibration = _calibration(estimate, fresh, margins, real.samples)
    return {
        "classifier": {name: value.detach().cpu() for name, value in estimate.classifier.state_dict().items()},
        "line": [estimate.slope, estimate.intercept],
        "auc": estimate.auc,
        "count": len(real.samples),
        "calibration": calibration.state(),
        "margins": margins.state(),
    }


def refinement_of(content: Mapping[str, Any], state: CheckpointState, sampler: Sampler, *, draws: int) -> Refinement:
    """What keeps one of so many draws, from what `refinement_content` made.

    Raises:
        UserError: the content is another.
    """
    with corruption_errors("What refines the draws", "remove the folder `refinement` of the run"):
        modality = modality_of(state.kind)
        margins = modality.margins_of(modality.own(sampler.codec), content["margins"], numbers=math.prod(state.shape))
        classifier = _network(state, margins.components)
        classifier.load_state_dict(content["classifier"])
        classifier.eval().requires_grad_(False).to(_device(sampler))
        slope, intercept = (float(each) for each in content["line"])
        calibration = Calibration.from_state(content["calibration"])
        if calibration.patterns.shape[1:] != (sum(state.context_shape),) or not np.isfinite([slope, intercept]).all():
            raise ValueError("numbers of another run")
        if [len(each) for each in calibration.shares] != list(margins.sizes):
            raise ValueError("shares of other columns")
        estimate = RatioEstimate(classifier, slope, intercept, float(content["auc"]), margins.components)
        return Refinement(estimate, calibration, margins, draws)


def _found(folder: RunFolder, state: CheckpointState) -> dict[str, Any] | None:
    """What lies in the run folder for a checkpoint, if it is whole and its own."""
    folder.require_here()
    with suppress(UserError, KeyError, TypeError):
        content = load_checkpoint(_path(folder, state))
        if content["of"] == _key(state):
            found: dict[str, Any] = content["refinement"]
            return found
    return None


def _made(folder: RunFolder, sampler: Sampler, state: CheckpointState, data: str | None, log: Log) -> dict[str, Any]:
    started = time.perf_counter()
    log("Training the classifier that refines draws; it is kept in the run folder.")
    try:
        source = reopened(state, data, log=log)
    except UserError as error:
        raise UserError(
            "To refine the draws of this checkpoint for the first time, the training data are needed",
            found=str(error),
            hint=f"say where they lie with {parameter('data')}, or leave out {parameter('refine')}",
        ) from error
    content = refinement_content(sampler, state, source)
    seconds = time.perf_counter() - started
    log(f"{description(content)} ({seconds:.0f} s).")
    with suppress(UserError, WorkError, OSError):  # a run that cannot be written to: the next call makes it again
        make_folder(folder.refinement)
        save_checkpoint(_path(folder, state), {"of": _key(state), "refinement": content})
        _trim(folder.refinement)
    return content


def _calibrated(size: int) -> int:
    """How many draws of so many numbers set acceptances: shares of levels are as exact as these are many."""
    wanted = min(CALIBRATED, max(FEWEST_CALIBRATED, CALIBRATED_NUMBERS // size))
    return max(FEWEST, min(wanted, NUMBERS // size))


def description(content: Mapping[str, Any]) -> str:
    """How well the classifier tells draws from training samples, in a sentence without a full stop."""
    start = f"On {content['count']:,} training samples and as many draws it"
    if content["line"][0] == 0:
        return f"{start} finds no difference, so refined draws are like others"
    return f"{start} reaches an AUC of {content['auc']:.3f} on those that it did not learn"


def _path(folder: RunFolder, state: CheckpointState) -> Path:
    return folder.refinement / f"step-{state.step:09d}-{_key(state)[:12]}.pt"


def _trim(folder: Path) -> None:
    files = sorted(folder.glob("step-*.pt"), key=lambda each: each.stat().st_mtime_ns)
    for old in files[:-KEPT_FILES]:
        remove(old)


def _key(state: CheckpointState) -> str:
    """Of all that it is made from: the generator, the critic, and what tells the data apart."""
    found = hashlib.sha256(f"{RECIPE} {sorted(state.fingerprint.items())}".encode())
    for part in (state.average, state.critic):
        for name, value in sorted(part.items()):
            found.update(name.encode() + np.ascontiguousarray(value.detach().cpu().numpy()).tobytes())
    return found.hexdigest()


def _seen(components: Components | None, batch: Batch) -> Batch:
    return batch if components is None else batch._replace(samples=components.of(batch.samples))


def _network(state: CheckpointState, components: Components | None) -> nn.Module:
    """Of rows of a table a critic as the run's, but of single rows; of all else a small one of their components."""
    if components is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(state.settings.seed)
            shape = (components.directions.shape[1],)
            return MLPCritic(shape, widths=WIDTHS, activation="silu", context_dim=sum(state.context_shape))
    settings = replace(state.settings, pack=1)
    return networks_of(settings, state.shape, state.codec, context_shape=state.context_shape)[1]


def _classifier(state: CheckpointState, components: Components | None) -> nn.Module:
    """With the weights of the run's critic, where it scores single rows and no constraint changes its weights."""
    network = _network(state, components)
    own = network.state_dict()
    if own.keys() == state.critic.keys() and all(own[name].shape == state.critic[name].shape for name in own):
        network.load_state_dict(state.critic)
    return network


def _device(sampler: Sampler) -> torch.device:
    return next(sampler.generator.parameters()).device


def _drawn(sampler: Sampler, count: int, *, seed: int) -> Batch:
    """Draws as they are handed out, and what they were drawn under."""
    parts, start = [], 0
    for chunk in sampler.vectors(count, seed=seed):
        parts.append(sampler.handed_out(chunk, torch.arange(len(chunk)), first=start, seed=seed))
        start += len(chunk)
    context = None if sampler.conditions is None else sampler.conditions.vectors(0, count, seed=seed)
    return Batch(torch.cat(parts), context)


def _calibration(estimate: RatioEstimate, drawn: Batch, margins: AnyMargins, real: Tensor) -> Calibration:
    samples, context = drawn
    parts = torch.arange(len(samples)).split(1024)
    ratios = torch.cat([estimate.of(samples[some], None if context is None else context[some]) for some in parts])
    patterns = torch.zeros(0, 0 if context is None else context.shape[1])
    if context is not None:
        found, counts = context.unique(dim=0, return_counts=True)
        patterns = found[counts >= FEWEST]
    groups = group_of(patterns, context, len(samples))
    own, shares = margins.cells(real), []
    for column, size in enumerate(margins.sizes):
        shares.append(torch.bincount(own[:, column], minlength=size).double() / len(own))
    return Calibration(ratios, groups, patterns, margins.cells(samples), tuple(shares))
