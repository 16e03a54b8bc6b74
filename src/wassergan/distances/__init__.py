"""Distances between laws and samples, each with its guarantee."""

from wassergan.distances.critic import DEFAULT_STEPS as DEFAULT_STEPS
from wassergan.distances.critic import Fit as Fit
from wassergan.distances.critic import W1Estimate as W1Estimate
from wassergan.distances.critic import W1Estimator as W1Estimator
from wassergan.distances.ctransform import CTransform as CTransform
from wassergan.distances.divergences import js_divergence as js_divergence
from wassergan.distances.divergences import kl_divergence as kl_divergence
from wassergan.distances.divergences import on_common_support as on_common_support
from wassergan.distances.divergences import total_variation as total_variation
from wassergan.distances.energy import energy_distance as energy_distance
from wassergan.distances.exact import Plan as Plan
from wassergan.distances.exact import Transport as Transport
from wassergan.distances.exact import exact_transport as exact_transport
from wassergan.distances.exact import exact_w1 as exact_w1
from wassergan.distances.families import CERTIFIED as CERTIFIED
from wassergan.distances.families import FAMILIES as FAMILIES
from wassergan.distances.families import family_named as family_named
from wassergan.distances.interval import Interval as Interval
from wassergan.distances.interval import w1_interval as w1_interval
from wassergan.distances.line import wasserstein_line as wasserstein_line
from wassergan.distances.population import critic_lower_bound as critic_lower_bound
from wassergan.distances.sliced import SlicedEstimate as SlicedEstimate
from wassergan.distances.sliced import max_sliced_w1 as max_sliced_w1
from wassergan.distances.sliced import random_directions as random_directions
from wassergan.distances.sliced import sliced_w1 as sliced_w1
from wassergan.distances.sliced import sliced_w1_estimate as sliced_w1_estimate
