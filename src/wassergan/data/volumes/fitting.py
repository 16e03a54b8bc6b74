"""From volumes to a suitable codec: few values are phases, others numbers."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wassergan.data.codec import channels_first
from wassergan.data.fitting import Wish, fitted_codec, refuse_equal
from wassergan.data.parts import no_parts
from wassergan.data.survey import Blocks, survey
from wassergan.data.volumes.codec import MOST_PHASES, VolumeCodec

FIRST_LOOK = 2**16  # numbers of a block that are looked at before the rest
FEWEST_SAMPLES = 32  # that say how far their shares differ


def volume_codec(
    rows: Blocks,
    training: Blocks,
    dtype: np.dtype[Any],
    wish: Wish,
    *,
    everything: Blocks | None = None,
    samples: Blocks | None = None,
) -> VolumeCodec:
    """The codec of volumes, as of `fitted_codec`; `samples` are whole ones where `training` holds parts of some."""
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
        deviations=deviations_of((samples or training)(), phases, wish.layout),
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
