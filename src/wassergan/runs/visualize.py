"""Pictures of what a run has learnt: walks through the latent space, and generated beside held-out samples."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from wassergan.data import Codec, Source, TableCodec
from wassergan.errors import UserError
from wassergan.evaluation.tables import Bins, associations, columns_of, telling_pairs
from wassergan.evaluation.tables.pairs import MOST_COLUMNS
from wassergan.plots import (
    LARGEST_PANELS,
    Channel,
    Maps,
    PairColumn,
    fields_figure,
    headed,
    marginals_figure,
    moments_figure,
    pairs_figure,
    save_animation,
    save_figure,
    save_picture,
    table_figure,
    table_pairs_figure,
)
from wassergan.sampling.sampler import Sampler, field_channels, grid_picture, vector_rows
from wassergan.session.build import open_data
from wassergan.session.fingerprint import same_data
from wassergan.session.restore import sampler_of
from wassergan.session.run_content import load_run
from wassergan.session.state import CheckpointState
from wassergan.storage.files import make_folder, require_writable
from wassergan.storage.run_folder import RunFolder
from wassergan.utils.rng import derived_rng

WALKS = 16  # side by side in the animation
STOPS = 4  # latents that each walk passes before it is back
FRAMES = 16  # from one stop to the next
MILLISECONDS = 60
STRIP_ROWS, STRIP_COLUMNS = 6, 9
FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
MAPS = 5  # fields beside each other
PAIRS = 6  # of a table's columns

Report = Callable[[str], None]
Rows = NDArray[np.float64]


def look_at(
    folder: Path,
    out: Path,
    *,
    count: int = 2000,
    seed: int = 0,
    checkpoint: str = "latest",
    device: str = "auto",
    data: str | None = None,
    report: Report = lambda sentence: None,
) -> list[Path]:
    """Draw a run's averaged generator in all the ways that suit its data; equal seeds give equal files.

    Args:
        folder: of the run.
        out: folder for the files; made if need be.
        count: generated rows or fields to compare with the held-out ones.
        seed: of the latents.
        checkpoint: `latest`, `best` or a step number.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        data: where the data lie, if not where they lay.
        report: told, in a sentence, if the data are gone and real samples are left out.

    Returns:
        The files.

    Raises:
        UserError: no run, no such checkpoint, or `data` are not the run's.
        WorkError: the file system refuses.
    """
    state = load_run(RunFolder(folder), checkpoint)
    RunFolder(folder).require_folder(out)
    sampler = sampler_of(state, device=device)
    source = None if sampler.kind == "image" else _source(state, data, report)
    sampler.require_memory(count, seed)
    make_folder(out)
    require_writable(out / "pairs.png")
    if isinstance(sampler.codec, TableCodec):
        return _draw_table(sampler.draw(count, seed=seed), sampler.codec, source, out)
    files = []
    if sampler.kind != "image":
        files += (_draw_rows if sampler.kind == "vector" else _draw_fields)(
            sampler.draw(count, seed=seed), None if source is None else _heldout(source, count), source, sampler, out
        )
    if sampler.kind != "vector":
        files += _draw_walks(sampler, out, derived_rng(seed, "walks"))
    return files


def spherical_path(start: Tensor, end: Tensor, share: float) -> Tensor:
    """cos(πt/2) · start + sin(πt/2) · end, the way on which every point is as likely as the two ends.

    Of independent N(0, I) ends every point is N(0, I) itself, in any dimension; a straight line would pass latents
    too near the origin to be ever drawn. Between orthogonal ends, as they nearly are in high dimension, it is the
    spherical interpolation of Shoemake 1985.

    Args:
        start: latents, any shape.
        end: the same shape, drawn independently.
        share: t in [0, 1].
    """
    return math.cos(math.pi / 2 * share) * start + math.sin(math.pi / 2 * share) * end


def _draw_walks(sampler: Sampler, out: Path, rng: torch.Generator) -> list[Path]:
    stops = torch.randn(STOPS, WALKS, sampler.latent_dim, generator=rng)
    # Every walk keeps to one condition.
    told = sampler.conditions.vectors(0, WALKS, seed=rng.initial_seed()) if sampler.conditions else None
    files = [out / name for name in ("interpolation.webp", "interpolation.png", "truncation.png")]
    save_animation(_frames(sampler, stops, told), files[0], milliseconds=MILLISECONDS)
    shares = np.linspace(0, 1, STRIP_COLUMNS)
    start, end = stops[0, :STRIP_ROWS], stops[1, :STRIP_ROWS]
    between = [spherical_path(start, end, float(share)) for share in shares]
    save_picture(_strip(sampler, between, told, [f"{share:.3g}" for share in shares]), files[1])
    stretched = [factor * start for factor in FACTORS]
    save_picture(_strip(sampler, stretched, told, [f"{factor:.3g} z" for factor in FACTORS]), files[2])
    return files


def _frames(sampler: Sampler, stops: Tensor, told: Tensor | None) -> list[Image.Image]:
    """All walks around their stops, back to the first."""
    legs = zip(stops, stops.roll(-1, dims=0), strict=True)
    latents = (spherical_path(start, end, frame / FRAMES) for start, end in legs for frame in range(FRAMES))
    return [grid_picture(sampler.render(latent, told), sampler.codec, sampler.kind) for latent in latents]


def _strip(sampler: Sampler, columns: list[Tensor], told: Tensor | None, labels: list[str]) -> Image.Image:
    """One column per entry, one row per latent and its condition."""
    cells = torch.stack(columns, dim=1).flatten(0, 1)
    context = None if told is None else told[: len(columns[0])].repeat_interleave(len(columns), dim=0)
    grid = grid_picture(sampler.render(cells, context), sampler.codec, sampler.kind, columns=len(columns))
    return headed(grid, labels)


def _draw_rows(
    samples: NDArray[Any], real: NDArray[Any] | None, source: Source | None, sampler: Sampler, out: Path
) -> list[Path]:
    assert isinstance(sampler.codec, Codec)
    generated, held_out = (None if each is None else vector_rows(each, sampler.codec) for each in (samples, real))
    assert generated is not None
    features = generated.shape[1]
    names = sampler.codec.named(features)
    save_figure(marginals_figure(generated, held_out, names=names), out / "marginals.png")
    if features == 1:
        return [out / "marginals.png"]
    save_figure(pairs_figure(generated, held_out, names=names), out / "pairs.png")
    return [out / "marginals.png", out / "pairs.png"]


def _draw_table(samples: Rows, codec: TableCodec, source: Source | None, out: Path) -> list[Path]:
    """Marginals, and the pairs that have most to do with each other or are most off."""
    real = None if source is None else _heldout_rows(source, len(samples))
    columns = columns_of(codec)
    names = [PairColumn(column.name, column.levels) for column in columns]
    save_figure(table_figure(dict(names), samples, real), out / "marginals.png")
    shown = min(len(columns), MOST_COLUMNS)
    if shown == 1:
        return [out / "marginals.png"]
    laws = [samples[:, :shown], (samples if real is None else real)[:, :shown]]
    bins = Bins.fit(columns[:shown], laws[1])
    pairs = telling_pairs(associations(bins, laws[1]), associations(bins, laws[0]), count=PAIRS)
    save_figure(table_pairs_figure(names, pairs, samples, real), out / "pairs.png")
    return [out / "marginals.png", out / "pairs.png"]


def _draw_fields(
    samples: NDArray[Any], real: NDArray[Any] | None, source: Source | None, sampler: Sampler, out: Path
) -> list[Path]:
    found = {} if real is None else {"held out": real}
    found["generated"] = samples
    assert isinstance(sampler.codec, Codec)
    by_law = {label: field_channels(each, sampler.codec) for label, each in found.items()}
    first = next(iter(by_law.values()))[:LARGEST_PANELS]
    whole = [
        Maps(_title(channel, source), {label: each[index].values for label, each in by_law.items()}, *_ends(channel))
        for index, channel in enumerate(first)
    ]
    shown = [
        replace(each, laws={label: maps[_spread(len(maps))] for label, maps in each.laws.items()}) for each in whole
    ]
    save_figure(fields_figure(shown), out / "fields.png")
    named = len(first) > 1 or sampler.codec.channels
    save_figure(moments_figure(whole if named else [replace(each, name="") for each in whole]), out / "moments.png")
    return [out / "fields.png", out / "moments.png"]


def _title(channel: Channel, source: Source | None) -> str:
    return channel.name or ("value" if source is None else source.name)


def _ends(channel: Channel) -> tuple[float, float]:
    """The range of the values that are there; the codec's where there are none."""
    there = channel.values[
        ~np.isnan(channel.values) & (channel.values >= channel.low) & (channel.values <= channel.high)
    ]
    return (float(there.min()), float(there.max())) if there.size else (channel.low, channel.high)


def _spread(count: int) -> NDArray[np.int64]:
    """`MAPS` positions from all over 0..count-1; some twice where there are fewer."""
    return np.linspace(0, count - 1, MAPS).round().astype(np.int64)


def _heldout(source: Source, count: int) -> NDArray[Any]:
    return source.codec.decode_numpy(source.heldout(source.heldout_positions(count)))


def _heldout_rows(source: Source, count: int) -> Rows:
    """Held-out rows of a table, conditions included."""
    return source.values(source.split.heldout[source.heldout_positions(count)]).numpy()


def _source(state: CheckpointState, data: str | None, report: Report) -> Source | None:
    """The run's data; without them a sentence says so, unless they were named."""
    settings = state.settings
    try:
        source = same_data(open_data(settings, data=data, report=lambda sentence: None), state)
        if source is None:
            raise UserError(f"{data or settings.data} is not the data that the run was trained on")
    except UserError as error:
        if data is not None:
            raise
        report(f"Real samples are left out: {error} --data names another place.")
        return None
    return source
