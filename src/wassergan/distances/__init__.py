"""Distances between laws and samples, each with its guarantee."""

from wassergan.distances.sliced import SlicedEstimate as SlicedEstimate
from wassergan.distances.sliced import random_directions as random_directions
from wassergan.distances.sliced import sliced_w1 as sliced_w1
from wassergan.distances.sliced import sliced_w1_estimate as sliced_w1_estimate
