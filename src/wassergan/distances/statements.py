"""What the bounds of an interval mean, in words."""

from wassergan.distances.arguments import ASYMPTOTIC, FINITE_SAMPLE
from wassergan.distances.population import RESTS_ON
from wassergan.distances.support import Support

_SAMPLES = "How far apart are these two samples?"
_DISTRIBUTIONS = "How far apart are the distributions that the samples were drawn from?"


def words_of_samples() -> tuple[str, str, str, str, str]:
    """Question, meaning of lower, upper and estimate, and assumptions, of two samples."""
    return (
        _SAMPLES,
        "no coupling of the two samples costs less; certain",
        "a coupling of the two samples costs this much, so their distance is at most this; certain",
        "the middle of the interval",
        "the samples as they are, rounding included; nothing is left to chance",
    )


def words_of_distributions(confidence: float, support: Support | None, method: str) -> tuple[str, str, str, str, str]:
    """The same, of the distributions behind them."""
    how = "at any sample size" if method == FINITE_SAMPLE else "only as the sample size grows, for finite variances"
    upper = (
        "the distance of the samples is at most this; on average over draws it is above that of the distributions, in "
        "high dimension far above, so this is no confidence bound: none exists without an assumption, such as a "
        "diameter, bounds or a moment"
    )
    if support is not None:
        upper = (
            f"the distributions' distance is at most this with confidence {confidence:g}, at any sample size, if the "
            f"following is right: {support.words}; lower and upper bound hold together with twice the risk of one"
        )
    both = "" if support is None or support.moment or method == ASYMPTOTIC else ", and the lower one too"
    return (
        _DISTRIBUTIONS,
        f"the distance of the distributions is at least this with confidence {confidence:g}, {how}",
        upper,
        "the distance of the samples, biased upwards as an estimate for the distributions",
        RESTS_ON[method] + ("" if support is None else f"; the upper bound{both}, on {support.words}"),
    )
