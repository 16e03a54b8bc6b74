"""The split into training and held-out rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.readers.limits import require_room
from wassergan.errors import UserError, parameter

HELDOUT_SHARE = 0.1
BYTES_PER_ROW, FEW_ROWS = 16, 2**22  # that the split takes at most, and rows that are split whatever the limit
LARGEST_HELDOUT = 2**16  # of data whose row numbers are not listed


def spread_positions(count: int, total: int) -> Tensor:
    """Up to `count` positions of `total`, evenly from the first to the last."""
    return torch.linspace(0, total - 1, min(count, total), dtype=torch.float64).long()


def random_positions(count: int, total: int, *, seed: int = 0) -> Tensor:
    """Up to `count` positions of `total` in random order, the same for equal seeds; each prefix is a sample, too.

    The first positions of a sorted file are no sample of it, nor are evenly spaced ones of a periodic file.
    """
    chosen = np.random.default_rng(seed).choice(total, min(count, total), replace=False, shuffle=True)
    return torch.from_numpy(chosen.astype(np.int64))


@dataclass(frozen=True)
class Split:
    """Row numbers for training and the held-out rows that no training step ever sees; both int64, sorted."""

    train: Tensor
    heldout: Tensor

    @property
    def train_count(self) -> int:
        """Number of training rows."""
        return len(self.train)

    def train_rows(self, positions: Tensor) -> Tensor:
        """Row numbers (k,) of the training rows at positions 0..train_count-1."""
        return self.train[positions]

    def sample_positions(self, count: int) -> Tensor:
        """Up to `count` positions of training rows, always the same, from all over: data may be sorted."""
        return random_positions(count, self.train_count)

    def holds_out(self, row: int) -> bool:
        """Whether a row is held out."""
        return bool((self.heldout == row).any())

    def holding_out(self, rows: Tensor) -> "Split":
        """The same rows, of which as many others (k,) are held out."""
        both = torch.cat([self.train, self.heldout]).sort().values
        return Split(train=both[~torch.isin(both, rows)], heldout=rows.sort().values)

    def among(self, taking_part: Tensor) -> "Split":
        """The same without the rows that do not take part; `taking_part` says it of each row of the data.

        Raises:
            UserError: one side is empty then.
        """
        train, heldout = (rows[taking_part[rows]] for rows in (self.train, self.heldout))
        if not len(train) or not len(heldout):
            raise UserError(
                "Too few rows with a weight above 0 to hold some out",
                found=f"{len(train)} to train on, {len(heldout)} held out",
                hint=f"give more rows a weight, or another {parameter('heldout')} share",
            )
        return Split(train, heldout)


class SparseSplit:
    """The same for data so large that only the held-out row numbers are kept: all others are trained on.

    Args:
        count: number of rows.
        heldout: numbers of the held-out rows, int64, in an order of no meaning, without repetition.
    """

    def __init__(self, count: int, heldout: Tensor) -> None:
        self.heldout = heldout
        self.train_count = count - len(heldout)
        self._count = count
        self._sorted = heldout.sort().values
        # How many training rows come before each held-out one.
        self._before = self._sorted - torch.arange(len(heldout))

    def train_rows(self, positions: Tensor) -> Tensor:
        """Row numbers (k,) of the training rows at positions 0..train_count-1."""
        return positions + torch.searchsorted(self._before, positions, right=True)

    def train_positions(self, rows: Tensor) -> Tensor:
        """How many training rows come before each row (k,); the position of a training row."""
        return rows - torch.searchsorted(self._sorted, rows)

    def sample_positions(self, count: int) -> Tensor:
        """Up to `count` positions of training rows to look at, always the same: from all over the data."""
        return random_positions(count, self.train_count)

    def holds_out(self, row: int) -> bool:
        """Whether a row is held out."""
        index = int(torch.searchsorted(self._sorted, row))
        return index < len(self._sorted) and int(self._sorted[index]) == row

    def holding_out(self, rows: Tensor) -> "SparseSplit":
        """The same rows, of which as many others (k,) are held out."""
        return SparseSplit(self._count, rows)


def split_rows(count: int, *, heldout: float | None, seed: int, taking_part: NDArray[np.bool_] | None = None) -> Split:
    """Hold out a share of the rows, chosen by seed.

    Args:
        count: number of rows.
        heldout: share in (0, 1); None where nothing is trained, and no row is held out.
        seed: the same seed holds out the same rows.
        taking_part: (count,) which rows are on either side; all unless given.

    Raises:
        UserError: the share is out of range, or leaves one side empty; or so many row numbers would fill the memory.
    """
    if count > FEW_ROWS:
        require_room(BYTES_PER_ROW * count, f"The numbers of {count:,} rows", instead="give fewer rows")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    if taking_part is not None:
        order = order[torch.from_numpy(taking_part)[order]]
    held = 0 if heldout is None else heldout_count(len(order), heldout)
    is_held = torch.zeros(count, dtype=torch.bool)
    is_held[order[:held]] = True
    del order  # as large as all that comes of it
    trains = ~is_held if taking_part is None else torch.from_numpy(taking_part) & ~is_held
    return Split(train=trains.nonzero().squeeze(1), heldout=is_held.nonzero().squeeze(1))


def sparse_split(count: int, *, heldout: float | None, seed: int) -> SparseSplit:
    """Hold out a share of the rows but at most `LARGEST_HELDOUT`, chosen by seed, without a list of all rows.

    Raises:
        UserError: the share is out of range, or leaves one side empty.
    """
    held = 0 if heldout is None else min(heldout_count(count, heldout), LARGEST_HELDOUT)
    numbers = np.random.default_rng(seed)
    return SparseSplit(count, torch.from_numpy(numbers.choice(count, held, replace=False, shuffle=True)))


def keep_classes(
    split: Split | SparseSplit, classes: Mapping[str, NDArray[np.int64]], *, seed: int
) -> Split | SparseSplit:
    """The same split, unless all rows of a class are held out: then one moves to training, and another row replaces it.

    Args:
        split: of the rows.
        classes: condition → the class of each row, (n,) from 0 on.
        seed: chooses the rows that are held out instead.

    Raises:
        UserError: there is no row that could be held out.
    """
    heldout = split.heldout.numpy().copy()
    if not classes:
        return split
    train = split.train_rows(torch.arange(split.train_count)).numpy()
    left = {name: np.bincount(each[train], minlength=each.max() + 1) for name, each in classes.items()}
    numbers, swapped = np.random.default_rng(seed), False
    for name, each in classes.items():
        held = np.bincount(each[heldout], minlength=each.max() + 1)
        for lost in np.flatnonzero((left[name] == 0) & (held > 0)):
            if left[name][lost]:
                continue  # it came back beside another
            index = int(np.flatnonzero(each[heldout] == lost)[0])
            spare = np.zeros(len(each), bool)
            spare[train] = True
            spare[heldout] = False
            for other, of in classes.items():
                spare &= left[other][of] > 1
            if not spare.any():
                raise UserError(
                    f"No row can be held out: each is the last of a {name} in training",
                    found=f"{len(np.unique(each))} different ones in {len(each)} rows",
                    hint="condition on what more rows share",
                )
            row = numbers.choice(np.flatnonzero(spare))
            for other, of in classes.items():
                left[other][of[heldout[index]]] += 1
                left[other][of[row]] -= 1
            heldout[index], swapped = row, True
    return split.holding_out(torch.from_numpy(heldout)) if swapped else split


def heldout_count(count: int, share: float) -> int:
    """How many of `count` rows a held-out share is.

    Raises:
        UserError: the share is out of range, or leaves one side empty.
    """
    if not 0 < share < 1:
        raise UserError("The held-out share must lie between 0 and 1", found=f"{share}")
    held = round(count * share)
    if held < 1 or held >= count:
        raise UserError(
            "Too few samples to hold some out",
            found=f"{count} samples, of which {share:g} would be {held}",
            hint=f"give more samples, or another {parameter('heldout')} share",
        )
    return held
