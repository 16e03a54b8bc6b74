"""From a trained generator to samples on disk in the user's units, as array, grid or pictures; constant memory."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from wassergan.data import Codec
from wassergan.errors import UserError, WorkError
from wassergan.files import replacing
from wassergan.plots import picture_grid, save_figure, save_picture, vector_figure
from wassergan.training import sample_chunks

LARGEST_GRID = 10_000
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Sampler:
    """A generator with what is needed to draw from it.

    Args:
        generator: averaged weights.
        latent_dim: numbers in a latent vector.
        codec: model space to user units.
        kind: `image`, `field` or `vector`.
    """

    generator: nn.Module
    latent_dim: int
    codec: Codec
    kind: str

    def chunks(self, count: int, *, seed: int) -> Iterator[NDArray[Any]]:
        """Samples in the user's units, layout and type, in chunks along the first axis."""
        for chunk in sample_chunks(self.generator, count, latent_dim=self.latent_dim, seed=seed):
            yield self.codec.decode_numpy(chunk)

    def draw(self, count: int, *, seed: int = 0) -> NDArray[Any]:
        """Samples in the user's units as one array, (count, ...)."""
        return np.concatenate(list(self.chunks(count, seed=seed)))


def write_samples(
    sampler: Sampler, path: Path, *, count: int, seed: int, progress: Progress = lambda done: None
) -> None:
    """Draw samples and write them.

    Args:
        sampler: what to draw from.
        path: `.npy`: one array in the user's units, streamed; `.png`: one grid (or a plot, for vectors) with a
            fixed range; no suffix: a folder with one PNG per sample.
        count: how many.
        seed: a smaller count gives the first samples of a larger one.
        progress: told how many samples are done.

    Raises:
        UserError: the suffix is not known, the folder is not empty, or vectors were asked for as pictures.
        WorkError: the file system refuses.
    """
    if path.suffix not in (".npy", ".png", ""):
        raise UserError(
            "Samples are written as .npy, .png or a folder",
            found=f"'{path.name}'",
            mend="choose one of those suffixes",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        _write_array(sampler, path, count=count, seed=seed, progress=progress)
    elif path.suffix == ".png":
        if count > LARGEST_GRID:
            raise UserError(
                "Too many samples for one picture",
                found=f"{count}",
                mend=f"ask for at most {LARGEST_GRID}, or for .npy",
            )
        write_picture(sampler.draw(count, seed=seed), path, codec=sampler.codec, kind=sampler.kind)
        progress(count)
    else:
        _write_folder(sampler, path, count=count, seed=seed, progress=progress)


def write_picture(
    samples: NDArray[Any], path: Path, *, codec: Codec, kind: str, real: NDArray[Any] | None = None
) -> None:
    """A grid of pictures or fields, or a plot of vectors, as PNG.

    Args:
        samples: (n, ...) in the user's units and layout.
        path: the file.
        codec: gives layout and range.
        kind: `image`, `field` or `vector`.
        real: for vectors, real rows to draw beside them.
    """
    if kind == "vector":
        rows = [None if each is None else each.reshape(len(each), -1).astype(np.float64) for each in (samples, real)]
        assert rows[0] is not None
        save_figure(vector_figure(rows[0], rows[1]), path)
        return
    save_picture(_grid(samples, codec, kind), path)


def _grid(samples: NDArray[Any], codec: Codec, kind: str, columns: int | None = None) -> Image.Image:
    if codec.layout == "NCHW":
        samples = np.moveaxis(samples, 1, 3)
    low, high = (float((bound * codec.scale + codec.offset).mean()) for bound in (codec.low, codec.high))
    if kind == "field":  # generated values may exceed the observed range by a margin that colours need not spend
        margin = (high - low) / 12
        low, high = low + margin, high - margin
    return picture_grid(samples.astype(np.float64), low=low, high=high, columns=columns, colours=kind == "field")


def _write_array(sampler: Sampler, path: Path, *, count: int, seed: int, progress: Progress) -> None:
    with replacing(path) as temporary:
        target = None
        done = 0
        for chunk in sampler.chunks(count, seed=seed):
            if target is None:
                shape = (count, *chunk.shape[1:])
                _require_room(path.parent, int(np.prod(shape, dtype=np.int64)) * chunk.dtype.itemsize)
                target = np.lib.format.open_memmap(temporary, mode="w+", dtype=chunk.dtype, shape=shape)
            target[done : done + len(chunk)] = chunk
            done += len(chunk)
            progress(done)
        assert target is not None
        target.flush()


def _require_room(folder: Path, needed: int) -> None:
    # A memory-mapped file is sparse: on a full disk the process would die on a bus error instead of an exception.
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise WorkError(
            f"No room for the samples in {folder}",
            found=f"{needed:,} bytes needed, {free:,} free",
            mend="free some space",
        )


def _write_folder(sampler: Sampler, path: Path, *, count: int, seed: int, progress: Progress) -> None:
    if sampler.kind == "vector":
        raise UserError("Vectors are no pictures", mend="give --out a name that ends in .npy or .png")
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file", mend="name a new folder, or a file that ends in .npy or .png")
    if path.is_dir() and any(path.iterdir()):
        raise UserError(f"The folder {path} is not empty", mend="name a new one")
    path.mkdir(exist_ok=True)
    digits, index = len(str(count - 1)), 0
    for chunk in sampler.chunks(count, seed=seed):
        for sample in chunk:
            picture = _single(sample, sampler)
            save_picture(picture, path / f"{index:0{digits}d}.png")
            index += 1
        progress(index)


def _single(sample: NDArray[Any], sampler: Sampler) -> Image.Image:
    if sample.dtype == np.uint8 and (sample.ndim == 2 or sample.shape[-1] in (3, 4)):
        return Image.fromarray(sample)
    return _grid(sample[None], sampler.codec, sampler.kind, columns=1)
