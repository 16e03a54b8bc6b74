"""Judging generated samples against real ones."""

from wassergan.evaluation.heldout import HeldoutDistance

__all__ = ["HeldoutDistance"]
