"""The conversion between series and model space: that of numbers, and the form of a long table."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from torch import Tensor

from wassergan.data.codec import AnyCodec, Codec
from wassergan.data.series.form import LongForm


@dataclass(frozen=True)
class SeriesCodec(Codec):
    """A codec of series (n, T, C); see `Codec`.

    Args:
        form: of the long table that they came in; None for arrays.
    """

    form: LongForm | None = None

    @classmethod
    def of(cls, codec: Codec, form: LongForm | None = None) -> "SeriesCodec":
        """The same for series."""
        return cls(**{each.name: getattr(codec, each.name) for each in fields(Codec)}, form=form)

    def until(self, steps: int) -> "SeriesCodec":
        """The same of series that end after so many steps."""
        names = ("offset", "scale", "low", "high")
        cut: dict[str, Any] = {name: _until(getattr(self, name), steps) for name in names}
        return replace(self, parts=None if self.parts is None else self.parts.until(steps), **cut)

    def words(self) -> list[str]:
        """Names and levels of a long table."""
        return [] if self.form is None else self.form.table.words()

    def state(self) -> dict[str, Any]:
        """Plain types and tensors, for a checkpoint."""
        return {**super().state(), "form": None if self.form is None else self.form.state()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "SeriesCodec":
        """The inverse of `state`."""
        own = dict(state)
        form = own.pop("form")
        return cls.of(Codec.from_state(own), None if form is None else LongForm.from_state(form))


def _until(values: Tensor, steps: int) -> Tensor:
    return values[:, :steps] if values.dim() == 2 and values.shape[1] > 1 else values


def form_of(codec: AnyCodec) -> LongForm | None:
    """How a codec of series writes a long table; None where the data were arrays."""
    form: LongForm | None = getattr(codec, "form", None)
    return form
