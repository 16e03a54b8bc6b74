"""What calibrates a generator of tables, phases or matched margins: found once for a checkpoint, kept beside it.

Of several processes the first one finds it for all. A file is believed if it was made from the very same weights,
columns and settings, and is whole: it holds a checksum of both. Any other is passed over, and the generator is
calibrated anew, as it is where nothing can be written.
"""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from wassergan.errors import UserError, WorkError
from wassergan.modality import modality_of
from wassergan.networks import Phases, QuantileMapped, TabularGenerator
from wassergan.sampling.sampler import Sampler
from wassergan.session.state import CheckpointState
from wassergan.storage.checkpoint import load_checkpoint, save_checkpoint
from wassergan.storage.files import make_folder, remove
from wassergan.storage.run_folder import RunFolder
from wassergan.training import SINGLE_PROCESS, DistributedContext

RECIPE = 3  # goes up when the same weights are calibrated otherwise
KEPT_FILES = 4


def calibrate(
    sampler: Sampler,
    state: CheckpointState,
    *,
    folder: RunFolder | None = None,
    processes: DistributedContext = SINGLE_PROCESS,
) -> None:
    """Calibrate the generator of a sampler, or take over what a former call found.

    Args:
        sampler: of the state, not calibrated.
        state: of a checkpoint.
        folder: of the run, where calibrations are kept; None keeps none.
        processes: that draw together: all draw by what the first one found.
    """
    kept = _kept_of(sampler.generator)
    if folder is None or kept is None:
        _calibrated(sampler)
        return
    key = key_of(state, next(sampler.generator.parameters()).device.type)
    path = folder.calibration / f"step-{state.step:09d}-{key[:12]}.pt"

    def found() -> dict[str, Tensor]:
        before = _found(folder, path, key)
        if before is not None:
            with suppress(KeyError, ValueError, AttributeError):  # sealed, and still not of this generator
                kept.load_calibration(before)
                return before
        _calibrated(sampler)
        own = kept.calibration_state()
        _keep(path, key, own)
        return own

    kept.load_calibration(processes.on_rank_zero(found))


def key_of(state: CheckpointState, device: str) -> str:
    """Of all that a calibration is made from: weights, columns, conditions and settings, and where it is computed."""
    made_from = {
        "recipe": RECIPE,
        "device": device,
        "settings": asdict(state.settings),
        "shape": state.shape,
        "codec": state.codec_state,
        "conditions": state.conditions_state,
        "weights": state.average,
    }
    return _digest(made_from).hex()


def _kept_of(generator: nn.Module) -> TabularGenerator | Phases | QuantileMapped | None:
    """The part whose calibration takes long enough to be kept."""
    for part in generator.modules():
        if isinstance(part, TabularGenerator | Phases) or (isinstance(part, QuantileMapped) and part.is_held):
            return part
    return None


def _calibrated(sampler: Sampler) -> None:
    modality_of(sampler.kind).calibrate(
        sampler.generator, sampler.codec, latent_dim=sampler.latent_dim, conditions=sampler.conditions
    )


def _found(folder: RunFolder, path: Path, key: str) -> dict[str, Tensor] | None:
    """What lies in a file, if it is whole and made from the same."""
    folder.require_here()
    with suppress(UserError, KeyError, TypeError, ValueError, AttributeError):
        content = load_checkpoint(path)
        kept = content["calibration"]
        if content["of"] == key and content["seal"] == _seal(key, kept):
            return {name: each for name, each in kept.items() if isinstance(each, Tensor)}
    return None


def _keep(path: Path, key: str, calibration: dict[str, Tensor]) -> None:
    """Write it down, if the run's folder can be written to and is not full."""
    with suppress(UserError, WorkError, OSError):  # of what lies there, and of files that another removes meanwhile
        make_folder(path.parent)
        save_checkpoint(path, {"of": key, "seal": _seal(key, calibration), "calibration": calibration})
        kept = sorted(path.parent.glob("step-*.pt"), key=lambda each: each.stat().st_mtime_ns)
        for old in kept[:-KEPT_FILES]:
            remove(old)


def _seal(key: str, calibration: Mapping[str, Tensor]) -> str:
    return _digest({"of": key, "calibration": dict(calibration)}).hex()


def _digest(value: Any) -> bytes:
    """A digest of nested plain types, tensors and arrays; equal values of different types differ."""
    found = hashlib.sha256(type(value).__name__.encode() + b":")
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, Mapping):
        for name in sorted(value, key=repr):
            found.update(_digest(name) + _digest(value[name]))
    elif isinstance(value, list | tuple):
        for each in value:
            found.update(_digest(each))
    elif isinstance(value, np.ndarray):
        whole: NDArray[Any] = np.ascontiguousarray(value)
        found.update(f"{whole.dtype.str}{whole.shape}".encode() + whole.tobytes())
    else:
        found.update(repr(value).encode())
    return found.digest()
