"""What tells the data of one run from those of another, noted in every checkpoint."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from wassergan.config.settings import TrainSettings
from wassergan.data import Codec, Source, codec_from_state, spread_positions
from wassergan.errors import UserError
from wassergan.training import Processes

FINGERPRINT_SAMPLES = 256
CHUNK = 4096
PLACES = ("data", "schema", "labels", "threads")  # whose content is compared, or does not matter


def fingerprint(source: Source) -> dict[str, Any]:
    """What tells data apart: counts, shape, type, and checksums of some held-out and some training samples."""
    conditions = source.conditions
    return {
        "train_count": source.train_count,
        "heldout_count": source.heldout_count,
        "shape": list(source.shape),
        "checksum": _checksum(source.heldout(torch.arange(min(16, source.heldout_count)))),
        "dtype": source.codec.dtype,
        "train_checksum": _checksum(source.train(spread_positions(FINGERPRINT_SAMPLES, source.train_count))),
        "conditions_checksum": _checksum(conditions.vectors(0, FINGERPRINT_SAMPLES, seed=0)) if conditions else 0,
    }


def keep_codec(source: Source, content: Mapping[str, Any]) -> None:
    """Give a source of numbers the codec that a checkpoint's run was begun with, where it fits.

    What a release makes of the same data may change, such as one scale for all channels to one for each; a run goes on
    with what it was begun with.
    """
    if not isinstance(source.codec, Codec) or "columns" in content["codec"]:
        return
    former = codec_from_state(content["codec"])
    own = (source.shape, source.codec.layout, source.codec.dtype)
    if own == (tuple(content["shape"]), former.layout, former.dtype):
        source.codec = former


def was_trained_on(content: Mapping[str, Any], source: Source) -> bool:
    """Whether a checkpoint's run was trained on these data, as far as fingerprints tell; they get the run's codec."""
    keep_codec(source, content)
    found = fingerprint(source)
    # Older runs noted less.
    return all(found[name] == noted for name, noted in content["fingerprint"].items())


def require_same_data(source: Source, content: Mapping[str, Any], data: str) -> None:
    """Refuse data other than those that a checkpoint's run was trained on; those get the run's codec.

    Raises:
        UserError: other counts, shapes or values.
    """
    if not was_trained_on(content, source):
        raise UserError(
            f"{data} is not the data that the run was trained on",
            found=f"{source.train_count} training samples of shape {source.shape}, "
            f"or other values, than when it started",
            mend="put the former data back, or start a new run",
        )


def require_alike(settings: TrainSettings, source: Source, processes: Processes) -> None:
    """Refuse to train together on data that differ, or with settings that do; all processes call it.

    Of data in memory every sample is compared, of others some; only the place of the data may differ.

    Raises:
        UserError: on process 0, with the first process that differs and in what.
        ElsewhereError: on the others.
    """
    if processes.count == 1:
        return
    with processes.together():
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
                    mend="give all processes the same data, and the same settings",
                )

    processes.from_first(compare)


def _parts(settings: TrainSettings, source: Source) -> dict[str, Any]:
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


def _checksum(samples: torch.Tensor) -> int:
    return zlib.crc32(np.ascontiguousarray(samples.numpy()).tobytes())
