"""What tells the data of one run from those of another, noted in every checkpoint.

Compared are all values in their order, the names of the files that pictures lie in, the names of columns and of levels,
and all labels; of data that are read in blocks also where row groups or batches end, which decides how rows are mixed.
Times are not: data that were copied, moved, touched or compressed in another way are the same. Not looked at are

- of values, or of pictures' files, of more than 2 GiB (`COMPARED_BYTES`), and of more than 131 072 pictures that are
  not kept in memory: all but the values of up to 272 rows, the number and the shape of rows, names, labels, and the
  sizes of the files that are read from, or of the pictures in them;
- identifiers of a table's rows, and how numbers, dates and the like are written where their values are the same;
- in pictures that are kept in memory: all but their pixels, once they are decoded and scaled. Of larger folders and
  shards the files themselves are compared: a picture that was saved again is another one.
"""

import json
import zlib
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from wassergan.config.settings import ResolvedSettings
from wassergan.data import ArrayConditions, ArrayContext, Source, spread_positions
from wassergan.errors import UserError
from wassergan.modality import modality_of
from wassergan.session.state import CheckpointState
from wassergan.training import DistributedContext

FINGERPRINT_SAMPLES = 256
CHUNK = 4096
ROWS = 2**16  # of conditions at a time
PLACES = ("data", "schema", "labels", "condition_array", "threads")  # whose content is compared, or does not matter


def fingerprint(source: Source) -> dict[str, Any]:
    """What tells data apart: counts, shape, type, and checksums of values, names and labels; see above for limits.

    Raises:
        DataChangedError: a file is no longer the one that was opened.
    """
    conditions = source.conditions
    found = {
        "train_count": source.train_count,
        "heldout_count": source.heldout_count,
        "shape": list(source.shape),
        "checksum": _checksum(source.heldout(torch.arange(min(16, source.heldout_count)))),
        "dtype": source.codec.dtype,
        "train_checksum": _checksum(source.train(spread_positions(FINGERPRINT_SAMPLES, source.train_count))),
        "conditions_checksum": _checksum(conditions.vectors(0, FINGERPRINT_SAMPLES, seed=0)) if conditions else 0,
        "rows_checksum": source.checksum,
        "blocks_checksum": _checksum(source.blocks.bounds) if source.blocks else 0,
        "names_checksum": _of_texts(_names(source)),
        "labels_checksum": _labels(source),
        "weights_checksum": 0 if source.weights is None else zlib.crc32(source.weights.tobytes()),
    }
    source.watch.require_untouched()  # what was read before and what the checksums are of must be the same
    return found


# What a reader is told of an entry that differs.
_TOLD = {
    **dict.fromkeys(("train_count", "heldout_count"), "another number of samples"),
    **dict.fromkeys(("checksum", "train_checksum", "rows_checksum"), "other values"),
    **dict.fromkeys(("conditions_checksum", "labels_checksum"), "other labels or conditions"),
    "weights_checksum": "other weights",
    "shape": "another shape",
    "dtype": "another type",
    "names_checksum": "other names of files, columns or levels",
    "blocks_checksum": "other row groups or batches of rows, by which rows are mixed and held out",
}
_BY_BLOCKS = ("checksum", "train_checksum")  # of rows that are others where the same rows come in other blocks


def _with_codec_of(source: Source, state: CheckpointState) -> Source:
    """A source of numbers with the codec that a checkpoint's run was begun with, where it fits.

    What a release makes of the same data may change, such as one scale for all channels to one for each; a run goes on
    with what it was begun with.
    """
    if modality_of(source.kind).is_refitted:
        return source
    source = _with_conditions_codec_of(source, state)
    former = state.codec
    own = (source.shape, source.codec.layout, source.codec.dtype)
    return replace(source, codec=former) if own == (state.shape, former.layout, former.dtype) else source


def _with_conditions_codec_of(source: Source, state: CheckpointState) -> Source:
    """The same for conditions that are arrays."""
    context, former = source.context, state.conditions
    if not isinstance(context, ArrayContext) or not isinstance(former, ArrayConditions):
        return source
    own = (context.source.shape, context.codec.layout, context.codec.dtype)
    if own != (former.array_shape, former.codec.layout, former.codec.dtype):
        return source
    return replace(source, context=replace(context, source=replace(context.source, codec=former.codec)))


def same_data(source: Source, state: CheckpointState) -> Source | None:
    """The data with the codec of a checkpoint's run, if it was trained on them, as far as fingerprints tell."""
    source = _with_codec_of(source, state)
    return None if _differences(source, state) else source


def _differences(source: Source, state: CheckpointState) -> list[str]:
    found = fingerprint(source)
    # Older runs noted less.
    different = [name for name, noted in state.fingerprint.items() if found[name] != noted]
    if "blocks_checksum" in different and "rows_checksum" not in different:
        different = [name for name in different if name not in _BY_BLOCKS]
    return [_TOLD[name] for name in different]


def require_same_data(source: Source, state: CheckpointState, data: str) -> Source:
    """The data with the codec of a checkpoint's run.

    Raises:
        UserError: the run was trained on others: other counts, shapes or values.
    """
    source = _with_codec_of(source, state)
    if different := _differences(source, state):
        raise UserError(
            f"{data} is not the data that the run was trained on",
            found=f"{source.train_count} training samples of shape {source.shape}; when it started there were "
            f"{', '.join(dict.fromkeys(different))}",
            hint="put the former data back, or start a new run",
        )
    return source


def require_alike(settings: ResolvedSettings, source: Source, processes: DistributedContext) -> None:
    """Refuse to train together on data that differ, or with settings that do; all processes call it.

    Of data in memory every sample is compared, of others some; only the place of the data may differ.

    Raises:
        UserError: on process 0, with the first process that differs and in what.
        ElsewhereError: on the others.
    """
    if processes.count == 1:
        return
    with processes.raise_together():
        parts = _parts(settings, source)
        own = torch.tensor([zlib.crc32(_plain(part).encode()) for part in parts.values()])
    gathered = processes.gather(own)

    def compare() -> None:
        for rank, other in enumerate(gathered):
            different = [name for name, equal in zip(parts, (other == own).tolist(), strict=True) if not equal]
            if different:
                raise UserError(
                    f"Process {rank} does not train on what process 0 trains on",
                    found=f"other {', '.join(different)}",
                    hint="give all processes the same data, and the same settings",
                )

    processes.on_rank_zero(compare)


def _parts(settings: ResolvedSettings, source: Source) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "samples": fingerprint(source),
        "scaling or columns": source.codec.state(),
        "held-out rows": source.split.heldout,
        "settings": {name: value for name, value in asdict(settings).items() if name not in PLACES},
    }
    if source.fits_in_memory:
        checksum = 0
        for positions in torch.arange(source.train_count).split(CHUNK):
            checksum = zlib.crc32(np.ascontiguousarray(source.train(positions).numpy()).tobytes(), checksum)
        parts["samples"] |= {"all": checksum}
    return parts


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=_plain_tensor)


def _plain_tensor(value: Any) -> Any:
    array = np.ascontiguousarray(value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value)
    return [str(array.dtype), array.shape, zlib.crc32(array.tobytes())]


def _names(source: Source) -> list[str]:
    """Of the files that rows are, and of columns and levels."""
    names = list(source.columns)
    names += source.codec.words()
    if source.names is not None:
        found, kept = source.names.found(), source.names.kept()
        names += found if kept is None else [found[index] for index in kept.tolist()]
    return names


def _labels(source: Source) -> int:
    if source.context is None:
        return 0
    rows, words = source.context.facts()
    found = _of_texts(words)
    for start in range(0, len(rows), ROWS):
        part = rows[start : start + ROWS]
        found = zlib.crc32(np.where(np.isnan(part), np.nan, part).tobytes(), found)
    return found


def _of_texts(texts: Iterable[str]) -> int:
    found = 0
    for text in texts:
        found = zlib.crc32(text.encode("utf-8", "surrogateescape") + b"\0", found)
    return found


def _checksum(samples: torch.Tensor) -> int:
    return zlib.crc32(np.ascontiguousarray(samples.numpy()).tobytes())
