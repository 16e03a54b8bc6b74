"""Every figure; the only package that imports matplotlib."""

from wassergan.plots.backend import import_matplotlib

import_matplotlib()

from wassergan.plots.common import save_animation, save_figure, save_picture  # noqa: E402
from wassergan.plots.curves import curves_figure, lines_figure, overlaid_figure  # noqa: E402
from wassergan.plots.fields import Maps, fields_figure, moments_figure  # noqa: E402
from wassergan.plots.fit import ShownFigure, fit_figure  # noqa: E402
from wassergan.plots.given import calibration_figure, given_figure  # noqa: E402
from wassergan.plots.pairs import PairColumn, table_pairs_figure  # noqa: E402
from wassergan.plots.panels import LARGEST_PANELS, Channel, panels  # noqa: E402
from wassergan.plots.pictures import headed, picture_grid  # noqa: E402
from wassergan.plots.png16 import write_png16  # noqa: E402
from wassergan.plots.series import (  # noqa: E402
    curves_by_channel_figure,
    forecast_figure,
    series_figure,
    series_grid_figure,
)
from wassergan.plots.tables import table_figure  # noqa: E402
from wassergan.plots.vectors import marginals_figure, pairs_figure, vector_figure  # noqa: E402
from wassergan.plots.volumes import axes_figure, slices_figure, turntable_figure  # noqa: E402

__all__ = [
    "LARGEST_PANELS",
    "Channel",
    "Maps",
    "PairColumn",
    "ShownFigure",
    "axes_figure",
    "calibration_figure",
    "curves_by_channel_figure",
    "curves_figure",
    "fields_figure",
    "fit_figure",
    "forecast_figure",
    "given_figure",
    "headed",
    "lines_figure",
    "marginals_figure",
    "moments_figure",
    "overlaid_figure",
    "pairs_figure",
    "panels",
    "picture_grid",
    "save_animation",
    "save_figure",
    "save_picture",
    "series_figure",
    "series_grid_figure",
    "slices_figure",
    "table_figure",
    "table_pairs_figure",
    "turntable_figure",
    "vector_figure",
    "write_png16",
]
