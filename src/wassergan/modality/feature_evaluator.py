"""Judging arrays of numbers by vectors of features: pictures, fields and vectors."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wassergan.data import Batch, Codec, Source, channels_first, random_positions
from wassergan.errors import UserError, parameter
from wassergan.evaluation.channels import ChannelRow, channel_rows
from wassergan.evaluation.evaluate import LARGEST, LEAST, MetricRow, Populations, evaluate
from wassergan.evaluation.features import Samples, get_features
from wassergan.evaluation.memorisation import Memorisation, memorisation
from wassergan.evaluation.nearest import nearest
from wassergan.evaluation.verdict import verdict, with_channels
from wassergan.modality.evaluator import Evaluation, Evaluator, Picture, copies_found
from wassergan.modality.missing import without_missing
from wassergan.modality.modality import Modality, Rows
from wassergan.sampling.sampler import Sampler
from wassergan.storage.memory import largest_bytes
from wassergan.training import SAMPLING_CHUNK
from wassergan.utils.shard import WHOLE, BatchShard

LARGEST_TRAINING_NUMBERS = 45_000_000  # of training features that generated samples are looked up in: 360 MB
CHANNEL_SAMPLES, CHANNEL_NUMBERS = 2000, 2**24  # whose values are judged channel by channel
PICTURED, NEIGHBOURS_PICTURED = 12, 3

Chunks = Callable[[BatchShard], Iterator[Tensor]]


@dataclass(frozen=True)
class RealSamples:
    """Real samples of one part of the data, in model space.

    Args:
        part: `training`, `heldout` or `against`.
        source: that they belong to.
        count: of all of them.
        read: those at some positions 0..count-1, (k, *shape).
    """

    part: str
    source: Source
    count: int
    read: Callable[[Tensor], Tensor]

    def chunks(self, positions: Tensor, shard: BatchShard) -> Iterator[Tensor]:
        """Those at some positions; of every so many chunks one."""
        return map(self.read, positions.split(SAMPLING_CHUNK)[shard.index :: shard.count])


class FeatureEvaluator(Evaluator):
    """Features of generated, training and held-out samples, which all processes compute together.

    Args:
        evaluation: what is judged.
        modality: of the samples.
    """

    def __init__(self, evaluation: Evaluation, modality: Modality[Codec]) -> None:
        super().__init__(evaluation)
        self._modality = modality
        self._codec = modality.own(evaluation.source.codec)
        samples = Samples(modality.name, evaluation.source.shape, are_pictures=modality.are_pictures)
        self._features = get_features(evaluation.settings.features, samples, device=evaluation.device)
        self._unseen = _unseen(evaluation, self._codec)

    def collect(self) -> None:
        """Features of all samples; on process 0 they are complete."""
        log, source = self.evaluation.log, self.evaluation.source
        with self.evaluation.processes.raise_together():
            dim = self._features.of(iter([source.train(torch.arange(1))])).shape[1]
            count = self.evaluation.settings.count or min(self._most(LARGEST), source.train_count)
            _require_memory(count, dim)
        self._positions = random_positions(self._most(max(1, LARGEST_TRAINING_NUMBERS // dim)), source.train_count)
        log("Features of the training samples")
        training = RealSamples("training", source, source.train_count, source.train)
        self._training = self._of_real(training, self._positions)
        log("Features of the held-out samples")
        self._heldout = self._of_real(self._unseen, random_positions(self._most(LARGEST), self._unseen.count))
        log("Samples of the generator")
        self._generated = self._described(count, self._drawn(count))

    def measure(self, picture: Picture) -> dict[str, Any]:
        """Metrics with their floors, near copies, channels in their units, and the verdict on all of it."""
        log, seed = self.evaluation.log, self.evaluation.settings.seed
        rng = torch.Generator().manual_seed(seed)
        training = self._training[torch.randperm(len(self._training), generator=rng)[:LARGEST]]
        heldout = self._heldout[torch.randperm(len(self._heldout), generator=rng)]
        populations = Populations(self._generated, training, heldout)
        rows = evaluate(populations, features=self._features.name, seed=seed, log=log)
        rows = [*self._further_rows(), *rows]
        log("Near copies of training samples")
        looked_up, sampler = self._looked_up()
        memory = memorisation(looked_up, self._training, self._heldout)
        log("Channels")
        channels = self._channels() if self._modality.has_units else []
        near = self._neighbours(memory, looked_up, sampler, picture) if self._modality.has_neighbours else None
        return {
            "metrics": [asdict(row) for row in rows],
            "channels": [asdict(row) for row in channels],
            "memorisation": copies_found(memory, self._positions, picture=near),
            "verdict": with_channels(verdict(rows, memory), channels).as_dict(),
        }

    def protocol(self) -> dict[str, Any]:
        """The features, and how many samples of each kind."""
        return {
            "features": self._features.name,
            "feature_note": self._features.note,
            "feature_dim": self._training.shape[1],
            "generated": len(self._generated),
            "training": len(self._training),
            "heldout": len(self._heldout),
        }

    def _most(self, count: int) -> int:
        """So many samples, or fewer where single ones are large."""
        return count

    def _further_rows(self) -> list[MetricRow]:
        """Metrics that need the samples themselves, not features of them."""
        return []

    def _of_real(self, samples: RealSamples, positions: Tensor) -> Tensor:
        """Features of real samples; those that take longer to compute than to load are kept for the next evaluation."""
        evaluation = self.evaluation

        def compute() -> Tensor:
            return self._described(len(positions), lambda shard: samples.chunks(positions, shard))

        if not self._features.identity:
            return compute()
        origin = self._origin(samples, len(positions))
        find, keep = evaluation.cache.find, evaluation.cache.keep
        kept = evaluation.processes.on_rank_zero(lambda: find(samples.part, origin, len(positions)))
        if kept is not None:
            return kept
        features = compute()
        evaluation.processes.on_rank_zero(lambda: keep(samples.part, origin, features))
        return features

    def _origin(self, samples: RealSamples, count: int) -> list[Any]:
        """All that features of real samples depend on: the map, the samples, and the scale of model space."""
        scale = [self._codec.offset.tolist(), self._codec.scale.tolist()]
        told_apart = self.evaluation.identify(samples.source)
        return [self._features.name, self._features.identity, samples.part, told_apart, count, scale]

    def _drawn(self, count: int) -> Chunks:
        """Generated samples as they are handed out: rounded where the data are whole numbers."""
        sampler, seed = self.evaluation.sampler, self.evaluation.settings.seed

        def chunks(shard: BatchShard) -> Iterator[Tensor]:
            drawn = sampler.vectors(count, seed=seed, shard=shard)
            return (sampler.codec.encode(sampler.codec.decode(chunk)) for chunk in drawn)

        return chunks

    def _batches(self, most: int) -> tuple[Batch, Batch, Batch]:
        """Generated, training and held-out samples by seed, at most so many of each kind."""
        source, sampler, settings = self.evaluation.source, self.evaluation.sampler, self.evaluation.settings
        count = min(most, settings.count or most, source.train_count)
        drawn = torch.cat(list(self._drawn(count)(WHOLE)))
        conditions = sampler.conditions
        context = None if conditions is None else conditions.vectors(0, count, seed=settings.seed)
        rows = random_positions(most, self._unseen.count, seed=settings.seed)
        heldout = source.heldout_batch(rows) if self.evaluation.others is None else Batch(self._unseen.read(rows), None)
        training = source.train_batch(random_positions(most, source.train_count, seed=settings.seed))
        return Batch(drawn, context), training, heldout

    def _described(self, count: int, chunks: Chunks) -> Tensor:
        """Features of samples of whose chunks each process describes every so many-th; complete on process 0.

        Args:
            count: samples in all.
            chunks: those of a shard, `SAMPLING_CHUNK` samples each but for the last of all.
        """
        processes, shard = self.evaluation.processes, self.evaluation.processes.shard
        with processes.raise_together():
            has_any = shard.index * SAMPLING_CHUNK < count
            own = self._features.of(chunks(shard)) if has_any else torch.zeros(0)
        gathered = processes.gather(own)
        return in_turn(gathered, count) if gathered else own

    def _channels(self) -> list[ChannelRow]:
        """Each channel of fields, or feature of vectors, in its own unit."""
        source, settings, codec = self.evaluation.source, self.evaluation.settings, self._codec
        shape = codec.without_masks(source.shape)
        most = max(LEAST, min(CHANNEL_SAMPLES, CHANNEL_NUMBERS // math.prod(shape)))
        count = min(most, settings.count or most)
        training = source.train(random_positions(count, source.train_count, seed=settings.seed))
        real = self._unseen.read(random_positions(most, self._unseen.count, seed=settings.seed))
        drawn = self.evaluation.sampler.draw(count, seed=settings.seed)
        samples = (drawn, codec.decode_numpy(real), codec.decode_numpy(training))
        values = (channels_first(without_missing(each, codec), codec.layout) for each in samples)
        varies = np.ones(shape, bool) if codec.parts is None else ~(codec.parts.fixed | codec.parts.absent).numpy()
        return channel_rows(*values, names=codec.named(shape[0]), varies=varies)

    def _looked_up(self) -> tuple[Tensor, Sampler]:
        """Features of the draws that are looked up among training samples, and what drew them, by number and seed."""
        return self._generated, self.evaluation.sampler

    def _neighbours(self, memory: Memorisation, looked_up: Tensor, sampler: Sampler, picture: Picture) -> str:
        """The generated samples that are closest to training ones, one a line, each before its nearest ones."""
        source, columns = self.evaluation.source, 1 + NEIGHBOURS_PICTURED
        chosen = [sample for sample, _, _ in memory.closest[:PICTURED]]
        near = nearest(looked_up[chosen], self._training, count=NEIGHBOURS_PICTURED)[1]
        made = numbered_samples(sampler, chosen, self.evaluation.settings.seed)
        real = self._codec.decode_numpy(source.train(self._positions[near.flatten()]))
        nearest_to = real.reshape(len(made), NEIGHBOURS_PICTURED, *real.shape[1:])
        lines = [each for own, others in zip(made, nearest_to, strict=True) for each in (own, *others)]

        def draw(path: Path) -> None:
            self._modality.save_picture(np.stack(lines), path, self._codec, columns=columns)

        return picture("neighbours.png", draw)


def in_turn(parts: list[Tensor], count: int) -> Tensor:
    """Rows of all processes in the order of their numbers: each had every so many-th chunk.

    Args:
        parts: of each process, its chunks one behind the other.
        count: rows in all.
    """
    chunks = [part.split(SAMPLING_CHUNK) for part in parts]
    number = -(-count // SAMPLING_CHUNK)
    return torch.cat([chunks[index % len(parts)][index // len(parts)] for index in range(number)])


def numbered_samples(sampler: Sampler, chosen: list[int], seed: int) -> list[Rows]:
    """Samples by number, in the user's units; drawn anew, since pictures take more room than features."""
    found: dict[int, Rows] = {}
    start = 0
    for chunk in sampler.chunks(max(chosen) + 1, seed=seed):
        found |= {number: chunk[number - start] for number in chosen if start <= number < start + len(chunk)}
        start += len(chunk)
    return [found[number] for number in chosen]


def _require_memory(count: int, dim: int) -> None:
    """Refuse more features than memory holds, before any are computed; chunks and the whole are held together."""
    needed, there = 2 * count * dim * torch.float32.itemsize, 2 * largest_bytes()
    if needed > there:
        raise UserError(
            f"Features of {count:,} samples do not fit in memory",
            found=f"{needed / 2**30:,.1f} GiB are needed, {there / 2**30:,.1f} GiB are there",
            hint=f"give a smaller {parameter('count')}",
        )


def _unseen(evaluation: Evaluation, codec: Codec) -> RealSamples:
    """The held-out samples, or others that take their place, on the run's own scale."""
    source, others = evaluation.source, evaluation.others
    if others is None:
        return RealSamples("heldout", source, source.heldout_count, source.heldout)
    # Whatever the other data would have been standardised to.
    own = replace(codec, layout=others.codec.layout)
    return RealSamples("against", others, len(others), lambda positions: own.encode(others.values(positions)))
