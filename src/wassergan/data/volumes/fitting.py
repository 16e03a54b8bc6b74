"""From volumes to a suitable codec: few values are phases, others numbers."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from wassergan.data.codec import channels_first
from wassergan.data.fitting import Wish, fitted_codec, refuse_equal
from wassergan.data.parts import no_parts
from wassergan.data.survey import Blocks, survey
from wassergan.data.volumes.codec import MOST_PHASES, Curves, VolumeCodec, lags_along

FIRST_LOOK = 2**16  # numbers of a block that are looked at before the rest
FEWEST_SAMPLES = 32  # that say how far their shares differ
MOST_COUNTED = 2**27  # voxels whose pairs are counted, about


class Cut(Protocol):
    """Samples that are cut out of larger volumes."""

    def samples(self) -> Iterator[NDArray[Any]]:
        """Some whole training samples in their layout, block by block."""

    def curves(self, phases: tuple[int | float, ...]) -> Curves:
        """Of each channel and phase the two-point curve along each axis; see `VolumeCodec.curves`."""


def volume_codec(
    rows: Blocks,
    training: Blocks,
    dtype: np.dtype[Any],
    wish: Wish,
    *,
    everything: Blocks | None = None,
    cut: Cut | None = None,
) -> VolumeCodec:
    """The codec of volumes, as of `fitted_codec`; where `training` holds parts of samples, `cut` tells more of them."""
    phases = phases_of((everything or rows)() if phases_of(rows()) else rows())
    if not phases:
        return VolumeCodec.of(fitted_codec(rows, training, dtype, wish, everything=everything))
    looked = survey((everything or rows)(), wish.layout, (), wish.name)
    refuse_equal(looked, wish.name)
    parts = looked.parts((), silent=False)
    codes = tuple(each for each in wish.codes if each in phases)
    if codes:
        parts = replace(parts or no_parts(looked.first.shape), codes=codes)
        wish.log(f"{' and '.join(f'{each:g}' for each in codes)} in {wish.name} is learnt as a phase of its own.")
    wish.log(
        f"The values of {wish.name} are phases: {', '.join(f'{each:g}' for each in phases)}. They come back as such."
    )
    middle, half = (phases[0] + phases[-1]) / 2, (phases[-1] - phases[0]) / 2
    one = torch.tensor(1.0, dtype=torch.float64)
    return VolumeCodec(
        wish.layout,
        str(dtype),
        offset=one * middle,
        scale=one * half,
        low=-one,
        high=one,
        whole=dtype.kind in "iub",
        parts=parts,
        channels=wish.names,
        phases=phases,
        shares=shares_of(training(), phases, wish.layout),
        deviations=deviations_of((cut.samples if cut else training)(), phases, wish.layout),
        curves=cut.curves(phases) if cut else curves_of(training, phases, wish.layout),
    )


def shares_of(
    blocks: Iterable[NDArray[Any]], phases: tuple[int | float, ...], layout: str
) -> tuple[tuple[float, ...], ...]:
    """The share of each phase in each channel of some volumes."""
    counts: NDArray[np.int64] | None = None
    for block in blocks:
        rows = channels_first(block, layout)
        axes = (0, *range(2, rows.ndim))
        own = np.stack([(rows == phase).sum(axes) for phase in phases], 1)
        counts = own if counts is None else counts + own
    assert counts is not None
    return tuple(tuple(float(each) for each in row / max(1, row.sum())) for row in counts)


def deviations_of(
    blocks: Iterable[NDArray[Any]], phases: tuple[int | float, ...], layout: str
) -> tuple[tuple[float, ...], ...]:
    """The deviation from sample to sample of the share of each phase in each channel; empty for fewer than 32."""
    found = []
    for block in blocks:
        rows = channels_first(block, layout)
        axes = tuple(range(2, rows.ndim))
        found.append(np.stack([(rows == phase).mean(axes) for phase in phases], 2))  # (n, C, phases)
    every = np.concatenate(found)
    if len(every) < FEWEST_SAMPLES:
        return ()
    return tuple(tuple(float(each) for each in row) for row in every.std(0))


def curves_of(rows: Blocks, phases: tuple[int | float, ...], layout: str) -> Curves:
    """Of each channel and phase the two-point curve along each axis, over volumes, or some of them at random."""
    voxels = sum(block.size for block in rows())
    chosen = np.random.default_rng(0)

    def some() -> Iterator[NDArray[Any]]:
        for block in rows():
            own = channels_first(block, layout)
            yield own if voxels <= MOST_COUNTED else own[chosen.random(len(own)) < MOST_COUNTED / voxels]

    return pair_shares(((own, None, own.shape[2]) for own in some() if len(own)), phases)


def pair_shares(
    blocks: Iterable[tuple[NDArray[Any], NDArray[np.bool_] | None, int]],
    phases: tuple[int | float, ...],
    sides: tuple[int, ...] = (),
) -> Curves:
    """How many of the pairs of voxels at each lag along each axis both belong to a phase.

    Args:
        blocks: volumes (n, C, D, H, W); which of their voxels count, (n, D, H, W), or None for all; and how many of
            their layers are theirs: those behind are but the second of pairs.
        phases: whose shares of the pairs are to be known.
        sides: that limit the lags, those of the blocks if not given.
    """
    found: list[list[NDArray[np.int64]]] = []
    totals: list[NDArray[np.int64]] = []
    for rows, there, layers in blocks:
        lags = [lags_along(side) for side in sides or rows.shape[2:]]
        if not found:
            totals = [np.zeros(lag + 1, np.int64) for lag in lags]
            found = [[np.zeros(lag + 1, np.int64) for lag in lags] for _ in range(rows.shape[1] * len(phases))]
        known = np.ones((1, *rows.shape[2:]), bool) if there is None else there
        _count_pairs(known, layers, totals, times=len(rows) // len(known))
        each = ((rows[:, channel] == phase) & known for channel in range(rows.shape[1]) for phase in phases)
        for inside, counts in zip(each, found, strict=True):
            _count_pairs(inside, layers, counts)
    shares = [
        tuple(tuple((own / np.maximum(total, 1)).tolist()) for own, total in zip(counts, totals, strict=True))
        for counts in found
    ]
    return tuple(tuple(shares[at : at + len(phases)]) for at in range(0, len(shares), len(phases)))


def _count_pairs(inside: NDArray[np.bool_], layers: int, counts: list[NDArray[np.int64]], *, times: int = 1) -> None:
    """Add to the counts of each axis the pairs of voxels (n, D, H, W) that are both there; the first in some layers."""
    for axis, own in enumerate(counts, 1):
        lined = np.moveaxis(inside if axis == 1 else inside[:, :layers], axis, 1)
        for lag in range(len(own)):
            firsts = min(lined.shape[1] - lag, layers if axis == 1 else lined.shape[1])
            if firsts > 0:
                own[lag] += times * np.count_nonzero(lined[:, :firsts] & lined[:, lag : lag + firsts])


def phases_of(blocks: Iterable[NDArray[Any]]) -> tuple[int | float, ...]:
    """All values of some volumes, ascending, where they are few; else nothing."""
    found = np.zeros(0)
    for block in blocks:
        flat = block.reshape(-1)
        for part in (flat[:FIRST_LOOK], flat[FIRST_LOOK:]):
            values = np.unique(part)
            found = np.union1d(found.astype(values.dtype), values) if found.size else values
            if len(found) > MOST_PHASES or (found.dtype.kind == "f" and not np.isfinite(found).all()):
                return ()
    told = [int(each) if found.dtype.kind == "b" else each for each in found.tolist()]
    return tuple(told) if len(told) > 1 else ()
