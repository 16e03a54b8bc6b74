"""Pairs of laws whose W1 is known, and a runner that holds critics to them."""

from wassergan.benchmarks.funnels import STANDARD_PAIRS as STANDARD_PAIRS
from wassergan.benchmarks.funnels import MinFunnels as MinFunnels
from wassergan.benchmarks.funnels import min_funnels as min_funnels
from wassergan.benchmarks.funnels import parameter_hash as parameter_hash
from wassergan.benchmarks.funnels import standard_pair as standard_pair
from wassergan.benchmarks.laws import Balls as Balls
from wassergan.benchmarks.laws import Gaussians as Gaussians
from wassergan.benchmarks.laws import LineNormals as LineNormals
from wassergan.benchmarks.laws import Shells as Shells
from wassergan.benchmarks.laws import Squares as Squares
from wassergan.benchmarks.laws import Translation as Translation
from wassergan.benchmarks.laws import cones as cones
from wassergan.benchmarks.pair import Pair as Pair
from wassergan.benchmarks.pair import Truth as Truth
from wassergan.benchmarks.registry import PAIRS as PAIRS
from wassergan.benchmarks.registry import pair_names as pair_names
from wassergan.benchmarks.runner import Effort as Effort
from wassergan.benchmarks.runner import Row as Row
from wassergan.benchmarks.runner import read_rows as read_rows
from wassergan.benchmarks.runner import run as run
from wassergan.benchmarks.table import markdown as markdown
