"""Missing cells of rows, drawn given the rest of each row."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wassergan.data import TableCodec
from wassergan.data.tables.codec import ColumnCodec
from wassergan.data.tables.encodings import NumberCoding
from wassergan.data.tables.hidden import CompletionConditions, Mask, knowable, vectors_of
from wassergan.data.tables.rules.groups import chances
from wassergan.errors import UserError, parameter
from wassergan.networks import TabularGenerator
from wassergan.sampling.calibration import NEVER
from wassergan.sampling.sampler import Sampler
from wassergan.training import under
from wassergan.utils.rng import derived_rng, derived_seed

CHUNK = 1024  # rows that are completed together, whatever their number
Values = NDArray[np.float64]


def require_completion(sampler: Sampler) -> CompletionConditions:
    """What can be given in the rows of a run that completes them.

    Raises:
        UserError: it was trained to draw whole rows alone.
    """
    if not isinstance(sampler.conditions, CompletionConditions):
        raise UserError(
            "The run cannot complete rows",
            found=f"it was trained without {parameter('completion')}",
            hint=f"train a table with {parameter('completion')}",
        )
    return sampler.conditions


@dataclass(frozen=True)
class Completer:
    """Fills missing cells.

    Args:
        generator: never draws a missing value.
        latent_dim: numbers in a latent vector.
        codec: of the rows.
        conditions: what can be given.
    """

    generator: nn.Module
    latent_dim: int
    codec: TableCodec
    conditions: CompletionConditions

    @classmethod
    def of(cls, sampler: Sampler) -> "Completer":
        """Of a run.

        Raises:
            UserError: it was trained to draw whole rows alone.
        """
        conditions = require_completion(sampler)
        assert isinstance(sampler.generator, TabularGenerator)
        codec = cast(TableCodec, sampler.codec)  # no others have such conditions
        generator = copy.deepcopy(sampler.generator)
        generator.head.calibration.shift[:, list(codec.missing_entries)] = NEVER
        return cls(generator, sampler.latent_dim, codec, conditions)

    def chunks(self, rows: Values, *, seed: int, draw: int = 0) -> Iterator[Values]:
        """Rows (n, columns), NaN where missing, with all cells filled, in parts of `CHUNK`.

        Cells that are there stay as they are. What is drawn for a row depends on the row, its number, the seed and the
        number of the draw alone. A cell stays missing where rules say so, and where no training row had a value.
        """
        own = derived_seed(seed, "completion", draw)
        for start in range(0, len(rows), CHUNK):
            yield self._chunk(rows[start : start + CHUNK], start, own)

    def require_possible(self, rows: Values, name_of: Callable[[int], str]) -> None:
        """Refuse rows (n, columns) whose cells no row that obeys the rules has.

        Args:
            rows: NaN where missing.
            name_of: what to call a row.

        Raises:
            UserError: names the first such row.
        """
        rules = self.codec.rules
        if rules is None:
            return
        wrong = np.zeros(len(rows), bool)
        for here, fixed in _patterns(self._fixed(rows)):
            columns = {name: np.full(len(here), rules.typical[name]) for name in rules.order}
            columns |= {self.codec.columns[at].name: rows[here, at].copy() for at in fixed}
            wrong[here] = rules.excluded(columns, [self.codec.columns[at].name for at in fixed])
        if wrong.any():
            row = int(wrong.argmax())
            columns_there = np.flatnonzero(self._fixed(rows[row : row + 1])[0]).tolist()
            told = [(self.codec.columns[at], rows[row, at : at + 1]) for at in columns_there]
            found = [f"{column.name}={column.form.texts(value)[0]}" for column, value in told]
            raise UserError(
                f"The rules exclude the cells of {name_of(row)}",
                found=", ".join(found)[:200],
                hint="the rules: " + "; ".join(rules.texts),
            )

    def _chunk(self, rows: Values, start: int, seed: int) -> Values:
        given = ~np.isnan(rows)
        here = np.flatnonzero(~given.all(1))
        if not len(here):
            return rows
        known = given & np.stack([knowable(c, rows[:, i]) for i, c in enumerate(self.codec.columns)], axis=1)
        context = vectors_of(self.conditions.codec, rows, known)
        latent = torch.randn(CHUNK, self.latent_dim, generator=derived_rng(seed, "latent", start))[: len(rows)]
        inputs = under(context, latent)[here].to(next(self.generator.parameters()).device)
        with torch.no_grad():
            vectors = self.generator(inputs).cpu()
        filled = rows.copy()
        if self.codec.rules is None:
            filled[here] = self.codec.decode_numpy(vectors)
            return np.where(given, rows, filled)
        whole = torch.zeros(len(rows), vectors.shape[1])
        whole[here] = vectors
        drawn = chances(start, len(rows), len(self.codec.rules.groups), seed)
        filled[here] = self.codec.decode_numpy(whole, start=start, seed=seed)[here]
        return self._settled(np.where(given, rows, filled), rows, here, drawn)

    def _settled(self, filled: Values, rows: Values, here: NDArray[np.int64], drawn: Values) -> Values:
        """Filled rows according to the rules; those elsewhere than `here` stay as they are."""
        assert self.codec.rules is not None
        names = [column.name for column in self.codec.columns]
        found = filled.copy()
        for part, fixed in _patterns(self._fixed(rows[here])):
            mine = here[part]
            columns = {name: filled[mine, at].copy() for at, name in enumerate(names)}
            settled = self.codec.rules.settled(columns, [names[at] for at in fixed], drawn[mine])
            found[mine] = np.stack([settled[name] for name in names], axis=1)
        return np.where(np.isnan(rows), found, rows)

    def _fixed(self, rows: Values) -> Mask:
        """Cells that rules are told: those that the data could hold."""
        return np.stack([_is_usual(c, rows[:, i]) for i, c in enumerate(self.conditions.codec.columns)], axis=1)


def _is_usual(column: ColumnCodec, values: Values) -> Mask:
    usual = knowable(column, values)
    if not isinstance(column.coding, NumberCoding):
        return usual
    with np.errstate(invalid="ignore"):
        return usual & (values >= column.coding.low) & (values <= column.coding.high)


def _patterns(given: Mask) -> Iterator[tuple[NDArray[np.int64], list[int]]]:
    """Rows with the same cells given, and the columns of these."""
    patterns, group = np.unique(given, axis=0, return_inverse=True)
    group = group.reshape(-1)
    for number, pattern in enumerate(patterns):
        yield np.flatnonzero(group == number), np.flatnonzero(pattern).tolist()


def completed(completer: Completer, rows: Values, **drawn: Any) -> Values:
    """All chunks of `Completer.chunks` together."""
    parts = list(completer.chunks(rows, **drawn))
    return np.concatenate(parts) if parts else rows
