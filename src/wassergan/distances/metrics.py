"""Ground metrics of transport: how far apart two points are."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wassergan.distances.arguments import shown
from wassergan.errors import UserError, unknown_name

EARTH_RADIUS_KM = 6371.0088  # mean radius, IUGG
METRICS = ("euclidean", "cityblock", "cosine", "haversine", "circle")
_ALSO = {"l2": "euclidean", "l1": "cityblock", "manhattan": "cityblock"}
_EPS = float(np.finfo(np.float64).eps)
_BLOCK = 2**22  # coordinates of differences held at once


@dataclass(frozen=True)
class Metric:
    """A metric on rows of coordinates.

    Attributes:
        name: of the metric.
        prepare: from the caller's points (n, d) to the coordinates that `between` takes.
        between: distances (...) of prepared points (..., k), elementwise.
        embed: from prepared points to points of a Euclidean space.
        from_chord: a convex increasing function that bounds the metric from below by the distance in that space.
        error: largest rounding error of a distance between two clouds of prepared points.
    """

    name: str
    prepare: Callable[[Tensor, str], Tensor]
    between: Callable[[Tensor, Tensor], Tensor]
    embed: Callable[[Tensor], Tensor]
    from_chord: Callable[[float], float]
    error: Callable[[Tensor, Tensor], float]

    def matrix(self, x: Tensor, y: Tensor) -> Tensor:
        """All distances (n, m) of prepared points."""
        step = max(1, _BLOCK // (len(y) * y.shape[1]))
        return torch.cat([self.between(x[start : start + step, None], y) for start in range(0, len(x), step)])


def get_metric(name: object, period: float) -> Metric:
    """The metric of a name.

    Raises:
        UserError: an unknown name.
    """
    if not isinstance(name, str):
        raise UserError("metric must be a name or a matrix of costs", found=shown(name), hint=", ".join(METRICS))
    known = _ALSO.get(name.lower(), name.lower())
    if known not in METRICS:
        raise unknown_name("metric", name, (*METRICS, *_ALSO))
    if known == "euclidean":
        return Metric(known, _as_given, lambda x, y: (x - y).norm(dim=-1), _itself, float, _of_sums)
    if known == "cityblock":
        return Metric(known, _as_given, lambda x, y: (x - y).abs().sum(-1), _itself, float, _of_sums)
    if known == "cosine":
        return Metric(known, _unit, _half_square, _itself, lambda chord: chord * chord / 2, lambda x, y: 16 * _EPS)
    if known == "haversine":
        return Metric(known, _on_globe, _great_circle, _scaled(EARTH_RADIUS_KM), _arc(EARTH_RADIUS_KM), _of_earth)
    radius = period / (2 * math.pi)
    return Metric(known, _one_angle, _around(period), _on_circle(radius), _arc(radius), _of_angles(period))


def _itself(points: Tensor) -> Tensor:
    return points


def _as_given(points: Tensor, name: str) -> Tensor:
    return points


def _of_sums(x: Tensor, y: Tensor) -> float:
    low, high = torch.minimum(x.amin(0), y.amin(0)), torch.maximum(x.amax(0), y.amax(0))
    return (x.shape[1] + 4) * _EPS * float((high - low).sum())


def _unit(points: Tensor, name: str) -> Tensor:
    largest = points.abs().amax(1, keepdim=True)
    if not (largest > 0).all():
        row = int((largest[:, 0] == 0).nonzero()[0])
        raise UserError(f"The cosine of a zero row of {name} is undefined", found=f"row {row}", hint="leave it out")
    scaled = points / largest
    units: Tensor = scaled / scaled.norm(dim=1, keepdim=True)
    return units


def _half_square(x: Tensor, y: Tensor) -> Tensor:
    """1 - cos of unit vectors, without cancellation."""
    return (x - y).square().sum(-1) / 2


def _on_globe(points: Tensor, name: str) -> Tensor:
    if points.shape[1] != 2:
        found = f"{points.shape[1]} columns in {name}"
        raise UserError("The haversine metric takes latitude and longitude in degrees", found=found)
    for column, limit, what in ((0, 90.0, "latitude"), (1, 360.0, "longitude")):
        outside = (points[:, column].abs() > limit).nonzero()
        if len(outside):
            row = int(outside[0])
            found = f"{points[row, column].item():g} in row {row} of {name}"
            raise UserError(f"A {what} lies within ±{limit:g} degrees", found=found, hint="give latitude, longitude")
    latitude, longitude = torch.deg2rad(points).unbind(1)
    across = latitude.cos()
    return torch.stack([across * longitude.cos(), across * longitude.sin(), latitude.sin()], dim=1)


def _great_circle(x: Tensor, y: Tensor) -> Tensor:
    """By half the angle between unit vectors (Kahan): accurate for near and for opposite points."""
    return 2 * EARTH_RADIUS_KM * torch.atan2((x - y).norm(dim=-1), (x + y).norm(dim=-1))


def _of_earth(x: Tensor, y: Tensor) -> float:
    return 64 * _EPS * EARTH_RADIUS_KM


def _scaled(radius: float) -> Callable[[Tensor], Tensor]:
    return lambda points: points * radius


def _arc(radius: float) -> Callable[[float], float]:
    """The arc over a chord, a convex function of it."""
    return lambda chord: 2 * radius * math.asin(min(1.0, chord / (2 * radius)))


def _one_angle(points: Tensor, name: str) -> Tensor:
    if points.shape[1] != 1:
        raise UserError("A circle has one coordinate", found=f"{points.shape[1]} columns in {name}")
    return points


def _around(period: float) -> Callable[[Tensor, Tensor], Tensor]:
    def between(x: Tensor, y: Tensor) -> Tensor:
        ahead = torch.remainder(x - y, period)[..., 0]
        return torch.minimum(ahead, period - ahead)

    return between


def _on_circle(radius: float) -> Callable[[Tensor], Tensor]:
    def embed(points: Tensor) -> Tensor:
        angles = points[:, 0] / radius
        return radius * torch.stack([angles.cos(), angles.sin()], dim=1)

    return embed


def _of_angles(period: float) -> Callable[[Tensor, Tensor], float]:
    return lambda x, y: 8 * _EPS * (float(x.abs().max()) + float(y.abs().max()) + period)
