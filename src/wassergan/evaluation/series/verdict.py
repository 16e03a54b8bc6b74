"""What the dynamics of series add to a verdict: joint metrics may hardly see that the order in time is wrong."""

from collections.abc import Sequence

from wassergan.evaluation.evaluate import MetricRow
from wassergan.evaluation.series.dynamics import DYNAMICS, LENGTH
from wassergan.evaluation.verdict import FAILED, FAR, SURE, Verdict


def far_dynamics(rows: Sequence[MetricRow]) -> list[MetricRow]:
    """Those of the metrics of dynamics that are above four times their floor, and not by chance."""
    names = {each.name for each in (*DYNAMICS, LENGTH)}
    return [
        row
        for row in rows
        if row.name in names
        and row.floor is not None
        and row.value > FAR * row.floor
        and row.value > row.floor + SURE * (row.floor_spread or 0.0)
    ]


def with_dynamics(judged: Verdict, rows: Sequence[MetricRow]) -> Verdict:
    """The same with what happens from step to step; a generator that is far there is far."""
    far = far_dynamics(rows)
    if not far:
        return judged
    told = ", ".join(f"{row.label.split(',')[0].lower()} ({row.value:.3g}, floor {row.floor:.3g})" for row in far)
    flags = judged.flags if "far" in judged.flags else (*judged.flags, "far")
    return Verdict(f"{judged.sentence} Far from the data in time: {told}.", flags, FAILED)
