"""How far phases of generated volumes reach: filters of raw numbers by which two-point curves become those of the data.

Along each axis a symmetric kernel adds to a raw number what lies up to 16 voxels to both sides of it; at a border it is
mirrored. With a pull of each sample's mean, kernels are found by Gauss-Newton steps, phases being as frequent as they
should after each: residuals are those of the phases as they are drawn, derivatives those of their smooth shares, by
differences.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wassergan.sampling.thresholds import shifts_for
from wassergan.training import products_along

ROUNDS, HALVINGS, SLIGHT = 6, 3, 0.2  # steps, of which each may be halved; a gain after which there is no other
ENOUGH = 0.002  # relative error that needs no step
DAMPING = 1e-3  # of the largest curvature, added to all
STEP = 0.02  # of the differences
SPREAD = 8.0  # of raw numbers, to which they are scaled first: smooth shares follow thresholds as closely in any unit
ROUNDING = 1e-5  # of the largest raw number: what differs by less does not differ
SMOOTH, LOOKED_AT = 2**21, 2**21  # numbers that derivatives are found by, and shares
TOGETHER = 2**20
RARE, SMALLEST = 0.2, 1e-6  # of a curve: what is rarer is not held to a smaller relative error
VARIANCE = 0.3  # what the variance of shares counts, beside an error of a curve
LEAST_VARIANCE = 0.01  # of that of single voxels: what errors of it are relative to at least, for it may be 0


@dataclass(frozen=True)
class Aim:
    """What phases of a channel are to be like.

    Args:
        shares: how frequent the phases are.
        curves: of each phase and axis, how likely two voxels at a lag both belong to it, lag 0 first; empty: as it is.
        variance: of the shares from sample to sample, over all phases in sum; None leaves it.
        fixed: 1 where every sample has a phase, (phases, D, H, W); all of this counts such voxels. None for none.
    """

    shares: Sequence[float]
    curves: Sequence[Sequence[Sequence[float]]] = ()
    variance: float | None = None
    fixed: Tensor | None = None

    def varying(self, voxels: int) -> Tensor:
        """The places (k,) of a flat sample that differ from one to another, or all if none does."""
        free = torch.arange(voxels) if self.fixed is None else (self.fixed.sum(0).flatten() == 0).nonzero()[:, 0]
        return free if len(free) else torch.arange(voxels)

    def of_varying(self, voxels: int) -> "Aim":
        """What the places that differ are to be like."""
        part = len(self.varying(voxels)) / voxels
        if self.fixed is None or part == 1:
            return self
        left = torch.tensor(self.shares).double() - self.fixed.flatten(1).mean(1).double()
        left = left.clamp(min=0)
        shares = (left / left.sum().clamp(min=SMALLEST)).tolist()
        return Aim(shares, variance=None if self.variance is None else self.variance / part**2)


def filters_for(values: Tensor, aim: Aim) -> tuple[Tensor, ...]:
    """The matrices (planes, side, side) of each axis that lead the raw numbers of a channel to its aim.

    Args:
        values: raw numbers of draws, (n, planes, D, H, W).
        aim: what the phases are to be like.
    """
    spread = _spread(values)
    search = _Search(values * (SPREAD / spread) if spread else values, aim)
    found = torch.zeros(search.count)
    error = search.error(found)
    if len(values) < 2 or not search.count or not spread or float(error.square().mean()) < ENOUGH**2:
        return search.matrices(found)
    derivatives = search.derivatives()
    if not derivatives.any():  # sides of one voxel
        return search.matrices(found)
    for _ in range(ROUNDS):
        step = _step(derivatives, error, found)
        for _ in range(HALVINGS):
            moved = search.error(found + step)
            gain = 1 - float(moved.square().sum()) / float(error.square().sum())
            if gain > 0:
                break
            step = step / 2
        else:
            break
        found, error = found + step, moved
        if gain < SLIGHT or float(error.square().mean()) < ENOUGH**2:
            break
    return search.matrices(found)


def _spread(values: Tensor) -> float:
    """The deviation of raw numbers from the means of their planes; 0 if it is nothing but rounding."""
    centred = values - values.mean((0, 2, 3, 4), keepdim=True)
    found = float(torch.linalg.vector_norm(centred, dtype=torch.float64)) / centred.numel() ** 0.5
    return found if found > ROUNDING * float(values.abs().max()) else 0.0


def _step(derivatives: Tensor, error: Tensor, at: Tensor) -> Tensor:
    """A damped Gauss-Newton step, (k,)."""
    curvature = derivatives.T @ derivatives
    damping = DAMPING * curvature.diagonal().max()
    damped = curvature + damping * torch.eye(len(curvature), dtype=curvature.dtype)
    found: Tensor = torch.linalg.solve(damped, -(derivatives.T @ error) - damping * at.double())
    return found.float()


class _Search:
    """Errors of the curves of a channel, and their derivatives by kernels, plane by plane, and the pull."""

    def __init__(self, values: Tensor, aim: Aim) -> None:
        self._values, self._aim = values, aim
        self._sides, self._planes = values.shape[2:], values.shape[1]
        self._lags = [len(line) - 1 for line in aim.curves[0]]
        self._shifts = [_shifts(side, lag) for side, lag in zip(self._sides, self._lags, strict=True)]
        self._kernels = self._planes * sum(self._lags)
        self.count = self._kernels + (aim.variance is not None)  # a pull where there is one as it is drawn
        self._centres = values.mean((0, 2, 3, 4)).view(-1, 1, 1, 1)
        lines = [torch.tensor(line, dtype=torch.float64) for phase in aim.curves for line in phase]
        voxels = values[0, 0].numel()
        self._varying, self._shares = aim.varying(voxels), aim.of_varying(voxels).shares
        self._aimed, self._units = torch.cat(lines), torch.cat([_units(line) for line in lines])

    def matrices(self, at: Tensor) -> tuple[Tensor, ...]:
        """Of each axis, (planes, side, side)."""
        kernels = at[: self._kernels].view(self._planes, -1).split(self._lags, 1)
        return tuple(
            torch.einsum("pk,kij->pij", own, shifts) for own, shifts in zip(kernels, self._shifts, strict=True)
        )

    def error(self, at: Tensor) -> Tensor:
        """Relative errors of curves as they are drawn, and of the variance, (m,)."""
        return self._of(at, self._values, smooth=False)

    def derivatives(self) -> Tensor:
        """Of the errors at 0, (m, count)."""
        some = self._values[: max(2, SMOOTH // self._values[0].numel())]
        start = self._of(torch.zeros(self.count), some, smooth=True)
        each = [(self._of(step, some, smooth=True) - start) / STEP for step in STEP * torch.eye(self.count)]
        return torch.stack(each, 1)

    def _of(self, at: Tensor, values: Tensor, *, smooth: bool) -> Tensor:
        moved = self._moved(at, values)
        planes = moved.movedim(1, 0).flatten(2)
        planes = (planes if self._aim.fixed is None else planes[:, :, self._varying]).flatten(1)
        looked_at = LOOKED_AT // 128 if smooth else LOOKED_AT
        if planes.shape[1] > looked_at:  # at random places: those in step would lie in a few layers
            chosen = torch.Generator().manual_seed(0)
            planes = planes[:, torch.randint(planes.shape[1], (looked_at,), generator=chosen)]
        shift = shifts_for(planes, self._shares).view(-1, 1, 1, 1)
        sums, shares = torch.zeros_like(self._aimed), []
        for chunk in moved.split(max(1, TOGETHER // values[0].numel())):
            phases = _phases(chunk + shift, smooth=smooth)
            if self._aim.fixed is not None:
                phases = phases * (1 - self._aim.fixed.sum(0)) + self._aim.fixed
            sums += _curves(phases, self._lags).double().sum(0)
            shares.append(phases.mean((2, 3, 4)).double())
        errors = (sums / len(values) - self._aimed) / self._units
        if self._aim.variance is not None:
            single = sum(share * (1 - share) for share in self._aim.shares)
            unit = max(self._aim.variance, LEAST_VARIANCE * single, SMALLEST)
            varied = VARIANCE * (torch.cat(shares).var(0).sum() - self._aim.variance) / unit
            errors = torch.cat([errors, varied[None]])
        return errors

    def _moved(self, at: Tensor, values: Tensor) -> Tensor:
        """Raw numbers, filtered and pulled."""
        moved = values - at[self._kernels :].sum() * (values.mean((2, 3, 4), keepdim=True) - self._centres)
        for axis, own in enumerate(self.matrices(at), 2):
            if own.any():
                moved += (values.movedim(axis, -1) @ own.mT[:, None]).movedim(-1, axis)
        return moved


def _phases(values: Tensor, *, smooth: bool) -> Tensor:
    """(n, planes, ...) to what of each voxel belongs to each phase, (n, phases, ...): as drawn, or a smooth share."""
    if values.shape[1] == 1:
        second = torch.sigmoid(2 * values) if smooth else (values > 0).to(values.dtype)
        return torch.cat([1 - second, second], 1)
    if smooth:
        return values.softmax(1)
    return torch.zeros_like(values).scatter_(1, values.argmax(1, keepdim=True), 1)


def _curves(phases: Tensor, lags: Sequence[int]) -> Tensor:
    """Phases (n, phases, D, H, W) to two-point curves, phase by phase and axis by axis, (n, numbers)."""
    found: list[list[Tensor]] = [[] for _ in range(phases.shape[1])]
    for axis, most in enumerate(lags, 2):
        along = products_along(phases, axis, most)
        for phase, own in enumerate(found):
            own.append(along[:, phase])
    return torch.cat([each for own in found for each in own], 1)


def _units(curve: Tensor) -> Tensor:
    """What an error of a curve counts by: the curve, or some of what it is of a phase without structure."""
    return curve.clamp(min=RARE * float(curve[0]) ** 2 + SMALLEST)


def _shifts(side: int, lags: int) -> Tensor:
    """For each lag the mean of the voxels so far to both sides of one, less itself, (lags, side, side)."""
    found = torch.zeros(lags, side, side)
    place = torch.arange(side)
    for lag in range(1, lags + 1):
        for other in (place - lag, place + lag):
            mirrored = torch.where(other < 0, -other - 1, torch.where(other >= side, 2 * side - 1 - other, other))
            found[lag - 1, place, mirrored] += 0.5
    return found - torch.eye(side)
