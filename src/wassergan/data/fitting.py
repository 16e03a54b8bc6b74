"""From rows to a suitable codec: scale and range of what varies, constants, missing values."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wassergan.data.codec import Codec, are_pixels, channels_first, numbered, pixel_codec, standard_codec
from wassergan.data.extremes import point_out
from wassergan.data.grids.metadata import GridMetadata
from wassergan.data.moments import Moments, moments
from wassergan.data.survey import Blocks, Survey, survey
from wassergan.errors import UserError

EXACT = 2**53  # whole numbers up to which float64 holds all
STEPS = 2**23  # distance from the mean up to which float32 distinguishes integers
Axes = tuple[int, ...]


@dataclass(frozen=True)
class Wish:
    """What a user says of an array.

    Args:
        layout: one of `LAYOUTS`.
        scale: `feature`, `channel`, `array` or `auto`.
        codes: values besides NaN that mean missing.
        names: of channels or features; may be empty.
        name: of the data.
        log: receives, in a sentence each, what was found.
        grid: axes, coordinates and attributes that the codec keeps for writing.
    """

    layout: str
    scale: str = "auto"
    codes: tuple[int | float, ...] = ()
    names: tuple[str, ...] = ()
    name: str = "array"
    log: Callable[[str], None] = lambda sentence: None
    grid: GridMetadata | None = None


def fitted_codec(
    rows: Blocks, training: Blocks, dtype: np.dtype[Any], wish: Wish, *, everything: Blocks | None = None
) -> Codec:
    """The codec of some data.

    Args:
        rows: all that there are, or a sample of them.
        training: those that statistics come from.
        dtype: of the numbers.
        wish: what the user says.
        everything: all rows, read only where the sample has constants or missing values.

    Raises:
        UserError: all samples are equal, a value is infinite, or the spread is not representable.
    """
    looked = survey(rows(), wish.layout, wish.codes, wish.name)
    if everything is not None and (looked.constant.any() or looked.missing.any()):
        looked = survey(everything(), wish.layout, wish.codes, wish.name)
    refuse_equal(looked, wish.name)
    pixels = are_pixels(dtype.name, wish.layout)
    parts = looked.parts(wish.codes, silent=not pixels)
    if pixels:
        codec = pixel_codec(wish.layout)
        _tell_parts(looked, wish, learnt=True)
    else:
        codec = _standard(looked, rows, training, dtype, wish)
        _tell_parts(looked, wish, learnt=False)
    return replace(codec, parts=parts, channels=wish.names)


def _standard(looked: Survey, rows: Blocks, training: Blocks, dtype: np.dtype[Any], wish: Wish) -> Codec:
    axes, base, active = _axes(looked, wish), _base(looked, training, wish), ~(looked.fixed | looked.absent)

    def of(blocks: Blocks) -> Moments:
        return moments(blocks, wish.layout, axes=axes, codes=wish.codes, active=active, base=base)

    found = of(training)
    if ((found.counts > 0) & (found.deviation == 0)).any() or (active.any() and (found.counts == 0).any()):
        found = of(rows)  # a position may vary only in held-out rows
    if not np.isfinite(found.deviation).all():
        raise UserError(f"The spread of {wish.name} is not representable", hint="rescale the values")
    if dtype.kind in "iu":
        _tell_steps(found, base, wish)
    count = len(looked.first)
    groups = () if found.mean.size == 1 else (wish.names or numbered(wish.layout, count))
    groups = groups if found.mean.size in (1, count) else tuple(f"number {i}" for i in range(found.mean.size))
    point_out(wish.name, looked, found, groups, base=base, log=wish.log)
    nothing = found.deviation == 0
    shape = () if found.mean.size == 1 and wish.layout != "N" and axes else found.mean.shape
    mean, deviation, low, high = (
        torch.from_numpy(np.where(nothing, instead, each).reshape(shape))
        for each, instead in (
            (found.mean, found.mean),
            (found.deviation, 1.0),
            (found.smallest, found.mean - 1),
            (found.largest, found.mean + 1),
        )
    )
    return standard_codec(
        wish.layout, str(dtype), mean=mean, deviation=deviation, smallest=low, largest=high, base=base
    )


def _axes(looked: Survey, wish: Wish) -> Axes:
    """Axes of a sample, channels first, over which values share one scale."""
    rank = looked.first.ndim
    scale = wish.scale if wish.scale != "auto" else "feature" if rank == 1 else "channel"
    if scale == "array":
        return tuple(range(rank))
    return tuple(range(1, rank)) if scale == "channel" else ()


def _base(looked: Survey, training: Blocks, wish: Wish) -> int:
    """A whole number near whole numbers that float64 would not hold; else 0."""
    if looked.first.dtype.kind not in "iu" or looked.first.dtype.itemsize < 8:
        return 0
    low, high = None, None
    for block in training():
        rows = channels_first(block, wish.layout)
        active = np.broadcast_to(~(looked.fixed | looked.absent), rows.shape)
        for code in wish.codes:
            active = active & (rows != code)
        if active.any():
            values = rows[active]
            low = min(int(values.min()), int(values.min()) if low is None else low)
            high = max(int(values.max()), int(values.max()) if high is None else high)
    if low is None or high is None or max(abs(low), abs(high)) < EXACT or low < 0 < high:
        return 0
    return (low + high) // 2


def _tell_steps(found: Moments, base: int, wish: Wish) -> None:
    reach = np.maximum(found.largest - found.mean, found.mean - found.smallest).max()
    if reach >= STEPS:
        step = 2 ** int(np.ceil(np.log2(reach / STEPS)))
        wish.log(
            f"The whole numbers of {wish.name} reach {reach:.3g} from their mean: those far from it come back to the "
            f"nearest {step}, as model space has 24 bits."
        )


def refuse_equal(looked: Survey, name: str) -> None:
    """Refuse samples that are all equal, and data that are all missing."""
    if looked.absent.all():
        raise UserError(f"All values of {name} are missing", hint="give data")
    if (looked.fixed | looked.absent).all() and not looked.gappy.any():
        raise UserError(f"All samples of {name} are equal", hint="give data that vary")


def _tell_parts(looked: Survey, wish: Wish, *, learnt: bool) -> None:
    total, fixed = looked.fixed.size, int(looked.fixed.sum())
    if fixed:
        which, is_one = _which(looked.fixed, wish)
        wish.log(
            f"{which} of {wish.name} {'has' if is_one else 'have'} the same value in every sample: "
            f"{'it comes' if is_one else 'they come'} back exactly"
            + ("." if learnt else f" and {'takes' if is_one else 'take'} no part in training.")
        )
    if looked.missing.any():
        share = looked.missing.sum() / (looked.count * total)
        absent, gappy = int(looked.absent.sum()), int(looked.gappy.sum())
        places = [f"{absent} of the {total} numbers in every sample"] if absent else []
        places += [f"{gappy} of the {total} in some, which is learnt"] if gappy else []
        code = looked.coded[0] if looked.coded else float("nan")
        written = "NaN" if code != code else f"{code:.10g}"
        wish.log(
            f"{100 * share:.3g} % of the values of {wish.name} are missing: {' and '.join(places)}; missing values "
            f"come back as {written}."
        )
    unmet = [code for code in wish.codes if not any(abs(code - each) <= 1e-6 * abs(code) for each in looked.coded)]
    if unmet:
        wish.log(f"No value of {wish.name} is {' or '.join(f'{code:.10g}' for code in unmet)}.")


def _which(fixed: NDArray[np.bool_], wish: Wish) -> tuple[str, bool]:
    """Names of channels or features where they are few, else how many numbers; and whether it is one thing."""
    whole = [bool(each.all()) for each in fixed.reshape(len(fixed), -1)]
    names = wish.names or numbered(wish.layout, len(fixed))
    if sum(whole) and fixed.sum() == sum(each.size for each, all_ in zip(fixed, whole, strict=True) if all_):
        chosen = [name for name, all_ in zip(names, whole, strict=True) if all_]
        more = f" and {len(chosen) - 10} more" if len(chosen) > 10 else ""
        return ", ".join(chosen[:10]) + more, len(chosen) == 1
    return f"{int(fixed.sum())} of the {fixed.size} numbers in a sample", int(fixed.sum()) == 1
