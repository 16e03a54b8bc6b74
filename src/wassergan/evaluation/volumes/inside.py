"""Shares of phases, two-point curves and chord lengths of volumes, each beside its floor."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wassergan.evaluation.evaluate import JACKKNIFE, MetricRow
from wassergan.evaluation.series.dynamics import mean_w1
from wassergan.evaluation.volumes.statistics import (
    Numbers,
    Sets,
    Volumes,
    chord_counts,
    chord_w1,
    curve_deviation,
    medians_of,
    sets_of,
    share_deviation,
    shares,
    two_point,
)

FEATURES = "volumes"


@dataclass(frozen=True)
class VolumePopulations:
    """Volumes (n, C, D, H, W) in their own units, NaN where a value is missing.

    Args:
        generated: volumes.
        training: volumes.
        heldout: real ones that were not trained on.
        phases: all values that there are; empty where values are numbers.
    """

    generated: Volumes
    training: Volumes
    heldout: Volumes
    phases: tuple[float, ...] = ()

    def sides(self) -> tuple[list[Sets], list[Sets], list[Sets]]:
        """The sets of generated volumes, of as many training ones, and of held-out ones."""
        medians = medians_of(self.heldout)
        seen = self.training[: len(self.generated)]
        own, trained, real = (sets_of(each, self.phases, medians) for each in (self.generated, seen, self.heldout))
        return own, trained, real


@dataclass(frozen=True)
class Inside:
    """One metric: what each volume is described by, and how two samples of descriptions are compared.

    Args:
        name: for programs.
        label: for people.
        note: for the reader.
        compare: descriptions of generated volumes and of real ones, to a number.
    """

    name: str
    label: str
    note: str
    compare: Callable[[Numbers, Numbers], float]


SHARE = (
    Inside("share_w1", "Shares, W1", "share of each phase in single volumes (of numbers: above the median)", mean_w1),
    Inside(
        "share_error",
        "Shares, largest error of the mean",
        "absolute; 0.01 is one per cent of the voxels",
        share_deviation,
    ),
)
TWO_POINT = Inside(
    "two_point_error",
    "Two-point curve, largest error",
    "relative, over phases, axes, and lags up to 16 or half of a side",
    curve_deviation,
)
CHORDS = Inside("chord_length_w1", "Chord lengths, W1", "voxels; averaged over phases and axes", chord_w1)
INSIDE = (*SHARE, TWO_POINT, CHORDS)


def inside_rows(populations: VolumePopulations) -> list[MetricRow]:
    """Every metric that the volumes admit: generated against held-out ones, and as many training ones as floor."""
    sets = populations.sides()
    counts = (len(populations.generated), len(populations.heldout))
    described = (
        (SHARE, [shares(each) for each in sets]),
        ((TWO_POINT,), [two_point(each) for each in sets]),
        ((CHORDS,), [chord_counts(each) for each in sets]),
    )
    rows = [_row(each, *sides, counts=counts) for metrics, sides in described for each in metrics]
    return [row for row in rows if row is not None]


def _row(each: Inside, own: Numbers, seen: Numbers, real: Numbers, *, counts: tuple[int, int]) -> MetricRow | None:
    value, floor = each.compare(own, real), each.compare(seen, real)
    if np.isnan(value) or np.isnan(floor):
        return None
    return MetricRow(
        *(each.name, each.label, value, None, floor, None, "lower", FEATURES, *counts, each.note),
        floor_spread=_floor_spread(each, seen, real),
    )


def _floor_spread(each: Inside, seen: Numbers, real: Numbers) -> float:
    """The standard error of a floor over draws of the data: delete-a-tenth jackknife of both samples."""

    def without(rows: Numbers, part: int) -> Numbers:
        kept: Numbers = rows[np.arange(len(rows)) % JACKKNIFE != part]
        return kept

    found = np.array([each.compare(without(seen, part), without(real, part)) for part in range(JACKKNIFE)])
    return float(np.sqrt((JACKKNIFE - 1) * np.nanvar(found)))


def names() -> Sequence[str]:
    """Of all metrics here."""
    return [each.name for each in INSIDE]
