"""Series in time: windows of a long one, and long tables with the rows of many."""

from wassergan.data.series.codec import SeriesCodec, form_of
from wassergan.data.series.form import LongForm

__all__ = ["LongForm", "SeriesCodec", "form_of"]
