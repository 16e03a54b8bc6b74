"""Pairs of laws whose W1 is known, and a runner that holds critics to them."""

from wassergan.benchmarks.funnels import STANDARD_PAIRS, MinFunnels, min_funnels, parameter_hash, standard_pair
from wassergan.benchmarks.laws import Balls, Gaussians, LineNormals, Shells, Squares, Translation, cones
from wassergan.benchmarks.pair import Pair, Truth
from wassergan.benchmarks.registry import PAIRS, pair_names
from wassergan.benchmarks.runner import Effort, Row, read_rows, run
from wassergan.benchmarks.table import markdown

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
