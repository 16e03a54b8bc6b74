"""Walks through a latent space, drawn as animation and strips of samples."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from wassergan.plots import headed, save_animation, save_picture
from wassergan.sampling.sampler import Sampler
from wassergan.utils.rng import derived_rng

WALKS = 16  # side by side in the animation
STOPS = 4  # latents that each walk passes before it is back
FRAMES = 16  # from one stop to the next
MILLISECONDS = 60
STRIP_ROWS, STRIP_COLUMNS = 6, 9
FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)

Grid = Callable[[NDArray[Any], int | None], Image.Image]


def spherical_path(start: Tensor, end: Tensor, share: float) -> Tensor:
    """cos(πt/2) · start + sin(πt/2) · end, the way on which every point is as likely as the two ends.

    Of independent N(0, I) ends every point is N(0, I) itself, in any dimension; a straight line would pass latents
    too near the origin to be ever drawn. Between orthogonal ends, as they nearly are in high dimension, it is the
    spherical interpolation of Shoemake 1985.

    Args:
        start: latents, any shape.
        end: the same shape, drawn independently.
        share: t in [0, 1].
    """
    return math.cos(math.pi / 2 * share) * start + math.sin(math.pi / 2 * share) * end


def draw_walks(sampler: Sampler, grid: Grid, out: Path, *, seed: int) -> list[Path]:
    """Walks through the latent space, a strip from one latent to another, and latents drawn in and stretched.

    Args:
        sampler: to draw from.
        grid: of samples (n, ...) with so many columns, or a square one.
        out: folder for the files.
        seed: of the latents.
    """
    rng = derived_rng(seed, "walks")
    stops = torch.randn(STOPS, WALKS, sampler.latent_dim, generator=rng)
    # Every walk keeps to one condition.
    told = sampler.conditions.vectors(0, WALKS, seed=rng.initial_seed()) if sampler.conditions else None
    files = [out / name for name in ("interpolation.webp", "interpolation.png", "truncation.png")]
    save_animation(_frames(sampler, grid, stops, told), files[0], milliseconds=MILLISECONDS)
    shares = np.linspace(0, 1, STRIP_COLUMNS)
    start, end = stops[0, :STRIP_ROWS], stops[1, :STRIP_ROWS]
    between = [spherical_path(start, end, float(share)) for share in shares]
    save_picture(_strip(sampler, grid, between, told, [f"{share:.3g}" for share in shares]), files[1])
    stretched = [factor * start for factor in FACTORS]
    save_picture(_strip(sampler, grid, stretched, told, [f"{factor:.3g} z" for factor in FACTORS]), files[2])
    return files


def _frames(sampler: Sampler, grid: Grid, stops: Tensor, told: Tensor | None) -> list[Image.Image]:
    """All walks around their stops, back to the first."""
    legs = zip(stops, stops.roll(-1, dims=0), strict=True)
    latents = (spherical_path(start, end, frame / FRAMES) for start, end in legs for frame in range(FRAMES))
    return [grid(sampler.render(latent, told), None) for latent in latents]


def _strip(sampler: Sampler, grid: Grid, columns: list[Tensor], told: Tensor | None, labels: list[str]) -> Image.Image:
    """One column per entry, one row per latent and its condition."""
    cells = torch.stack(columns, dim=1).flatten(0, 1)
    context = None if told is None else told[: len(columns[0])].repeat_interleave(len(columns), dim=0)
    return headed(grid(sampler.render(cells, context), len(columns)), labels)
