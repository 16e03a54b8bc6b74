"""Pictures: whole grey or colour levels on a grid."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wassergan.config.settings import TrainSettings
from wassergan.data import Codec, Source
from wassergan.modality.gridded import Gridded
from wassergan.modality.missing import without_missing
from wassergan.modality.modality import Rows
from wassergan.modality.picture_recipe import FEW, REASON, SMALL_REASON, SMALLEST_SIDE, small_recipe, suits_small
from wassergan.networks.conv import NEAREST
from wassergan.networks.margins import MOST_NUMBERS
from wassergan.sampling.sampler import Sampler
from wassergan.training.augment import NONE, USUAL

COLOURS = 3  # channels of a picture in colours, at least


class Pictures(Gridded):
    """Pictures of any size and depth, in grey or in colours."""

    name = "image"
    reason = REASON
    are_pictures = True
    has_units = False
    visualizes_data = False

    def recipe(
        self, codec: Codec, *, shape: tuple[int, ...], train_count: int, asked: TrainSettings
    ) -> Mapping[str, Any] | None:
        """Fully connected networks for small ones, convolutions from 12 x 12 pixels on."""
        if suits_small(shape, asked):
            found: Mapping[str, Any] | None = small_recipe(shape, train_count, asked)
        else:
            found = super().recipe(codec, shape=shape, train_count=train_count, asked=asked)
        whole = codec.parts is None or not codec.parts.masks
        return None if found is None else {**found, "match_margins": whole and math.prod(shape) <= MOST_NUMBERS}

    def upsampling(self, shape: tuple[int, ...]) -> str:
        """In colours by nearest values: as a rule these are photographs, smooth as fields are. Grey ones lose by it."""
        return NEAREST if shape[0] >= COLOURS else super().upsampling(shape)

    def recipe_under_conditions(self, recipe: Mapping[str, Any], asked: TrainSettings) -> Mapping[str, Any]:
        """Also without margins over all conditions, which were not measured there."""
        return {**super().recipe_under_conditions(recipe, asked), "match_margins": False}

    def recipe_reason(self, shape: tuple[int, ...], asked: TrainSettings) -> str:
        """What was measured."""
        return SMALL_REASON if suits_small(shape, asked) else super().recipe_reason(shape, asked)

    def augmentation(self, shape: tuple[int, ...], train_count: int) -> str:
        """Of few pictures, a critic soon knows each by heart unless it sees it changed every time."""
        return USUAL if train_count < FEW and min(shape[1:]) >= SMALLEST_SIDE else NONE

    def save_picture(
        self, samples: Rows, path: Path, codec: Codec, *, real: Rows | None = None, columns: int | None = None
    ) -> None:
        """A grid."""
        from wassergan.plots import save_picture

        save_picture(self.grid(samples, codec, columns), path)

    def grid(self, samples: Rows, codec: Codec, columns: int | None = None) -> Any:
        """Samples (n, ...) in the user's units and layout on one grid, with the fixed range of their codec."""
        from wassergan.plots import picture_grid

        shown = without_missing(samples, codec)
        if codec.layout == "NCHW":
            shown = np.moveaxis(shown, 1, 3)
        low, high = (float((bound * codec.scale + codec.offset).mean()) for bound in (codec.low, codec.high))
        return picture_grid(shown, low=low, high=high, columns=columns, colours=False)

    def save_single(self, sample: Rows, path: Path, codec: Codec) -> None:
        """In its own depth, pixel by pixel."""
        from PIL import Image

        from wassergan.plots import save_picture, write_png16

        is_picture = sample.ndim == 2 or sample.shape[-1] in (3, 4)
        if is_picture and sample.dtype == np.uint16 and sample.shape[2:] in ((), (3,)):
            write_png16(sample, path)
        elif is_picture and sample.dtype == np.uint8:
            save_picture(Image.fromarray(sample), path)
        else:
            super().save_single(sample, path, codec)

    def visualize(self, sampler: Sampler, source: Source | None, out: Path, *, count: int, seed: int) -> list[Path]:
        """Walks through the latent space."""
        from wassergan.modality.walks import draw_walks

        codec = self.own(sampler.codec)
        return draw_walks(sampler, lambda samples, columns: self.grid(samples, codec, columns), out, seed=seed)
