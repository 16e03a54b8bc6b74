"""Settings of a training by the data that it is to be trained on."""

from collections.abc import Callable
from dataclasses import replace

from wassergan.config.presets import resolve
from wassergan.config.settings import ResolvedSettings, TrainSettings
from wassergan.data import Source
from wassergan.modality import modality_of
from wassergan.training.augment import AUTO


def resolve_for(
    settings: TrainSettings, source: Source, *, log: Callable[[str], None] = lambda sentence: None
) -> ResolvedSettings:
    """Fill in from the preset what the user left open, by the data that will be trained on.

    Args:
        settings: as given.
        source: the data.
        log: receives the reason for the recipe, in a sentence.

    Raises:
        UserError: the preset is not known.
    """
    modality, count = modality_of(source.kind), source.train_count
    recipe = modality.recipe(modality.own(source.codec), shape=source.shape, train_count=count, asked=settings)
    if settings.preset == "default" and (reason := modality.recipe_reason(source.shape, settings)):
        log(reason)
    usual = modality.augmentation(source.shape, count)
    if settings.augment == AUTO or (settings.augment is None and settings.preset == "default"):
        settings = replace(settings, augment=usual)
    return resolve(settings, shape=source.shape, train_count=count, recipe=recipe)
