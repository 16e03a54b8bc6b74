"""What the inside of volumes adds to a verdict: vectors hardly see that pores are too small, or not connected."""

from collections.abc import Sequence

from wassergan.evaluation.evaluate import MetricRow
from wassergan.evaluation.verdict import Verdict, far_rows, made_far
from wassergan.evaluation.volumes.inside import names


def with_inside(judged: Verdict, rows: Sequence[MetricRow]) -> Verdict:
    """The same with what volumes are like inside; a generator that is far there is far."""
    far = far_rows(rows, names())
    if not far:
        return judged
    told = ", ".join(f"{row.label[0].lower()}{row.label[1:]} {row.value:.3g} (floor {row.floor:.3g})" for row in far)
    return made_far(judged, f"Far from the data inside: {told}.")
