"""Settings of a training by the data that it is to be trained on."""

from wassergan.config.presets import resolve
from wassergan.config.settings import ResolvedSettings, TrainSettings
from wassergan.data import Source
from wassergan.modality import modality_of


def resolve_for(settings: TrainSettings, source: Source) -> ResolvedSettings:
    """Fill in from the preset what the user left open, by the data that will be trained on.

    Raises:
        UserError: the preset is not known.
    """
    modality, count = modality_of(source.kind), source.train_count
    recipe = modality.recipe(modality.own(source.codec), count)
    return resolve(settings, shape=source.shape, train_count=count, recipe=recipe)
