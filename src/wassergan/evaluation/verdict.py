"""What the numbers mean together: one sentence, and flags for what is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

from wassergan.evaluation.judge import MetricRow
from wassergan.evaluation.memorisation import Memorisation

FAR = 4.0  # times the floor of sliced W1
NEAR = 1.5
TOLD_APART = 0.75  # AUC
POOR = 0.5  # share of the floor's recall and coverage
CROWDED = 1.1  # times the floor of the distance to the next sample of its own


@dataclass(frozen=True)
class Verdict:
    """A sentence, and the flags `memorised`, `collapsed` and `far`, as far as they hold."""

    sentence: str
    flags: tuple[str, ...]


def verdict(rows: Sequence[MetricRow], memory: Memorisation) -> Verdict:
    """The verdict on a table of metrics and a memorisation check.

    Far: sliced W1 above four times its floor. Collapsed: recall and coverage both below half their floors while
    samples lie no farther apart than real ones do (noise covers nothing either, but is no collapse).
    Memorised: as the check says.
    """
    by_name = {row.name: row for row in rows}
    ratio = _ratio(by_name["sliced_w1"])
    flags = []
    if memory.flagged:
        flags.append("memorised")
    if max(_ratio(by_name["recall"]), _ratio(by_name["coverage"])) < POOR and _ratio(by_name["own_distance"]) < CROWDED:
        flags.append("collapsed")
    if ratio > FAR:
        flags.append("far")
    return Verdict(_sentence(flags, ratio, by_name), tuple(flags))


def _ratio(row: MetricRow) -> float:
    assert row.floor is not None
    if row.floor > 0:
        return row.value / row.floor
    return float("inf") if row.value > 0 else 1.0


def _sentence(flags: Sequence[str], ratio: float, rows: dict[str, MetricRow]) -> str:
    near = f"sliced W1 is {ratio:.3g} times its floor"
    recall = f"recall {rows['recall'].value:.2f} where the data have {rows['recall'].floor:.2f}"
    troubles = {
        "memorised": "it returns training samples",
        "collapsed": f"it has collapsed onto a few kinds of samples ({recall})",
        "far": f"it is far from the data ({near})",
    }
    if flags:
        return f"The generator fails: {' and '.join(troubles[flag] for flag in flags)}."
    area = rows["c2st_auc"].value
    doubts = [f"it lacks variety ({recall})"] if _ratio(rows["recall"]) < POOR else []
    doubts += [f"a classifier tells its samples from real ones (AUC {area:.2f})"] if area > TOLD_APART else []
    if doubts:
        return f"The generated law is near the data ({near}), but {' and '.join(doubts)}."
    closeness = "about as close to the held-out samples as training samples are" if ratio <= NEAR else "near the data"
    return f"The generated law is {closeness}: {near}, {recall}."
