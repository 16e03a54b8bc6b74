"""From a trained generator to samples in memory, in the user's units."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wassergan.data import AnyCodec, AnyConditions, ArrayConditions, fix_conditions
from wassergan.data.codec import as_tensor
from wassergan.data.series import SeriesCodec, form_of
from wassergan.data.series.past import PastConditions, opened_past
from wassergan.data.tables.hidden import CompletionConditions
from wassergan.data.tables.rules.groups import chances
from wassergan.errors import UserError, flag, parameter
from wassergan.networks import Continued, SeriesDensityGenerator
from wassergan.sampling.ensembles import given_chunks
from wassergan.sampling.refinement import Refinement, refined_chunks
from wassergan.storage.memory import largest_bytes
from wassergan.training import SAMPLING_CHUNK, sample_chunks, under
from wassergan.utils.shard import WHOLE, BatchShard

MEASURED = 16  # samples that are drawn to measure the size of one


@dataclass(frozen=True)
class Sampler:
    """A generator and everything that is needed to draw from it.

    Args:
        generator: averaged weights.
        latent_dim: numbers in a latent vector, a head's noise included.
        codec: model space to user units.
        kind: the name of their modality: `image`, `field`, `vector` or `table`.
        conditions: the conditions of the samples, if the generator was trained with some.
        refinement: what keeps some of the draws; None keeps all.
    """

    generator: nn.Module
    latent_dim: int
    codec: AnyCodec
    kind: str
    conditions: AnyConditions | None = None
    refinement: Refinement | None = None

    def vectors(self, count: int, *, seed: int, shard: BatchShard = WHOLE) -> Iterator[Tensor]:
        """Samples in model space, in chunks on the CPU; a shard of those, or all."""
        if isinstance(self.conditions, ArrayConditions) and self.conditions.wanted is not None:
            own = {"latent_dim": self.latent_dim, "seed": seed}
            return given_chunks(self.generator, self.conditions, count, shard=shard, **own)
        drawn: dict[str, Any] = {"seed": seed, "shard": shard, "conditions": self.conditions}
        if self.refinement is None:
            return sample_chunks(self.generator, count, latent_dim=self.latent_dim, **drawn)

        def finish(draws: Tensor, numbers: Tensor, first: int) -> Tensor:
            return self.handed_out(draws, numbers, first=first, seed=seed)

        return refined_chunks(
            self.generator, count, self.refinement, finish=finish, latent_dim=self.latent_dim, **drawn
        )

    def chunks(self, count: int, *, seed: int, shard: BatchShard = WHOLE) -> Iterator[NDArray[Any]]:
        """Samples in the user's units, layout and type, in chunks along the first axis; a shard of those, or all."""
        starts = range(shard.index * SAMPLING_CHUNK, count, shard.count * SAMPLING_CHUNK)
        for start, chunk in zip(starts, self.vectors(count, seed=seed, shard=shard), strict=True):
            yield self._decoded(chunk, start, seed)

    def handed_out(self, draws: Tensor, numbers: Tensor, *, first: int, seed: int) -> Tensor:
        """Draws as they are handed out, in model space: rounded to what the data could hold.

        Args:
            draws: (n, ...) in model space.
            numbers: (n,) of the samples that they are drawn for, counted from `first` on.
            first: number of the first sample of these.
            seed: of the samples.
        """
        last = int(numbers.max()) + 1
        given = self._given(first, last, seed)
        if self.codec.rules is None:
            told = None if given is None else given[numbers.numpy()]
            return self.codec.encode(as_tensor(self.codec.decode_numpy(draws, told)))
        # What rules draw again hangs on the number of the sample, and is drawn for consecutive ones.
        found, turns = torch.empty_like(draws), _turns(numbers)
        for turn in range(int(turns.max()) + 1):
            mine = turns == turn
            whole = draws[:1].expand(last, *draws.shape[1:]).clone()
            whole[numbers[mine]] = draws[mine]
            rows = self.codec.decode_numpy(whole, given, start=first, seed=seed)
            found[mine] = self.codec.encode(as_tensor(rows))[numbers[mine]]
        return found

    def render(self, latent: Tensor, context: Tensor | None = None) -> NDArray[Any]:
        """Pictures of given latents (n, latent_dim) and conditions (n, k), in the user's units, layout and type."""
        inputs = under(context, latent).to(next(self.generator.parameters()).device)
        with torch.no_grad():
            return self.codec.decode_numpy(self.generator(inputs))

    def under(self, wanted: Mapping[str, Any]) -> "Sampler":
        """A sampler whose samples are drawn under the requested conditions; see `wassergan.data.fix_conditions`.

        Raises:
            UserError: the run has no conditions, or not these.
        """
        if not wanted:
            return self
        if self.conditions is None:
            raise UserError(
                "The run was trained without conditions",
                found=f"asked for {', '.join(wanted)}",
                hint=f"train with {parameter('condition', tuple(wanted), text=' '.join(wanted))}",
            )
        if isinstance(self.conditions, ArrayConditions):
            raise UserError(
                "The conditions of the run are an array, without names",
                found=f"asked for {', '.join(wanted)}",
                hint=f"give {parameter('condition_array')}",
            )
        fixed = fix_conditions(self.conditions, wanted)
        if self.codec.rules is not None:
            fixed = fixed.under_rules(self.codec.rules)
        return replace(self, conditions=fixed)

    def under_array(
        self, array: Any, *, draws: int | None = None, log: Callable[[str], None] = lambda sentence: None
    ) -> "Sampler":
        """A sampler whose samples are drawn under the rows of an array, one after the other.

        Args:
            array: like the conditions of the training in all but the number of rows, or a path of one.
            draws: samples for each row, which are an axis of what is written and returned; None for one, without.
            log: receives what is noteworthy, in a sentence.

        Raises:
            UserError: the run has no conditions, or others than arrays; or the array is not like them.
        """
        if not isinstance(self.conditions, ArrayConditions):
            raise UserError(
                "The run was not trained under conditions that are an array",
                found=parameter("condition_array") + (f" and {parameter('draws', draws)}" if draws else ""),
                hint=f"leave it out, or train with {parameter('condition_array')}",
            )
        return replace(self, conditions=self.conditions.given(array, draws=draws, log=log))

    @property
    def can_go_on(self) -> bool:
        """Whether `under_past` draws how series go on."""
        try:
            self._require_going_on()
        except UserError:
            return False
        return True

    def under_past(
        self, past: Any, *, draws: int | None = None, log: Callable[[str], None] = lambda sentence: None
    ) -> "Sampler":
        """A sampler that draws how series go on: the steps behind those of a past, which it leaves out.

        Args:
            past: see `wassergan.data.series.opened_past`.
            draws: for each past, which are an axis of what is written and returned; None for one, without.
            log: receives what is noteworthy, in a sentence.

        Raises:
            UserError: the run does not draw series step by step, or under conditions; or no series begins like this.
        """
        generator = self._require_going_on()
        channels = sum(generator.sizes)
        own = {"channels": channels, "steps": generator.steps}
        codec = cast(SeriesCodec, self.codec)  # no other data have such a generator
        conditions = opened_past(past, codec, **own, draws=draws, log=log)
        going_on = Continued(generator, channels=channels, steps=conditions.steps)
        return replace(self, generator=going_on, conditions=conditions)

    def _require_going_on(self) -> SeriesDensityGenerator:
        """The generator, if it draws how series go on."""
        generator, is_table = self.generator, form_of(self.codec) is not None
        if not isinstance(generator, SeriesDensityGenerator):
            raise UserError(
                "Only series that are drawn step by step from densities can go on from a past",
                found="another generator",
                hint=f"train series with {parameter('network', 'conv')} and {parameter('likelihood', 1)}, which is "
                "usual for 500 or more",
            )
        if is_table or self.conditions is not None:
            what = "long tables" if is_table else "runs under conditions"
            raise UserError(
                f"Series of {what} do not go on from a past yet",
                found=parameter("given_past"),
                hint="train on an array (series, steps, channels), or on windows of one long series",
            )
        if self.refinement is not None:
            raise UserError(
                "Refined draws are whole series: they do not go on from a past",
                found=parameter("refine"),
                hint="leave one of them out",
            )
        return generator

    @property
    def draws(self) -> int | None:
        """Draws for each condition where they are an axis of their own, else None."""
        conditions = self.conditions
        return conditions.draws if isinstance(conditions, ArrayConditions) and conditions.is_ensemble else None

    def require_identifiers(self, count: int) -> None:
        """Refuse more rows of a table than it has fresh identifiers for.

        Raises:
            UserError: with the column, and how many there are.
        """
        for each in self.codec.identifiers:
            each.require_room(count)

    def _decoded(self, chunk: Tensor, start: int, seed: int) -> NDArray[Any]:
        given = self._given(start, len(chunk), seed)
        rows = self.codec.decode_numpy(chunk, given, start=start, seed=seed)
        if isinstance(self.conditions, PastConditions):
            return rows[:, self.conditions.steps :]
        if not isinstance(self.conditions, CompletionConditions):
            return rows
        groups = len(self.codec.rules.groups) if self.codec.rules is not None else 0
        return self.conditions.kept(rows, start, chances(start, len(rows), groups, seed))

    def _given(self, start: int, count: int, seed: int) -> NDArray[Any] | None:
        """The columns of a table that are conditions, of consecutive samples."""
        conditions = self.conditions if self.codec.given else None
        return None if conditions is None else conditions.rows(start, count, seed=seed)

    def draw(self, count: int, *, seed: int = 0) -> NDArray[Any]:
        """Samples in the user's units as one array, (count, ...).

        Raises:
            UserError: that many do not fit into memory.
        """
        self.require_memory(count, seed)
        return np.concatenate(list(self.chunks(count, seed=seed)))

    def draw_ensembles(self, *, seed: int = 0) -> NDArray[Any]:
        """All draws under all arrays that are asked for, (conditions, draws, ...); without that axis if none was asked.

        Raises:
            UserError: that many do not fit into memory.
        """
        assert isinstance(self.conditions, ArrayConditions)
        drawn = self.draw(self.conditions.count, seed=seed)
        return drawn if self.draws is None else drawn.reshape(-1, self.draws, *drawn.shape[1:])

    def require_memory(self, count: int, seed: int) -> None:
        """Refuse more samples than memory holds, estimated from a few: chunks and the whole are held together."""
        if count <= SAMPLING_CHUNK:
            return
        few = next(self.chunks(MEASURED, seed=seed))
        needed, there = 2 * count * few.nbytes // len(few), 2 * largest_bytes()
        if needed > there:
            raise UserError(
                f"{count:,} samples do not fit in memory",
                found=f"{needed / 2**30:,.1f} GiB are needed, {there / 2**30:,.1f} GiB are there",
                hint="draw fewer, or one part after the other: Sampler.chunks, WassersteinGAN.sample_chunks, or "
                f"wassergan sample {flag('out')} with a file of rows or .npy",
            )


def _turns(numbers: Tensor) -> Tensor:
    """How often each number stood before in the list."""
    seen: dict[int, int] = {}
    turns = []
    for number in numbers.tolist():
        turns.append(seen.get(number, 0))
        seen[number] = turns[-1] + 1
    return torch.tensor(turns)
