"""What the inside of volumes adds to a verdict: vectors hardly see that pores are too small, or not connected."""

from collections.abc import Sequence

from wassergan.evaluation.evaluate import MetricRow
from wassergan.evaluation.verdict import FAILED, FAR, SURE, Verdict
from wassergan.evaluation.volumes.inside import names


def far_inside(rows: Sequence[MetricRow]) -> list[MetricRow]:
    """Those of the metrics of volumes that are above four times their floor, and not by chance."""
    return [
        row
        for row in rows
        if row.name in names()
        and row.floor is not None
        and row.value > FAR * row.floor
        and row.value > row.floor + SURE * (row.floor_spread or 0.0)
    ]


def with_inside(judged: Verdict, rows: Sequence[MetricRow]) -> Verdict:
    """The same with what volumes are like inside; a generator that is far there is far."""
    far = far_inside(rows)
    if not far:
        return judged
    told = ", ".join(f"{row.label[0].lower()}{row.label[1:]} {row.value:.3g} (floor {row.floor:.3g})" for row in far)
    flags = judged.flags if "far" in judged.flags else (*judged.flags, "far")
    return Verdict(f"{judged.sentence} Far from the data inside: {told}.", flags, FAILED)
