"""Volumes: phases and grey values on a grid with three axes, crops of large ones, and stacks of TIFF pages."""

from wassergan.data.volumes.codec import MOST_PHASES, Curves, VolumeCodec, lags_along

__all__ = ["MOST_PHASES", "Curves", "VolumeCodec", "lags_along"]
