"""Series: several channels of numbers at one step after another, each with a unit of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wassergan.config.settings import TrainSettings
from wassergan.data import Codec, Source, table_suffix, write_table
from wassergan.data.grids.writing import TOLD, WRITTEN, require_writer
from wassergan.data.series import LongForm, SeriesCodec, form_of
from wassergan.data.series.past import PastConditions
from wassergan.errors import UserError
from wassergan.modality.evaluator import Evaluation, Evaluator
from wassergan.modality.modality import Rows
from wassergan.modality.numbers import Numbers, prepare_picture
from wassergan.modality.series_figures import (
    LEAST_STEPS,
    in_channels,
    save_autocorrelation,
    save_forecast,
    save_series,
    save_spectrum,
)
from wassergan.modality.series_recipe import REASON, recipe, suits
from wassergan.modality.tables import columns_fault
from wassergan.sampling.sampler import Sampler
from wassergan.sampling.writers import Draw, conditions_path, write_conditions
from wassergan.storage.files import filling, make_folder, replacing, require_target, require_writable


class TimeSeries(Numbers):
    """Loads, prices, sensors: arrays (n, T, C)."""

    name = "series"
    noun = "Series"
    codec = SeriesCodec
    axes = 2
    usual_file = "samples.npy"
    usual_draw = (64, "samples.npy")
    preview_count = 256
    is_figure = True

    def recipe(
        self, codec: Codec, *, shape: tuple[int, ...], train_count: int, asked: TrainSettings
    ) -> Mapping[str, Any] | None:
        """Causal convolutions."""
        is_array = form_of(codec) is None
        return recipe(shape, train_count, asked, is_array=is_array) if suits(asked) else None

    def recipe_under_conditions(self, recipe: Mapping[str, Any], asked: TrainSettings) -> Mapping[str, Any]:
        """Without margins over all conditions."""
        return {"match_margins": False}

    def recipe_reason(self, shape: tuple[int, ...], asked: TrainSettings) -> str:
        """What was measured."""
        return REASON if suits(asked) else ""

    def fault(self, codec: Codec, shape: tuple[int, ...]) -> str:
        """Also columns of a long table that no table has, or that are not those of the channels."""
        if fault := super().fault(codec, shape):
            return fault
        form = form_of(codec)
        if form is None:
            return ""
        if len(form.channels) != codec.without_masks(shape)[0]:
            return f"{len(form.channels)} channels of a table for samples of shape {shape}"
        return columns_fault(form.table)

    def decoder(self, codec: Codec) -> dict[str, Any]:
        """Also the columns of a long table."""
        form = form_of(codec)
        return {**super().decoder(codec), "long_table": None if form is None else form.state()}

    def codec_of(self, decoder: Mapping[str, Any]) -> SeriesCodec:
        """The inverse of `decoder`."""
        form = decoder.get("long_table")
        return SeriesCodec.of(super().codec_of(decoder), None if form is None else LongForm.from_state(form))

    def facts(self, source: Source) -> dict[str, Any]:
        """Steps and channels."""
        channels, steps = self.own(source.codec).without_masks(source.shape)
        return {"steps": steps, "channels": list(self.own(source.codec).named(channels))}

    def prepare(self, path: Path, count: int) -> None:
        """A `.npy` or `.npz` file, a figure as `.png`, or a long table; `write` says whether the data were one."""
        if table_suffix(path):
            make_folder(path.parent)
            require_writable(path)
            return
        if path.suffix not in (".npy", ".npz", ".png", *WRITTEN):
            raise UserError(
                f"Series are written as .npy, .npz, {TOLD}, or .png",
                found=f"'{path.name}'",
                hint="choose one of those suffixes",
            )
        if path.suffix == ".png":
            prepare_picture(path, count)
            return
        require_writer(path)
        make_folder(path.parent)
        require_writable(path)
        require_target(conditions_path(path))

    def write(self, draw: Draw, path: Path) -> None:
        """As other arrays; by the first process, compressed under the name `data`, or as a long table."""
        codec = self.own(draw.sampler.codec)
        if table_suffix(path):
            draw.processes.on_rank_zero(lambda: write_long(draw, path, codec))
            draw.progress(draw.count)
            return
        if path.suffix == ".png" and isinstance(draw.sampler.conditions, PastConditions):
            draw.processes.on_rank_zero(lambda: save_drawn_forecast(draw, path, codec))
            draw.progress(draw.count)
            return
        if path.suffix != ".npz":
            super().write(draw, path)
            return
        if draw.sampler.conditions is not None:
            draw.processes.on_rank_zero(lambda: write_conditions(draw, path))

        def save() -> None:
            with replacing(path) as temporary, filling(temporary, "wb+") as file:
                np.savez_compressed(file, data=draw.whole())

        draw.processes.on_rank_zero(save)
        draw.progress(draw.count)

    def evaluator(self, evaluation: Evaluation) -> Evaluator:
        """By vectors of features, channel by channel, and by what happens from step to step."""
        from wassergan.modality.series_evaluator import SeriesEvaluator

        return SeriesEvaluator(evaluation, self)

    def save_picture(
        self, samples: Rows, path: Path, codec: Codec, *, real: Rows | None = None, columns: int | None = None
    ) -> None:
        """Some series and the fans of all, beside real ones; small ones in a grid, where it has columns."""
        from wassergan.plots import save_figure, series_grid_figure

        own = in_channels(samples, codec)
        names = codec.named(own.shape[1])
        if columns is not None:
            ranges = [codec.range_of(index, margin=False) for index in range(len(names))]
            save_figure(series_grid_figure(own, ranges, columns=columns), path)
            return
        save_series(own, None if real is None else in_channels(real, codec), names, path)

    def visualize(self, sampler: Sampler, source: Source | None, out: Path, *, count: int, seed: int) -> list[Path]:
        """Samples and fans beside held-out series, their autocorrelation and their spectrum."""
        codec = self.own(sampler.codec)
        own = in_channels(sampler.draw(count, seed=seed), codec)
        real = None if source is None else in_channels(self.heldout_samples(source, count), codec)
        names = codec.named(own.shape[1])
        save_series(own, real, names, out / "series.png")
        if real is None or own.shape[2] < LEAST_STEPS:
            return [out / "series.png"]
        files = [out / "autocorrelation.png", out / "spectrum.png"]
        for path, draw in zip(files, (save_autocorrelation, save_spectrum), strict=True):
            draw(own, real, names, path)
        return [out / "series.png", *files]


def save_drawn_forecast(draw: Draw, path: Path, codec: Codec) -> None:
    """The pasts that were given, and what is drawn behind them."""
    conditions = draw.sampler.conditions
    assert isinstance(conditions, PastConditions) and conditions.wanted is not None
    given = conditions.codec.encode(conditions.wanted.read(torch.arange(len(conditions.wanted))))
    own, drawn = in_channels(conditions.codec.decode_numpy(given), codec), in_channels(draw.whole(), codec)
    draws = drawn.reshape(len(own), -1, *drawn.shape[1:])
    save_forecast(own, draws, codec.named(own.shape[1]), path)


def write_long(draw: Draw, path: Path, codec: Codec) -> None:
    """One row for each series and step, as the table of the data has them.

    Raises:
        UserError: the data were arrays.
    """
    form = form_of(codec)
    if form is None:
        raise UserError(
            "Series of arrays are no table", found=f"'{path.name}'", hint="name a file that ends in .npy, .npz or .png"
        )
    rows, first = [], 0
    for chunk in draw.chunks():
        rows.append(form.rows(chunk, first=first))
        first += len(chunk)
    with replacing(path) as temporary:
        write_table(form.writer(draw.count), rows, temporary, like=path, seed=draw.seed, formulas=draw.formulas)
