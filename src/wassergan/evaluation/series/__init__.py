"""Metrics of series: what happens from step to step, and scores of recurrent networks."""

from wassergan.evaluation.series.dynamics import SeriesPopulations, dynamics_rows
from wassergan.evaluation.series.scores import score_rows
from wassergan.evaluation.series.verdict import with_dynamics

__all__ = ["SeriesPopulations", "dynamics_rows", "score_rows", "with_dynamics"]
