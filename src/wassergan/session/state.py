"""What a course of training has come to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Best:
    """The tick with the smallest distance to held-out samples so far."""

    sliced_w1: float = float("inf")
    step: int = 0
