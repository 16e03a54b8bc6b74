"""Draws under given conditions, judged against the truth of each: calibrated, sharp, and not of any other condition."""

from wassergan.evaluation.given.ensembles import Ensembles, fair_crps, shuffled
from wassergan.evaluation.given.judge import GivenResult, judge_ensembles
from wassergan.evaluation.given.verdict import with_conditions

__all__ = ["Ensembles", "GivenResult", "fair_crps", "judge_ensembles", "shuffled", "with_conditions"]
