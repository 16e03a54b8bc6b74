"""What every distance asks of its input: clouds of points and weights, checked and brought to tensors."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wassergan.errors import UserError

Array = Tensor | npt.NDArray[Any]


def _sum_tolerance(dtype: torch.dtype) -> float:
    """How far from one a sum of weights may be by rounding; half precisions hold two digits."""
    return max(1e-6, 4 * torch.finfo(dtype).eps)


def as_tensor(array: Array, *, name: str) -> Tensor:
    """The tensor that shares memory with `array`, floating; integers and booleans become float64."""
    if isinstance(array, np.ndarray):
        if array.dtype.kind not in "fiub":
            raise UserError(f"{name} must hold numbers", found=f"dtype {array.dtype}")
        with warnings.catch_warnings():
            # A read-only memory map is welcome: nothing in this package writes to its input.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
            array = torch.from_numpy(np.asarray(array))
    if not isinstance(array, Tensor):
        raise UserError(f"{name} must be a NumPy array or a torch tensor", found=type(array).__name__)
    if array.is_complex():
        raise UserError(f"{name} must hold real numbers", found=str(array.dtype))
    return array if array.is_floating_point() else array.double()


def check_finite(values: Tensor, *, name: str) -> None:
    """Raise, with the place of the first offender, unless every value is finite."""
    # Extremes hand NaN on, and finding them is ten times as fast as looking at every value.
    if values.numel() and not torch.isfinite(torch.stack(values.detach().aminmax())).all():
        where = tuple(int(i) for i in (~torch.isfinite(values)).nonzero()[0])
        raise UserError(f"{name} must be finite", found=f"{values[where].item()} at {list(where)}")


def as_points(array: Array, *, name: str) -> Tensor:
    """A cloud of points, shape (n, d) with n ≥ 1 and d ≥ 1, every value finite."""
    points = as_tensor(array, name=name)
    if points.ndim != 2:
        raise UserError(f"{name} must have shape (points, dimensions)", found=f"shape {tuple(points.shape)}")
    if points.shape[0] == 0:
        raise UserError(f"{name} must hold at least one point", found="an empty sample")
    if points.shape[1] == 0:
        raise UserError(f"{name} must have at least one dimension", found=f"shape {tuple(points.shape)}")
    check_finite(points, name=name)
    return points


def same_dimension(x: Tensor, y: Tensor) -> None:
    """Raise unless both clouds live in one space and on one device."""
    if x.shape[-1] != y.shape[-1]:
        raise UserError("x and y must have the same dimension", found=f"{x.shape[-1]} and {y.shape[-1]} columns")
    if x.device != y.device:
        raise UserError("x and y must be on the same device", found=f"{x.device} and {y.device}")


def as_weights(array: Array | None, count: int, *, like: Tensor, name: str, normalize: bool) -> Tensor:
    """Weights of `count` points in float64 on the device of `like`, shape (count,), summing to one.

    Args:
        array: the weights, or None for equal ones.
        count: how many points they belong to.
        like: the cloud, for its device.
        name: what to call the weights in an error.
        normalize: divide by the sum; without it a sum that is not one is refused.
    """
    if array is None:
        return torch.full((count,), 1.0 / count, dtype=torch.float64, device=like.device)
    weights = as_tensor(array, name=name).to(like.device)
    if weights.shape != (count,):
        raise UserError(f"{name} must have shape ({count},)", found=f"shape {tuple(weights.shape)}")
    return as_law(weights, name=name, normalize=normalize)


def as_law(weights: Tensor, *, name: str, normalize: bool) -> Tensor:
    """Probabilities along the last axis in float64: finite, not negative, not all zero, with sum one.

    A sum within rounding of one is divided out, so that two laws carry exactly the same mass.
    """
    tolerance = _sum_tolerance(weights.dtype)
    check_finite(weights, name=name)
    weights = weights.double()
    if (weights < 0).any():
        where = tuple(int(i) for i in (weights < 0).nonzero()[0])
        raise UserError(f"{name} must not be negative", found=f"{weights[where].item()} at {list(where)}")
    total = weights.sum(-1, keepdim=True)
    if (total == 0).any():
        raise UserError(f"{name} must not all be zero", mend="give at least one point a positive weight")
    if not torch.isfinite(total).all():
        raise UserError(f"{name} must have a finite sum", found="an overflow", mend="divide by the largest")
    if not normalize and (total - 1).abs().max() > tolerance:
        worst = total.flatten()[(total - 1).abs().argmax()].item()
        raise UserError(f"{name} must sum to one", found=f"a sum of {worst:.9g}", mend="pass normalize=True")
    return weights / total
