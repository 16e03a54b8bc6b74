"""Vectors: rows of numbers that all have the same type."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wassergan.data import Codec, Source
from wassergan.errors import UserError, flag, worded
from wassergan.modality.missing import without_missing
from wassergan.modality.modality import Rows
from wassergan.modality.numbers import Numbers
from wassergan.sampling.sampler import Sampler


class Vectors(Numbers):
    """Points, measurements, embeddings."""

    name = "vector"
    axes = 1
    preview_count = 2000
    is_figure = True
    has_neighbours = False

    def prepare_folder(self, path: Path) -> None:
        """Vectors have no pictures."""
        raise UserError(
            "Vectors are no pictures",
            hint=worded(
                command_line=f"give {flag('out')} a name that ends in .npy or .png",
                python="name a file that ends in .npy or .png",
            ),
        )

    def save_picture(
        self, samples: Rows, path: Path, codec: Codec, *, real: Rows | None = None, columns: int | None = None
    ) -> None:
        """A plot of some features, beside real rows."""
        from wassergan.plots import save_figure, vector_figure

        drawn, held = vector_rows(samples, codec), None if real is None else vector_rows(real, codec)
        save_figure(vector_figure(drawn, held, names=codec.named(drawn.shape[1])), path)

    def visualize(self, sampler: Sampler, source: Source | None, out: Path, *, count: int, seed: int) -> list[Path]:
        """Marginals, and pairs of features, beside those of held-out rows."""
        from wassergan.plots import marginals_figure, pairs_figure, save_figure

        codec = self.own(sampler.codec)
        generated = vector_rows(sampler.draw(count, seed=seed), codec)
        held_out = None if source is None else vector_rows(self.heldout_samples(source, count), codec)
        names = codec.named(generated.shape[1])
        save_figure(marginals_figure(generated, held_out, names=names), out / "marginals.png")
        if len(names) == 1:
            return [out / "marginals.png"]
        save_figure(pairs_figure(generated, held_out, names=names), out / "pairs.png")
        return [out / "marginals.png", out / "pairs.png"]


def vector_rows(samples: Rows, codec: Codec) -> NDArray[np.float64]:
    """Vectors as rows (n, D), with NaN where a value is missing."""
    return without_missing(samples, codec).reshape(len(samples), -1)
