"""Distances between distributions and samples, each with its guarantee."""

from wassergan.distances.barycentre import Barycentre, barycentre_line
from wassergan.distances.critic_estimator import DEFAULT_STEPS, Fit, W1Estimate, W1Estimator
from wassergan.distances.critic_families import CERTIFIED, FAMILIES, get_family
from wassergan.distances.ctransform import CTransform
from wassergan.distances.distance import Distance, w1, w1_batch
from wassergan.distances.divergences import js_divergence, kl_divergence, on_common_support, total_variation
from wassergan.distances.energy import energy_distance
from wassergan.distances.exact import Plan, Transport, exact_transport, exact_w1
from wassergan.distances.interval import Interval, w1_interval
from wassergan.distances.metrics import METRICS
from wassergan.distances.one_dimensional import wasserstein_line
from wassergan.distances.patches import PatchEstimate, PatchReference, patch_sliced_w1
from wassergan.distances.population import critic_lower_bound
from wassergan.distances.sliced import SlicedEstimate, max_sliced_w1, random_directions, sliced_w1, sliced_w1_estimate

__all__ = [
    "CERTIFIED",
    "DEFAULT_STEPS",
    "FAMILIES",
    "METRICS",
    "Barycentre",
    "CTransform",
    "Distance",
    "Fit",
    "Interval",
    "PatchEstimate",
    "PatchReference",
    "Plan",
    "SlicedEstimate",
    "Transport",
    "W1Estimate",
    "W1Estimator",
    "barycentre_line",
    "critic_lower_bound",
    "energy_distance",
    "exact_transport",
    "exact_w1",
    "get_family",
    "js_divergence",
    "kl_divergence",
    "max_sliced_w1",
    "on_common_support",
    "patch_sliced_w1",
    "random_directions",
    "sliced_w1",
    "sliced_w1_estimate",
    "total_variation",
    "w1",
    "w1_batch",
    "w1_interval",
    "wasserstein_line",
]
