"""Pictures of what a run has learnt: walks through the latent space, and generated beside held-out samples."""

from collections.abc import Callable
from pathlib import Path

from wassergan.data import Source
from wassergan.errors import UserError, parameter
from wassergan.modality import modality_of
from wassergan.session.reopen import reopened
from wassergan.session.restore import sampler_of
from wassergan.session.run_content import load_run
from wassergan.session.state import CheckpointState
from wassergan.storage.files import make_folder, require_writable
from wassergan.storage.run_folder import RunFolder
from wassergan.storage.together import together

# All that may be drawn, of any class of data.
FILES = {
    *("interpolation.webp", "interpolation.png", "truncation.png", "fields.png", "moments.png"),
    *("marginals.png", "pairs.png", "series.png", "autocorrelation.png", "spectrum.png"),
    *("slices.png", "turntable.png", "two_point.png", "chords.png"),
}

Log = Callable[[str], None]


def visualize_run(
    folder: Path,
    out: Path,
    *,
    count: int = 2000,
    seed: int = 0,
    checkpoint: str = "latest",
    device: str = "auto",
    data: str | None = None,
    log: Log = lambda sentence: None,
) -> list[Path]:
    """Draw a run's averaged generator in all the ways that suit its data; equal seeds give equal files.

    Args:
        folder: of the run.
        out: folder for the files; made if need be.
        count: generated rows or fields to compare with the held-out ones.
        seed: of the latents.
        checkpoint: `latest`, `best` or a step number.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        data: where the data lie, if not where they lay.
        log: receives, in a sentence, if the data are gone and real samples are left out.

    Returns:
        The files.

    Raises:
        UserError: no run, no such checkpoint, or `data` are not the run's.
        WorkError: the file system refuses.
    """
    state = load_run(RunFolder(folder), checkpoint)
    RunFolder(folder).require_folder(out)
    sampler = sampler_of(state, folder=RunFolder(folder), device=device)
    modality = modality_of(sampler.kind)
    source = _source(state, data, log) if modality.visualizes_data else None
    sampler.require_memory(count, seed)
    make_folder(out)
    require_writable(out / "pairs.png")
    with together(out, ours=FILES.__contains__):
        return modality.visualize(sampler, source, out, count=count, seed=seed)


def _source(state: CheckpointState, data: str | None, log: Log) -> Source | None:
    """The run's data; without them a sentence says so, unless they were named."""
    try:
        return reopened(state, data, log=lambda sentence: None)
    except UserError as error:
        if data is not None:
            raise
        log(f"Real samples are left out: {error} {parameter('data')} names another place.")
        return None
