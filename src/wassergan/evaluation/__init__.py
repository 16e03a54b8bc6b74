"""Evaluation of generated against real samples."""

from wassergan.evaluation.heldout import HeldoutDistance
from wassergan.evaluation.neighbours import NeighbourMetrics, neighbour_metrics

__all__ = ["HeldoutDistance", "NeighbourMetrics", "neighbour_metrics"]
