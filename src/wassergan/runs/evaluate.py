"""From a run folder to a judgement of its generator: metrics with their floors, near copies, a verdict, on disk."""

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wassergan import __version__
from wassergan.config.data import absolute
from wassergan.config.settings import ResolvedSettings
from wassergan.config.verbs import EvaluateSettings
from wassergan.data import Source, channels_first, random_positions
from wassergan.data.readers.filearray import FileArray
from wassergan.errors import UserError, WorkError
from wassergan.evaluation.channels import ChannelRow, channel_rows
from wassergan.evaluation.evaluate import LARGEST, LEAST, Populations, judge
from wassergan.evaluation.features import Features, Samples, features_named
from wassergan.evaluation.memorisation import Memorisation, memorisation
from wassergan.evaluation.nearest import nearest
from wassergan.evaluation.verdict import verdict, with_channels
from wassergan.modality import modality_of
from wassergan.modality.numbers import without_missing
from wassergan.runs.evaluate_table import evaluate_table
from wassergan.runs.results import Results
from wassergan.sampling.sampler import Sampler
from wassergan.session.build import choose_device, open_data
from wassergan.session.fingerprint import fingerprint, require_same_data
from wassergan.session.restore import sampler_of
from wassergan.session.run_content import load_run
from wassergan.session.state import CheckpointState
from wassergan.storage.files import filling, make_folder, reading, replacing, save_array
from wassergan.storage.run_folder import RunFolder
from wassergan.training import ALONE, SAMPLING_CHUNK, Processes, sample_chunks
from wassergan.utils.shard import BatchShard

LARGEST_TRAINING_NUMBERS = 45_000_000  # of training features that generated samples are looked up in: 360 MB
CHANNEL_SAMPLES, CHANNEL_NUMBERS = 2000, 2**24  # whose values are judged channel by channel
SEAL_BYTES = 32
PICTURED, NEIGHBOURS_PICTURED = 12, 3
Told = Callable[[str], None]


@dataclass(frozen=True)
class _Case:
    """A run with its data and the features that it is judged on."""

    settings: EvaluateSettings
    results: Results
    state: CheckpointState
    sampler: Sampler
    source: Source
    against: Source | None
    features: Features
    processes: Processes


def evaluate_run(
    settings: EvaluateSettings,
    *,
    told: Told = lambda sentence: None,
    found: Callable[[dict[str, Any]], None] = lambda result: None,
    processes: Processes = ALONE,
) -> dict[str, Any]:
    """Judge the averaged generator of a run; writes `metrics.json`, for pictures a picture, and the run's page anew.

    Where the folder cannot be written to, which is tried before the work, the result is given out alone.

    Args:
        settings: as given by the user.
        told: in a few words, what is done next; on process 0.
        found: told the result on process 0 before it is written, so that no full disk loses it.
        processes: all call this; each draws and describes its share of the samples, process 0 judges and writes.
            Tables are judged by process 0 alone.

    Returns:
        What `metrics.json` holds.

    Raises:
        UserError: no run, other data than the run's, too few samples, or features that do not suit.
        WorkError: a file could not be written.
    """
    started = time.perf_counter()
    if processes.rank > 0:
        told = _silent
    place = RunFolder(Path(settings.run))
    state = processes.from_first(lambda: load_run(place, settings.checkpoint))
    with processes.together():
        results = Results(place, settings.out, told)
    if modality_of(state.kind).name == "table":
        return processes.from_first(lambda: evaluate_table(settings, state, results, told=told, found=found))
    with processes.together():
        if settings.target is not None:
            raise UserError(
                "A column to predict is for tables", found=f"--target {settings.target}", mend="leave it out"
            )
        case = _open(settings, state, results, told, processes)
        rows = _training_positions(case.source, case.features)
    told("Features of the training samples")
    training = _cached(case, "training", case.source, rows, case.source.train)
    told("Features of the held-out samples")
    heldout = _heldout(case)
    told("Samples of the generator")
    generated = _generated(case, settings.count or min(LARGEST, case.source.train_count))
    return processes.from_first(
        lambda: _judged(
            case, rows, training=training, heldout=heldout, generated=generated, told=told, found=found, since=started
        )
    )


def _silent(sentence: str) -> None:
    pass


def _judged(
    case: _Case,
    rows: Tensor,
    *,
    training: Tensor,
    heldout: Tensor,
    generated: Tensor,
    told: Told,
    found: Callable[[dict[str, Any]], None],
    since: float,
) -> dict[str, Any]:
    """Judge features of all samples, and write what came out."""
    settings = case.settings
    rng = torch.Generator().manual_seed(settings.seed)
    shuffled = training[torch.randperm(len(training), generator=rng)[:LARGEST]]
    real = heldout[torch.randperm(len(heldout), generator=rng)]
    table = judge(Populations(generated, shuffled, real), features=case.features.name, seed=settings.seed, told=told)
    told("Near copies of training samples")
    memory = memorisation(generated, training, heldout)
    told("Channels")
    channels = _channels(case)
    sentence = with_channels(verdict(table, memory), channels)
    picture = _picture(case, memory, generated, training, rows)
    result = {
        "protocol": {
            "features": case.features.name,
            "feature_note": case.features.note,
            "feature_dim": training.shape[1],
            "generated": len(generated),
            "training": len(training),
            "heldout": len(heldout),
            "seed": settings.seed,
            "checkpoint": settings.checkpoint,
            "step": case.state.step,
            "weights": "average",
            "data": case.source.name,
            "against": absolute(settings.against),
            "seconds": round(time.perf_counter() - since, 3),
            "wassergan": __version__,
        },
        "metrics": [asdict(row) for row in table],
        "channels": [asdict(row) for row in channels],
        "memorisation": _told(memory, rows, picture),
        "verdict": sentence.as_dict(),
    }
    found(result)
    case.results.keep(result)
    return result


def _channels(case: _Case) -> list[ChannelRow]:
    """Each channel of fields, or feature of vectors, in its own unit; pictures have none."""
    codec = modality_of(case.source.kind).own(case.source.codec)
    if not modality_of(case.sampler.kind).has_units:
        return []
    shape = codec.without_masks(case.source.shape)
    most = max(LEAST, min(CHANNEL_SAMPLES, CHANNEL_NUMBERS // math.prod(shape)))
    count = min(most, case.settings.count or most)
    seed = case.settings.seed
    training = case.source.train(random_positions(count, case.source.train_count, seed=seed))
    if case.against is None:
        real = case.source.heldout(case.source.heldout_positions(most, seed=seed))
    else:
        own = replace(codec, layout=case.against.codec.layout)
        real = own.encode(case.against.values(random_positions(most, len(case.against), seed=seed)))
    samples = (case.sampler.draw(count, seed=seed), codec.decode_numpy(real), codec.decode_numpy(training))
    values = (channels_first(without_missing(each, codec), codec.layout) for each in samples)
    varies = np.ones(shape, bool) if codec.parts is None else ~(codec.parts.fixed | codec.parts.absent).numpy()
    return channel_rows(*values, names=codec.named(shape[0]), varies=varies)


def _open(
    settings: EvaluateSettings, state: CheckpointState, results: Results, told: Told, processes: Processes
) -> _Case:
    trained = state.settings
    sampler = sampler_of(state, device=settings.device, processes=processes)
    modality = modality_of(state.kind)
    samples = Samples(modality.name, state.shape, are_pictures=modality.are_pictures)
    features = features_named(settings.features, samples, device=choose_device(settings.device, processes))
    data = settings.data or trained.data
    if not data:
        raise UserError("The run was trained on an array in memory", mend="say where the data lie with --data")
    source = open_data(trained, data=data, report=told)
    source = require_same_data(source, state, data)
    against = _open_against(settings.against, trained, source, told) if settings.against else None
    return _Case(settings, results, state, sampler, source, against, features, processes)


def _open_against(data: str, trained: ResolvedSettings, source: Source, told: Told) -> Source:
    found = open_data(trained, data=data, like=source, report=told)
    codec, other = (modality_of(source.kind).own(each.codec) for each in (source, found))
    shapes = [each.without_masks(of.shape) for each, of in ((codec, source), (other, found))]
    if shapes[0] != shapes[1] or other.whole != codec.whole or _depths(source, found) == {"uint8", "uint16"}:
        raise UserError(
            f"{data} cannot be held against the run's samples",
            found=f"{_described(found)} where the run has {_described(source)}",
            mend="give data of the same kind and size",
        )
    return found


def _depths(*sources: Source) -> set[str]:
    return {each.codec.dtype for each in sources}


def _described(source: Source) -> str:
    return f"{source.codec.dtype} samples of shape {source.shape}"


def _training_positions(source: Source, features: Features) -> Tensor:
    """All training rows, or as many from all over the data as can be looked up."""
    dim = features.of(iter([source.train(torch.arange(1))])).shape[1]
    return random_positions(max(1, LARGEST_TRAINING_NUMBERS // dim), source.train_count)


def _heldout(case: _Case) -> Tensor:
    if case.against is None:
        rows = random_positions(LARGEST, case.source.heldout_count)
        return _cached(case, "heldout", case.source, rows, case.source.heldout)
    against = case.against
    # The run's own scale, whatever the other data would have been standardised to.
    codec = replace(modality_of(case.source.kind).own(case.source.codec), layout=against.codec.layout)
    return _cached(
        case,
        "against",
        against,
        random_positions(LARGEST, len(against)),
        lambda rows: codec.encode(against.values(rows)),
    )


def _generated(case: _Case, count: int) -> Tensor:
    """Features of the samples as they are handed out: rounded where the data are whole numbers."""
    sampler = case.sampler

    def chunks(shard: BatchShard) -> Iterator[Tensor]:
        drawn = sample_chunks(
            sampler.generator,
            count,
            latent_dim=sampler.latent_dim,
            seed=case.settings.seed,
            conditions=sampler.conditions,
            shard=shard,
        )
        return (sampler.codec.encode(sampler.codec.decode(chunk)) for chunk in drawn)

    return _in_shares(case, count, chunks)


def _in_shares(case: _Case, count: int, chunks: Callable[[BatchShard], Iterator[Tensor]]) -> Tensor:
    """Features of some samples, of whose chunks each process describes every so many-th; on process 0 those of all.

    Args:
        case: with the processes.
        count: samples in all.
        chunks: those of a shard, `SAMPLING_CHUNK` samples each but for the last of all.
    """
    processes, shard = case.processes, case.processes.shard
    with processes.together():
        has_any = shard.index * SAMPLING_CHUNK < count
        own = case.features.of(chunks(shard)) if has_any else torch.zeros(0)
    parts = [part.split(SAMPLING_CHUNK) for part in processes.gather(own)]
    if not parts:
        return own
    return torch.cat([parts[index % shard.count][index // shard.count] for index in range(-(-count // SAMPLING_CHUNK))])


def _cached(case: _Case, part: str, source: Source, rows: Tensor, read: Callable[[Tensor], Tensor]) -> Tensor:
    """Features of real rows; kept in the run folder where they take longer to compute than to load."""
    if not case.features.identity:
        return _in_shares(case, len(rows), partial(_read, rows, read))
    key = [case.features.name, case.features.identity, part, fingerprint(source), len(rows), _codec_key(case.source)]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:20]
    path = case.results.place.evaluation / f"features-{part}-{digest}.npy"
    if case.processes.from_first(path.exists):
        kept = case.processes.from_first(lambda: _kept(path, digest, len(rows)))
        if kept is not None:
            return kept
    features = _in_shares(case, len(rows), partial(_read, rows, read))
    case.processes.from_first(lambda: _keep(features, path, digest))
    return features


def _keep(features: Tensor, path: Path, digest: str) -> None:
    """Behind the array stands a checksum of it and of what it was computed from."""
    with suppress(WorkError):  # a folder that cannot be written, or is full: the next evaluation computes them again
        make_folder(path.parent)
        with replacing(path) as temporary, filling(temporary) as file:
            save_array(file, features.numpy())
            file.write(_sealed(features, digest))


def _kept(path: Path, digest: str, count: int) -> Tensor | None:
    """The same back; None where the file is not what `_keep` wrote: then they are computed anew."""
    try:
        with reading(path, follow=False) as file:
            held = FileArray.open(path)
            if held.dtype != np.float32 or held.ndim != 2 or len(held) != count:
                return None
            features = torch.from_numpy(np.asarray(held))
            file.seek(-SEAL_BYTES, os.SEEK_END)
            return features if file.read() == _sealed(features, digest) else None
    except Exception:  # damaged bytes surface as whatever NumPy's and Python's own parsers raise
        return None


def _sealed(features: Tensor, digest: str) -> bytes:
    return hashlib.sha256(digest.encode() + np.ascontiguousarray(features.numpy()).tobytes()).digest()


def _codec_key(source: Source) -> list[Any]:
    codec = modality_of(source.kind).own(source.codec)
    return [codec.offset.tolist(), codec.scale.tolist()]


def _read(rows: Tensor, read: Callable[[Tensor], Tensor], shard: BatchShard) -> Iterator[Tensor]:
    return (read(part) for part in rows.split(SAMPLING_CHUNK)[shard.index :: shard.count])


def _told(memory: Memorisation, rows: Tensor, picture: str | None) -> dict[str, Any]:
    facts = asdict(memory) | {"picture": picture, "sentence": memory.sentence}
    names = ("generated", "training", "distance")
    facts["closest"] = [
        dict(zip(names, (sample, int(rows[row]), distance), strict=True)) for sample, row, distance in memory.closest
    ]
    return facts


def _picture(case: _Case, memory: Memorisation, generated: Tensor, training: Tensor, rows: Tensor) -> str | None:
    """The generated samples that are closest to training ones, one a line, each before its nearest ones."""
    modality = modality_of(case.sampler.kind)
    if not modality.has_neighbours:
        return None
    chosen = [sample for sample, _, _ in memory.closest[:PICTURED]]
    near = nearest(generated[chosen], training, count=NEIGHBOURS_PICTURED)[1]
    drawn = _drawn(case.sampler, chosen, case.settings.seed)
    real = case.source.codec.decode_numpy(case.source.train(rows[near.flatten()]))
    lines = [
        sample
        for index in range(len(chosen))
        for sample in (drawn[index], *real[index * NEIGHBOURS_PICTURED : (index + 1) * NEIGHBOURS_PICTURED])
    ]
    codec, columns = modality.own(case.sampler.codec), 1 + NEIGHBOURS_PICTURED
    draw = partial(modality.save_picture, np.stack(lines), codec=codec, columns=columns)
    return case.results.picture("neighbours.png", lambda path: draw(path=path))


def _drawn(sampler: Sampler, chosen: list[int], seed: int) -> list[Any]:
    """Samples by number, in the user's units; drawn anew, since pictures take more room than features."""
    found: dict[int, Any] = {}
    start = 0
    for chunk in sampler.chunks(max(chosen) + 1, seed=seed):
        found |= {number: chunk[number - start] for number in chosen if start <= number < start + len(chunk)}
        start += len(chunk)
    return [found[number] for number in chosen]
