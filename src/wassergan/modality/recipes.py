"""Settings of a training by the data that it is to be trained on."""

from collections.abc import Callable
from dataclasses import replace

from wassergan.config.presets import fitting_batch, resolve
from wassergan.config.settings import ResolvedSettings, TrainSettings
from wassergan.data import ArrayContext, Source
from wassergan.errors import UserError, parameter
from wassergan.modality import given_recipe, modality_of
from wassergan.training.augment import AUTO, NONE


def resolve_for(
    settings: TrainSettings, source: Source, *, log: Callable[[str], None] = lambda sentence: None
) -> ResolvedSettings:
    """Fill in from the preset what the user left open, by the data that will be trained on.

    Args:
        settings: as given.
        source: the data.
        log: receives the reason for the recipe, and that batches are smaller where there are few samples, in sentences.

    Raises:
        UserError: the preset is not known, or the data cannot be learnt as was asked for.
    """
    modality, count = modality_of(source.kind), source.train_count
    if settings.mirror:
        modality.look_at_flipped(source, log)
    if isinstance(source.context, ArrayContext):
        require_unaugmented(settings)
        recipe, reason = given_recipe.recipe(source.shape, source.context.shape, count, settings), given_recipe.REASON
        reason, usual = reason if recipe else "", NONE
    else:
        recipe = modality.recipe(modality.own(source.codec), shape=source.shape, train_count=count, asked=settings)
        if recipe is not None and source.context is not None:
            recipe = {**recipe, **modality.recipe_under_conditions(recipe, settings)}
        reason, usual = modality.recipe_reason(source.shape, settings), modality.augmentation(source.shape, count)
    if settings.preset == "default" and reason:
        log(reason)
    if settings.augment == AUTO or (settings.augment is None and settings.preset == "default"):
        settings = replace(settings, augment=usual)
    resolved = resolve(settings, shape=source.shape, train_count=count, recipe=recipe)
    few = fitting_batch(resolved.batch_size, count, pack=resolved.pack)
    if settings.batch_size is not None or few >= resolved.batch_size:
        return resolved
    log(f"Batches of {few} instead of {resolved.batch_size} samples: there are {count} training rows.")
    return replace(resolved, batch_size=few)


def require_unaugmented(settings: TrainSettings) -> None:
    """Refuse changes of samples whose conditions are arrays: moved or flipped, a sample belongs to another condition.

    Raises:
        UserError: names the setting.
    """
    changed = settings.augment not in (None, AUTO, NONE)
    if changed or settings.mirror:
        raise UserError(
            "Samples whose conditions are arrays are not augmented: they would no longer belong to them",
            found=parameter("augment", settings.augment) if changed else parameter("mirror", True),
            hint="leave it out, or augment both in the files",
        )
