"""Pairs by name: the 28 standard funnels, and other distributions."""

from collections.abc import Callable

import torch

from wassergan.benchmark.w1.distributions import Balls, Gaussians, LineNormals, Shells, Squares, Translation, cones
from wassergan.benchmark.w1.min_funnels import STANDARD_PAIRS, standard_pair
from wassergan.benchmark.w1.pair import Pair
from wassergan.errors import unknown_name


def _funnels(dim: int, count: int) -> Callable[[], Pair]:
    return lambda: standard_pair(dim, count)


def _gaussians(dim: int) -> Callable[[], Pair]:
    """Means at distance 1; a covariance with standard deviations from 0.2 to 2 along random axes."""

    def make() -> Pair:
        rng = torch.Generator().manual_seed(dim)
        axes, _ = torch.linalg.qr(torch.randn(dim, dim, generator=rng, dtype=torch.float64))
        drift = torch.nn.functional.normalize(torch.randn(dim, generator=rng, dtype=torch.float64), dim=0)
        scales = torch.logspace(-0.7, 0.3, dim, dtype=torch.float64)
        return Gaussians(drift, torch.zeros(dim), axes * scales)

    return make


def _balls(dim: int) -> Callable[[], Pair]:
    """Balls of radius ½, 1 and 3/2 about corners at distance 3 from the middle, with weights 1 : 2 : 3."""

    def make() -> Pair:
        corners = 3 * torch.eye(dim, dtype=torch.float64)[:3]
        weights = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64) / 6
        return Balls(corners, torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64), weights)

    return make


PAIRS: dict[str, Callable[[], Pair]] = {
    **{f"funnels-{dim}-{count}": _funnels(dim, count) for dim, count in STANDARD_PAIRS},
    **{f"gaussians-{dim}": _gaussians(dim) for dim in (2, 16, 128)},
    **{f"balls-{dim}-3": _balls(dim) for dim in (3, 16, 64)},
    "cones": cones,
    "shells-128-1": lambda: Shells(torch.zeros(1, 128)),
    "squares-64-35": Squares,
    "translation-16": lambda: Translation(torch.full((16,), 0.25)),
    "line-normals": lambda: LineNormals(0.0, 2.0, 0.5, 1.0),
}
GROUPS: dict[str, tuple[str, ...]] = {
    "all": tuple(PAIRS),
    "funnels": tuple(name for name in PAIRS if name.startswith("funnels")),
    "other": tuple(name for name in PAIRS if not name.startswith("funnels")),
    "quick": ("funnels-2-4", "funnels-16-16", "cones"),
}


def pair_names(text: str) -> tuple[str, ...]:
    """Names of `all`, `funnels`, `other`, `quick`, or of a list such as `funnels-16-16,cones`.

    Raises:
        UserError: a name that is neither a pair nor a group.
    """
    names: list[str] = []
    for part in text.split(","):
        name = part.strip()
        if name not in GROUPS and name not in PAIRS:
            raise unknown_name("pair", name, (*GROUPS, *PAIRS))
        names.extend(GROUPS.get(name, (name,)))
    return tuple(dict.fromkeys(names))
