"""Figures on disk."""

import gc
import weakref
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from wassergan.plots.common import save_figure


@pytest.mark.usefixtures("flat_memory")
def test_a_figure_is_gone_when_it_is_saved(tmp_path: Path) -> None:
    figure = Figure()
    figure.subplots(2, 2)[0, 0].plot([0, 1])
    gone = weakref.ref(figure.axes[0])  # its caller may still hold the figure, emptied
    gc.disable()
    try:
        save_figure(figure, tmp_path / "a.png")
        assert gone() is None
    finally:
        gc.enable()
