"""What the dynamics of series add to a verdict: joint metrics may hardly see that the order in time is wrong."""

from collections.abc import Sequence

from wassergan.evaluation.evaluate import MetricRow
from wassergan.evaluation.series.dynamics import DYNAMICS, LENGTH
from wassergan.evaluation.verdict import Verdict, far_rows, made_far


def with_dynamics(judged: Verdict, rows: Sequence[MetricRow]) -> Verdict:
    """The same with what happens from step to step; a generator that is far there is far."""
    far = far_rows(rows, {each.name for each in (*DYNAMICS, LENGTH)})
    if not far:
        return judged
    told = ", ".join(f"{row.label.split(',')[0].lower()} ({row.value:.3g}, floor {row.floor:.3g})" for row in far)
    return made_far(judged, f"Far from the data in time: {told}.")
