"""Pairs of distributions with known W1, and a runner that measures critics on them."""

from wassergan.benchmark.w1.distributions import Balls, Gaussians, LineNormals, Shells, Squares, Translation, cones
from wassergan.benchmark.w1.min_funnels import STANDARD_PAIRS, MinFunnels, min_funnels, parameter_hash, standard_pair
from wassergan.benchmark.w1.pair import Pair, Truth
from wassergan.benchmark.w1.registry import PAIRS, pair_names
from wassergan.benchmark.w1.runner import Effort, Row, read_rows, run
from wassergan.benchmark.w1.table import markdown

__all__ = [
    "PAIRS",
    "STANDARD_PAIRS",
    "Balls",
    "Effort",
    "Gaussians",
    "LineNormals",
    "MinFunnels",
    "Pair",
    "Row",
    "Shells",
    "Squares",
    "Translation",
    "Truth",
    "cones",
    "markdown",
    "min_funnels",
    "pair_names",
    "parameter_hash",
    "read_rows",
    "run",
    "standard_pair",
]
