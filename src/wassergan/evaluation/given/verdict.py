"""What draws given conditions add to a verdict: whether conditions are used, and whether the draws are calibrated."""

from collections.abc import Callable

from wassergan.evaluation.given.judge import GivenResult
from wassergan.evaluation.verdict import DOUBTFUL, FAILED, GOOD, SURE, UNDECIDED, Verdict

IGNORED = 1.05  # times its own CRPS under shuffled conditions, below which conditions are as good as ignored
POINT = 0.1  # of the error: draws with less spread are one forecast
DISPERSION = (0.6, 1.5)  # of the ranks' variance, beyond which draws are far too wide or too narrow
SLIGHT = (0.87, 1.15)  # within which they are neither
CENTRE, SLIGHTLY_OFF = 0.12, 0.03  # of the mean rank from the middle
EVEN = 0.6  # of the ranks in their band of 95 %, below which the histogram is not even whatever its mean and variance
WHY = {
    "ignored": "its draws are no better under their own condition than under another one: conditions are ignored",
    "deterministic": "its draws under a condition hardly differ: they are one forecast, not a distribution",
    "narrow": "its draws are too narrow: the truth is often outside of all of them",
    "wide": "its draws are too wide: the truth is hardly ever among the outer ones",
    "biased": "its draws are biased: the truth is mostly {side} them",
    "uneven": "its draws are neither too narrow nor too wide by much, but only {within:.0%} of the ranks are within "
    "their band: probabilities that are read off them are not exact",
}


def faults_of(result: GivenResult) -> tuple[list[str], list[str]]:
    """What is wrong with the draws, and what is doubtful, of the names in `WHY`.

    Conditions are ignored where shuffled ones are not worse, by more than chance and by a twentieth. Too narrow, wide
    or biased are draws whose rank histogram differs from a uniform one by more than chance, and by some margin. Where
    none of these is found, and most of the ranks are out of their band all the same, the histogram is uneven.
    """
    ranks, wrong, doubtful = result.ranks, list[str](), list[str]()
    if not (result.shuffled_ratio > IGNORED and result.shuffled_excess > SURE):
        wrong.append("ignored")
    if result.spread_over_error < POINT:
        wrong.append("deterministic")
    elif ranks.spread > ranks.spread_band[1] and ranks.spread > SLIGHT[1]:
        (wrong if ranks.spread > DISPERSION[1] else doubtful).append("narrow")
    elif ranks.spread < ranks.spread_band[0] and ranks.spread < SLIGHT[0]:
        (wrong if ranks.spread < DISPERSION[0] else doubtful).append("wide")
    off = abs(ranks.centre - 0.5)
    if not ranks.centre_band[0] <= ranks.centre <= ranks.centre_band[1] and off > SLIGHTLY_OFF:
        (wrong if off > CENTRE else doubtful).append("biased")
    if not wrong and not doubtful and ranks.within < EVEN:
        doubtful.append("uneven")
    return wrong, doubtful


def with_conditions(judged: Verdict, result: GivenResult) -> Verdict:
    """The same with what was found of the draws under each condition."""
    wrong, doubtful = faults_of(result)
    told = [f"Given the condition, the CRPS is {result.crps:.3g}{_beside(result)}."]
    if "ignored" not in wrong:
        told.append(f"Conditions are used: shuffled ones make it {result.shuffled_ratio:.3g} times as large.")
    if wrong:
        told.append(f"The generator fails: {'; '.join(map(_reason(result), wrong))}.")
    if doubtful:
        told.append(f"Somewhat wrong: {'; '.join(map(_reason(result), doubtful))}.")
    if not wrong and not doubtful:
        told.append(f"Its draws are calibrated: {result.ranks.within:.0%} of the ranks are within their band.")
    level = judged.level
    if wrong:
        level = FAILED
    elif doubtful and level in (GOOD, UNDECIDED):
        level = DOUBTFUL
    return Verdict(" ".join([judged.sentence, *told]), (*judged.flags, *wrong), level)


def _beside(result: GivenResult) -> str:
    ratio = result.over_interpolation
    return "" if ratio is None else f", {ratio:.2f} of the absolute error of bilinear interpolation"


def _reason(result: GivenResult) -> Callable[[str], str]:
    side = "above" if result.ranks.centre > 0.5 else "below"
    return lambda name: WHY[name].format(side=side, within=result.ranks.within)
