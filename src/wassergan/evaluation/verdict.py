"""The verdict from all metrics: one sentence, a level, and flags for what is wrong.

The limits of this module are the only ones: command line, page and comparison print the verdict from here.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wassergan.errors import parameter, typed
from wassergan.evaluation.channels import ChannelRow, far_sentence
from wassergan.evaluation.evaluate import MetricRow
from wassergan.evaluation.memorisation import Memorisation
from wassergan.storage.tick_distance import LABELS, PATCHES, VECTORS, distance_name, distance_of

FAR = 4.0  # times the floor of the distance
NEAR = {PATCHES: 2.0, VECTORS: 1.5}  # the floor of patches varies by a third from one draw of the data to the next
TOLD_APART = 0.75  # AUC
HARDLY = 0.6  # AUC up to which a classifier is little better than chance
EXPOSED = 0.95  # AUC at which a classifier is hardly ever wrong
POOR = 0.5  # share of the floor's recall and coverage
DISJOINT = 0.05  # share of the floor's precision or coverage
CROWDED = 0.8  # of the floor of the distance to the next sample of its own
LEARNABLE = 100  # samples per side from which trees, whose leaves hold 20, learn to separate blurred from sharp
SURE = 3.0  # standard errors; differences within them are chance
HITS = 5.0  # expected if the data themselves were evaluated; finding nearly none is then not chance

# What the distance of a tick does not see.
_BLIND = {PATCHES: "whole samples from ones that are put together wrongly", VECTORS: "sharp samples from blurred ones"}

GOOD, DOUBTFUL, FAILED, UNDECIDED = "good", "doubtful", "failed", "undecided"


@dataclass(frozen=True)
class Verdict:
    """The result of an evaluation.

    Attributes:
        sentence: for people.
        flags: of `memorised`, `collapsed`, `disjoint`, `exposed` and `far`, those that apply.
        level: `good`; `doubtful`, with the doubts in the sentence; `failed`, for one of the flags; or `undecided`,
            if there are too few samples to tell.
    """

    sentence: str
    flags: tuple[str, ...]
    level: str

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"sentence": self.sentence, "flags": list(self.flags), "level": self.level}


def verdict(rows: Sequence[MetricRow], memory: Memorisation) -> Verdict:
    """The verdict on a table of metrics and a memorisation check.

    Memorised: as the check says. Collapsed: recall and coverage both below half their floors while samples lie
    closer together than real ones do (noise covers nothing either, but is no collapse). Disjoint: precision or coverage
    is less than a twentieth of its floor. Exposed: the AUC of the classifier is above 0.95. Far: patch-sliced W1 of
    pictures and fields, else sliced W1, is above four times its floor. A difference that sampling error may explain is
    neither a failure nor a success.

    Args:
        rows: metrics, each with its floor.
        memory: of the same samples.
    """
    by_name = {row.name: row for row in rows}
    flags = [name for name, holds in _failures(by_name, memory).items() if holds]
    if flags:
        return Verdict(
            f"The generator fails: {_listed([_reason(each, by_name) for each in flags])}.", tuple(flags), FAILED
        )
    needed = samples_needed(by_name)
    if needed > _fewest(by_name):
        return Verdict(_too_few(by_name, needed), (), UNDECIDED)
    closeness, doubts = _closeness(by_name), _doubts(by_name)
    if doubts:
        return Verdict(f"The generated distribution is {closeness}, but {_listed(doubts)}.", (), DOUBTFUL)
    auc = by_name["c2st_auc"].value
    how_often = "hardly" if auc <= HARDLY else "sometimes"
    told = f"a classifier {how_often} tells its samples from real ones (AUC {auc:.2f})"
    return Verdict(f"The generated distribution is {closeness}; {_recall(by_name)}, {told}.", (), GOOD)


def with_channels(judged: Verdict, rows: Sequence[ChannelRow]) -> Verdict:
    """The same with the results of single channels: joint metrics may hardly see a difference that matters.

    A channel that is far makes the generator far.
    """
    sentence = far_sentence(rows)
    if not sentence:
        return judged
    return made_far(judged, sentence)


def far_rows(rows: Sequence[MetricRow], names: Collection[str]) -> list[MetricRow]:
    """Those of the metrics with these names that are above four times their floor, and not by chance."""
    return [
        row
        for row in rows
        if row.name in names
        and row.floor is not None
        and row.value > FAR * row.floor
        and row.value > row.floor + SURE * (row.floor_spread or 0.0)
    ]


def made_far(judged: Verdict, sentence: str) -> Verdict:
    """The verdict after something was found that makes the generator far."""
    flags = judged.flags if "far" in judged.flags else (*judged.flags, "far")
    return Verdict(f"{judged.sentence} {sentence}", flags, FAILED)


def tick_verdict(record: Mapping[str, Any], *, run: str) -> Verdict:
    """The verdict from the distance of a tick alone, before a run is evaluated: that it is far, or nothing.

    Args:
        record: of a tick, or a summary that ends with it.
        run: the run's folder, for the command that reports more.
    """
    label, value, floor = distance_of(record)
    ratio = _ratio(value, floor)
    name = f"{label[0].lower()}{label[1:]}"
    measured = f"{name} is {ratio:.3g} times its floor"
    if ratio > FAR:
        return Verdict(f"The generated distribution is far from the data: {measured}.", ("far",), FAILED)
    return Verdict(
        f"Not judged yet: {measured}, but {name} alone does not tell {_BLIND[distance_name(record)]}. "
        f"wassergan evaluate {typed(run)} does.",
        (),
        UNDECIDED,
    )


def samples_needed(rows: Mapping[str, MetricRow]) -> int:
    """The samples needed on each side to separate a good generator from a poor one, from the errors of the floors.

    Args:
        rows: metrics by name; the spread of the distance's floor shrinks like one over the root of the number.
    """
    distance, recall = rows[distance_name(rows)], rows["recall"]
    needed = [float(LEARNABLE)]
    if recall.floor:
        needed.append((SURE * 0.5 / (POOR * recall.floor)) ** 2)
    if distance.floor and distance.floor_spread:
        tolerated = (NEAR[distance_name(rows)] - 1) * distance.floor / 2
        needed.append(_count(distance) * (distance.floor_spread / tolerated) ** 2)
    return math.ceil(max(needed))


def _failures(rows: Mapping[str, MetricRow], memory: Memorisation) -> dict[str, bool]:
    distance = rows[distance_name(rows)]
    spare = 2 * (distance.floor_spread or 0.0)
    lacking = all(_significant(rows[name]) and _of_floor(rows[name]) < POOR for name in ("recall", "coverage"))
    return {
        "memorised": memory.flagged,
        "collapsed": lacking and _of_floor(rows["own_distance"]) < CROWDED,
        "disjoint": any(_is_disjoint(rows[name]) for name in ("precision", "coverage")),
        "exposed": _is_exposed(rows["c2st_auc"]),
        "far": _ratio(distance.value, _floor(distance) + spare) > FAR,
    }


def _reason(flag: str, rows: Mapping[str, MetricRow]) -> str:
    match flag:
        case "memorised":
            return "it returns training samples"
        case "collapsed":
            return f"it has collapsed onto a few kinds of samples ({_recall(rows)})"
        case "disjoint":
            shares = (f"{name} {rows[name].value:.2g} where the data have {_floor(rows[name]):.2g}" for name in _PAIR)
            return f"its samples and the data hardly meet ({', '.join(shares)})"
        case "exposed":
            return f"a classifier tells its samples from real ones nearly always (AUC {rows['c2st_auc'].value:.2f})"
        case _:
            return f"it is far from the data ({_distance(rows)})"


_PAIR = ("precision", "coverage")


def _doubts(rows: Mapping[str, MetricRow]) -> list[str]:
    area = rows["c2st_auc"].value
    found = [f"it lacks variety ({_recall(rows)})"] if _of_floor(rows["recall"]) < POOR else []
    if _of_floor(rows["precision"]) < POOR:
        precision = rows["precision"]
        found.append(f"many samples lie off the data (precision {precision.value:.2f} of {_floor(precision):.2f})")
    if area > TOLD_APART:
        found.append(f"a classifier tells its samples from real ones (AUC {area:.2f})")
    return found


def _closeness(rows: Mapping[str, MetricRow]) -> str:
    name = distance_name(rows)
    if _of_floor(rows[name]) <= NEAR[name] and not _doubts(rows):
        return f"about as close to the held-out samples as training samples are: {_distance(rows)}"
    return f"near the data ({_distance(rows)})"


def _too_few(rows: Mapping[str, MetricRow], needed: int) -> str:
    distance = rows[distance_name(rows)]
    spread = 100 * (distance.floor_spread or 0.0) / (_floor(distance) or 1.0)
    return (
        f"Too few samples to judge: {_fewest(rows)} a side, where about {needed} would tell; the floor of "
        f"{_in_sentence(distance_name(rows))} itself varies by {spread:.0f} % from one draw of the data to the next "
        f"({_distance(rows)}). Hold out more with {parameter('heldout')}, or name more data with "
        f"{parameter('against')}."
    )


def _listed(reasons: Sequence[str]) -> str:
    return "; ".join([*reasons[:-2], " and ".join(reasons[-2:])])


def _is_disjoint(row: MetricRow) -> bool:
    return _count(row) * _floor(row) >= HITS and _of_floor(row) < DISJOINT


def _is_exposed(row: MetricRow) -> bool:
    """Whether a classifier is hardly ever wrong, although it cannot separate training from held-out samples."""
    error = math.sqrt(2 * _count(row) + 1) / (math.sqrt(12) * _count(row))  # of a classifier that guesses
    return row.value > EXPOSED and _floor(row) < TOLD_APART and row.value - 0.5 > SURE * error


def _significant(row: MetricRow) -> bool:
    """Whether a share is below its floor by more than two binomial samples differ."""
    shared = (row.value + _floor(row)) / 2
    return _floor(row) - row.value > SURE * math.sqrt(2 * shared * (1 - shared) / _count(row))


def _fewest(rows: Mapping[str, MetricRow]) -> int:
    return min(_count(rows[name]) for name in (distance_name(rows), "recall", "c2st_auc"))


def _count(row: MetricRow) -> int:
    return min(row.generated, row.reference)


def _floor(row: MetricRow) -> float:
    assert row.floor is not None
    return row.floor


def _of_floor(row: MetricRow) -> float:
    return _ratio(row.value, _floor(row))


def _ratio(value: float, floor: float) -> float:
    if floor > 0:
        return value / floor
    return math.inf if value > 0 else 1.0


def _distance(rows: Mapping[str, MetricRow]) -> str:
    name = distance_name(rows)
    return f"{_in_sentence(name)} is {_of_floor(rows[name]):.3g} times its floor"


def _in_sentence(name: str) -> str:
    return f"{LABELS[name][0].lower()}{LABELS[name][1:]}"


def _recall(rows: Mapping[str, MetricRow]) -> str:
    return f"recall {rows['recall'].value:.2f} where the data have {_floor(rows['recall']):.2f}"
