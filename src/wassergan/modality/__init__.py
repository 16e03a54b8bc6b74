"""Classes of data, one class each: what differs between pictures, fields, volumes and others stands here."""

from typing import Any

from wassergan.data import AnyCodec
from wassergan.errors import unknown_name
from wassergan.modality.fields import Fields
from wassergan.modality.modality import Modality
from wassergan.modality.pictures import Pictures
from wassergan.modality.series import TimeSeries
from wassergan.modality.tables import Tables
from wassergan.modality.vectors import Vectors
from wassergan.modality.volumes import Volumes

__all__ = ["MODALITIES", "Modality", "modality_of", "modality_with"]

MODALITIES: dict[str, Modality[Any]] = {
    each.name: each for each in (Pictures(), Fields(), Volumes(), TimeSeries(), Vectors(), Tables())
}


def modality_of(name: str) -> Modality[Any]:
    """The modality that sources, checkpoints and exported files call by a name.

    Raises:
        UserError: there is none.
    """
    if name not in MODALITIES:
        raise unknown_name("class of data", name, MODALITIES)
    return MODALITIES[name]


def modality_with(codec: AnyCodec) -> Modality[Any]:
    """The first modality with codecs of this class: what goes by the codec alone is the same for the others."""
    return next(each for each in MODALITIES.values() if each.codec is type(codec))
