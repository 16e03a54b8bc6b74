"""What is known of the supports of two distributions, and how far their W1 may lie above that of samples.

E W1(P_n, Q_m) ≥ W1(P, Q) by convexity, so an upper bound needs no bound on E W1(P_n, P), which multiscale partitions
give: it needs the concentration of W1(P_n, Q_m) alone, and for that a bounded set. Without an assumption there is no
upper bound: a mass below 1/n, which most samples do not meet, may lie at any distance.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wassergan.distances.arguments import check_number, check_positive, shown
from wassergan.distances.arrays import Array
from wassergan.distances.checks import as_tensor, check_finite
from wassergan.distances.orders import keyed, shuffled
from wassergan.distances.population import upper_margin
from wassergan.errors import UserError

LEAST_POINTS, MOST_HELD_OUT = 64, 16  # of a side
_BALL_RISK = 0.2  # the part of the risk of the bound with a ball
_RADII = (1.0, 1.5, 3.0)  # of that ball, over the distance that the held-out points span


@dataclass(frozen=True)
class Moment:
    """E ‖X - centre‖^order ≤ bound, of both distributions.

    Attributes:
        order: above 1.
        bound: positive, in the unit of the data to this power.
        centre: of each coordinate, or one number for all.
    """

    order: float
    bound: float
    centre: float | tuple[float, ...] = 0.0


@dataclass(frozen=True)
class Support:
    """An assumption on two distributions.

    Attributes:
        diameter: no two points of either are further apart; infinite if nothing is known.
        moment: of both; None if the diameter is known.
        words: the assumption.
    """

    diameter: float
    moment: Moment | None
    words: str

    def cap(self) -> float:
        """W1 is at most this."""
        return self.diameter if self.moment is None else math.inf

    def margin(self, x: Tensor, y: Tensor, *, confidence: float, rng: torch.Generator) -> float:
        """How far W1 of these samples may fall below that of the distributions, but with probability 1 - confidence."""
        log_risk = -math.log1p(-confidence)
        n, m = len(x), len(y)
        if self.moment is not None:
            return _moment_margin(n, m, self.moment, log_risk)
        if min(n, m) < LEAST_POINTS:
            return upper_margin(n, m, diameter=self.diameter, confidence=confidence)
        plain = self.diameter * _concentration(n, m, log_risk - math.log1p(-_BALL_RISK))
        return min(plain, _ball_margin(x, y, self.diameter, log_risk - math.log(_BALL_RISK), rng))


def get_support(
    x: Tensor, y: Tensor, diameter: float | None, bounds: Any, moment: "Moment | tuple[Any, ...] | None"
) -> Support | None:
    """The assumption that is given, checked against the samples; None if there is none.

    Raises:
        UserError: more than one, one out of range, or one that the samples refute.
    """
    if sum(each is not None for each in (diameter, bounds, moment)) > 1:
        raise UserError("One assumption is enough", found="several of diameter, bounds and moment")
    if moment is not None:
        checked = _checked(moment, x.shape[1])
        return Support(math.inf, checked, f"the given moment of order {checked.order:g} of both distributions")
    if bounds is not None:
        return Support(_diagonal(bounds, x, y), None, "the given bounds of each coordinate")
    return None if diameter is None else Support(diameter, None, "the given diameter")


def refuse_assumptions(**given: Any) -> None:
    """Raise if an assumption on distributions is given, where the distance of samples is asked for."""
    for name, value in given.items():
        if value is not None:
            hint = "pass population=True"
            raise UserError(f"A {name.removesuffix('s')} serves only bounds on the distributions", hint=hint)


def _concentration(n: int, m: int, log_risk: float) -> float:
    """McDiarmid 1989: replacing one of n points moves W1 by at most the diameter over n."""
    return math.sqrt(log_risk * (1 / n + 1 / m) / 2)


def _moment_margin(n: int, m: int, moment: Moment, log_risk: float) -> float:
    """Points beyond a radius r are moved to the ball of that radius: this moves W1 by at most M κ r^(1 - q) a side.

    κ = (q - 1)^(q - 1) / q^q is the largest (t - 1) / t^q. The radius is the best one and depends on no sample.
    """
    q = moment.order
    chance = _concentration(n, m, log_risk)
    # In units of M^(1/q), so that nothing overflows.
    kappa = math.exp((q - 1) * math.log(q - 1) - q * math.log(q))
    radius = (kappa * (q - 1) / chance) ** (1 / q)
    return float(moment.bound ** (1 / q) * 2 * (radius * chance + kappa * radius ** (1 - q)))


def _ball_margin(x: Tensor, y: Tensor, diameter: float, log_risk: float, rng: torch.Generator) -> float:
    """The margin for distributions that fill little of their diameter.

    Some points choose a ball. With every point beyond it moved to it, W1 concentrates as in the ball's diameter 2 r,
    and does not grow. Moving costs the mean excess of each distribution, whose upper bound comes from the other points
    (Hoeffding 1963, with relative entropy). The chosen points stay in the samples; they are h of n, which moves the
    mean of W1 by at most 2 r h / n.
    """
    order = keyed(rng, x, y)
    x, y = shuffled(x, order), shuffled(y, order)
    n, m = len(x), len(y)
    h = min(MOST_HELD_OUT, n // 16, m // 16)
    chosen = torch.cat([x[:h], y[:h]])
    centre = chosen.median(0).values
    spans = (chosen - centre).norm(dim=1)
    lengths = [(side[h:] - centre).norm(dim=1) for side in (x, y)]
    each_risk = log_risk + math.log(len(_RADII))
    found = []
    for factor in _RADII:
        radius = factor * float(spans.max())
        reach = max(diameter + float(spans.min()) - radius, 0.0)  # no excess is larger
        chance = math.sqrt((each_risk + math.log(2)) * ((n - h) / n**2 + (m - h) / m**2) / 2)
        margin = 2 * radius * (chance + h / n + h / m)
        for own in lengths:
            excess = float((own - radius).clamp_min(0).mean())
            share = min(1.0, excess / reach) if reach > 0 else 0.0
            margin += reach * largest_mean(share, len(own), each_risk + math.log(4))
        found.append(margin * (1 + 1e-12))
    return min(found)


def largest_mean(mean: float, count: int, log_risk: float) -> float:
    """An upper confidence bound on the mean of numbers in [0, 1]: the largest μ with count · KL(mean, μ) ≤ log_risk.

    Args:
        mean: of `count` independent numbers.
        count: their number.
        log_risk: log of one over the probability that the bound fails.
    """
    if mean >= 1:
        return 1.0
    if mean <= 0:
        return -math.expm1(-log_risk / count)

    def divergence(other: float) -> float:
        return mean * math.log(mean / other) + (1 - mean) * math.log((1 - mean) / (1 - other))

    low, high = mean, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if middle >= 1 or count * divergence(middle) > log_risk:
            high = middle
        else:
            low = middle
    return high


def _checked(moment: Any, dim: int) -> Moment:
    if isinstance(moment, tuple | list) and len(moment) in (2, 3):
        moment = Moment(*moment)
    if not isinstance(moment, Moment):
        raise UserError("A moment is a pair of order and bound", found=shown(moment), hint="give moment=(2, 1.5)")
    order = check_number(moment.order, name="The order of a moment")
    if not (math.isfinite(order) and order > 1):
        raise UserError("The order of a moment must be above 1", found=shown(moment.order))
    # The centre names the point; no sample is compared with it.
    _side(moment.centre, dim, "moment's centre")
    return Moment(order, check_positive(moment.bound, name="The bound of a moment"), moment.centre)


def _diagonal(bounds: Any, x: Tensor, y: Tensor) -> float:
    """The diagonal of the box, which must hold every point."""
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise UserError("bounds must be a pair: the smallest and the largest value", found=shown(bounds))
    low, high = (_side(each, x.shape[1], name) for each, name in zip(bounds, ("low", "high"), strict=True))
    if not (low <= high).all():
        raise UserError("The low bounds must not lie above the high ones", found=shown(bounds))
    for name, side in (("x", x), ("y", y)):
        outside = ((side < low) | (side > high)).nonzero()
        if len(outside):
            row, column = (int(k) for k in outside[0])
            found = f"{side[row, column].item():g} in row {row}, column {column} of {name}"
            raise UserError("A point lies outside of the bounds", found=found, hint="give bounds that always hold")
    diagonal = float((high - low).norm()) * (1 + 1e-12)
    if not math.isfinite(diagonal):
        raise UserError("The bounds are too far apart", found=shown(bounds))
    return diagonal


def _side(bound: Array | float, dim: int, name: str) -> Tensor:
    values = as_tensor(bound if hasattr(bound, "__len__") or hasattr(bound, "__array__") else [bound], name=name)
    values = values.detach().cpu().double().flatten()
    check_finite(values, name=name)
    if len(values) not in (1, dim):
        raise UserError(f"The {name} bounds must be one number or one a coordinate", found=f"{len(values)} for {dim}")
    return values.expand(dim)
