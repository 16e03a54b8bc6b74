"""Every figure; the one place that imports matplotlib."""

from wassergan.plots.common import save_animation, save_figure, save_picture
from wassergan.plots.curves import curves_figure, lines_figure, overlaid_figure
from wassergan.plots.fields import Maps, fields_figure, moments_figure
from wassergan.plots.pairs import PairColumn, table_pairs_figure
from wassergan.plots.panels import LARGEST_PANELS, Channel, panels
from wassergan.plots.pictures import headed, picture_grid
from wassergan.plots.png16 import write_png16
from wassergan.plots.tables import table_figure
from wassergan.plots.vectors import marginals_figure, pairs_figure, vector_figure

__all__ = [
    "LARGEST_PANELS",
    "Channel",
    "Maps",
    "PairColumn",
    "curves_figure",
    "fields_figure",
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
    "table_figure",
    "table_pairs_figure",
    "vector_figure",
    "write_png16",
]
