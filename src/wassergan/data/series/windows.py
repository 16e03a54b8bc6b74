"""Windows of one long series, held out by stretches of time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.codec import SERIES, as_tensor
from wassergan.data.fitting import Wish, fitted_codec
from wassergan.data.masked import unmasked
from wassergan.data.readers.limits import require_room
from wassergan.data.series.codec import SeriesCodec
from wassergan.data.source import Source
from wassergan.data.split import Split
from wassergan.errors import UserError, parameter

MOST_STRETCHES = 10  # that are held out
WINDOWS_IN_A_STRETCH = 4  # at least, in lengths of a window, where the series is long enough
PIECE_NUMBERS = 2**20  # of the windows that are read at a time


@dataclass(frozen=True)
class Windows:
    """How a long series is cut: steps in a window, and from the start of one to that of the next."""

    length: int
    stride: int = 1


class WindowReader:
    """Windows of a series (S, C), by number."""

    def __init__(self, series: NDArray[Any], starts: NDArray[np.int64], length: int) -> None:
        self._series, self._starts, self._length = series, starts, length

    def __len__(self) -> int:
        return len(self._starts)

    def read(self, indices: Tensor) -> Tensor:
        """Windows at `indices` (k,), as (k, T, C)."""
        return as_tensor(self.rows(indices.numpy()))

    def rows(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """The same as an array."""
        steps = self._starts[indices][:, None] + np.arange(self._length)
        found: NDArray[Any] = self._series[steps]
        return found

    def pieces(self, indices: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
        """Windows, some at a time."""
        step = max(1, PIECE_NUMBERS // (self._length * self._series.shape[1]))
        return (self.rows(indices[start : start + step]) for start in range(0, len(indices), step))


def window_source(
    series: NDArray[Any],
    windows: Windows,
    wish: Wish,
    *,
    heldout: float,
    seed: int,
) -> Source:
    """A source over the windows of one long series.

    Stretches of time from all over it are held out. A window is trained on if all of its steps lie outside of them, and
    held out if all lie inside of one; others are left out, so that no step is on both sides.

    Args:
        series: (S,) or (S, C) numbers.
        windows: how it is cut.
        wish: what the user says of the numbers.
        heldout: share of the steps held out.
        seed: chooses the stretches.

    Raises:
        UserError: no numbers, or too few steps.
    """
    series, codes = unmasked(series)
    if series.ndim not in (1, 2) or series.dtype.kind not in "fiub":
        raise UserError(
            f"{wish.name} is no long series",
            found=f"{series.dtype} numbers of shape {series.shape}",
            hint=f"give one of shape (steps,) or (steps, channels), or leave {parameter('window')} out",
        )
    series = series.reshape(len(series), -1)
    starts, train, held = cut(len(series), windows, heldout=heldout, seed=seed)
    require_room(windows.length * series.shape[1] * len(starts) * 4, wish.name)
    reader = WindowReader(series, starts, windows.length)
    wish = Wish(SERIES, wish.scale, (*codes, *wish.codes), wish.names, wish.name, wish.log)
    everything = np.arange(len(starts))
    codec = fitted_codec(lambda: reader.pieces(everything), lambda: reader.pieces(train), series.dtype, wish)
    masks = codec.parts.masks if codec.parts else 0
    split = Split(torch.from_numpy(train), torch.from_numpy(held))
    shape = (series.shape[1] + masks, windows.length)
    return Source(wish.name, "series", shape, reader, SeriesCodec.of(codec), split)


def cut(
    steps: int, windows: Windows, *, heldout: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Where windows start, and which of them are trained on and held out.

    Raises:
        UserError: too few steps.
    """
    length, share = windows.length, round(heldout * steps)
    if not 0 < heldout < 1:
        raise UserError("The held-out share must lie between 0 and 1", found=f"{heldout}")
    if share < length or steps - share < 2 * length:
        raise UserError(
            "Too few steps to hold some windows out",
            found=f"{steps} steps, windows of {length}",
            hint=f"give a longer series, shorter windows, or another {parameter('heldout')} share",
        )
    inside = stretches(steps, share, windows, seed=seed)
    starts = np.arange(0, steps - length + 1, windows.stride)
    marks = np.zeros(steps + 1, np.int64)
    for first, last in inside:
        marks[first + 1 : last + 1] = 1
    count = np.cumsum(marks)
    own = count[starts + length] - count[starts]
    edges = np.array([first for first, _ in inside])
    # All steps inside, and of one stretch: neighbours may touch.
    stretch = np.searchsorted(edges, starts, side="right"), np.searchsorted(edges, starts + length - 1, side="right")
    held, free = (own == length) & (stretch[0] == stretch[1]), own == 0
    if not held.any() or not free.any():
        raise UserError(
            "Too few windows to hold some out",
            found=f"{int(free.sum())} to train on, {int(held.sum())} held out",
            hint=f"give a longer series, or a smaller {parameter('stride')}",
        )
    kept = held | free
    numbers = np.arange(kept.sum())
    return starts[kept], numbers[free[kept]], numbers[held[kept]]


def stretches(steps: int, share: int, windows: Windows, *, seed: int) -> Sequence[tuple[int, int]]:
    """First and last-but-one steps of what is held out: equal parts of a series have a stretch each, by seed."""
    count = max(1, min(MOST_STRETCHES, share // (WINDOWS_IN_A_STRETCH * windows.length + windows.stride)))
    numbers, found = np.random.default_rng(seed), []
    for part in range(count):
        first, last = part * steps // count, (part + 1) * steps // count
        own = share // count
        start = first + int(numbers.integers(0, max(1, last - first - own + 1)))
        found.append((start, start + own))
    return found
