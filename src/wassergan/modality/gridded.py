"""What pictures and fields have in common: places on a grid, which convolutions see best from some size on."""

from collections.abc import Mapping
from typing import Any, ClassVar

from wassergan.config.settings import TrainSettings
from wassergan.data import Codec
from wassergan.modality.numbers import Numbers
from wassergan.modality.picture_recipe import recipe, suits, under_conditions
from wassergan.networks.conv import TRANSPOSED


class Gridded(Numbers):
    """Samples (C, H, W).

    Attributes:
        reason: for the recipe, in a sentence.
    """

    reason: ClassVar[str]
    axes = 3
    preview_count = 64
    is_figure = False

    def recipe(
        self, codec: Codec, *, shape: tuple[int, ...], train_count: int, asked: TrainSettings
    ) -> Mapping[str, Any] | None:
        """Convolutions, from 12 x 12 places on."""
        return {**recipe(train_count, asked), "upsampling": self.upsampling(shape)} if suits(shape, asked) else None

    def upsampling(self, shape: tuple[int, ...]) -> str:
        """How the recipe's generator doubles the grid of samples of a shape."""
        return TRANSPOSED

    def recipe_under_conditions(self, recipe: Mapping[str, Any], asked: TrainSettings) -> Mapping[str, Any]:
        """Convolutions that see samples alone, and conditions in the last layer."""
        return under_conditions(asked) if recipe["network"] == "conv" else {}

    def recipe_reason(self, shape: tuple[int, ...], asked: TrainSettings) -> str:
        """What was measured."""
        return self.reason if suits(shape, asked) else ""
