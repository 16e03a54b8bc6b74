"""A run's averaged generator in one file that others can run, with the conversion to the user's units."""

from wassergan.runs.export.description import codec_of
from wassergan.runs.export.exporting import chosen_format, export_run, open_export
from wassergan.runs.export.formats import FORMATS

__all__ = ["FORMATS", "chosen_format", "codec_of", "export_run", "open_export"]
