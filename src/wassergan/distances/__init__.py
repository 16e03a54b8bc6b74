"""Distances between laws and samples, each with its guarantee."""

from wassergan.distances.divergences import js_divergence as js_divergence
from wassergan.distances.divergences import kl_divergence as kl_divergence
from wassergan.distances.divergences import on_common_support as on_common_support
from wassergan.distances.divergences import total_variation as total_variation
from wassergan.distances.line import wasserstein_line as wasserstein_line
from wassergan.distances.sliced import SlicedEstimate as SlicedEstimate
from wassergan.distances.sliced import random_directions as random_directions
from wassergan.distances.sliced import sliced_w1 as sliced_w1
from wassergan.distances.sliced import sliced_w1_estimate as sliced_w1_estimate
