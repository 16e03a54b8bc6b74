"""Generators that draw categories: one-hots that are hard forwards and soft backwards, and numeric channels."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from wassergan.networks.density_head import DensityHead
from wassergan.networks.heads import float32_products
from wassergan.networks.table_head import TableHead

ROWS = 1024  # are computed together where samples are drawn, whatever the number asked for


class TabularGenerator(nn.Module):
    """A generator whose head draws options: the last numbers of a latent vector are the head's noise.

    In evaluation mode rows are computed in chunks of a fixed size: matrix products of another size round differently,
    and rounding may change an option. A row then depends only on its own latent vector, to the last bit.

    Args:
        body: (n, latent_dim) to raw values (n, raw_width of the head).
        head: raw values and noise to rows.
    """

    patterns: Tensor

    def __init__(self, body: nn.Module, head: TableHead) -> None:
        super().__init__()
        self.body, self.head, self.kept = body, head, head.kept
        self.register_buffer("patterns", torch.zeros(0, 0), persistent=False)

    def stratify(self, patterns: Tensor) -> None:
        """From now on, calibrate rows by the stratum of their condition.

        Args:
            patterns: (strata, numbers of a condition), 1 where a condition of the stratum is positive; no row's
                conditions match two strata.
        """
        self.register_buffer("patterns", patterns.to(self.head.calibration.shift), persistent=False)
        self.head.calibration.stratify(len(patterns))

    def calibration_state(self) -> dict[str, Tensor]:
        """By what rows are calibrated, tensors by name: strata, shifts and bends."""
        return {"patterns": self.patterns.detach().cpu().clone(), **self.head.calibration.state()}

    def load_calibration(self, state: Mapping[str, Tensor]) -> None:
        """Draw rows as after the calibration whose `calibration_state` this is.

        Raises:
            KeyError, ValueError: it is of another generator, or holds what no calibration does.
        """
        patterns, rest = state["patterns"], {name: each for name, each in state.items() if name != "patterns"}
        if patterns.dim() != 2 or len(rest["shift"]) != 1 + len(patterns) or not bool(patterns.isfinite().all()):
            raise ValueError("strata of another generator")
        self.head.calibration.load(rest, channels=self.head.channels)
        self.register_buffer("patterns", patterns.to(self.head.calibration.shift), persistent=False)

    def forward(self, latent: Tensor) -> Tensor:
        """(n, latent_dim + noise_dim) to rows (n, width)."""
        if self.training or len(latent) == 0:
            return self.rows(latent)
        padded = nn.functional.pad(latent, (0, 0, 0, -len(latent) % ROWS))
        return torch.cat([self.rows(part) for part in padded.split(ROWS)])[: len(latent)]

    def rows(self, latent: Tensor) -> Tensor:
        """The same in one chunk, in any mode; equal up to rounding."""
        values, noise = self._raw(latent)
        given = None if self.kept is None else self.kept.cells(latent)
        with float32_products(latent):
            rows: Tensor = self.head(values, noise, self._strata(latent), given)
        return rows if self.kept is None else self.kept(rows, latent)

    def scored(self, latent: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Rows, and how far what is drawn cell by cell is from real rows under the same conditions.

        Args:
            latent: (n, latent_dim + noise_dim + k), the last k numbers being another latent vector, noise included,
                for the same conditions.
            real: (n, width).

        Returns:
            Rows (n, width), and the mean energy score of their hidden cells, a number.
        """
        assert self.kept is not None
        own = (latent.shape[1] - self.kept.given) // 2
        conditions, first, second = latent.split([self.kept.given, own, own], 1)
        both = torch.cat([torch.cat([conditions, each], 1) for each in (first, second)])
        values, noise = self._raw(both)
        with float32_products(latent):
            return self.head.scored(values, noise, self.kept.cells(both), real)

    def expected(self, latent: Tensor) -> Tensor:
        """Rows with the mean of each column over its own noise at every entry of a one-hot; 0 in channels."""
        given = None if self.kept is None else self.kept.cells(latent)
        rows = self.head.expected(*self._raw(latent), self._strata(latent), given)
        return rows if self.kept is None else self.kept(rows, latent)

    def log_likelihood(self, latent: Tensor, real: Tensor) -> Tensor:
        """(n,) logarithms of the density of real rows (n, width) under the latents' conditions; see `DensityHead`.

        Of rows with cells that are given it is the density of the others, given these.

        Args:
            latent: (n, latent_dim + noise_dim), drawn independently of the rows; its noise is not used.
            real: rows under the same conditions.
        """
        assert isinstance(self.head, DensityHead)
        hidden = None if self.kept is None else self.kept.hidden(latent)
        return self.head.log_likelihood(self._raw(latent)[0], real, hidden)

    def _strata(self, latent: Tensor) -> Tensor | None:
        """The number of each row's stratum, from 1 on, or 0; None if there are no strata."""
        if len(self.patterns) == 0:
            return None
        hits = (latent[:, : self.patterns.shape[1]] > 0).to(self.patterns) @ self.patterns.T
        fits = hits > self.patterns.sum(1) - 0.5
        return torch.where(fits.any(1), 1 + fits.int().argmax(1), 0)

    def _raw(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        own = latent.shape[1] - self.head.noise_dim
        return self.body(latent[:, :own]).float(), latent[:, own:]
