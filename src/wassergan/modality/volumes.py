"""Volumes: numbers or phases on a grid with three axes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import nn

from wassergan.config.settings import TrainSettings
from wassergan.data import AnyConditions, Codec, Source
from wassergan.data.grids.writing import TOLD, WRITTEN, require_writer
from wassergan.data.readers.tiff import SUFFIXES, require_pages, write_tiff
from wassergan.data.volumes import VolumeCodec, lags_along
from wassergan.errors import UserError, parameter
from wassergan.modality.evaluator import Evaluation, Evaluator
from wassergan.modality.modality import Rows
from wassergan.modality.numbers import Numbers, prepare_picture
from wassergan.modality.volume_figures import draw_figures, in_channels, most_volumes, slice_grid
from wassergan.modality.volume_recipe import REASON, recipe, suits
from wassergan.networks import Phases
from wassergan.sampling.phases import match_phases
from wassergan.sampling.sampler import Sampler
from wassergan.sampling.writers import Draw, conditions_path, write_conditions, write_folder
from wassergan.storage.files import filling, make_folder, replacing, require_target, require_writable

TIFF = ".tif"


class Volumes(Numbers):
    """Rock, tissue, calorimeters: arrays (n, D, H, W), with channels or without."""

    name = "volume"
    noun = "Volumes"
    codec = VolumeCodec
    axes = 4
    usual_file = "samples.npy"
    usual_draw = (16, "samples.npy")
    preview_count = 16
    is_figure = False

    def recipe(
        self, codec: Codec, *, shape: tuple[int, ...], train_count: int, asked: TrainSettings
    ) -> Mapping[str, Any] | None:
        """Convolutions over three axes."""
        return recipe(shape, train_count, asked) if suits(shape, asked) else None

    def recipe_reason(self, shape: tuple[int, ...], asked: TrainSettings) -> str:
        """What was measured."""
        return REASON if suits(shape, asked) else ""

    def fault(self, codec: Codec, shape: tuple[int, ...]) -> str:
        """Also phases that no data have, or that are not those of the planes."""
        codec = _of_volumes(codec)
        if np.dtype(codec.dtype).kind in "biuf" and (fault := codec.fault()):
            return fault
        planes = shape[0] - (codec.parts.masks if codec.parts else 0)
        if (
            planes < codec.planes
            or planes % codec.planes
            or (codec.phases and planes != codec.planes * len(codec.shares))
        ):
            return f"{planes} planes for {len(codec.phases)} phases"
        own, parts = codec.without_masks(shape), codec.parts
        lines = (zip(own[1:], phase, strict=True) for channel in codec.curves for phase in channel)
        if any(len(line) != lags_along(side) + 1 for each in lines for side, line in each):
            return f"two-point curves of other lags than those of volumes of {own[1:]}"
        if codec.phases and parts is not None:
            size = int(parts.fixed.sum()) * np.dtype(codec.dtype).itemsize
            if tuple(parts.fixed.shape) != own or tuple(parts.values.shape) != (size,) or parts.masks:
                return f"constants of shape {tuple(parts.fixed.shape)} for samples of shape {own}"
        return super().fault(codec, shape)

    def head(self, codec: Codec) -> nn.Module:
        """What a voxel belongs to, of phases; else as for other numbers."""
        own = _of_volumes(codec)
        return Phases(len(own.shares), own.planes) if own.phases else super().head(codec)

    def calibrate(
        self, generator: nn.Module, codec: Codec, *, latent_dim: int, conditions: AnyConditions | None = None
    ) -> None:
        """How frequent the phases are; of numbers, how often values are missing."""
        own = _of_volumes(codec)
        if own.phases:
            match_phases(
                generator,
                own.shares,
                deviations=own.deviations,
                curves=own.curves,
                fixed=own.fixed_phases(),
                latent_dim=latent_dim,
                conditions=conditions,
            )
        else:
            super().calibrate(generator, codec, latent_dim=latent_dim, conditions=conditions)

    def decoder(self, codec: Codec) -> dict[str, Any]:
        """Also the phases."""
        codec = _of_volumes(codec)
        told: dict[str, Any] = {"phases": list(codec.phases)}
        return {**super().decoder(codec), **told, **codec.told}

    def usage(self, codec: Codec, *, latent_dim: int, shape: tuple[int, ...]) -> list[str]:
        """Of phases, which one a voxel belongs to."""
        codec = _of_volumes(codec)
        told = super().usage(codec, latent_dim=latent_dim, shape=shape)
        if not codec.phases:
            return told
        which = (
            "take decoder.phases[1] where a value is above 0, else decoder.phases[0]"
            if codec.planes == 1
            else f"of each {codec.planes} channels in turn, take the one of decoder.phases whose channel is largest"
        )
        return [*told[:2], which, *(line for line in told[2:] if "values =" not in line and "round to" not in line)]

    def codec_of(self, decoder: Mapping[str, Any]) -> VolumeCodec:
        """The inverse of `decoder`."""
        return VolumeCodec.of(super().codec_of(decoder), tuple(decoder.get("phases", ()))).knowing(decoder)

    def facts(self, source: Source) -> dict[str, Any]:
        """Channels, and phases if there are any."""
        codec = _of_volumes(self.own(source.codec))
        channels, *sides = codec.without_masks(source.shape)
        found: dict[str, Any] = {"sides": sides, "channels": list(codec.named(channels))}
        return found | ({"phases": list(codec.phases)} if codec.phases else {})

    def prepare(self, path: Path, count: int) -> None:
        """A `.npy` or `.npz` file, slices as `.png`, one volume as a TIFF, or a folder with a TIFF for each."""
        if path.suffix.lower() in SUFFIXES and count != 1:
            raise UserError(
                "A TIFF file holds one volume",
                found=f"{count} to be written to '{path.name}'",
                hint=f"name a folder, without a suffix, for a file each; or a .npy or .npz file; or say "
                f"{parameter('count', 1)}",
            )
        if path.suffix.lower() not in (".npy", ".npz", ".png", "", *SUFFIXES, *WRITTEN):
            raise UserError(
                f"Volumes are written as .npy, .npz, {TOLD}, .tif, .png or a folder of .tif",
                found=f"'{path.name}'",
                hint="choose one of those",
            )
        if path.suffix == ".png":
            prepare_picture(path, count)
        elif not path.suffix:
            self.prepare_folder(path)
        else:
            require_writer(path)
            make_folder(path.parent)
            require_writable(path)
        if path.suffix != ".png":
            require_target(conditions_path(path))

    def write(self, draw: Draw, path: Path) -> None:
        """As other arrays; by the first process, compressed under the name `data`, or as the pages of a TIFF."""
        if path.suffix in (".npy", ".png", *WRITTEN):
            super().write(draw, path)
            return
        if draw.sampler.conditions is not None:
            draw.processes.on_rank_zero(lambda: write_conditions(draw, path))
        if not path.suffix:
            first = draw.sampler.draw(1, seed=draw.seed)
            draw.processes.on_rank_zero(lambda: require_pages(first.dtype, first.shape[1:]))
            write_folder(draw, path, write_tiff, suffix=TIFF)
            return
        draw.processes.on_rank_zero(lambda: _save(draw, path))
        draw.progress(draw.count)

    def evaluator(self, evaluation: Evaluation) -> Evaluator:
        """By vectors of features, channel by channel, and by what volumes are like inside."""
        from wassergan.modality.volume_evaluator import VolumeEvaluator

        return VolumeEvaluator(evaluation, self)

    def save_picture(
        self, samples: Rows, path: Path, codec: Codec, *, real: Rows | None = None, columns: int | None = None
    ) -> None:
        """The middle slice of each sample."""
        from wassergan.plots import save_picture

        save_picture(slice_grid(samples, codec, columns), path)

    def visualize(self, sampler: Sampler, source: Source | None, out: Path, *, count: int, seed: int) -> list[Path]:
        """Slices, a turntable, two-point curves and chord lengths, beside those of held-out volumes."""
        codec = self.own(sampler.codec)
        count = min(count, most_volumes(sampler.draw(1, seed=seed).size))
        own = in_channels(sampler.draw(count, seed=seed), codec)
        real = None if source is None else in_channels(self.heldout_samples(source, count), codec)
        return draw_figures(own, real, codec, out)


def _of_volumes(codec: Codec) -> VolumeCodec:
    """A codec of this class, as `Modality.own` has made sure."""
    return cast(VolumeCodec, codec)


def _save(draw: Draw, path: Path) -> None:
    """All samples compressed under the name `data`, or the only one as the pages of a TIFF."""
    if path.suffix != ".npz":
        write_tiff(draw.whole()[0], path)
        return
    with replacing(path) as temporary, filling(temporary, "wb+") as file:
        np.savez_compressed(file, data=draw.whole())
