"""Metrics of volumes: shares of phases, two-point curves, chord lengths, and patches."""

from wassergan.evaluation.volumes.inside import VolumePopulations, inside_rows
from wassergan.evaluation.volumes.patches import VolumePatches
from wassergan.evaluation.volumes.verdict import with_inside

__all__ = ["VolumePatches", "VolumePopulations", "inside_rows", "with_inside"]
