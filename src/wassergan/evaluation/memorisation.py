"""Whether a generator returns training samples: distances to them, compared with those of held-out samples."""

from dataclasses import dataclass

from torch import Tensor

from wassergan.errors import UserError
from wassergan.evaluation.nearest import nearest

RARE = 0.01  # share of held-out samples that may be as near to a training sample as a near copy
NEIGHBOURS, FAR_NEARER = 6, 0.5  # a copy is at most half as far from its original as from the sixth nearest sample
EXCESS, TIMES = 0.05, 3.0
CERTAIN, UNLIKELY = 1e-3, 0.01  # p-values
LISTED = 16


@dataclass(frozen=True)
class Memorisation:
    """Distances of generated and of held-out samples to their nearest training samples.

    Attributes:
        threshold: a near copy is no farther from a training sample than 99 % of the held-out samples are.
        share_near_copies: of the generated samples.
        share_near_copies_heldout: of the held-out ones; above 1 % where data repeat themselves.
        p_value: how likely so many more near copies are among generated than among held-out samples if both come from
            one distribution (Fisher's exact test, one-sided).
        copied: different training samples that near copies are copies of.
        median_distance_generated: to the nearest training sample.
        median_distance_heldout: the same of held-out samples.
        flagged: more near copies than 5 % and three times the share among held-out samples, and not by chance.
        closest: (generated, training, distance), nearest first.
    """

    threshold: float
    share_near_copies: float
    share_near_copies_heldout: float
    p_value: float
    copied: int
    median_distance_generated: float
    median_distance_heldout: float
    flagged: bool
    closest: tuple[tuple[int, int, float], ...]

    @property
    def sentence(self) -> str:
        """The meaning in one sentence."""
        own, usual = _percent(self.share_near_copies), _percent(self.share_near_copies_heldout)
        shares = (
            f"{own} of the generated and {usual} of the held-out samples are near copies, "
            f"within {self.threshold:.3g} of one training sample and far from others"
        )
        if self.flagged:
            return f"The generator returns training samples: {shares} (training samples copied: {self.copied})."
        if self.p_value < UNLIKELY:
            return f"Some signs of memorising: {shares}, more than chance explains (p = {self.p_value:.2g})."
        if self.share_near_copies > EXCESS + self.share_near_copies_heldout:
            return f"Memorising cannot be told from chance: {shares} (p = {self.p_value:.2g}); hold out more samples."
        return f"No sign of memorising: {shares} (p = {self.p_value:.2g})."


def memorisation(generated: Tensor, training: Tensor, heldout: Tensor) -> Memorisation:
    """Near copies of training samples among generated ones, measured against held-out samples.

    Held-out samples are as near to the training samples as fresh draws of the distribution are; a generator that
    copies is nearer. A copy is also far nearer to its original than to other training samples: smooth samples, and
    those of a collapsed generator, lie close to many at once. (To the sixth, since originals may occur in the data
    several times.)

    Args:
        generated: features (n, d).
        training: features (m, d), the rows that were trained on.
        heldout: features (k, d).

    Raises:
        UserError: one of them is empty, or the dimensions differ.
    """
    if not min(map(len, (generated, training, heldout))):
        raise UserError("A sample to compare is empty", found=f"{len(generated)}, {len(training)}, {len(heldout)} rows")
    if not generated.shape[1:] == training.shape[1:] == heldout.shape[1:]:
        shapes = (tuple(each.shape[1:]) for each in (generated, training, heldout))
        raise UserError("Features differ in shape", found=", ".join(map(str, shapes)))
    count = min(NEIGHBOURS, len(training))
    own, rows = nearest(generated, training, count=count)
    usual = nearest(heldout, training, count=count)[0]
    threshold = usual[:, 0].quantile(RARE, interpolation="lower")
    copies, natural = (_are_copies(each, threshold) for each in (own, usual))
    share, share_heldout = (each.double().mean().item() for each in (copies, natural))
    p_value = _by_chance(int(copies.sum()), len(own), int(natural.sum()), len(usual))
    order = own[:, 0].argsort(stable=True)[:LISTED]
    return Memorisation(
        threshold=threshold.item(),
        share_near_copies=share,
        share_near_copies_heldout=share_heldout,
        p_value=p_value,
        copied=len(rows[copies, 0].unique()),
        median_distance_generated=own[:, 0].median().item(),
        median_distance_heldout=usual[:, 0].median().item(),
        flagged=share > EXCESS + TIMES * share_heldout and p_value < CERTAIN,
        closest=tuple((int(i), int(rows[i, 0]), own[i, 0].item()) for i in order),
    )


def _are_copies(distances: Tensor, threshold: Tensor) -> Tensor:
    """Of ascending distances to training samples (n, k): near one, and far nearer than to the last."""
    return (distances[:, 0] <= threshold) & (distances[:, 0] <= FAR_NEARER * distances[:, -1])


def _by_chance(copies: int, samples: int, natural: int, heldout: int) -> float:
    """P(at least so many of the near copies are generated ones | their number), if all samples are alike."""
    from scipy.stats import hypergeom  # half a second to import

    return float(hypergeom.sf(copies - 1, samples + heldout, copies + natural, samples))


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
